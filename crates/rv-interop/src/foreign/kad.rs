//! Nodes of stock Kademlias.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use libp2p::kad::Mode;
use libp2p::{Multiaddr, PeerId};
use serde_json::json;

use super::made::Made;
use super::shown::read_peers;
use super::{Process, Program};
use crate::swarm::peer_of;

/// An implementation of Kademlia.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kademlia {
    /// `github.com/libp2p/go-libp2p-kad-dht`.
    Go,
    /// `KadDHT` of py-libp2p.
    Py,
}

/// How to run nodes of one.
#[derive(Clone, Debug)]
pub struct KadRuntime {
    kademlia: Kademlia,
    folder: PathBuf,
}

/// A node in another process, which is killed when this is dropped.
#[derive(Debug)]
pub struct KadNode {
    process: Process,
    address: Multiaddr,
}

impl KadRuntime {
    /// Finds what `cargo xtask peers` made, as [`Runtime::find`](super::Runtime::find) does.
    ///
    /// # Panics
    ///
    /// If it made nothing although this run must have it.
    pub fn find(kademlia: Kademlia) -> Option<Self> {
        let made = match kademlia {
            Kademlia::Go => Made::GoKad,
            Kademlia::Py => Made::Py,
        };
        let folder = made.folder()?;
        Some(Self { kademlia, folder })
    }

    /// A node that joins by those at the addresses, which end with peer ids.
    ///
    /// # Panics
    ///
    /// If one of them cannot be reached.
    pub async fn join<'a>(
        &self,
        mode: Mode,
        known: impl IntoIterator<Item = &'a Multiaddr>,
    ) -> KadNode {
        let program = match self.kademlia {
            Kademlia::Go => Program::compiled(&self.folder),
            Kademlia::Py => Program::python("kad.py", &self.folder),
        };
        let mut arguments = vec![mode.to_string()];
        arguments.extend(known.into_iter().map(ToString::to_string));
        let mut process = Process::start(program, &arguments);
        let line = process.line().await;
        let Ok(address) = line.parse() else {
            panic!("not an address: {line}");
        };
        KadNode { process, address }
    }
}

impl KadNode {
    /// Who this is.
    pub fn peer(&self) -> PeerId {
        peer_of(&self.address)
    }

    /// Where it listens, its id included.
    pub fn address(&self) -> &Multiaddr {
        &self.address
    }

    /// Where it listens, as peers tell of it.
    pub fn bare_address(&self) -> Multiaddr {
        let mut address = self.address.clone();
        address.pop();
        address
    }

    /// Its table, with the addresses that it knows.
    ///
    /// # Panics
    ///
    /// If the library raises something.
    pub async fn table(&mut self) -> BTreeMap<PeerId, BTreeSet<Multiaddr>> {
        let answer = self.process.call(&json!({"verb": "table"})).await;
        read_peers(&answer.expect("a table"))
    }

    /// Whom its own lookup finds nearest to a peer's id, with the addresses that it knows.
    ///
    /// # Errors
    ///
    /// What the library raises.
    pub async fn closest(
        &mut self,
        peer: &PeerId,
    ) -> Result<BTreeMap<PeerId, BTreeSet<Multiaddr>>, String> {
        let request = json!({"verb": "closest", "peer": peer.to_string()});
        let answer = self.process.call(&request).await?;
        Ok(read_peers(&answer))
    }

    /// Gives it no time to close anything.
    pub fn kill(self) {
        drop(self.process);
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub async fn end(self) {
        self.process.end().await;
    }
}
