//! Discovered peers, each until its own deadline.

mod cached;
mod reports;
mod shares;

use std::collections::BTreeMap;
use std::sync::Arc;

use libp2p_identity::PeerId;
use rv_proto::{Namespace, Record, Scope, Time, Ttl};

use super::{CacheLimits, Discovered};
use cached::Cached;
pub(super) use cached::is_newer;
use reports::Report;
use shares::{OfNamespace, Shares, heaviest};

/// Peers by namespace, with one deadline for each point that listed them.
///
/// # Rules
///
/// - A peer is there until the last of its deadlines.
/// - Of two records the signed one is kept, of two signed ones the one with the higher `seq`, of
///   two unsigned ones the later, for as long as the point that told it lists the peer.
/// - Where there is no room, the point that takes most of what is short loses what it says about
///   the peer whose deadline at it comes first, until there is: that is the one that lists most
///   peers in that namespace, or in all, or whose peers take most bytes. What other points say
///   about that peer stays. If it is the point that brings a new peer, that one is not taken.
///
/// So each point has a fair share: what takes no more than one part in as many as there are points
/// is kept, whatever the others list.
#[derive(Clone, Debug)]
pub struct PeerCache {
    limits: CacheLimits,
    namespaces: BTreeMap<Namespace, Members>,
    shares: Shares,
    len: usize,
    /// Of records, and of what is held beside them, but for what [`Shares`] counts.
    bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct Members {
    peers: BTreeMap<PeerId, Cached>,
    reports: OfNamespace,
}

/// What became of a peer that was to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// What changed.
    pub change: Change,
    /// Who lost their places to it: none or one, unless its record is larger than theirs.
    pub evicted: Vec<(Namespace, PeerId)>,
}

/// What an addition changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// There is no room for it.
    Full,
    /// The peer was not there.
    Joined,
    /// It was there, and has a new record or a later deadline.
    Renewed,
    /// It was there, and is as it was.
    Unchanged,
}

impl PeerCache {
    /// How much later a deadline must be to count as later: what is told in whole seconds varies
    /// by one, and the way of an answer by a little more.
    pub const RENEWAL_MIN_SECS: u64 = 5;

    /// An empty cache.
    pub fn new(limits: CacheLimits) -> Self {
        Self {
            limits,
            namespaces: BTreeMap::new(),
            shares: Shares::default(),
            len: 0,
            bytes: 0,
        }
    }

    /// Takes note that `point` lists a peer for `ttl` more.
    pub fn add_peer(
        &mut self,
        now: Time,
        point: PeerId,
        namespace: &Namespace,
        record: Arc<Record>,
        ttl: Ttl,
    ) -> Added {
        let peer = *record.peer();
        let until = now.saturating_add(ttl.as_duration());
        let change = self.insert(point, namespace, record, (now, until));
        let mut evicted = Vec::new();
        while let Some((heaviest, of, who)) = self.surplus(point, namespace) {
            if change == Change::Joined && heaviest == point {
                self.remove_report(point, namespace, &peer);
                break;
            }
            if self.remove_report(heaviest, &of, &who) {
                evicted.push((of, who));
            }
        }
        let is_there = self.cached(namespace, &peer).is_some();
        let change = if is_there { change } else { Change::Full };
        Added { change, evicted }
    }

    /// Those of a scope whose deadline is not past, by namespace and peer id; no more than `limit`
    /// if there is one.
    pub fn valid_peers(&self, now: Time, scope: &Scope, limit: Option<usize>) -> Vec<Discovered> {
        let valid = self.members(scope).flat_map(|(namespace, members)| {
            members.peers.values().filter_map(move |cached| {
                let until = cached.until();
                (until > now).then(|| cached.discovered(namespace, until))
            })
        });
        valid.take(limit.unwrap_or(usize::MAX)).collect()
    }

    /// One peer in one namespace, if its deadline is not past.
    pub fn peer(&self, now: Time, namespace: &Namespace, peer: &PeerId) -> Option<Discovered> {
        let cached = self.cached(namespace, peer)?;
        let until = cached.until();
        (until > now).then(|| cached.discovered(namespace, until))
    }

    /// Forgets one namespace, or with `None` all, and returns who was there.
    pub fn clear(&mut self, namespace: Option<&Namespace>) -> Vec<(Namespace, PeerId)> {
        let scope = namespace.map_or(Scope::All, |namespace| namespace.clone().into());
        let all: Vec<_> = self
            .members(&scope)
            .flat_map(|(name, members)| members.peers.keys().map(|peer| (name.clone(), *peer)))
            .collect();
        for (namespace, peer) in &all {
            self.remove(namespace, peer);
        }
        all
    }

    /// Drops deadlines that are past, and returns who has none left.
    pub fn expire(&mut self, now: Time) -> Vec<(Namespace, PeerId)> {
        let mut gone = Vec::new();
        for point in self.shares.points() {
            while let Some((until, namespace, peer)) = self.shares.first(&point)
                && until <= now
            {
                if self.remove_report(point, &namespace, &peer) {
                    gone.push((namespace, peer));
                }
            }
        }
        gone.sort_unstable();
        gone
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Option<Time> {
        self.shares.next_deadline()
    }

    /// How many peers there are, one in two namespaces twice.
    pub fn len(&self) -> usize {
        self.len
    }

    /// What is held, in bytes, as [`CacheLimits::bytes_total`] counts them.
    pub const fn bytes(&self) -> usize {
        self.bytes + self.shares.bytes()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The earliest deadline of what `point` lists in `scope`.
    pub(super) fn first_deadline(&self, point: &PeerId, scope: &Scope) -> Option<Time> {
        match scope {
            Scope::All => self.shares.first(point).map(|(until, ..)| until),
            Scope::Namespace(namespace) => {
                let reports = self.namespaces.get(namespace)?.reports.get(point)?;
                reports.first().map(|(until, _)| *until)
            }
        }
    }

    /// Drops what `point` listed in `scope` before `since` and does not any more, and returns who
    /// is listed by nobody now.
    pub(super) fn sweep(
        &mut self,
        point: PeerId,
        scope: &Scope,
        since: Time,
    ) -> Vec<(Namespace, PeerId)> {
        let mut stale = Vec::new();
        for (namespace, members) in self.members(scope) {
            for (_, peer) in members.reports.get(&point).into_iter().flatten() {
                let report = members.peers.get(peer).and_then(|it| it.report(&point));
                if report.is_some_and(|report| report.reported_at < since) {
                    stale.push((namespace.clone(), *peer));
                }
            }
        }
        stale.retain(|(namespace, peer)| self.remove_report(point, namespace, peer));
        stale
    }

    /// Drops all that `point` listed, and returns who is listed by nobody now.
    pub(super) fn forget_point(&mut self, point: PeerId) -> Vec<(Namespace, PeerId)> {
        let mut gone = Vec::new();
        while let Some((_, namespace, peer)) = self.shares.first(&point) {
            if self.remove_report(point, &namespace, &peer) {
                gone.push((namespace, peer));
            }
        }
        gone.sort_unstable();
        gone
    }

    fn cached(&self, namespace: &Namespace, peer: &PeerId) -> Option<&Cached> {
        self.namespaces.get(namespace)?.peers.get(peer)
    }

    fn members(&self, scope: &Scope) -> impl Iterator<Item = (&Namespace, &Members)> {
        let (all, one) = match scope {
            Scope::All => (Some(self.namespaces.iter()), None),
            Scope::Namespace(name) => (None, self.namespaces.get_key_value(name)),
        };
        all.into_iter().flatten().chain(one)
    }

    /// Takes in what a point says, whether there is room for it or not.
    fn insert(
        &mut self,
        point: PeerId,
        namespace: &Namespace,
        record: Arc<Record>,
        (reported_at, until): (Time, Time),
    ) -> Change {
        let peer = *record.peer();
        let members = self.namespaces.entry(namespace.clone()).or_default();
        let is_new = !members.peers.contains_key(&peer);
        let cached = members
            .peers
            .entry(peer)
            .or_insert_with(|| Cached::new(Arc::clone(&record)));
        let (until_before, bytes_before) = (cached.until(), cached.bytes(namespace));
        let bytes = CacheLimits::bytes_of(namespace, &record);
        let (is_newer, record) = cached.offer(record);
        let report = Report {
            until,
            reported_at,
            record,
            bytes,
        };
        let key = |until| (until, namespace.clone(), peer);
        if let Some(before) = cached.replace_report(point, report) {
            let key = key(before.until);
            self.shares
                .remove(&mut members.reports, point, key, before.bytes);
        }
        self.shares
            .insert(&mut members.reports, point, key(until), bytes);
        self.len += usize::from(is_new);
        if !is_new {
            self.bytes -= bytes_before;
        }
        self.bytes += cached.bytes(namespace);
        let later_by = cached.until().saturating_since(until_before).as_secs();
        if is_new {
            Change::Joined
        } else if is_newer || later_by >= Self::RENEWAL_MIN_SECS {
            Change::Renewed
        } else {
            Change::Unchanged
        }
    }

    /// What is to go if there is more than there is room for, and who says it.
    fn surplus(&self, point: PeerId, namespace: &Namespace) -> Option<(PeerId, Namespace, PeerId)> {
        if let Some(members) = self.namespaces.get(namespace)
            && members.peers.len() > self.limits.peers_per_namespace
        {
            let weights = members.reports.iter().map(|(by, set)| (*by, set.len()));
            let heaviest = heaviest(weights, point)?;
            let (_, peer) = members.reports.get(&heaviest)?.first()?;
            return Some((heaviest, namespace.clone(), *peer));
        }
        let heaviest = if self.bytes() > self.limits.bytes_total {
            self.shares.heaviest_by_bytes(point)?
        } else if self.len > self.limits.peers_total {
            self.shares.heaviest_by_count(point)?
        } else {
            return None;
        };
        let (_, namespace, peer) = self.shares.first(&heaviest)?;
        Some((heaviest, namespace, peer))
    }

    fn remove(&mut self, namespace: &Namespace, peer: &PeerId) {
        let Some(cached) = self.cached(namespace, peer) else {
            return;
        };
        for point in cached.points() {
            self.remove_report(point, namespace, peer);
        }
    }

    /// Forgets what a point says about a peer. Whether nobody says anything about it now, so that
    /// it is gone.
    pub(super) fn remove_report(
        &mut self,
        point: PeerId,
        namespace: &Namespace,
        peer: &PeerId,
    ) -> bool {
        let Some(members) = self.namespaces.get_mut(namespace) else {
            return false;
        };
        let Some(cached) = members.peers.get_mut(peer) else {
            return false;
        };
        let bytes_before = cached.bytes(namespace);
        let Some(report) = cached.remove_report(&point) else {
            return false;
        };
        self.bytes -= bytes_before;
        let is_last = cached.is_unlisted();
        if is_last {
            members.peers.remove(peer);
            self.len -= 1;
        } else {
            self.bytes += cached.bytes(namespace);
        }
        let key = (report.until, namespace.clone(), *peer);
        self.shares
            .remove(&mut members.reports, point, key, report.bytes);
        if members.peers.is_empty() {
            self.namespaces.remove(namespace);
        }
        is_last
    }
}
