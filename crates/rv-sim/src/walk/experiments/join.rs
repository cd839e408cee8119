//! From one seed: a whole network that knows one node, and single nodes that join a network.

use std::time::Duration;

use crate::walk::census::{Census, Quality};
use crate::walk::conditions::Conditions;
use crate::walk::conduct::Conduct;
use crate::walk::figures::{float, ratio};
use crate::walk::kad::{Kad, Pause};
use crate::walk::model::Model;
use crate::walk::network::Network;
use crate::walk::ours::Ours;
use crate::walk::place::Slot;
use crate::walk::py::Py;
use crate::walk::report::{Plot, Section, Series, Table};

use super::steady::Who;
use super::{in_pairs, ours_default, percents, quality};

/// How large, how long.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sizes of networks.
    pub nodes: Vec<u32>,
    /// Of the network.
    pub seed: u64,
    /// How long the nodes take to come, evenly.
    pub arrival: Duration,
    /// How long it is watched.
    pub span: Duration,
    /// How many join one by one afterwards.
    pub joiners: u32,
    /// Who tends the tables, at its defaults.
    pub who: Vec<Who>,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Who.
    pub who: Who,
    /// Nodes.
    pub nodes: u32,
    /// Seconds since the start, messages of a node until then, and the tables then.
    pub course: Vec<(u64, f64, Quality)>,
    /// Seconds that single nodes took to a fill of 99%, in order.
    pub joiners_secs: Vec<u64>,
    /// Messages that they took, in order.
    pub joiners_messages: Vec<u32>,
}

impl Config {
    const STEP: Duration = Duration::from_secs(15);
    const JOIN_STEP: Duration = Duration::from_secs(1);
    /// Who has not come to 99% by then is not counted as one that has.
    const JOIN_SPAN_SECS: u64 = 600;

    /// Quick enough for every run of the tests.
    pub fn gate() -> Self {
        Self {
            nodes: vec![2_000],
            seed: 31,
            arrival: Duration::from_secs(60),
            span: Duration::from_secs(180),
            joiners: 10,
            who: vec![Who::Ours],
        }
    }

    /// What the results show.
    pub fn full() -> Self {
        Self {
            span: Duration::from_secs(900),
            joiners: 50,
            who: vec![Who::Ours, Who::Kad],
            ..Self::gate()
        }
    }

    /// Runs it.
    pub fn run(&self) -> Vec<Row> {
        let cases = self
            .nodes
            .iter()
            .flat_map(|nodes| self.who.iter().map(|who| (*who, *nodes)));
        let job = |(who, nodes)| -> Box<dyn FnOnce() -> Row + Send + '_> {
            Box::new(move || match who {
                Who::Ours => self.watch::<Ours>(who, nodes, ours_default()),
                Who::Kad => self.watch::<Kad>(who, nodes, Pause::KAD),
                Who::Py => self.watch::<Py>(who, nodes, Pause::PY),
            })
        };
        in_pairs(cases.map(job).collect())
    }

    fn watch<M: Model>(&self, who: Who, nodes: u32, settings: M::Settings) -> Row {
        let mut network = Network::<M>::new(self.seed, settings, Conditions::CALM);
        network.found(1);
        network.populate(nodes.saturating_sub(1), self.arrival);
        let mut course = Vec::new();
        for step in 1..=self.span.as_secs() / Self::STEP.as_secs() {
            network.run(Self::STEP);
            let messages = ratio(network.tally().messages, u64::from(nodes));
            course.push((step * Self::STEP.as_secs(), messages, quality(&network)));
        }
        let (mut joiners_secs, mut joiners_messages) = self.join(&mut network);
        joiners_secs.sort_unstable();
        joiners_messages.sort_unstable();
        Row {
            who,
            nodes,
            course,
            joiners_secs,
            joiners_messages,
        }
    }

    fn join<M: Model>(&self, network: &mut Network<M>) -> (Vec<u64>, Vec<u32>) {
        let joiners = (0..self.joiners).map(|_| network.join(Conduct::Honest));
        let mut waiting: Vec<Slot> = joiners.collect();
        let census = Census::of(network);
        let (mut secs, mut messages) = (Vec::new(), Vec::new());
        for second in 1..=Self::JOIN_SPAN_SECS {
            network.run(Self::JOIN_STEP);
            waiting.retain(|slot| {
                let is_full = census.quality(network, [*slot]).fill() >= 0.99;
                if is_full {
                    secs.push(second);
                    messages.push(network.nodes[*slot as usize].messages);
                }
                !is_full
            });
            if waiting.is_empty() {
                break;
            }
        }
        (secs, messages)
    }

    fn text(&self) -> Vec<String> {
        vec![
            format!(
                "All nodes come within {} seconds and know one of them, whom they all ask; \
                        nobody leaves; seed {}.",
                self.arrival.as_secs(),
                self.seed
            ),
            format!(
                "After {} minutes {} more join at one moment, and each is watched for itself.",
                self.span.as_secs() / 60,
                self.joiners
            ),
            "All are at their defaults.".to_owned(),
        ]
    }

    /// What the results show of it.
    pub fn section(&self, rows: &[Row]) -> Section {
        let head = [
            "who",
            "nodes",
            "s to 99% fill",
            "messages of a node until then",
            "fill at the end",
            "stale",
            "know their 20 nearest",
            "messages of a node",
            "single joiners at 99%",
            "median s",
            "slowest s",
            "median messages",
        ];
        let cells = |row: &Row| {
            let end = row.course.last().map(|(_, messages, it)| (*messages, *it));
            let (messages, last) = end.unwrap_or_default();
            let full = row.full_after();
            let or_dash = |it: Option<String>| it.unwrap_or_else(|| "-".to_owned());
            vec![
                row.who.name().to_owned(),
                row.nodes.to_string(),
                or_dash(full.map(|(secs, _)| secs.to_string())),
                or_dash(full.map(|(_, messages)| format!("{messages:.0}"))),
                percents(last.fill()),
                percents(last.stale_share()),
                percents(last.aware_share()),
                format!("{messages:.0}"),
                format!("{} of {}", row.joiners_secs.len(), self.joiners),
                or_dash(median(&row.joiners_secs).map(|it| it.to_string())),
                or_dash(row.joiners_secs.last().map(u64::to_string)),
                or_dash(median(&row.joiners_messages).map(|it| it.to_string())),
            ]
        };
        let series = |row: &Row| Series {
            name: format!("{}, {} nodes", row.who.name(), row.nodes),
            points: row
                .course
                .iter()
                .map(|it| (float(it.0), it.2.fill() * 100.0))
                .collect(),
        };
        let plot = Plot {
            name: "join".to_owned(),
            title: "Bucket fill of a network that begins with one seed".to_owned(),
            x: "seconds".to_owned(),
            y: "fill, %".to_owned(),
            series: rows.iter().map(series).collect(),
        };
        Section {
            name: "join".to_owned(),
            nodes: None,
            title: "From one seed".to_owned(),
            text: self.text(),
            tables: vec![Table::new(&head, rows.iter().map(cells))],
            plots: vec![plot],
        }
    }
}

impl Row {
    /// Seconds, and messages of a node, until the buckets of all are 99% full.
    pub fn full_after(&self) -> Option<(u64, f64)> {
        let full = self
            .course
            .iter()
            .find(|(_, _, quality)| quality.fill() >= 0.99);
        full.map(|(secs, messages, _)| (*secs, *messages))
    }
}

/// The one in the middle.
pub fn median<T: Copy>(sorted: &[T]) -> Option<T> {
    sorted.get(sorted.len() / 2).copied()
}
