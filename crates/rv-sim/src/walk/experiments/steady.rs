//! The steady state: nodes come and go, and each has so many messages to spend in an hour.

use std::time::Duration;

use crate::walk::census::{Census, Quality};
use crate::walk::conditions::Conditions;
use crate::walk::kad::{Kad, Pause};
use crate::walk::model::Model;
use crate::walk::ours::Ours;
use crate::walk::py::Py;
use crate::walk::report::{Plot, Section, Series, Table};

use super::{grown, in_pairs, mean, ours_at, percent, percents, sample};

/// How large, how long, how much.
#[derive(Clone, Debug)]
pub struct Config {
    /// Nodes of the network.
    pub nodes: u32,
    /// Of the network.
    pub seed: u64,
    /// What each node may spend in an hour.
    pub budgets: Vec<u32>,
    /// When measuring begins.
    pub warm_up: Duration,
    /// How long it is measured.
    pub span: Duration,
}

/// Who tends the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The core.
    Ours,
    /// The model of `libp2p-kad`.
    Kad,
    /// The model of py-libp2p.
    Py,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Who.
    pub who: Who,
    /// What each node might spend in an hour.
    pub budget: u32,
    /// What it did spend.
    pub messages: f64,
    /// Dials in an hour.
    pub dials: f64,
    /// The tables, over all censuses.
    pub quality: Quality,
}

impl Who {
    const ALL: [Self; 3] = [Self::Ours, Self::Kad, Self::Py];

    /// Its name in the results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Kad => "kad 0.49 (model)",
            Self::Py => "py 0.8.1 (model)",
        }
    }
}

impl Config {
    /// Time between two censuses.
    const CENSUS_EVERY: Duration = Duration::from_secs(900);

    /// Quick enough for every run of the tests.
    pub fn gate() -> Self {
        Self {
            nodes: 150,
            seed: 11,
            budgets: vec![1_000],
            warm_up: Duration::from_secs(2 * 3_600),
            span: Duration::from_secs(3_600),
        }
    }

    /// What the results show.
    pub fn full() -> Self {
        Self {
            nodes: 200,
            seed: 11,
            budgets: vec![500, 1_000, 2_000, 5_000],
            warm_up: Duration::from_secs(2 * 3_600),
            span: Duration::from_secs(4 * 3_600),
        }
    }

    /// Runs it for all three.
    pub fn run(&self) -> Vec<Row> {
        let cases = self
            .budgets
            .iter()
            .flat_map(|budget| Who::ALL.map(|who| (who, *budget)));
        let job = |(who, budget)| -> Box<dyn FnOnce() -> Row + Send + '_> {
            Box::new(move || self.row(who, budget))
        };
        in_pairs(cases.map(job).collect())
    }

    /// Runs it for one of them.
    pub fn row(&self, who: Who, budget: u32) -> Row {
        let pause = Pause::MessagesPerHour(budget);
        let (messages, dials, quality) = match who {
            Who::Ours => self.measure::<Ours>(ours_at(budget)),
            Who::Kad => self.measure::<Kad>(pause),
            Who::Py => self.measure::<Py>(pause),
        };
        Row {
            who,
            budget,
            messages,
            dials,
            quality,
        }
    }

    fn measure<M: Model>(&self, settings: M::Settings) -> (f64, f64, Quality) {
        let warm_up = self.warm_up;
        let mut network = grown::<M>(self.seed, settings, self.nodes, Conditions::CHURN, warm_up);
        let before = network.tally();
        let mut quality = Quality::default();
        let censuses = self.span.as_secs() / Self::CENSUS_EVERY.as_secs();
        for _ in 0..censuses {
            network.run(Self::CENSUS_EVERY);
            let slots = sample(&network);
            quality.add(&Census::of(&network).quality(&network, slots));
        }
        let after = network.tally();
        let node_hours = u64::from(self.nodes) * self.span.as_secs() / 3_600;
        let messages = mean(after.messages - before.messages, node_hours);
        let dials = mean(after.dials - before.dials, node_hours);
        (messages, dials, quality)
    }

    fn text(&self) -> Vec<String> {
        let hours = |span: Duration| span.as_secs() / 3_600;
        let (from, to) = (hours(self.warm_up), hours(self.warm_up + self.span));
        vec![
            format!(
                "{} nodes that stay for exponential lives with a median of two hours; \
                    who leaves is replaced at once.",
                self.nodes
            ),
            format!(
                "Measured every quarter of an hour from hour {from} to hour {to}, at all \
                    nodes; seed {}.",
                self.seed
            ),
            "Budget is what a node may spend in an hour, all requests counted, also those of \
                    joining."
                .to_owned(),
            "The models bootstrap as often as their budget allows for.".to_owned(),
        ]
    }

    /// What the results show of it.
    pub fn section(&self, rows: &[Row]) -> Section {
        let head = [
            "budget",
            "who",
            "messages spent",
            "dials",
            "entries",
            "stale",
            "fill",
            "know their 20 nearest",
            "stale beside kad's",
        ];
        let beside = |row: &Row| {
            let of_kad = |it: &&Row| it.who == Who::Kad && it.budget == row.budget;
            let kad = rows.iter().find(of_kad)?.quality.stale_share();
            (kad > 0.0).then(|| format!("{:.2}", row.quality.stale_share() / kad))
        };
        let cells = |row: &Row| {
            vec![
                row.budget.to_string(),
                row.who.name().to_owned(),
                format!("{:.0}", row.messages),
                format!("{:.0}", row.dials),
                format!("{:.0}", mean(row.quality.entries, row.quality.tables)),
                percents(row.quality.stale_share()),
                percent(row.quality.fill()),
                percent(row.quality.aware_share()),
                beside(row).unwrap_or_default(),
            ]
        };
        let plots = [
            ("steady-stale", "Stale share", "stale entries, %"),
            ("steady-fill", "Bucket fill", "fill, %"),
            (
                "steady-aware",
                "Nodes that know their 20 nearest",
                "nodes, %",
            ),
        ];
        let measures: [fn(&Quality) -> f64; 3] =
            [Quality::stale_share, Quality::fill, Quality::aware_share];
        let plots = plots
            .into_iter()
            .zip(measures)
            .map(|((name, title, y), measure)| Plot {
                name: name.to_owned(),
                title: format!("{title}, by messages of a node in an hour"),
                x: "messages of a node in an hour, spent".to_owned(),
                y: y.to_owned(),
                series: Who::ALL.map(|who| series(rows, who, measure)).into(),
            });
        Section {
            name: "steady".to_owned(),
            title: "Steady state at a budget".to_owned(),
            text: self.text(),
            tables: vec![Table::new(&head, rows.iter().map(cells))],
            plots: plots.collect(),
        }
    }
}

fn series(rows: &[Row], who: Who, measure: fn(&Quality) -> f64) -> Series {
    let of_who = rows.iter().filter(|row| row.who == who);
    let points = of_who
        .map(|row| (row.messages, measure(&row.quality) * 100.0))
        .collect();
    Series {
        name: who.name().to_owned(),
        points,
    }
}
