//! What a host's table did by itself.

use crate::peer::{Contact, Peer};
use crate::time::Time;
use crate::walk::Walk;

/// A difference between the host's table and the walk's, of the host's doing.
#[derive(Debug)]
pub(crate) enum Change {
    Added(Contact),
    Removed(Peer),
}

impl Change {
    /// Makes the walk's table the same.
    pub(crate) fn apply(self, now: Time, walk: &mut Walk) {
        match self {
            Self::Added(contact) => walk.handle_entry_added(now, &contact),
            Self::Removed(peer) => walk.handle_entry_removed(now, &peer),
        }
    }
}
