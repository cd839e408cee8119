//! Discovered peers, each until its own deadline.

mod reports;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use libp2p_identity::PeerId;
use rv_proto::{Dialect, Namespace, Record, Scope, Time, Ttl};

use super::{CacheLimits, Discovered};
use reports::{Report, Reports};

/// Peers by namespace, with one deadline for each point that listed them.
///
/// # Rules
///
/// - A peer is there until the last of its deadlines.
/// - Of two records the signed one is kept, of two signed ones the one with the higher `seq`, of
///   two unsigned ones the later.
/// - Where there is no room, the point that lists most in that namespace (or in all, if it is the
///   total that is reached) loses the peer whose deadline at it comes first. If that is the point
///   that brings the new one, the new one is not taken. So a point that lists without end takes
///   no place from the others.
#[derive(Clone, Debug)]
pub struct PeerCache {
    limits: CacheLimits,
    namespaces: BTreeMap<Namespace, Members>,
    /// What each point listed, the earliest deadline first.
    reports: BTreeMap<PeerId, BTreeSet<(Time, Namespace, PeerId)>>,
    len: usize,
}

#[derive(Clone, Debug, Default)]
struct Members {
    peers: BTreeMap<PeerId, Cached>,
    reports: BTreeMap<PeerId, BTreeSet<(Time, PeerId)>>,
}

#[derive(Clone, Debug)]
struct Cached {
    record: Arc<Record>,
    reports: Reports,
}

/// What became of a peer that was to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// What changed.
    pub change: Change,
    /// Who lost its place to it.
    pub evicted: Option<(Namespace, PeerId)>,
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
            reports: BTreeMap::new(),
            len: 0,
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
        let is_new = self.cached(namespace, &peer).is_none();
        let mut evicted = None;
        if is_new {
            match self.make_room(point, namespace) {
                Ok(made) => evicted = made,
                Err(NoRoom) => {
                    let change = Change::Full;
                    return Added { change, evicted };
                }
            }
        }
        let members = self.namespaces.entry(namespace.clone()).or_default();
        let cached = members.peers.entry(peer).or_insert_with(|| Cached {
            record: Arc::clone(&record),
            reports: Reports::default(),
        });
        let until_before = cached.reports.until();
        let is_newer = cached.replace_record(record);
        let report = Report {
            until,
            reported_at: now,
        };
        if let Some(before) = cached.reports.insert(point, report) {
            remove_report(
                &mut self.reports,
                &mut members.reports,
                namespace,
                (point, peer, before),
            );
        }
        let until_after = cached.reports.until();
        members
            .reports
            .entry(point)
            .or_default()
            .insert((until, peer));
        let key = (until, namespace.clone(), peer);
        self.reports.entry(point).or_default().insert(key);
        self.len += usize::from(is_new);
        let later_by = until_after.saturating_since(until_before).as_secs();
        let change = if is_new {
            Change::Joined
        } else if is_newer || later_by >= Self::RENEWAL_MIN_SECS {
            Change::Renewed
        } else {
            Change::Unchanged
        };
        Added { change, evicted }
    }

    /// Those of a scope whose deadline is not past, by namespace and peer id; no more than `limit`
    /// if there is one.
    pub fn valid_peers(&self, now: Time, scope: &Scope, limit: Option<usize>) -> Vec<Discovered> {
        let valid = self.members(scope).flat_map(|(namespace, members)| {
            members.peers.values().filter_map(move |cached| {
                let until = cached.reports.until();
                (until > now).then(|| cached.discovered(namespace, until))
            })
        });
        valid.take(limit.unwrap_or(usize::MAX)).collect()
    }

    /// One peer in one namespace, if its deadline is not past.
    pub fn peer(&self, now: Time, namespace: &Namespace, peer: &PeerId) -> Option<Discovered> {
        let cached = self.cached(namespace, peer)?;
        let until = cached.reports.until();
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
        for point in self.points() {
            while let Some((until, namespace, peer)) = self.first_report(&point)
                && until <= now
            {
                if self.remove_report_of(point, &namespace, &peer) {
                    gone.push((namespace, peer));
                }
            }
        }
        gone.sort_unstable();
        gone
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Option<Time> {
        let firsts = self.reports.values().filter_map(BTreeSet::first);
        firsts.map(|(until, ..)| *until).min()
    }

    /// How many peers there are, one in two namespaces twice.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The earliest deadline of what `point` lists in `scope`.
    pub(super) fn first_deadline(&self, point: &PeerId, scope: &Scope) -> Option<Time> {
        match scope {
            Scope::All => self.reports.get(point)?.first().map(|(until, ..)| *until),
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
                let report = members
                    .peers
                    .get(peer)
                    .and_then(|it| it.reports.get(&point));
                if report.is_some_and(|report| report.reported_at < since) {
                    stale.push((namespace.clone(), *peer));
                }
            }
        }
        stale.retain(|(namespace, peer)| self.remove_report_of(point, namespace, peer));
        stale
    }

    /// Drops all that `point` listed, and returns who is listed by nobody now.
    pub(super) fn forget_point(&mut self, point: PeerId) -> Vec<(Namespace, PeerId)> {
        let mut gone = Vec::new();
        while let Some((_, namespace, peer)) = self.first_report(&point) {
            if self.remove_report_of(point, &namespace, &peer) {
                gone.push((namespace, peer));
            }
        }
        gone.sort_unstable();
        gone
    }

    fn points(&self) -> Vec<PeerId> {
        self.reports.keys().copied().collect()
    }

    fn first_report(&self, point: &PeerId) -> Option<(Time, Namespace, PeerId)> {
        self.reports.get(point)?.first().cloned()
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

    /// Removes one peer if there is no room for another.
    fn make_room(
        &mut self,
        point: PeerId,
        namespace: &Namespace,
    ) -> Result<Option<(Namespace, PeerId)>, NoRoom> {
        let victim = if let Some(members) = self.namespaces.get(namespace)
            && members.peers.len() >= self.limits.peers_per_namespace
        {
            let (heaviest, reports) = heaviest(&members.reports, point).ok_or(NoRoom)?;
            let first = reports.first().map(|(_, peer)| (namespace.clone(), *peer));
            (heaviest, first)
        } else if self.len >= self.limits.peers_total {
            let (heaviest, reports) = heaviest(&self.reports, point).ok_or(NoRoom)?;
            (
                heaviest,
                reports.first().map(|(_, name, peer)| (name.clone(), *peer)),
            )
        } else {
            return Ok(None);
        };
        match victim {
            (heaviest, Some((namespace, peer))) if heaviest != point => {
                self.remove(&namespace, &peer);
                Ok(Some((namespace, peer)))
            }
            (_, Some(_) | None) => Err(NoRoom),
        }
    }

    fn remove(&mut self, namespace: &Namespace, peer: &PeerId) {
        let Some(cached) = self.cached(namespace, peer) else {
            return;
        };
        let points: Vec<_> = cached.reports.points().collect();
        for point in points {
            self.remove_report_of(point, namespace, peer);
        }
    }

    /// Whether that was the last report of the peer, which is gone then.
    fn remove_report_of(&mut self, point: PeerId, namespace: &Namespace, peer: &PeerId) -> bool {
        let Some(members) = self.namespaces.get_mut(namespace) else {
            return false;
        };
        let Some(cached) = members.peers.get_mut(peer) else {
            return false;
        };
        let Some(report) = cached.reports.remove(&point) else {
            return false;
        };
        let is_last = cached.reports.is_empty();
        if is_last {
            members.peers.remove(peer);
            self.len -= 1;
        }
        remove_report(
            &mut self.reports,
            &mut members.reports,
            namespace,
            (point, *peer, report),
        );
        if members.peers.is_empty() {
            self.namespaces.remove(namespace);
        }
        is_last
    }
}

/// Everything that there is room for is there.
struct NoRoom;

/// Whoever listed most; in doubt `point`.
fn heaviest<T>(
    reports: &BTreeMap<PeerId, BTreeSet<T>>,
    point: PeerId,
) -> Option<(PeerId, &BTreeSet<T>)> {
    let by_weight = |(name, set): &(&PeerId, &BTreeSet<T>)| (set.len(), **name == point);
    let (name, set) = reports.iter().max_by_key(by_weight)?;
    Some((*name, set))
}

fn remove_report(
    all: &mut BTreeMap<PeerId, BTreeSet<(Time, Namespace, PeerId)>>,
    of_namespace: &mut BTreeMap<PeerId, BTreeSet<(Time, PeerId)>>,
    namespace: &Namespace,
    (point, peer, report): (PeerId, PeerId, Report),
) {
    if let Some(set) = all.get_mut(&point) {
        set.remove(&(report.until, namespace.clone(), peer));
        if set.is_empty() {
            all.remove(&point);
        }
    }
    if let Some(set) = of_namespace.get_mut(&point) {
        set.remove(&(report.until, peer));
        if set.is_empty() {
            of_namespace.remove(&point);
        }
    }
}

impl Cached {
    fn discovered(&self, namespace: &Namespace, until: Time) -> Discovered {
        Discovered {
            namespace: namespace.clone(),
            record: Arc::clone(&self.record),
            until,
        }
    }

    /// Whether the new record is the one to keep and says something else.
    fn replace_record(&mut self, record: Arc<Record>) -> bool {
        if !is_newer(&self.record, &record) {
            return false;
        }
        let differs = self.record.addresses() != record.addresses()
            || self.record.dialect() != record.dialect();
        self.record = record;
        differs
    }
}

/// Whether `new` takes the place of `old`.
pub(super) fn is_newer(old: &Record, new: &Record) -> bool {
    let is_signed = |record: &Record| record.dialect() != Dialect::Plain;
    match (is_signed(old), is_signed(new)) {
        (true, true) => new.seq() > old.seq(),
        (false, true) => true,
        (true, false) => false,
        (false, false) => new.addresses() != old.addresses(),
    }
}
