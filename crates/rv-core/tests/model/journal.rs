//! A journal that the test can look into.

use std::collections::{BTreeMap, BTreeSet};

use libp2p_identity::PeerId;
use rv_proto::{Fact, Namespace, Seq, Time};

/// What became durable, and what of it was forgotten.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    log: Vec<(Seq, Fact)>,
    forgotten: BTreeSet<Seq>,
    head: Seq,
}

impl Journal {
    /// The last sequence number ever issued.
    pub(crate) fn head(&self) -> Seq {
        self.head
    }

    /// Everything, in order, as a log keeps it.
    pub(crate) fn log(&self) -> &[(Seq, Fact)] {
        &self.log
    }

    /// Makes facts durable; `gap` sequence numbers are skipped before each.
    pub(crate) fn append(&mut self, facts: &[Fact], gap: u64) -> Vec<Seq> {
        let mut seqs = Vec::new();
        for fact in facts {
            self.head = Seq::new(self.head.get() + 1 + gap).expect("a short log");
            self.log.push((self.head, fact.clone()));
            seqs.push(self.head);
        }
        seqs
    }

    /// Issues sequence numbers to nobody, as an aborted transaction does.
    pub(crate) fn skip(&mut self, count: u64) {
        self.head = Seq::new(self.head.get() + count).expect("a short log");
    }

    /// Forgets a registration that was erased.
    pub(crate) fn forget(&mut self, seq: Seq) {
        self.forgotten.insert(seq);
    }

    /// The latest fact of each name, as a store keeps it, in an order that `turn` decides.
    /// Removals whose deadline has passed an hour ago are forgotten.
    pub(crate) fn latest(&self, now: Time, turn: usize) -> Vec<(Seq, Fact)> {
        const SKEW_MILLIS: u64 = 3_600_000;
        let mut by_key = BTreeMap::<(PeerId, Namespace), (Seq, Fact)>::new();
        for (seq, fact) in &self.log {
            by_key.insert(
                (*fact.peer(), fact.namespace().clone()),
                (*seq, fact.clone()),
            );
        }
        let mut kept: Vec<_> = by_key
            .into_values()
            .filter(|(seq, _)| !self.forgotten.contains(seq))
            .filter(|(_, fact)| match fact {
                Fact::Registered(_) => true,
                Fact::Removed(removed) => {
                    removed.expires_at.as_millis() + SKEW_MILLIS > now.as_millis()
                }
            })
            .collect();
        shuffle(&mut kept, turn);
        kept
    }

    /// Everything, in an order that `turn` decides.
    pub(crate) fn shuffled(&self, turn: usize) -> Vec<(Seq, Fact)> {
        let mut all = self.log.clone();
        shuffle(&mut all, turn);
        all
    }
}

/// A permutation that depends on `turn` alone.
fn shuffle<T>(items: &mut [T], turn: usize) {
    let mut state = turn as u64 + 1;
    for last in (1..items.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let other = usize::try_from(state >> 33).expect("31 bits") % (last + 1);
        items.swap(last, other);
    }
}
