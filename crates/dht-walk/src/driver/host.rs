//! What a host has to offer.

use std::error::Error;
use std::future::{Future, ready};
use std::sync::{Arc, Mutex};

use libp2p_identity::PeerId;

use crate::output::Failure;
use crate::peer::Contact;
use crate::reseed::SeedSource;
use crate::target::Target;
use crate::walk::Found;

use super::shared::lock;

/// How others are asked.
///
/// Each method may be called many times at once, never more often than the walk's budget allows. A
/// future that is not wanted any more is dropped.
pub trait Query: Send + Sync + 'static {
    /// What goes wrong with a lookup.
    type Error: Error + Send + Sync + 'static;

    /// Sends one FIND_NODE to one peer, dialling it first where that is needed, and gives the
    /// contacts of its answer. It needs no timeout of its own.
    ///
    /// # Errors
    ///
    /// Says how it failed: it makes a difference whether a peer is silent or serves no DHT.
    fn find_node(
        &self,
        contact: Contact,
        target: Target,
    ) -> impl Future<Output = Result<Vec<Contact>, Failure>> + Send;

    /// Finds the peers nearest to a target: an iterative lookup of the host's own. [`RandomWalk`]
    /// calls it; [`RtRefreshManager`] only with [`Lookups::Delegated`].
    ///
    /// What `progress` is told counts even if the lookup is cut off or fails.
    ///
    /// [`RandomWalk`]: super::RandomWalk
    /// [`RtRefreshManager`]: super::RtRefreshManager
    /// [`Lookups::Delegated`]: crate::Lookups::Delegated
    ///
    /// # Errors
    ///
    /// Any that the host has.
    fn closest(
        &self,
        target: Target,
        progress: Progress,
    ) -> impl Future<Output = Result<Found, Self::Error>> + Send;

    /// Peers to begin with, when there are too few; see [`SeedSource`]. None by default.
    fn seeds(&self, source: SeedSource) -> impl Future<Output = Vec<Contact>> + Send {
        let _ = source;
        ready(Vec::new())
    }
}

/// Where entries are kept.
pub trait RoutingTable: Send + Sync + 'static {
    /// What goes wrong with the table.
    type Error: Error + Send + Sync + 'static;

    /// Takes in a peer, which answered a moment ago. False where the table does not want it; true
    /// also where it has it already.
    ///
    /// # Errors
    ///
    /// Any that the table has. The peer is then no entry.
    fn add_peer(&self, contact: Contact) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Drops a peer that is dead or serves no DHT. One that is not there is no error.
    ///
    /// # Errors
    ///
    /// Any that the table has. The peer is checked again, and this is called again.
    fn remove_peer(&self, peer: PeerId) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Every entry. Read before each refresh, so that what the table did by itself is known; it
    /// must not wait for anything. Where a bucket has more than
    /// [`bucket_size`](crate::Config::bucket_size) of them, the further ones are not tended.
    fn contacts(&self) -> Vec<Contact>;

    /// How many entries there are.
    fn size(&self) -> usize {
        self.contacts().len()
    }
}

/// What a lookup of the host's found until now.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<Found>>);

impl Progress {
    /// Peers of each kind that are kept of one lookup; what comes later is left out.
    pub const PEERS_MAX: usize = 1_024;

    /// A peer answered the lookup.
    pub fn answered(&self, contact: Contact) {
        let mut found = lock(&self.0);
        if found.closest.len() < Self::PEERS_MAX {
            found.closest.push(contact);
        }
    }

    /// Somebody told of these peers.
    pub fn heard(&self, contacts: impl IntoIterator<Item = Contact>) {
        for contact in contacts {
            let mut found = lock(&self.0);
            if found.heard.len() >= Self::PEERS_MAX {
                return;
            }
            found.heard.push(contact);
        }
    }

    /// What was told, of a lookup that did not get to its end.
    pub(super) fn partial(&self) -> Found {
        let found = lock(&self.0);
        found.clone()
    }
}
