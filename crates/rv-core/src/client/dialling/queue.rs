//! Who waits to be dialled, by the point that listed it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use libp2p_identity::PeerId;
use rv_proto::{Record, Time};

use crate::client::cache::is_newer;

/// A peer that may be dialled.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) record: Arc<Record>,
    /// Until when it is listed.
    pub(super) until: Time,
    /// The points that list it.
    pub(super) sources: BTreeSet<PeerId>,
}

/// Candidates, in a line for each point that lists them; the points take turns.
///
/// Where there is no room, the point with the longest line loses the last of it. If that is where
/// the new one would stand, and it would stand last, it is not taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    peers: BTreeMap<PeerId, (Time, Candidate)>,
    lines: BTreeMap<PeerId, BTreeSet<(Time, PeerId)>>,
    deadlines: BTreeSet<(Time, PeerId)>,
    /// Whose turn it was.
    served: Option<PeerId>,
}

impl Candidate {
    /// Points that are remembered for one peer: as many as a client has by default.
    const SOURCES_MAX: usize = 64;

    /// Takes in another listing of the same peer.
    pub(super) fn merge(&mut self, other: Self) {
        if is_newer(&self.record, &other.record) {
            self.record = other.record;
        }
        self.until = self.until.max(other.until);
        for source in other.sources {
            if self.sources.len() < Self::SOURCES_MAX {
                self.sources.insert(source);
            }
        }
    }
}

impl Queue {
    /// Puts in a peer that is not in, to be dialled from `ready_at` on. Returns whether there is
    /// room for it.
    pub(super) fn insert(
        &mut self,
        max: usize,
        peer: PeerId,
        mut candidate: Candidate,
        ready_at: Time,
    ) -> bool {
        while self.peers.len() >= max {
            let Some((source, last_at, last)) = self.longest(&candidate.sources) else {
                return false;
            };
            if candidate.sources.contains(&source) && last_at <= ready_at {
                candidate.sources.remove(&source);
            } else {
                self.release(source, &last);
            }
            if candidate.sources.is_empty() {
                return false;
            }
        }
        for source in candidate.sources.iter().copied() {
            let line = self.lines.entry(source).or_default();
            line.insert((ready_at, peer));
        }
        self.deadlines.insert((candidate.until, peer));
        self.peers.insert(peer, (ready_at, candidate));
        true
    }

    /// Takes a peer out.
    pub(super) fn take(&mut self, peer: &PeerId) -> Option<(Time, Candidate)> {
        let (ready_at, candidate) = self.peers.remove(peer)?;
        self.deadlines.remove(&(candidate.until, *peer));
        for source in &candidate.sources {
            self.leave_line(source, (ready_at, *peer));
        }
        Some((ready_at, candidate))
    }

    /// Takes out who is next.
    pub(super) fn next(&mut self, now: Time) -> Option<(PeerId, Candidate)> {
        let (source, peer) = self.turn(now)?;
        self.served = Some(source);
        let (_, candidate) = self.take(&peer)?;
        Some((peer, candidate))
    }

    fn turn(&self, now: Time) -> Option<(PeerId, PeerId)> {
        let (after, before) = match self.served {
            Some(served) => ((Excluded(served), Unbounded), (Unbounded, Included(served))),
            None => ((Unbounded, Unbounded), (Unbounded, Unbounded)),
        };
        let mut lines = self.lines.range(after).chain(self.lines.range(before));
        lines.find_map(|(source, line)| match line.first() {
            Some((ready_at, peer)) if *ready_at <= now => Some((*source, *peer)),
            Some(_) | None => None,
        })
    }

    /// From when on somebody may be dialled.
    pub(super) fn ready_at(&self) -> Option<Time> {
        let firsts = self.lines.values().filter_map(BTreeSet::first);
        firsts.map(|(ready_at, _)| *ready_at).min()
    }

    /// Drops who is not listed any more.
    pub(super) fn expire(&mut self, now: Time) {
        while let Some((until, peer)) = self.deadlines.first().copied()
            && until <= now
        {
            self.take(&peer);
        }
    }

    /// Drops what one point listed, and nobody else.
    pub(super) fn forget_source(&mut self, source: PeerId) {
        while let Some((_, peer)) = self.last_of(&source) {
            self.release(source, &peer);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Who has the longest line, and who stands last there. Where two are as long, it is the one
    /// that the new one is for.
    fn longest(&self, sources: &BTreeSet<PeerId>) -> Option<(PeerId, Time, PeerId)> {
        let lines = self.lines.iter();
        let (source, line) = lines.max_by_key(|(source, line)| {
            let is_asking = sources.contains(*source);
            (line.len() + usize::from(is_asking), is_asking)
        })?;
        let (ready_at, peer) = line.last()?;
        Some((*source, *ready_at, *peer))
    }

    fn last_of(&self, source: &PeerId) -> Option<(Time, PeerId)> {
        self.lines.get(source)?.last().copied()
    }

    /// A point does not list a peer any more as far as we are concerned.
    fn release(&mut self, source: PeerId, peer: &PeerId) {
        let Some((ready_at, candidate)) = self.peers.get_mut(peer) else {
            return;
        };
        candidate.sources.remove(&source);
        let (ready_at, is_last) = (*ready_at, candidate.sources.is_empty());
        self.leave_line(&source, (ready_at, *peer));
        if is_last {
            self.take(peer);
        }
    }

    fn leave_line(&mut self, source: &PeerId, place: (Time, PeerId)) {
        if let Some(line) = self.lines.get_mut(source) {
            line.remove(&place);
            if line.is_empty() {
                self.lines.remove(source);
            }
        }
    }
}
