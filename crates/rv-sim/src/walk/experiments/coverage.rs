//! How much of a network lookups see: one target in each of many equal slices, or anywhere.

use std::collections::BTreeSet;
use std::time::Duration;

use dht_walk::{LookupReport, Report};

use crate::walk::figures::{float, ratio};
use crate::walk::report::{Plot, Section, Series, Table};
use crate::walk::still::Still;

use super::percent;

/// Which networks, and how many lookups.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sizes of networks.
    pub nodes: Vec<u32>,
    /// One network of each size for each seed.
    pub seeds: Vec<u64>,
    /// Lookups, in tenths of `N / k`.
    pub tenths: Vec<u32>,
}

/// What the lookups saw, in the mean over the seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Row {
    /// The network's size.
    pub nodes: u32,
    /// Lookups, in tenths of `N / k`.
    pub tenths: u32,
    /// Lookups.
    pub lookups: u32,
    /// Requests of the sweep.
    pub sweep_messages: f64,
    /// Peers in its results, as a share.
    pub sweep: f64,
    /// Peers that it was told of, as a share.
    pub sweep_heard: f64,
    /// Requests of as many uniform walks.
    pub uniform_messages: f64,
    /// Peers in their results.
    pub uniform: f64,
    /// Peers in the results of uniform walks of as many messages as the sweep sent.
    pub uniform_same: f64,
    /// Peers that as many uniform walks were told of.
    pub uniform_heard: f64,
}

impl Config {
    const K: u32 = 20;

    /// Quick enough for every run of the tests.
    pub fn gate() -> Self {
        Self {
            nodes: vec![2_000],
            seeds: vec![1],
            tenths: vec![20],
        }
    }

    /// What the results show.
    pub fn full() -> Self {
        Self {
            nodes: vec![1_000, 10_000, 100_000],
            seeds: vec![1, 2, 3],
            tenths: vec![5, 10, 20, 30],
        }
    }

    /// Runs it.
    pub fn run(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for nodes in &self.nodes {
            for tenths in &self.tenths {
                rows.push(self.row(*nodes, *tenths));
            }
        }
        rows
    }

    fn row(&self, nodes: u32, tenths: u32) -> Row {
        let lookups = (nodes * tenths / (10 * Self::K)).max(1);
        let mut sum = Row {
            nodes,
            tenths,
            lookups,
            ..Row::default()
        };
        let week = Duration::from_secs(7 * 86_400);
        for seed in &self.seeds {
            let still = Still::new(*seed, nodes);
            let sweep = still.look_around(|walk, now| {
                walk.sweep(now, lookups, week).expect("the first round");
            });
            // Some more, so that the messages are as many.
            let walks = lookups + lookups / 4 + 4;
            let all = still.look_around(|walk, now| {
                walk.walks(now, walks).expect("the first round");
            });
            let uniform = &all.lookups[..(lookups as usize).min(all.lookups.len())];
            let heard = still.look_around(|walk, now| {
                walk.walks(now, lookups).expect("the first round");
            });
            sum.sweep_messages += float(sweep.requests());
            sum.sweep += seen(&sweep.lookups, &still);
            sum.sweep_heard += ratio(heard_of(&sweep), u64::from(nodes));
            sum.uniform_messages += float(requests(uniform));
            sum.uniform += seen(uniform, &still);
            sum.uniform_same += seen(spending(&all.lookups, sweep.requests()), &still);
            sum.uniform_heard += ratio(heard_of(&heard), u64::from(nodes));
        }
        let seeds = float(self.seeds.len() as u64);
        for it in [
            &mut sum.sweep_messages,
            &mut sum.sweep,
            &mut sum.sweep_heard,
            &mut sum.uniform_messages,
            &mut sum.uniform,
            &mut sum.uniform_same,
            &mut sum.uniform_heard,
        ] {
            *it /= seeds;
        }
        sum
    }

    fn text(&self) -> Vec<String> {
        vec![
            "One node of a network that stands still, in which all tables are perfect, looks \
                    around by the core's own lookups."
                .to_owned(),
            "A sweep has one target in each of as many equal slices as there are lookups."
                .to_owned(),
            "In the results are the 20 nearest peers of each lookup; told of is everybody \
                    who was in any answer."
                .to_owned(),
            format!("Means over the seeds {:?}; `k` is 20.", self.seeds),
        ]
    }

    /// What the results show of it.
    pub fn section(&self, rows: &[Row]) -> Section {
        let head = [
            "nodes",
            "lookups",
            "of N/k",
            "sweep: messages",
            "sweep: in results",
            "sweep: told of",
            "uniform: messages",
            "uniform: in results",
            "uniform, messages of the sweep",
            "uniform: told of",
            "1 - e^(-kW/N)",
        ];
        let cells = |row: &Row| {
            let times = f64::from(row.tenths) / 10.0;
            vec![
                row.nodes.to_string(),
                row.lookups.to_string(),
                format!("{times:.1}"),
                format!("{:.0}", row.sweep_messages),
                percent(row.sweep),
                percent(row.sweep_heard),
                format!("{:.0}", row.uniform_messages),
                percent(row.uniform),
                percent(row.uniform_same),
                percent(row.uniform_heard),
                percent(1.0 - (-times).exp()),
            ]
        };
        let largest = rows.iter().map(|row| row.nodes).max().unwrap_or(0);
        let largest: Vec<&Row> = rows.iter().filter(|row| row.nodes == largest).collect();
        let series = |name: &str, point: &dyn Fn(&Row) -> (f64, f64)| Series {
            name: name.to_owned(),
            points: largest.iter().map(|row| point(row)).collect(),
        };
        let plot = Plot {
            name: "coverage".to_owned(),
            title: "Peers in the results, by messages".to_owned(),
            x: "messages for each node of the network".to_owned(),
            y: "share of the network, %".to_owned(),
            series: vec![
                series("sweep", &|row| {
                    (row.sweep_messages / f64::from(row.nodes), row.sweep * 100.0)
                }),
                series("uniform walks", &|row| {
                    (
                        row.uniform_messages / f64::from(row.nodes),
                        row.uniform * 100.0,
                    )
                }),
            ],
        };
        Section {
            name: "coverage".to_owned(),
            nodes: None,
            title: "Coverage of sweeps and of uniform walks".to_owned(),
            text: self.text(),
            tables: vec![Table::new(&head, rows.iter().map(cells))],
            plots: vec![plot],
        }
    }
}

fn requests(lookups: &[LookupReport]) -> u64 {
    lookups.iter().map(|it| u64::from(it.requests)).sum()
}

/// The first lookups that together send no more than that.
fn spending(lookups: &[LookupReport], messages: u64) -> &[LookupReport] {
    let mut spent = 0;
    let within = lookups.iter().take_while(|it| {
        spent += u64::from(it.requests);
        spent <= messages
    });
    &lookups[..within.count()]
}

fn seen(lookups: &[LookupReport], still: &Still) -> f64 {
    let peers: BTreeSet<_> = lookups.iter().flat_map(|it| &it.closest).collect();
    ratio(peers.len() as u64, still.len() as u64)
}

fn heard_of(report: &Report) -> u64 {
    report.found.len() as u64 + report.found_more
}
