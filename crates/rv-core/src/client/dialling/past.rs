//! Who failed lately, and until when it is left alone.

use std::collections::{BTreeMap, BTreeSet};

use libp2p_identity::PeerId;
use rv_proto::Time;

use super::DiallingConfig;
use crate::client::time::Dice;

/// Failures in a row, by peer.
///
/// When it is full, whoever's pause ends first is forgotten. What is forgotten comes back at most
/// one pause too early, so a flood of peers that fail once each pushes out nobody who failed often.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    peers: BTreeMap<PeerId, Rest>,
    ends: BTreeSet<(Time, PeerId)>,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    failures: u32,
    until: Time,
}

impl Past {
    /// Takes note of a failure. Returns until when the peer is left alone.
    pub(super) fn add(
        &mut self,
        now: Time,
        config: &DiallingConfig,
        dice: &mut Dice,
        peer: PeerId,
    ) -> Time {
        let failures = self.failures(&peer).saturating_add(1);
        self.rest(now, config, dice, peer, failures)
    }

    /// Leaves a peer alone for a while though it did not fail.
    pub(super) fn pause(
        &mut self,
        now: Time,
        config: &DiallingConfig,
        dice: &mut Dice,
        peer: PeerId,
    ) -> Time {
        let failures = self.failures(&peer);
        self.rest(now, config, dice, peer, failures)
    }

    fn rest(
        &mut self,
        now: Time,
        config: &DiallingConfig,
        dice: &mut Dice,
        peer: PeerId,
        failures: u32,
    ) -> Time {
        let pause = dice.pause(config.backoff_min, failures, config.backoff_max);
        let until = now.saturating_add(pause);
        self.forget(&peer);
        self.peers.insert(peer, Rest { failures, until });
        self.ends.insert((until, peer));
        if self.peers.len() > config.failures_max
            && let Some((_, peer)) = self.ends.pop_first()
        {
            self.peers.remove(&peer);
        }
        until
    }

    pub(super) fn forget(&mut self, peer: &PeerId) {
        if let Some(rest) = self.peers.remove(peer) {
            self.ends.remove(&(rest.until, *peer));
        }
    }

    /// Forgets who was left alone long enough ago to begin anew.
    pub(super) fn expire(&mut self, now: Time, config: &DiallingConfig) {
        while let Some((until, peer)) = self.ends.first().copied()
            && until.saturating_add(config.backoff_max) <= now
        {
            self.forget(&peer);
        }
    }

    pub(super) fn failures(&self, peer: &PeerId) -> u32 {
        self.peers.get(peer).map_or(0, |rest| rest.failures)
    }

    /// Until when a peer is left alone, if it failed lately.
    pub(super) fn until(&self, peer: &PeerId) -> Option<Time> {
        self.peers.get(peer).map(|rest| rest.until)
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }
}
