//! An iterative lookup of `libp2p-kad` 0.49.0, `query/peers/closest.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use dht_walk::{Contact, Target, Time};

use crate::walk::place::head;

/// A lookup: asks three at a time, all of the nearest 20 once it stalls, and ends when the nearest
/// 20 have answered or there is nobody left.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) target: Target,
    pub(super) ends_at: Time,
    here: u64,
    peers: BTreeMap<u64, (Contact, State)>,
    waiting: usize,
    /// Answers in a row that brought nobody nearer; none once it has stalled.
    no_progress: Option<usize>,
    wake_at: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Failed,
    NotContacted,
    Succeeded,
    Unresponsive,
    Waiting { until: Time },
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Next {
    Ask(Contact),
    Finished,
    Wait,
}

impl Query {
    const PARALLELISM: usize = 3;
    const RESULTS: usize = 20;
    const PEER_TIMEOUT: Duration = Duration::from_secs(10);

    pub(super) fn new(target: Target, here: u64, known: Vec<Contact>, ends_at: Time) -> Self {
        let there = head(target.key());
        let peer = |it: Contact| (head(it.peer.key()) ^ there, (it, State::NotContacted));
        let peers = known.into_iter().map(peer).collect();
        let no_progress = Some(0);
        Self {
            target,
            ends_at,
            here,
            peers,
            waiting: 0,
            no_progress,
            wake_at: ends_at,
        }
    }

    /// When to go on, whatever comes.
    pub(super) fn wake_at(&self) -> Time {
        self.wake_at.min(self.ends_at)
    }

    fn is_at_capacity(&self) -> bool {
        match self.no_progress {
            None => self.waiting >= Self::RESULTS,
            Some(_) => self.waiting >= Self::PARALLELISM,
        }
    }

    pub(super) fn next(&mut self, now: Time) -> Next {
        let is_at_capacity = self.is_at_capacity();
        let mut results = Some(0);
        self.wake_at = self.ends_at;
        let waits = self.peers.values().filter_map(|(_, state)| match state {
            State::Waiting { until } if *until > now => Some(*until),
            _ => None,
        });
        self.wake_at = waits.min().unwrap_or(self.ends_at).min(self.ends_at);
        for (contact, state) in self.peers.values_mut() {
            match *state {
                State::Waiting { until } if now >= until => {
                    self.waiting -= 1;
                    *state = State::Unresponsive;
                }
                State::Waiting { .. } if is_at_capacity => return Next::Wait,
                State::Waiting { .. } => results = None,
                State::Succeeded => {
                    results = results.map(|count| count + 1);
                    if results == Some(Self::RESULTS) {
                        return Next::Finished;
                    }
                }
                State::NotContacted if is_at_capacity => return Next::Wait,
                State::NotContacted => {
                    let until = now.saturating_add(Self::PEER_TIMEOUT);
                    *state = State::Waiting { until };
                    self.waiting += 1;
                    self.wake_at = self.wake_at.min(until);
                    return Next::Ask(contact.clone());
                }
                State::Failed | State::Unresponsive => {}
            }
        }
        if self.waiting > 0 {
            Next::Wait
        } else {
            Next::Finished
        }
    }

    /// A peer answered; gives it, if it was asked.
    pub(super) fn answered(&mut self, peer: u64, told: Vec<Contact>) -> Option<Contact> {
        let there = head(self.target.key());
        let (contact, state) = self.peers.get_mut(&(peer ^ there))?;
        match state {
            State::Waiting { .. } => self.waiting -= 1,
            State::Unresponsive => {}
            State::Failed | State::NotContacted | State::Succeeded => return None,
        }
        *state = State::Succeeded;
        let contact = contact.clone();
        let range = self
            .peers
            .keys()
            .nth(Self::RESULTS - 1)
            .or_else(|| self.peers.keys().last());
        let range = range.copied().unwrap_or(u64::MAX);
        let mut has_progress = self.peers.len() < Self::RESULTS;
        for contact in told {
            let that = head(contact.peer.key());
            let distance = that ^ there;
            if that != self.here && !self.peers.contains_key(&distance) {
                self.peers.insert(distance, (contact, State::NotContacted));
                has_progress |= distance < range;
            }
        }
        self.no_progress = match self.no_progress {
            _ if has_progress => Some(0),
            Some(count) if count + 1 < Self::PARALLELISM => Some(count + 1),
            Some(_) | None => None,
        };
        Some(contact)
    }

    pub(super) fn failed(&mut self, peer: u64) {
        let there = head(self.target.key());
        if let Some((_, state)) = self.peers.get_mut(&(peer ^ there)) {
            match state {
                State::Waiting { .. } => self.waiting -= 1,
                State::Unresponsive => {}
                State::Failed | State::NotContacted | State::Succeeded => return,
            }
            *state = State::Failed;
        }
    }
}
