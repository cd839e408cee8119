//! The steady state: nodes come and go, and each has so many messages to spend in an hour.

use std::time::Duration;

use crate::walk::census::{Census, Quality};
use crate::walk::conditions::Conditions;
use crate::walk::figures::ratio;
use crate::walk::kad::{Kad, Pause};
use crate::walk::model::Model;
use crate::walk::ours::Ours;
use crate::walk::py::Py;
use crate::walk::report::{Plot, Section, Series, Table};

use super::{grown, in_pairs, ours_at, percent, percents, sample};

/// How large, how long, how much.
#[derive(Clone, Debug)]
pub struct Config {
    /// Nodes of the network.
    pub nodes: u32,
    /// Of the networks, one of each.
    pub seeds: Vec<u64>,
    /// What each node may spend in an hour.
    pub budgets: Vec<u32>,
    /// When measuring begins.
    pub warm_up: Duration,
    /// How long it is measured.
    pub span: Duration,
    /// Who tends the tables.
    pub who: Vec<Who>,
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
    /// Nodes of the network.
    pub nodes: u32,
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
            seeds: vec![11],
            budgets: vec![1_000],
            warm_up: Duration::from_secs(2 * 3_600),
            span: Duration::from_secs(3_600),
            who: Who::ALL.into(),
        }
    }

    /// What the results show.
    pub fn full() -> Self {
        Self {
            nodes: 200,
            budgets: vec![500, 1_000, 2_000, 5_000],
            span: Duration::from_secs(4 * 3_600),
            ..Self::gate()
        }
    }

    /// Larger networks of other seeds, for an hour.
    pub fn larger() -> Self {
        Self {
            nodes: 500,
            seeds: vec![12, 13, 14],
            budgets: vec![500, 1_000, 2_000, 5_000],
            who: vec![Who::Ours, Who::Kad],
            ..Self::gate()
        }
    }

    /// Runs it for each of them.
    pub fn run(&self) -> Vec<Row> {
        let cases = self
            .budgets
            .iter()
            .flat_map(|budget| self.who.iter().map(|who| (*who, *budget)));
        let job = |(who, budget)| -> Box<dyn FnOnce() -> Row + Send + '_> {
            Box::new(move || self.row(who, budget))
        };
        in_pairs(cases.map(job).collect())
    }

    /// Runs it for one of them.
    pub fn row(&self, who: Who, budget: u32) -> Row {
        match who {
            Who::Ours => self.of_model::<Ours>(who, budget, ours_at(budget)),
            Who::Kad => self.of_model::<Kad>(who, budget, self.pause::<Kad>(who, budget)),
            Who::Py => self.of_model::<Py>(who, budget, self.pause::<Py>(who, budget)),
        }
    }

    /// How a model has to pace its refreshes so that it spends the budget, joins included: what it
    /// spends beyond its pace in the first of the networks is taken off. Where joins alone cost
    /// more, only they are left.
    fn pause<M: Model<Settings = Pause>>(&self, who: Who, budget: u32) -> Pause {
        let trial = Self {
            seeds: self.seeds.iter().take(1).copied().collect(),
            span: self.span.min(Duration::from_secs(3_600)),
            ..self.clone()
        };
        let row = trial.of_model::<M>(who, budget, Pause::MessagesPerHour(budget));
        let pace = 2.0 * f64::from(budget) - row.messages;
        Pause::MessagesPerHour(rounded(pace.max(1.0)))
    }

    fn of_model<M: Model>(&self, who: Who, budget: u32, settings: M::Settings) -> Row {
        let mut quality = Quality::default();
        let mut spent = (0, 0);
        for seed in &self.seeds {
            let (messages, dials) = self.measure::<M>(*seed, settings.clone(), &mut quality);
            spent = (spent.0 + messages, spent.1 + dials);
        }
        let nodes = u64::from(self.nodes) * self.seeds.len() as u64;
        let node_hours = nodes * self.span.as_secs() / 3_600;
        Row {
            nodes: self.nodes,
            who,
            budget,
            messages: ratio(spent.0, node_hours),
            dials: ratio(spent.1, node_hours),
            quality,
        }
    }

    /// Messages and dials of all nodes of one network, and how good their tables were.
    fn measure<M: Model>(
        &self,
        seed: u64,
        settings: M::Settings,
        quality: &mut Quality,
    ) -> (u64, u64) {
        let warm_up = self.warm_up;
        let mut network = grown::<M>(seed, settings, self.nodes, Conditions::CHURN, warm_up);
        let before = network.tally();
        let censuses = self.span.as_secs() / Self::CENSUS_EVERY.as_secs();
        for _ in 0..censuses {
            network.run(Self::CENSUS_EVERY);
            let slots = sample(&network);
            quality.add(&Census::of(&network).quality(&network, slots));
        }
        let after = network.tally();
        (after.messages - before.messages, after.dials - before.dials)
    }

    fn text(&self, larger: &Self) -> Vec<String> {
        let hours = |span: Duration| span.as_secs() / 3_600;
        let network = |it: &Self| {
            format!(
                "{} nodes, measured every quarter of an hour from hour {} to hour {} at all of \
                    them; seeds {:?}.",
                it.nodes,
                hours(it.warm_up),
                hours(it.warm_up + it.span),
                it.seeds
            )
        };
        vec![
            "Nodes stay for exponential lives with a median of two hours; who leaves is \
                    replaced at once."
                .to_owned(),
            network(self),
            network(larger),
            "Budget is what a node may spend in an hour, all requests counted, also those of \
                    joining."
                .to_owned(),
            "The models refresh as often as leads to that, joins included. A model's new node \
                    sends its first lookups whatever the budget: where these alone cost more, \
                    its row is what it spends without any later refresh."
                .to_owned(),
        ]
    }

    /// What the results show of it and of larger networks.
    pub fn section(&self, rows: &[Row], larger: (&Self, &[Row])) -> Section {
        let head = [
            "nodes",
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
        let all: Vec<Row> = rows.iter().chain(larger.1).copied().collect();
        let beside = |row: &Row| {
            let of_kad =
                |it: &&Row| it.who == Who::Kad && (it.nodes, it.budget) == (row.nodes, row.budget);
            let kad = all.iter().find(of_kad)?.quality.stale_share();
            (kad > 0.0).then(|| format!("{:.2}", row.quality.stale_share() / kad))
        };
        let cells = |row: &Row| {
            vec![
                row.nodes.to_string(),
                row.budget.to_string(),
                row.who.name().to_owned(),
                format!("{:.0}", row.messages),
                format!("{:.0}", row.dials),
                format!("{:.0}", ratio(row.quality.entries, row.quality.tables)),
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
            nodes: None,
            title: "Steady state at a budget".to_owned(),
            text: self.text(larger.0),
            tables: vec![Table::new(&head, all.iter().map(cells))],
            plots: plots.collect(),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "some thousand messages an hour at the most"
)]
fn rounded(pace: f64) -> u32 {
    pace.round() as u32
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
