//! Half of the nodes leave at once.

use std::time::Duration;

use crate::Dice;
use crate::walk::census::{Census, Quality};
use crate::walk::conditions::Conditions;
use crate::walk::figures::{float, ratio};
use crate::walk::kad::{Kad, Pause};
use crate::walk::model::Model;
use crate::walk::ours::Ours;
use crate::walk::report::{Plot, Section, Series, Table};

use super::steady::Who;
use super::{grown, in_pairs, ours_default, percents, quality};

/// How large, how long.
#[derive(Clone, Debug)]
pub struct Config {
    /// Nodes before.
    pub nodes: u32,
    /// Of the network.
    pub seed: u64,
    /// How long the network grows before.
    pub age: Duration,
    /// How long it is watched afterwards.
    pub span: Duration,
    /// Whether nodes come and go besides.
    pub with_churn: Vec<bool>,
    /// Who tends the tables, at its defaults.
    pub who: Vec<Who>,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Who.
    pub who: Who,
    /// Whether nodes came and went besides.
    pub with_churn: bool,
    /// Messages for each node that stayed.
    pub messages: f64,
    /// Minutes after the exodus, and the tables then.
    pub course: Vec<(u64, Quality)>,
}

impl Config {
    const STEP: Duration = Duration::from_secs(60);

    /// Two thousand nodes, quick enough for every run of the tests.
    pub fn gate() -> Self {
        Self {
            nodes: 2_000,
            seed: 21,
            age: Duration::from_secs(600),
            span: Duration::from_secs(1_800),
            with_churn: vec![false],
            who: vec![Who::Ours],
        }
    }

    /// What the results show.
    pub fn full() -> Self {
        Self {
            nodes: 1_000,
            age: Duration::from_secs(1_800),
            with_churn: vec![false, true],
            who: vec![Who::Ours, Who::Kad],
            ..Self::gate()
        }
    }

    /// Runs it.
    pub fn run(&self) -> Vec<Row> {
        let cases = self
            .with_churn
            .iter()
            .flat_map(|it| self.who.iter().map(|who| (*who, *it)));
        let job = |(who, with_churn)| -> Box<dyn FnOnce() -> Row + Send + '_> {
            Box::new(move || self.row(who, with_churn))
        };
        in_pairs(cases.map(job).collect())
    }

    fn row(&self, who: Who, with_churn: bool) -> Row {
        let conditions = if with_churn {
            Conditions::CHURN
        } else {
            Conditions::CALM
        };
        let (messages, course) = match who {
            Who::Ours => self.watch::<Ours>(ours_default(), conditions),
            Who::Kad => self.watch::<Kad>(Pause::KAD, conditions),
            Who::Py => self.watch::<crate::walk::Py>(Pause::PY, conditions),
        };
        Row {
            who,
            with_churn,
            messages,
            course,
        }
    }

    fn watch<M: Model>(
        &self,
        settings: M::Settings,
        conditions: Conditions,
    ) -> (f64, Vec<(u64, Quality)>) {
        let mut network = grown::<M>(self.seed, settings, self.nodes, conditions, self.age);
        let mut course = vec![(0, quality(&network))];
        let mut dice = Dice::fork(self.seed, 3);
        let founders = super::FOUNDERS;
        let leaving = network
            .serving()
            .map(|(slot, _)| slot)
            .filter(|slot| *slot >= founders);
        let leaving: Vec<_> = leaving.filter(|_| dice.chance(50)).collect();
        leaving.into_iter().for_each(|slot| network.leave(slot));
        let (before, left) = (network.tally(), network.serving().count());
        for minute in 1..=self.span.as_secs() / Self::STEP.as_secs() {
            network.run(Self::STEP);
            course.push((minute, quality(&network)));
        }
        let messages = network.tally().messages - before.messages;
        (ratio(messages, left as u64), course)
    }

    fn text(&self) -> Vec<String> {
        vec![
            format!(
                "{} nodes grow for {} minutes, then each leaves with a chance of one \
                    half, at one moment; seed {}.",
                self.nodes,
                self.age.as_secs() / 60,
                self.seed
            ),
            "All are at their defaults: the core may spend 3,600 messages an hour, the model \
                    bootstraps every 5 minutes."
                .to_owned(),
            format!(
                "Newcomers are nodes that came less than {} s ago: without them means that their \
                    tables do not count, and that nobody has to know them.",
                Census::NEWCOMER.as_secs()
            ),
        ]
    }

    /// What the results show of it.
    pub fn section(&self, rows: &[Row]) -> Section {
        let head = [
            "who",
            "churn besides",
            "stale before",
            "after 1 min",
            "after 5 min",
            "after 10 min",
            "after 30 min",
            "fill after 30 min",
            "know their 20 nearest after 30 min",
            "last 5 min: stale",
            "last 5 min: know their 20 nearest",
            "last 5 min: the same without newcomers",
            "minutes to stale 5% and fill 95%",
            "messages of a node",
        ];
        let cells = |row: &Row| {
            let at = |minute: u64| row.at(minute).map(|it| percents(it.stale_share()));
            let (last, late) = (row.last(), row.late());
            let whole = row
                .whole_after()
                .map_or_else(|| "-".to_owned(), |it| it.to_string());
            vec![
                row.who.name().to_owned(),
                if row.with_churn { "median 2 h" } else { "none" }.to_owned(),
                at(0).unwrap_or_default(),
                at(1).unwrap_or_default(),
                at(5).unwrap_or_default(),
                at(10).unwrap_or_default(),
                percents(last.stale_share()),
                percents(last.fill()),
                percents(last.aware_share()),
                percents(late.stale_share()),
                percents(late.aware_share()),
                percents(late.settled_aware_share()),
                whole,
                format!("{:.0}", row.messages),
            ]
        };
        let series = |row: &Row| Series {
            name: format!(
                "{}{}",
                row.who.name(),
                if row.with_churn { ", churn" } else { "" }
            ),
            points: row.course[1..]
                .iter()
                .map(|(at, it)| (float(*at), it.stale_share() * 100.0))
                .collect(),
        };
        let plot = Plot {
            name: "exodus".to_owned(),
            title: "Stale share after half of the nodes left".to_owned(),
            x: "minutes".to_owned(),
            y: "stale entries, %".to_owned(),
            series: rows.iter().map(series).collect(),
        };
        Section {
            name: "exodus".to_owned(),
            nodes: None,
            title: "Half of the nodes leave at once".to_owned(),
            text: self.text(),
            tables: vec![Table::new(&head, rows.iter().map(cells))],
            plots: vec![plot],
        }
    }
}

impl Row {
    fn at(&self, minute: u64) -> Option<&Quality> {
        self.course
            .iter()
            .find(|(at, _)| *at == minute)
            .map(|(_, quality)| quality)
    }

    /// The tables at the end.
    ///
    /// # Panics
    ///
    /// Never: there is a census before the exodus.
    pub fn last(&self) -> &Quality {
        &self.course.last().expect("the census before the exodus").1
    }

    /// The tables of the last five minutes together: where nodes come, one census depends on
    /// whether somebody did a moment ago, whom 20 others do not know yet.
    pub fn late(&self) -> Quality {
        let mut sum = Quality::default();
        let censuses = self.course.iter().rev().take(5);
        censuses.for_each(|(_, quality)| sum.add(quality));
        sum
    }

    /// Minutes until at most 5% are stale and buckets are 95% full.
    pub fn whole_after(&self) -> Option<u64> {
        let is_whole = |it: &Quality| it.stale_share() <= 0.05 && it.fill() >= 0.95;
        let after = self.course[1..]
            .iter()
            .find(|(_, quality)| is_whole(quality));
        after.map(|(minute, _)| *minute)
    }
}
