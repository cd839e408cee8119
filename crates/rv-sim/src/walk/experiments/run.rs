//! Runs experiments by name, and writes down what they came to.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use crate::walk::report::Section;

use super::steady::Who;
use super::{coverage, cut, exodus, hostile, join, steady};

/// An experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Experiment {
    /// How much of a network sweeps and walks see.
    Coverage,
    /// The steady state at a budget.
    Steady,
    /// Half of the nodes leave.
    Exodus,
    /// From one seed.
    Join,
    /// Cut off for an hour.
    Cut,
    /// Liars, Sybils, clients.
    Hostile,
}

/// There is no experiment of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownExperiment(String);

impl Experiment {
    /// All of them, in the order of the results.
    pub const ALL: [Self; 6] = [
        Self::Coverage,
        Self::Steady,
        Self::Exodus,
        Self::Join,
        Self::Cut,
        Self::Hostile,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Coverage => "coverage",
            Self::Steady => "steady",
            Self::Exodus => "exodus",
            Self::Join => "join",
            Self::Cut => "cut",
            Self::Hostile => "hostile",
        }
    }

    /// Above as many nodes, the models are left out: they would take hours and all memory.
    const NODES_BESIDE_MAX: u32 = 20_000;

    /// How long such a network is watched after it began with one seed: its tables are full after
    /// two minutes, and each further one of them costs millions of messages.
    const LARGE_JOIN_SPAN: Duration = Duration::from_secs(180);

    /// Runs it as the results show it, in networks of `nodes` where that is given.
    pub fn run(self, nodes: Option<u32>) -> Section {
        let mut section = self.measure(nodes);
        section.nodes = nodes;
        section
    }

    fn measure(self, nodes: Option<u32>) -> Section {
        let is_large = nodes.is_some_and(|nodes| nodes > Self::NODES_BESIDE_MAX);
        let only_ours = |who: Vec<Who>| if is_large { vec![Who::Ours] } else { who };
        match self {
            Self::Coverage => {
                let mut config = coverage::Config::full();
                config.nodes = nodes.map_or(config.nodes, |nodes| vec![nodes]);
                config.section(&config.run())
            }
            Self::Steady => {
                let mut config = steady::Config::full();
                config.nodes = nodes.unwrap_or(config.nodes);
                let larger = steady::Config::larger();
                config.section(&config.run(), (&larger, &larger.run()))
            }
            Self::Exodus => {
                let mut config = exodus::Config::full();
                config.who = only_ours(config.who);
                config.with_churn.truncate(if is_large { 1 } else { 2 });
                config.nodes = nodes.unwrap_or(config.nodes);
                config.section(&config.run())
            }
            Self::Join => {
                let mut config = join::Config::full();
                config.who = only_ours(config.who);
                if is_large {
                    config.span = Self::LARGE_JOIN_SPAN;
                }
                config.nodes = nodes.map_or(config.nodes, |nodes| vec![nodes]);
                config.section(&config.run())
            }
            Self::Cut => {
                let mut config = cut::Config::full();
                config.nodes = nodes.unwrap_or(config.nodes);
                config.section(&config.run())
            }
            Self::Hostile => {
                let mut config = hostile::Config::full();
                config.nodes = nodes.unwrap_or(config.nodes);
                config.section(&config.run())
            }
        }
    }

    /// Runs it and writes its page and curves into a folder.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write(self, nodes: Option<u32>, folder: &Path) -> io::Result<Section> {
        let section = self.run(nodes);
        section.write(folder)?;
        Ok(section)
    }
}

impl FromStr for Experiment {
    type Err = UnknownExperiment;

    fn from_str(name: &str) -> Result<Self, UnknownExperiment> {
        let of_name = Self::ALL.into_iter().find(|it| it.name() == name);
        of_name.ok_or_else(|| UnknownExperiment(name.to_owned()))
    }
}

impl fmt::Display for UnknownExperiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Experiment::ALL.map(Experiment::name).join(", ");
        write!(
            f,
            "no experiment is called `{}`: choose one of {names}",
            self.0
        )
    }
}

impl std::error::Error for UnknownExperiment {}
