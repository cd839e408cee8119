//! What answers leave out.
//!
//! Peers that are near each other all know each other: nodes tend their neighbourhood before all
//! else. So who asks somebody near a peer, and is not told of that peer, has reason to doubt that
//! it is still there. It is checked before its turn, and only a check of our own decides. So one
//! node's finding that a peer is gone spreads with the answers that do not name it any more.

use crate::key::Cpl;
use crate::peer::{Contact, Peer};
use crate::table::Entry;
use crate::time::Time;

use super::{Request, Walk};

impl Walk {
    /// Whether two peers are near enough to know each other: a bucket of theirs has room for all
    /// that share as many bits.
    fn are_near(&self, one: u64, other: u64) -> bool {
        let shared = (one ^ other).leading_zeros();
        let is_near = |depth: Cpl| shared >= u32::from(depth.bits());
        self.explore.depth().is_some_and(is_near)
    }

    /// Suspects the entries that the answer should name and does not.
    pub(super) fn suspect_untold(&mut self, now: Time, request: &Request, told: &[Contact]) {
        // Who tells of few knows few.
        if told.len() < self.config.bucket_size {
            return;
        }
        let (here, teller) = (request.target, request.contact.peer.prefix());
        let heads = told.iter().map(|it| it.peer.prefix());
        let Some(farthest) = heads.clone().map(|head| head ^ here).max() else {
            return;
        };
        let is_untold = |entry: &&Entry| {
            let head = entry.peer.prefix();
            self.are_near(teller, head)
                && head != teller
                && self.probe.may_suspect(now, entry)
                && !heads.clone().any(|told| told == head)
        };
        let untold = self.table.within(here, farthest).filter(is_untold);
        let untold: Vec<Peer> = untold.map(|entry| entry.peer.clone()).collect();
        for peer in untold {
            if let Some(entry) = self.table.entry_mut(&peer) {
                self.probe.suspect(now, entry);
            }
        }
    }

    /// The entry of that bucket that the peer can best be asked about: of those it should know, the
    /// one that was not heard for longest.
    pub(super) fn known_to(&self, peer: &Peer, cpl: Cpl) -> Option<Peer> {
        let bucket = self.table.bucket(cpl).iter();
        let near = bucket.filter(|entry| {
            entry.peer != *peer && self.are_near(peer.prefix(), entry.peer.prefix())
        });
        let longest = near.min_by_key(|entry| entry.heard_at);
        longest.map(|entry| entry.peer.clone())
    }
}
