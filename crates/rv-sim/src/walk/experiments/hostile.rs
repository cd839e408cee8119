//! Liars, Sybils, and peers that become clients.

use std::time::Duration;

use dht_walk::{Cpl, Seed, Targets};

use crate::walk::census::{Census, Quality};
use crate::walk::conditions::Conditions;
use crate::walk::conduct::{Conduct, Lie};
use crate::walk::figures::ratio;
use crate::walk::kad::{Kad, Pause};
use crate::walk::model::Model;
use crate::walk::network::Network;
use crate::walk::ours::Ours;
use crate::walk::place::{Slot, head};
use crate::walk::report::{Section, Table};

use super::steady::Who;
use super::{grown, in_pairs, ours_default, percents, quality};

/// How large, how many, how long.
#[derive(Clone, Debug)]
pub struct Config {
    /// Honest nodes.
    pub nodes: u32,
    /// Of the network.
    pub seed: u64,
    /// Liars for each hundred nodes, and clients.
    pub percent: u32,
    /// Sybils.
    pub sybils: u32,
    /// Bits that each Sybil shares with its victim, at least.
    pub sybil_bits: u8,
    /// How long the network grows before.
    pub age: Duration,
    /// How long it is watched afterwards.
    pub span: Duration,
    /// Who tends the tables, at its defaults.
    pub who: Vec<Who>,
}

/// What they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Nodes stop to serve.
    Clients,
    /// Liars tell of peers that do not exist.
    Garbage,
    /// Liars tell of real peers, at their own addresses.
    Poison,
    /// Many ids next to one node, in one /24.
    Sybils,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Who.
    pub who: Who,
    /// What was done.
    pub attack: Attack,
    /// The honest nodes' tables; of Sybils, the victim's.
    pub quality: Quality,
    /// Liars or Sybils among the 20 nearest to the victim that its table holds, as a share.
    pub nearest: f64,
}

impl Attack {
    const ALL: [Self; 4] = [Self::Clients, Self::Garbage, Self::Poison, Self::Sybils];

    const fn name(self) -> &'static str {
        match self {
            Self::Clients => "become clients",
            Self::Garbage => "tell of nobody",
            Self::Poison => "tell wrong addresses",
            Self::Sybils => "Sybils, the victim's table",
        }
    }
}

impl Config {
    /// Quick enough for every run of the tests.
    pub fn gate() -> Self {
        Self {
            nodes: 200,
            seed: 51,
            percent: 10,
            sybils: 60,
            sybil_bits: 9,
            age: Duration::from_secs(300),
            span: Duration::from_secs(3_600),
            who: vec![Who::Ours],
        }
    }

    /// What the results show.
    pub fn full() -> Self {
        Self {
            nodes: 300,
            sybils: 200,
            sybil_bits: 12,
            age: Duration::from_secs(1_800),
            ..Self::gate()
        }
    }

    /// Runs all of them.
    pub fn run(&self) -> Vec<Row> {
        let cases = Attack::ALL
            .into_iter()
            .flat_map(|it| self.who.iter().map(move |who| (*who, it)));
        let job = |(who, attack)| -> Box<dyn FnOnce() -> Row + Send + '_> {
            Box::new(move || self.row(who, attack))
        };
        in_pairs(cases.map(job).collect())
    }

    /// Runs one.
    pub fn row(&self, who: Who, attack: Attack) -> Row {
        let (quality, nearest) = match who {
            Who::Ours => self.watch::<Ours>(ours_default(), attack),
            Who::Kad => self.watch::<Kad>(Pause::KAD, attack),
            Who::Py => self.watch::<crate::walk::Py>(Pause::PY, attack),
        };
        Row {
            who,
            attack,
            quality,
            nearest,
        }
    }

    fn watch<M: Model>(&self, settings: M::Settings, attack: Attack) -> (Quality, f64) {
        let (nodes, age) = (self.nodes, self.age);
        let mut network = grown::<M>(self.seed, settings, nodes, Conditions::CALM, age);
        let hostile = nodes * self.percent / 100;
        match attack {
            Attack::Clients => {
                for slot in super::FOUNDERS..super::FOUNDERS + hostile {
                    network.nodes[slot as usize].conduct = Conduct::Client;
                }
            }
            Attack::Garbage | Attack::Poison => {
                let lie = if attack == Attack::Garbage {
                    Lie::Garbage
                } else {
                    Lie::Poison
                };
                (0..hostile).for_each(|_| {
                    network.join(Conduct::Liar(lie));
                });
                // Whoever joins now meets liars from its first question on.
                (0..hostile).for_each(|_| {
                    network.join(Conduct::Honest);
                });
            }
            Attack::Sybils => self.surround(&mut network),
        }
        network.run(self.span);
        match attack {
            Attack::Sybils => victims_table(&network, super::FOUNDERS),
            Attack::Clients | Attack::Garbage | Attack::Poison => (quality(&network), 0.0),
        }
    }

    /// Sybils join, next to the first node that is no founder.
    fn surround<M: Model>(&self, network: &mut Network<M>) {
        let victim = network.nodes[super::FOUNDERS as usize].contact.peer.clone();
        let mut ids = Targets::new(Seed::from_bytes(
            [u8::try_from(self.seed & 255).expect("a byte"); 32],
        ));
        for nth in 0..self.sybils {
            let deeper = u8::try_from(nth % 3).expect("below 3");
            let cpl = Cpl::new(self.sybil_bits + deeper);
            if let Some(id) = ids.in_bucket(victim.key(), cpl) {
                network.join_as(id.as_peer().clone(), Conduct::Sybil);
            }
        }
    }

    /// What the results show of it.
    pub fn section(&self, rows: &[Row]) -> Section {
        let head = [
            "what they do",
            "who",
            "stale",
            "liars or Sybils among entries",
            "among the 20 nearest entries",
            "fill with honest peers",
            "know their 20 nearest honest peers",
        ];
        let cells = |row: &Row| {
            let is_sybils = row.attack == Attack::Sybils;
            vec![
                row.attack.name().to_owned(),
                row.who.name().to_owned(),
                percents(row.quality.stale_share()),
                percents(row.quality.hostile_share()),
                if is_sybils {
                    percents(row.nearest)
                } else {
                    "-".to_owned()
                },
                percents(row.quality.fill()),
                percents(row.quality.aware_share()),
            ]
        };
        Section {
            name: "hostile".to_owned(),
            nodes: None,
            title: "Liars, Sybils and clients".to_owned(),
            text: vec![
                format!(
                    "{} honest nodes, {} minutes after it began; nobody leaves; seed {}.",
                    self.nodes,
                    self.span.as_secs() / 60,
                    self.seed
                ),
                format!(
                    "Of a hundred nodes {} cease to serve; or as many liars join, and as \
                    many honest nodes after them.",
                    self.percent
                ),
                format!(
                    "Or {} Sybils join, which share {} bits or more with one node, stand in \
                    one /24, and tell of nobody but each other.",
                    self.sybils, self.sybil_bits
                ),
                "A liar serves and answers, so it has a place like anybody else: its share of \
                    the tables is to stay at its share of the network, and what it tells is not \
                    to become an entry."
                    .to_owned(),
            ],
            tables: vec![Table::new(&head, rows.iter().map(cells))],
            plots: Vec::new(),
        }
    }
}

/// The victim's table, and how many of its 20 nearest entries are Sybils.
fn victims_table<M: Model>(network: &Network<M>, victim: Slot) -> (Quality, f64) {
    let census = Census::where_node(network, |node| node.conduct == Conduct::Honest);
    let quality = census.quality(network, [victim]);
    let node = &network.nodes[victim as usize];
    let here = head(node.contact.peer.key());
    let mut entries = Vec::new();
    if let Some(model) = &node.model {
        model.entries(&mut |contact| {
            let reached = network
                .reach(contact)
                .map(|slot| network.nodes[slot as usize].conduct);
            entries.push((
                head(contact.peer.key()) ^ here,
                reached == Some(Conduct::Sybil),
            ));
        });
    }
    entries.sort_unstable();
    entries.truncate(20);
    let sybils = entries.iter().filter(|(_, is_sybil)| *is_sybil).count();
    (quality, ratio(sybils as u64, entries.len() as u64))
}
