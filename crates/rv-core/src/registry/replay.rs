//! Back from a journal.

use std::collections::BTreeMap;

use rv_proto::{Epoch, Fact, Seq};

use super::{Key, Registry};

/// A registry that is being rebuilt from the facts that a journal kept.
///
/// Unlike [`Registry::apply`] this takes facts in any order, because a store hands them out by key:
/// the greatest sequence number of a name wins. A journal may have forgotten superseded facts; a
/// removal that it still holds must come with all that it keeps of the same name, in any order.
#[derive(Clone, Debug)]
pub struct Replay {
    registry: Registry,
    removed: BTreeMap<Key, Seq>,
}

impl Replay {
    pub(super) fn new() -> Self {
        Self {
            registry: Registry::new(Epoch::from_bits(0)),
            removed: BTreeMap::new(),
        }
    }

    /// Takes one fact that the journal kept.
    pub fn restore(&mut self, seq: Seq, fact: Fact) {
        let key = (*fact.peer(), fact.namespace().clone());
        let held = self.registry.by_key.get(&key).map(|held| held.seq());
        let removed = self.removed.get(&key).copied();
        if held.max(removed).is_some_and(|newest| newest >= seq) {
            return;
        }
        match fact {
            Fact::Registered(registered) => {
                self.registry.put(seq, registered);
            }
            Fact::Removed(_) => {
                self.registry.take(&key);
                self.removed.insert(key, seq);
            }
        }
        self.registry.applied = self.registry.applied.max(seq);
    }

    /// Ends the replay. `epoch` is the log's. `head` is the last sequence number that it ever
    /// issued, which may be above that of every fact it still keeps.
    pub fn finish(mut self, epoch: Epoch, head: Seq) -> Registry {
        self.registry.epoch = epoch;
        self.registry.applied = self.registry.applied.max(head);
        self.registry.head = self.registry.applied;
        self.registry.removals.start_at(self.registry.applied);
        self.registry
    }
}
