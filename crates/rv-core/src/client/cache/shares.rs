//! What each point told: in the order of deadlines, and how much it takes.

use std::collections::{BTreeMap, BTreeSet};

use libp2p_identity::PeerId;
use rv_proto::{Namespace, Time};

use crate::client::CacheLimits;

/// What each point told of one namespace.
pub(super) type OfNamespace = BTreeMap<PeerId, BTreeSet<(Time, PeerId)>>;

type Key = (Time, Namespace, PeerId);

/// What each point told of all namespaces.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares {
    points: BTreeMap<PeerId, Share>,
    /// How many namespaces each point told something of, all points together.
    namespaces: usize,
}

#[derive(Clone, Debug, Default)]
struct Share {
    reports: BTreeSet<Key>,
    /// What they would take if nobody else had told the same.
    bytes: usize,
}

impl Shares {
    pub(super) fn points(&self) -> Vec<PeerId> {
        self.points.keys().copied().collect()
    }

    /// What of a point ends first.
    pub(super) fn first(&self, point: &PeerId) -> Option<Key> {
        self.points.get(point)?.reports.first().cloned()
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        let firsts = self.points.values().filter_map(|it| it.reports.first());
        firsts.map(|(until, ..)| *until).min()
    }

    /// What it takes that there are namespaces.
    pub(super) const fn bytes(&self) -> usize {
        self.namespaces * CacheLimits::NAMESPACE_BYTES
    }

    pub(super) fn heaviest_by_bytes(&self, point: PeerId) -> Option<PeerId> {
        heaviest(self.points.iter().map(|(by, it)| (*by, it.bytes)), point)
    }

    pub(super) fn heaviest_by_count(&self, point: PeerId) -> Option<PeerId> {
        let weights = self.points.iter().map(|(by, it)| (*by, it.reports.len()));
        heaviest(weights, point)
    }

    pub(super) fn insert(
        &mut self,
        of_namespace: &mut OfNamespace,
        point: PeerId,
        key: Key,
        bytes: usize,
    ) {
        let (until, _, peer) = &key;
        let set = of_namespace.entry(point).or_default();
        let is_first = set.is_empty();
        set.insert((*until, *peer));
        let share = self.points.entry(point).or_default();
        share.reports.insert(key);
        share.bytes += bytes;
        if is_first {
            self.namespaces += 1;
            share.bytes += CacheLimits::NAMESPACE_BYTES;
        }
    }

    pub(super) fn remove(
        &mut self,
        of_namespace: &mut OfNamespace,
        point: PeerId,
        key: Key,
        bytes: usize,
    ) {
        let (Some(share), Some(set)) = (self.points.get_mut(&point), of_namespace.get_mut(&point))
        else {
            return;
        };
        let (until, _, peer) = &key;
        set.remove(&(*until, *peer));
        share.reports.remove(&key);
        share.bytes -= bytes;
        if set.is_empty() {
            of_namespace.remove(&point);
            self.namespaces -= 1;
            share.bytes -= CacheLimits::NAMESPACE_BYTES;
        }
        if share.reports.is_empty() {
            self.points.remove(&point);
        }
    }
}

/// Who has most; in doubt `point`.
pub(super) fn heaviest(
    weights: impl Iterator<Item = (PeerId, usize)>,
    point: PeerId,
) -> Option<PeerId> {
    let heaviest = weights.max_by_key(|(by, weight)| (*weight, *by == point));
    heaviest.map(|(by, _)| by)
}
