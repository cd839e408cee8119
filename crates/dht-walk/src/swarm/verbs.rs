//! What an application may ask of the behaviour, and tell it.

use std::time::Duration;

use libp2p_identity::PeerId;
use libp2p_kad::store::RecordStore;
use libp2p_swarm::StreamProtocol;
use multiaddr::Multiaddr;

use super::behaviour::Behaviour;
use super::mirror::contact;
use crate::health::Health;
use crate::peer::Contact;
use crate::report::RoundId;
use crate::reseed::Reseed;
use crate::size::Estimate;
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::walk::{Busy, SweepForecast, Walk};

/// These do not wait: what becomes of a round comes as
/// [`Finished`](crate::output::Event::Finished), by the id that the call returned.
impl<S: RecordStore + Send + 'static> Behaviour<S> {
    /// Refreshes the table. Forced, all buckets are looked up; else those that need it, and none
    /// before a refresh is due.
    ///
    /// # Errors
    ///
    /// When too many rounds wait.
    pub fn refresh(&mut self, is_forced: bool) -> Result<RoundId, Busy> {
        let now = self.now();
        self.walk.refresh(now, is_forced)
    }

    /// Looks up `count` targets anywhere.
    ///
    /// # Errors
    ///
    /// When too many rounds wait.
    pub fn walks(&mut self, count: u32) -> Result<RoundId, Busy> {
        let now = self.now();
        self.walk.walks(now, count)
    }

    /// Looks up one target in each of `slices` equal parts of the key space. With `2 N / k` of
    /// them, 98% of `N` peers are told of.
    ///
    /// # Errors
    ///
    /// When too many rounds wait.
    pub fn sweep(&mut self, slices: u32, deadline: Duration) -> Result<RoundId, Busy> {
        let now = self.now();
        self.walk.sweep(now, slices, deadline)
    }

    /// What a sweep of the whole network takes, as far as can be told.
    pub fn forecast_sweep(&self) -> Option<SweepForecast> {
        self.walk.forecast_sweep(self.now())
    }

    /// How good the table is.
    pub fn health(&self) -> Health {
        self.walk.health(self.now())
    }

    /// How large the network is, as far as can be told.
    pub fn estimate(&self) -> Option<Estimate> {
        self.walk.estimate(self.now())
    }

    /// The walk's table. That of the kad has the same peers.
    pub fn table(&self) -> &Table {
        self.walk.table()
    }

    /// The walk, for all else that can be seen of it. Its times count from when the behaviour was
    /// made.
    pub fn walk(&self) -> &Walk {
        &self.walk
    }

    /// The table's contacts, to be kept for the next run.
    pub fn snapshot(&self) -> Snapshot {
        self.walk.snapshot()
    }

    /// Contacts of an earlier run. They are asked first, and none is an entry before it answers.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        let now = self.now();
        self.walk.restore(now, snapshot);
    }

    /// The peers that are asked when nobody else is left.
    pub fn set_bootstrap(&mut self, peers: impl IntoIterator<Item = (PeerId, Vec<Multiaddr>)>) {
        let now = self.now();
        let contacts = peers.into_iter();
        let contacts: Vec<Contact> = contacts
            .map(|(peer, addresses)| contact(peer, addresses.iter()))
            .take(Reseed::CONTACTS_MAX)
            .collect();
        self.bootstrap.clone_from(&contacts);
        self.walk.set_bootstrap(now, contacts);
    }

    /// What identify says of a peer: its protocols, and where it listens.
    ///
    /// Call it where the swarm reports it. Without, peers that are connected to us but that we
    /// never dialled are found by lookups alone.
    pub fn on_identified(
        &mut self,
        peer: PeerId,
        protocols: &[StreamProtocol],
        listen_addresses: &[Multiaddr],
    ) {
        let is_serving = self.serves(protocols);
        let addresses = contact(peer, listen_addresses.iter()).addresses;
        self.links.note_identity(&peer, is_serving, &addresses);
        self.told_serving(peer, is_serving, addresses);
    }

    /// The application knows whether there is any network at all. Nothing depends on it: an outage
    /// is noticed anyway, when nobody answers any more.
    pub fn on_connectivity(&mut self, is_connected: bool) {
        let now = self.now();
        self.walk.handle_connectivity(now, is_connected);
    }
}
