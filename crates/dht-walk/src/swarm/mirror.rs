//! The table of the kad, kept the same as the walk's.
//!
//! Most of what happens to kad's table is an event. What is not (an application removes a peer, or
//! the last of its addresses) shows when the two are compared, before each refresh.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use libp2p_identity::PeerId;
use libp2p_kad::store::RecordStore;
use libp2p_kad::{self as kad, RoutingUpdate};
use multiaddr::Multiaddr;

use crate::address::strip;
use crate::driver::change::Change;
use crate::driver::shared::lock;
use crate::peer::{Addresses, Contact, Peer};

/// The peers that both tables have: as many as the walk's has at the most, and those that the
/// kad holds beyond what the walk tends.
#[derive(Debug, Default)]
pub(super) struct Mirror(Entries);

/// What the mirror knows of kad's table, for whoever looks from another task. Nobody holds the lock
/// for longer than a copy takes.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries(Arc<Mutex<BTreeMap<PeerId, Contact>>>);

impl Entries {
    pub(super) fn all(&self) -> Vec<Contact> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PeerId, Contact>> {
        lock(&self.0)
    }
}

impl Mirror {
    /// What is known of the table, kept as it changes.
    pub(super) fn entries(&self) -> Entries {
        self.0.clone()
    }

    /// Puts a peer into the kad's table; false where that does not take it.
    pub(super) fn insert<S>(&self, kad: &mut kad::Behaviour<S>, contact: &Contact) -> bool
    where
        S: RecordStore + Send + 'static,
    {
        let peer = contact.peer.id();
        let mut is_in = false;
        for address in contact.addresses.as_slice() {
            match kad.add_address(&peer, address.clone()) {
                RoutingUpdate::Success => is_in = true,
                RoutingUpdate::Failed => {}
                // The bucket is full of peers that the kad took in by itself.
                RoutingUpdate::Pending => {
                    kad.remove_peer(&peer);
                    return false;
                }
            }
        }
        if is_in {
            self.0.lock().insert(peer, contact.clone());
        }
        is_in
    }

    /// Takes a peer out of the kad's table.
    pub(super) fn remove<S>(&self, kad: &mut kad::Behaviour<S>, peer: &PeerId)
    where
        S: RecordStore + Send + 'static,
    {
        self.0.lock().remove(peer);
        kad.remove_peer(peer);
    }

    /// Whether the kad has the peer now: what it tells waited in a queue.
    pub(super) fn is_held<S>(kad: &mut kad::Behaviour<S>, peer: &PeerId) -> bool
    where
        S: RecordStore + Send + 'static,
    {
        let bucket = kad.kbucket(*peer);
        bucket.is_some_and(|it| it.iter().any(|entry| entry.node.key.preimage() == peer))
    }

    /// The kad says that it has a peer; gives it where that is news.
    pub(super) fn added(&self, peer: PeerId, addresses: &kad::Addresses) -> Option<Change> {
        let contact = contact(peer, addresses.iter());
        let known = self.0.lock().insert(peer, contact.clone());
        known.is_none().then_some(Change::Added(contact))
    }

    /// The kad says that it dropped a peer.
    pub(super) fn dropped(&self, peer: PeerId) -> Option<Change> {
        let was_in = self.0.lock().remove(&peer);
        was_in.map(|_| Change::Removed(Peer::new(peer)))
    }

    /// What the kad's table has otherwise than was told.
    pub(super) fn compare<S>(&self, kad: &mut kad::Behaviour<S>) -> Vec<Change>
    where
        S: RecordStore + Send + 'static,
    {
        let mut held = BTreeMap::new();
        for bucket in kad.kbuckets() {
            for entry in bucket.iter() {
                let (key, addresses) = (entry.node.key, entry.node.value);
                held.insert(*key.preimage(), addresses.clone());
            }
        }
        let known = self.0.lock();
        let gone = known.keys().filter(|peer| !held.contains_key(peer));
        let gone: Vec<PeerId> = gone.copied().collect();
        drop(known);
        let removed = gone.into_iter().filter_map(|peer| self.dropped(peer));
        let mut changes: Vec<Change> = removed.collect();
        changes.extend(
            held.iter()
                .filter_map(|(peer, addresses)| self.added(*peer, addresses)),
        );
        changes
    }
}

pub(super) fn contact<'a>(peer: PeerId, addresses: impl Iterator<Item = &'a Multiaddr>) -> Contact {
    Contact {
        peer: Peer::new(peer),
        addresses: addresses.map(|it| bare(&peer, it)).collect::<Addresses>(),
    }
}

/// A kad keeps addresses with the peer's id at their end.
pub(super) fn bare(peer: &PeerId, address: &Multiaddr) -> Multiaddr {
    // Another one's id there is for the walk to judge.
    strip(peer, address).unwrap_or_else(|_| address.clone())
}
