//! What the facts in flight will change, on top of what is applied.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use libp2p_identity::PeerId;
use rv_proto::{Dialect, Fact, Origin, Time};

use crate::registry::{Key, Registration, Registry, first_namespace};

/// What is, or will be, held under one name: as much of it as judging needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Effect {
    pub(super) expires_at: Time,
    pub(super) origin: Option<Origin>,
    pub(super) record_bytes: usize,
    /// Whether it counts for its peer and its network: it is not hidden.
    pub(super) in_sight: bool,
    record_seqs: [Option<u64>; 3],
}

impl Effect {
    pub(super) fn of_registration(held: &Registration, in_sight: bool) -> Self {
        Self {
            expires_at: held.expires_at(),
            origin: held.origin(),
            record_bytes: held.record_bytes(),
            in_sight,
            record_seqs: Dialect::ALL.map(|dialect| held.record_seq(dialect)),
        }
    }

    fn of_fact(fact: &Fact) -> Option<Self> {
        let Fact::Registered(registered) = fact else {
            return None;
        };
        let records = &registered.records;
        Some(Self {
            expires_at: registered.expires_at,
            origin: registered.origin,
            record_bytes: records.bytes(),
            in_sight: true,
            record_seqs: Dialect::ALL
                .map(|dialect| records.of(dialect).and_then(|record| record.seq())),
        })
    }

    /// The record's `seq`, unless the registration is over.
    pub(super) fn live_record_seq(&self, now: Time, dialect: Dialect) -> Option<u64> {
        if self.expires_at <= now {
            return None;
        }
        self.record_seqs[dialect.index()]
    }
}

/// The sum of all facts in flight.
///
/// Each fact adds its changes when it is judged and takes the same changes back when it is applied,
/// for then they are in the registry.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    by_key: BTreeMap<Key, InFlight>,
    by_peer: BTreeMap<PeerId, i64>,
    by_origin: BTreeMap<Origin, i64>,
    registrations: i64,
    record_bytes: i64,
}

/// The facts in flight for one name: what they change, oldest first, and where they lead.
#[derive(Debug)]
struct InFlight {
    changes: VecDeque<Change>,
    effect: Option<Effect>,
}

/// What one fact changes in the sums.
#[derive(Clone, Copy, Debug)]
struct Change {
    registrations: i64,
    of_peer: i64,
    record_bytes: i64,
    origin_before: Option<Origin>,
    origin_after: Option<Origin>,
}

impl Change {
    fn between(before: Option<&Effect>, after: Option<&Effect>) -> Self {
        let count = |effect: Option<&Effect>| i64::from(effect.is_some());
        let before_in_sight = before.filter(|effect| effect.in_sight);
        let bytes = |effect: Option<&Effect>| {
            effect.map_or(0, |effect| {
                i64::try_from(effect.record_bytes).unwrap_or(i64::MAX)
            })
        };
        Self {
            registrations: count(after) - count(before),
            of_peer: count(after) - count(before_in_sight),
            record_bytes: bytes(after) - bytes(before),
            origin_before: before_in_sight.and_then(|effect| effect.origin),
            origin_after: after.and_then(|effect| effect.origin),
        }
    }
}

impl Overlay {
    /// Notes that `fact` will follow on `before`.
    pub(super) fn add(&mut self, key: Key, before: Option<&Effect>, fact: &Fact) {
        let effect = Effect::of_fact(fact);
        let change = Change::between(before, effect.as_ref());
        self.sum(key.0, change, 1);
        let in_flight = self.by_key.entry(key).or_insert_with(|| InFlight {
            changes: VecDeque::new(),
            effect: None,
        });
        in_flight.changes.push_back(change);
        in_flight.effect = effect;
    }

    /// Takes back the changes of the oldest fact in flight for the name of `fact`.
    pub(super) fn settle(&mut self, fact: &Fact) {
        let key = (*fact.peer(), fact.namespace().clone());
        let Some(in_flight) = self.by_key.get_mut(&key) else {
            return;
        };
        let change = in_flight.changes.pop_front();
        if in_flight.changes.is_empty() {
            self.by_key.remove(&key);
        }
        if let Some(change) = change {
            self.sum(key.0, change, -1);
        }
    }

    /// Where the facts in flight lead for `key`: `None` if there are none, `Some(None)` if it will
    /// be gone.
    pub(super) fn effect(&self, key: &Key) -> Option<&Option<Effect>> {
        self.by_key.get(key).map(|in_flight| &in_flight.effect)
    }

    /// Whether a fact for the name of `held` is in flight.
    pub(super) fn touches(&self, held: &Registration) -> bool {
        !self.by_key.is_empty()
            && self
                .by_key
                .contains_key(&(held.peer(), held.namespace().clone()))
    }

    /// Every name of `peer` that is held, or has a fact in flight; the longest held first.
    pub(super) fn keys_of(&self, registry: &Registry, peer: PeerId) -> Vec<Key> {
        let held = registry.registrations_of(peer);
        let mut held: Vec<_> = held
            .map(|held| (held.seq(), held.namespace().clone()))
            .collect();
        held.sort();
        let mut keys: Vec<_> = held
            .into_iter()
            .map(|(_, namespace)| (peer, namespace))
            .collect();
        let known: BTreeSet<_> = keys.iter().cloned().collect();
        let from_first = self.by_key.range((peer, first_namespace())..);
        let of_peer = from_first
            .map(|(key, _)| key)
            .take_while(|key| key.0 == peer);
        keys.extend(of_peer.filter(|key| !known.contains(*key)).cloned());
        keys
    }

    pub(super) fn count(&self, registry: &Registry) -> usize {
        registry
            .len()
            .saturating_add_signed(signed(self.registrations))
    }

    pub(super) fn count_of_peer(&self, registry: &Registry, peer: PeerId) -> usize {
        let change = self.by_peer.get(&peer).copied().unwrap_or(0);
        registry
            .count_of_peer(peer)
            .saturating_add_signed(signed(change))
    }

    pub(super) fn count_of_origin(&self, registry: &Registry, origin: Origin) -> usize {
        let change = self.by_origin.get(&origin).copied().unwrap_or(0);
        registry
            .count_of_origin(origin)
            .saturating_add_signed(signed(change))
    }

    pub(super) fn record_bytes(&self, registry: &Registry) -> u64 {
        registry
            .record_bytes()
            .saturating_add_signed(self.record_bytes)
    }

    fn sum(&mut self, peer: PeerId, change: Change, sign: i64) {
        self.registrations += sign * change.registrations;
        self.record_bytes += sign * change.record_bytes;
        add_to(&mut self.by_peer, peer, sign * change.of_peer);
        if let Some(origin) = change.origin_before {
            add_to(&mut self.by_origin, origin, -sign);
        }
        if let Some(origin) = change.origin_after {
            add_to(&mut self.by_origin, origin, sign);
        }
    }
}

fn add_to<K: Ord>(sums: &mut BTreeMap<K, i64>, key: K, change: i64) {
    if change == 0 {
        return;
    }
    match sums.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert(change);
        }
        Entry::Occupied(mut entry) => {
            *entry.get_mut() += change;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// A count of facts in flight is far below what any integer type here holds.
fn signed(change: i64) -> isize {
    isize::try_from(change).unwrap_or(isize::MAX)
}
