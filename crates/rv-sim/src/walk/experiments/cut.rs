//! Some nodes are cut off from everything for an hour.

use std::collections::BTreeSet;
use std::time::Duration;

use dht_walk::Peer;

use crate::walk::census::{Census, Quality};
use crate::walk::conditions::Conditions;
use crate::walk::figures::{float, ratio};
use crate::walk::model::Model;
use crate::walk::network::Network;
use crate::walk::ours::Ours;
use crate::walk::place::Slot;
use crate::walk::report::{Plot, Section, Series, Table};

use super::{grown, ours_default, percents};

/// How large, how long.
#[derive(Clone, Debug)]
pub struct Config {
    /// Nodes.
    pub nodes: u32,
    /// Of the network.
    pub seed: u64,
    /// How many of them are cut off.
    pub cut: u32,
    /// How long the network grows before.
    pub age: Duration,
    /// How long they are cut off.
    pub outage: Duration,
    /// How long they are watched afterwards.
    pub span: Duration,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Before the cut.
    pub before: Quality,
    /// Entries at the end of the cut that were there at its beginning, as a share of those.
    pub kept: f64,
    /// Seconds after the cut, and the tables of those who were cut off then.
    pub course: Vec<(u64, Quality)>,
    /// All others, at the end.
    pub others: Quality,
}

impl Config {
    const STEP: Duration = Duration::from_secs(10);

    /// Quick enough for every run of the tests.
    pub fn gate() -> Self {
        Self {
            nodes: 300,
            seed: 41,
            cut: 20,
            age: Duration::from_secs(1_200),
            outage: Duration::from_secs(3_600),
            span: Duration::from_secs(600),
        }
    }

    /// What the results show.
    pub fn full() -> Self {
        Self {
            nodes: 500,
            cut: 50,
            age: Duration::from_secs(3_600),
            ..Self::gate()
        }
    }

    /// Runs it.
    pub fn run(&self) -> Outcome {
        let age = self.age;
        let mut network = grown::<Ours>(
            self.seed,
            ours_default(),
            self.nodes,
            Conditions::CHURN,
            age,
        );
        let serving = network
            .serving()
            .map(|(slot, _)| slot)
            .filter(|it| *it >= super::FOUNDERS);
        let mut cut: Vec<Slot> = serving.take(self.cut as usize).collect();
        let before = Census::of(&network).quality(&network, cut.iter().copied());
        let held = tables(&network, &cut);
        for slot in &cut {
            network.nodes[*slot as usize].is_cut = true;
        }
        network.run(self.outage);
        let still = tables(&network, &cut);
        // Those who left meanwhile have no table to look at.
        let pairs = held
            .iter()
            .zip(&still)
            .filter(|(_, still)| !still.is_empty());
        let (mut was, mut kept) = (0, 0);
        for (held, still) in pairs {
            was += held.len() as u64;
            kept += held.intersection(still).count() as u64;
        }
        cut.retain(|slot| network.nodes[*slot as usize].model.is_some());
        for slot in &cut {
            network.nodes[*slot as usize].is_cut = false;
        }
        let mut course = vec![(
            0,
            Census::of(&network).quality(&network, cut.iter().copied()),
        )];
        for step in 1..=self.span.as_secs() / Self::STEP.as_secs() {
            network.run(Self::STEP);
            let quality = Census::of(&network).quality(&network, cut.iter().copied());
            course.push((step * Self::STEP.as_secs(), quality));
        }
        let others = network
            .serving()
            .map(|(slot, _)| slot)
            .filter(|slot| !cut.contains(slot));
        let others = Census::of(&network).quality(&network, others);
        Outcome {
            before,
            kept: ratio(kept, was),
            course,
            others,
        }
    }

    /// What the results show of it.
    pub fn section(&self, outcome: &Outcome) -> Section {
        let head = ["when", "stale", "fill", "know their 20 nearest"];
        let row = |when: String, it: &Quality| {
            vec![
                when,
                percents(it.stale_share()),
                percents(it.fill()),
                percents(it.aware_share()),
            ]
        };
        let shown = |at: u64| [0, 30, 60, 120, 300, 600].contains(&at);
        let mut rows = vec![row("before the cut".to_owned(), &outcome.before)];
        let course = outcome.course.iter().filter(|(at, _)| shown(*at));
        rows.extend(course.map(|(at, it)| row(format!("{at} s after it"), it)));
        rows.push(row("the others, at the end".to_owned(), &outcome.others));
        let points = |of: fn(&Quality) -> f64| {
            outcome
                .course
                .iter()
                .map(|(at, it)| (float(*at), of(it) * 100.0))
                .collect()
        };
        let plot = Plot {
            name: "cut".to_owned(),
            title: "Tables after an hour without a connection".to_owned(),
            x: "seconds after the cut".to_owned(),
            y: "%".to_owned(),
            series: vec![
                Series {
                    name: "fill".to_owned(),
                    points: points(Quality::fill),
                },
                Series {
                    name: "stale".to_owned(),
                    points: points(Quality::stale_share),
                },
            ],
        };
        let whole = outcome.whole_after();
        let whole = whole.map_or_else(|| "-".to_owned(), |it| format!("{it} s"));
        Section {
            name: "cut".to_owned(),
            nodes: None,
            title: "Cut off from everything for an hour".to_owned(),
            text: vec![
                format!(
                    "{} of {} nodes are cut off for {} minutes, while the others come and go \
                        with lives of a median of two hours; seed {}.",
                    self.cut,
                    self.nodes,
                    self.outage.as_secs() / 60,
                    self.seed
                ),
                format!(
                    "Entries that were kept over the cut: {}.",
                    percents(outcome.kept)
                ),
                format!("As good as before the cut, within a hundredth: after {whole}."),
            ],
            tables: vec![Table::new(&head, rows)],
            plots: vec![plot],
        }
    }
}

impl Outcome {
    /// Seconds after the cut until fill and stale share are as before it, within a hundredth.
    pub fn whole_after(&self) -> Option<u64> {
        let is_whole = |it: &Quality| {
            it.fill() >= self.before.fill() - 0.01
                && it.stale_share() <= self.before.stale_share() + 0.01
        };
        self.course
            .iter()
            .find(|(_, it)| is_whole(it))
            .map(|(at, _)| *at)
    }
}

fn tables<M: Model>(network: &Network<M>, slots: &[Slot]) -> Vec<BTreeSet<Peer>> {
    let table = |slot: &Slot| {
        let mut peers = BTreeSet::new();
        if let Some(model) = &network.nodes[*slot as usize].model {
            model.entries(&mut |contact| {
                peers.insert(contact.peer.clone());
            });
        }
        peers
    };
    slots.iter().map(table).collect()
}
