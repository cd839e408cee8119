//! The same scene in the simulator.

use std::time::Duration;

use dht_walk::{AddressPolicy, Config, Peer};
use rv_sim::walk::{Conditions, Kad, Lookups, Model, Network, Pause, Wrapped};

use super::measured::Figures;
use super::{Scene, Who};

/// One machine: next to no way, and nothing is lost.
const LOOPBACK: Conditions = Conditions {
    round_trip_min: Duration::ZERO,
    round_trip_max: Duration::from_millis(1),
    lost_of_10000: 0,
    ..Conditions::CALM
};

/// Runs the scene in a network of this seed.
pub(crate) fn run(who: Who, scene: &Scene, seed: u64) -> Figures {
    match who {
        Who::Kad => {
            let pause = Pause::Every(scene.bootstrap_every);
            watch(scene, seed, pause, Kad::lookups)
        }
        Who::Ours => watch(scene, seed, settings(), Wrapped::lookups),
    }
}

/// The core as the real swarms have it.
fn settings() -> Config {
    Config {
        addresses: AddressPolicy::Any,
        ..Config::default()
    }
}

fn watch<M: Model>(
    scene: &Scene,
    seed: u64,
    settings: M::Settings,
    lookups: impl Fn(&M) -> Lookups,
) -> Figures {
    let mut network = Network::<M>::new(seed, settings, LOOPBACK);
    network.found(1);
    network.populate(scene.nodes.saturating_sub(1), scene.arrival);
    network.run(scene.span);
    let tables: Vec<(Peer, Vec<Peer>)> = network
        .serving()
        .filter_map(|(_, node)| {
            let mut entries = Vec::new();
            let model = node.model.as_ref()?;
            model.entries(&mut |contact| entries.push(contact.peer.clone()));
            Some((node.contact.peer.clone(), entries))
        })
        .collect();
    let mut all = Lookups::default();
    for model in network
        .serving()
        .filter_map(|(_, node)| node.model.as_ref())
    {
        let Lookups { ended, requests } = lookups(model);
        all.ended += ended;
        all.requests += requests;
    }
    Figures::of(&tables, network.tally().messages, all)
}
