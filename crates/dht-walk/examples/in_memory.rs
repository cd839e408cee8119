//! A network of 300 nodes in memory; one of them, which knows a single other one, fills its table.
//!
//! `cargo run -p dht-walk --features driver --example in_memory`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use dht_walk::driver::{Progress, RefreshOptions};
use dht_walk::libp2p_identity::PeerId;
use dht_walk::{
    Contact, Failure, Found, Query, RandomWalk, RoutingTable, RtRefreshManager, Seed, Target,
    Targets,
};
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt as _;

/// Everybody who is there. A real host sends a message instead, and reads the answer.
#[derive(Clone, Debug)]
struct Network(Arc<Vec<Contact>>);

impl Network {
    fn nearest(&self, target: &Target) -> Vec<Contact> {
        let mut all = self.0.to_vec();
        all.sort_by_key(|contact| contact.peer.distance(target.key()));
        all.truncate(20);
        all
    }
}

impl Query for Network {
    type Error = Infallible;

    async fn find_node(&self, to: Contact, target: Target) -> Result<Vec<Contact>, Failure> {
        match self.0.contains(&to) {
            true => Ok(self.nearest(&target)),
            false => Err(Failure::Unreachable),
        }
    }

    async fn closest(&self, target: Target, _: Progress) -> Result<Found, Infallible> {
        Ok(Found {
            closest: self.nearest(&target),
            is_complete: true,
            ..Found::default()
        })
    }
}

/// A table like that of any Kademlia. The walk says who is in and who is out.
#[derive(Clone, Debug, Default)]
struct Entries(Arc<Mutex<Vec<Contact>>>);

impl RoutingTable for Entries {
    type Error = Infallible;

    async fn add_peer(&self, contact: Contact) -> Result<bool, Infallible> {
        let mut entries = self.0.lock().expect("nobody panics with it");
        entries.push(contact);
        Ok(true)
    }

    async fn remove_peer(&self, peer: PeerId) -> Result<(), Infallible> {
        let mut entries = self.0.lock().expect("nobody panics with it");
        entries.retain(|contact| contact.peer.id() != peer);
        Ok(())
    }

    fn contacts(&self) -> Vec<Contact> {
        self.0.lock().expect("nobody panics with it").clone()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut random = Targets::new(Seed::from_bytes([1; 32]));
    let nodes = (1..=300).map(|at| {
        let address = format!("/ip4/8.{}.{}.8/udp/4001/quic-v1", at / 100, at % 100);
        Ok(Contact::new(
            random.uniform().as_peer().clone(),
            [address.parse()?],
        ))
    });
    let nodes = nodes.collect::<Result<Vec<Contact>, Box<dyn std::error::Error>>>()?;
    let (local, seed) = (nodes[0].peer.id(), nodes[1].clone());
    let network = Network(Arc::new(nodes[1..].to_vec()));

    let table = Entries::default();
    let options = RefreshOptions::default();
    let manager = RtRefreshManager::new(local, network.clone(), table.clone(), options)?;
    manager.set_bootstrap(vec![seed])?;
    manager.add_refresh_done_callback(|report| {
        println!("a refresh ended: {:?}", report.end);
    });

    // Any runtime will do: this one is of the crate `futures`.
    let mut pool = LocalPool::new();
    pool.spawner().spawn_local(manager.start())?;
    let report = pool.run_until(manager.refresh(true))?;
    println!(
        "{} lookups, {} peers heard of, {} of them entries",
        report.lookups.len(),
        report.found.len(),
        report.admitted
    );
    let network_peers = manager.estimate().ok_or("no estimate")?.peers;
    println!("the network has about {network_peers:.0} peers");
    manager.stop();
    pool.run();

    let walk = RandomWalk::new(local, network, dht_walk::Config::default())?;
    let found = pool.run_until(walk.run_concurrent_random_walks(3, table.size()))?;
    println!("three random walks found {} peers", found.len());
    Ok(())
}
