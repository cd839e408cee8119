//! A lookup of py-libp2p 0.8.1, `kad_dht/peer_routing.py`, `find_closest_peers_network`.

use std::collections::BTreeSet;
use std::time::Duration;

use dht_walk::{Contact, Peer, Target, Time};

use crate::walk::place::head;

/// Asks ten at a time and waits for all of them. The nearest 20 that it heard of are its result,
/// whether they answered or not.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) target: Target,
    local: Peer,
    began_at: Time,
    rounds: usize,
    closest: Vec<Contact>,
    queried: BTreeSet<u64>,
    told: Vec<Contact>,
    open: usize,
}

impl Lookup {
    const ALPHA: usize = 10;
    const COUNT: usize = 20;
    const ROUNDS_MAX: usize = 20;
    const TIMEOUT: Duration = Duration::from_secs(30);

    pub(super) fn new(began_at: Time, target: Target, local: Peer, known: Vec<Contact>) -> Self {
        Self {
            target,
            local,
            began_at,
            rounds: 0,
            closest: known,
            queried: BTreeSet::new(),
            told: Vec::new(),
            open: 0,
        }
    }

    /// Whether a round is under way.
    pub(super) fn is_waiting(&self) -> bool {
        self.open > 0
    }

    /// A request was answered with these, or failed.
    pub(super) fn answered(&mut self, told: Vec<Contact>) {
        self.open = self.open.saturating_sub(1);
        self.told.extend(told);
    }

    /// Whom to ask next; none when it is over.
    pub(super) fn next_round(&mut self, now: Time) -> Option<Vec<Contact>> {
        if self.rounds > 0 && !self.goes_on() {
            return None;
        }
        if self.rounds >= Self::ROUNDS_MAX || now.saturating_since(self.began_at) > Self::TIMEOUT {
            return None;
        }
        self.rounds += 1;
        let round: Vec<Contact> = self.unqueried().take(Self::ALPHA).cloned().collect();
        if round.is_empty() {
            return None;
        }
        self.queried
            .extend(round.iter().map(|it| head(it.peer.key())));
        self.open = round.len();
        Some(round)
    }

    fn unqueried(&self) -> impl Iterator<Item = &Contact> {
        let is_new = |it: &&Contact| !self.queried.contains(&head(it.peer.key()));
        self.closest.iter().filter(is_new)
    }

    /// Takes in what the last round brought, and judges whether it was worth another one.
    fn goes_on(&mut self) -> bool {
        let told = std::mem::take(&mut self.told);
        if told.is_empty() {
            return self.unqueried().next().is_some();
        }
        let there = head(self.target.key());
        let distance = |it: &Contact| head(it.peer.key()) ^ there;
        let mut all = self.closest.clone();
        all.extend(told.into_iter().filter(|it| it.peer != self.local));
        all.sort_by_key(distance);
        all.dedup_by_key(|it| distance(it));
        all.truncate(Self::COUNT);
        let is_same = all
            .iter()
            .map(distance)
            .eq(self.closest.iter().map(distance));
        self.closest = all;
        !is_same
    }

    /// Its result.
    pub(super) fn into_closest(self) -> Vec<Contact> {
        self.closest
    }
}
