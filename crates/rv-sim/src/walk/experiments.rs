//! What is measured: each experiment has fixed bounds and seeds, an outcome in numbers, and a
//! section of the results.

pub mod coverage;
pub mod cut;
pub mod exodus;
pub mod hostile;
pub mod join;
mod run;
pub mod steady;

use std::time::Duration;

use dht_walk::Config;

use crate::walk::census::{Census, Quality};
use crate::walk::conditions::Conditions;
use crate::walk::model::Model;
use crate::walk::network::Network;
use crate::walk::place::Slot;

pub use run::{Experiment, UnknownExperiment};

/// Nodes that everybody knows, and that never leave.
const FOUNDERS: u32 = 5;

/// Tables that are looked at in one census: the error of a share is below half a percent.
const SAMPLE: usize = 5_000;

/// The core at its defaults, but for the contacts of its reports, which nobody reads here: those
/// of 100,000 nodes would take more memory than their tables.
pub fn ours_default() -> Config {
    let mut config = Config::default();
    config.refresh.found_max = 0;
    config
}

/// The core, so that nodes with lives of two hours spend a budget and no more in all: what a new
/// node may spend at once is part of it.
pub fn ours_at(messages_per_hour: u32) -> Config {
    let mut config = ours_default();
    let burst = (messages_per_hour / 2).min(600);
    // A mean life of two hours over ln 2 is 2.885 hours, so there are 0.347 joins an hour. More
    // than two fifths of what a node begins with are in reserve when it leaves.
    let rate = messages_per_hour - burst * 200 / 1_000;
    config.budget.messages_burst = burst;
    config.budget.dials_burst = burst;
    config.budget.messages_per_hour = rate;
    config.budget.dials_per_hour = rate;
    config
}

/// A network that grew for a while.
fn grown<M: Model>(
    seed: u64,
    settings: M::Settings,
    nodes: u32,
    conditions: Conditions,
    age: Duration,
) -> Network<M> {
    let mut network = Network::new(seed, settings, conditions);
    network.found(FOUNDERS);
    network.populate(nodes.saturating_sub(FOUNDERS), Duration::from_secs(60));
    network.run(age);
    network
}

/// The slots of nodes that serve honestly, at most as many as one census looks at.
fn sample<M: Model>(network: &Network<M>) -> Vec<Slot> {
    use crate::walk::conduct::Conduct;
    let honest = network
        .serving()
        .filter(|(_, node)| node.conduct == Conduct::Honest);
    let honest: Vec<Slot> = honest.map(|(slot, _)| slot).collect();
    let step = honest.len().div_ceil(SAMPLE).max(1);
    honest.into_iter().step_by(step).collect()
}

fn quality<M: Model>(network: &Network<M>) -> Quality {
    Census::of(network).quality(network, sample(network))
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

fn percents(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

/// Two jobs at a time, in the order in which they were given.
fn in_pairs<T: Send>(jobs: Vec<Box<dyn FnOnce() -> T + Send + '_>>) -> Vec<T> {
    let mut done = Vec::with_capacity(jobs.len());
    let mut jobs = jobs.into_iter();
    while let Some(first) = jobs.next() {
        let second = jobs.next();
        std::thread::scope(|scope| {
            let beside = second.map(|job| scope.spawn(job));
            done.push(first());
            if let Some(beside) = beside {
                done.push(beside.join().expect("the job does not panic"));
            }
        });
    }
    done
}
