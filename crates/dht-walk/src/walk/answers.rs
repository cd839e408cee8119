//! What came back of a request.

use crate::outage::Change;
use crate::output::{Event, EvictReason, Failure, Output, RequestId};
use crate::peer::{Contact, Peer};
use crate::probe::Struck;
use crate::refusal::Refusal;
use crate::table::{Fingerprint, Source};
use crate::time::Time;

use super::entries::fold;
use super::{Request, Walk, WhatFor};

impl Walk {
    /// A request was answered with these contacts. An answer to a request that is not open counts
    /// for nothing.
    pub fn handle_answer(&mut self, now: Time, id: RequestId, told: Vec<Contact>) {
        let now = self.enter(now);
        let Some(request) = self.requests.remove(&id) else {
            self.refusals.add(Refusal::Unasked, 1);
            return;
        };
        self.succeeded(now);
        let told = self.take_told(now, &request, told);
        self.settle_answered(now, &request);
        if let WhatFor::Lookup(lookup) = request.what_for {
            self.lookup_answered(lookup, &request.contact.peer, told);
        }
        self.advance(now);
    }

    /// A request failed.
    pub fn handle_failure(&mut self, now: Time, id: RequestId, failure: Failure) {
        let now = self.enter(now);
        if let Some(request) = self.requests.remove(&id) {
            self.request_failed(now, &request, failure);
            self.advance(now);
        }
    }

    /// The host knows whether there is any connection to the network, or it changed networks.
    pub fn handle_connectivity(&mut self, now: Time, is_connected: bool) {
        let now = self.enter(now);
        let change = self.outage.told(now, is_connected);
        self.outage_changed(now, change);
        self.advance(now);
    }

    pub(super) fn expire_requests(&mut self, now: Time) {
        let timeout = self.config.lookup.request_timeout;
        // All have the same time, so the first one sent is the first one late.
        while let Some((id, request)) = self.requests.first_key_value()
            && request.sent_at.saturating_add(timeout) <= now
        {
            let id = *id;
            let Some(request) = self.requests.remove(&id) else {
                break;
            };
            self.outputs.push_back(Output::Cancel(id));
            self.request_failed(now, &request, Failure::TimedOut);
        }
    }

    pub(super) fn cancel_requests(&mut self) {
        while let Some((id, request)) = self.requests.pop_first() {
            self.outputs.push_back(Output::Cancel(id));
            let peer = &request.contact.peer;
            self.admit.settled(peer);
            if let Some(entry) = self.table.entry_mut(peer) {
                self.probe.cancelled(entry);
            }
        }
    }

    pub(super) fn succeeded(&mut self, now: Time) {
        let change = self.outage.succeeded(now);
        self.outage_changed(now, change);
    }

    fn outage_changed(&mut self, now: Time, change: Option<Change>) {
        match change {
            Some(Change::Began) => self.tell(Event::OutageBegan),
            Some(Change::Ended) => {
                self.tell(Event::OutageEnded);
                self.admit.pardon();
                self.explore.hasten_now(now);
            }
            None => {}
        }
    }

    /// Judges what was told and takes note of it; gives what is fit to be used.
    fn take_told(&mut self, now: Time, request: &Request, mut told: Vec<Contact>) -> Vec<Contact> {
        let surplus = told.len().saturating_sub(self.config.bucket_size);
        self.refusals.add(Refusal::Surplus, surplus);
        told.truncate(self.config.bucket_size);

        self.suspect_untold(now, request, &told);
        let is_new = self.is_new_answer(request, &told);
        let source = Source::Peer(request.contact.peer.prefix());
        let mut taken: Vec<Contact> = Vec::with_capacity(told.len());
        for contact in told {
            if taken.iter().any(|it| it.peer == contact.peer) {
                self.refusals.add(Refusal::RepeatedContact, 1);
                continue;
            }
            if self.is_known(&contact) {
                taken.push(contact);
                continue;
            }
            let heard = match self.judge(&contact) {
                Ok(contact) => contact,
                Err(refusal) => {
                    self.refusals.add(refusal, 1);
                    continue;
                }
            };
            if !is_new || self.learn(now, &heard, source, None) {
                taken.push(heard);
            }
        }
        if let WhatFor::Lookup(lookup) = request.what_for {
            self.found(lookup, &taken);
        }
        taken
    }

    /// Whether an entry answered something else than what it answered to another question. Who
    /// tells the same whatever it is asked is not believed twice.
    fn is_new_answer(&mut self, request: &Request, told: &[Contact]) -> bool {
        let Some(entry) = self.table.entry_mut(&request.contact.peer) else {
            return true;
        };
        let sum = told
            .iter()
            .fold(0_u64, |sum, it| sum.wrapping_add(it.peer.prefix()));
        let answer = Fingerprint {
            question: fold(request.target),
            answer: fold(sum),
        };
        let before = std::mem::replace(&mut entry.answer, answer);
        let is_repeated = before.question != answer.question && before.answer == answer.answer;
        if is_repeated && !told.is_empty() {
            self.refusals.add(Refusal::RepeatedAnswer, 1);
        }
        !is_repeated
    }

    /// The peer that answered is alive, and may be an entry.
    fn settle_answered(&mut self, now: Time, request: &Request) {
        let peer = &request.contact.peer;
        let candidate = match request.what_for {
            WhatFor::Verify => self.admit.settled(peer),
            WhatFor::Check | WhatFor::Lookup(_) => None,
        };
        if let Some(entry) = self.table.entry_mut(peer) {
            match request.what_for {
                WhatFor::Check => self.probe.answered(now, entry),
                WhatFor::Lookup(_) | WhatFor::Verify => self.probe.alive(now, entry),
            }
            return;
        }
        match (candidate, request.what_for) {
            (Some(spare), _) => self.admit(now, spare.contact, spare.source),
            (None, WhatFor::Lookup(id)) => {
                let source = self.lookup_source(id, peer);
                self.answered_lookup(now, &request.contact, source);
            }
            // An entry that was dropped meanwhile.
            (None, WhatFor::Check | WhatFor::Verify) => {
                let _is_kept = self.learn(now, &request.contact, Source::Itself, Some(now));
            }
        }
    }

    /// A peer answered in a lookup: an entry if there is room, a proven spare if not.
    pub(super) fn answered_lookup(&mut self, now: Time, contact: &Contact, source: Source) {
        if self.table.entry(&contact.peer).is_some() {
            self.credit(now, &contact.peer);
        } else {
            self.admit(now, contact.clone(), source);
        }
    }

    fn request_failed(&mut self, now: Time, request: &Request, failure: Failure) {
        let peer = &request.contact.peer;
        if let WhatFor::Lookup(lookup) = request.what_for {
            self.lookup_failed(lookup, peer);
        }
        if failure == Failure::NotServing {
            // It answered, in a way.
            self.succeeded(now);
            self.not_serving(now, peer);
            return;
        }
        let change = self.outage.failed(now);
        self.outage_changed(now, change);
        self.refusals.add(
            match failure {
                Failure::Unreachable => Refusal::Unreachable,
                Failure::Broken | Failure::NotServing | Failure::TimedOut => Refusal::NoAnswer,
            },
            1,
        );
        self.strike(now, request);
    }

    fn strike(&mut self, now: Time, request: &Request) {
        let peer = &request.contact.peer;
        // Somebody must have answered since the peer's last failure, or around this request.
        let timeout = self.config.lookup.request_timeout;
        let around = request.sent_at.saturating_sub(timeout);
        let failing = |entry: &&crate::table::Entry| entry.failed_at > entry.heard_at;
        let failing = self.table.entry(peer).filter(failing);
        let since = failing.map_or(around, |entry| entry.failed_at);
        let is_ours = self.outage.is_ours(since);
        let was_candidate = self.admit.settled(peer).is_some();
        let epoch = self.outage.epoch();
        if let Some(entry) = self.table.entry_mut(peer) {
            let is_check = request.what_for == WhatFor::Check;
            // A check under way tells more than another request to the same peer.
            let is_checked = entry.check == crate::table::Check::InFlight;
            if is_check || !is_checked {
                let struck = self.probe.failed(now, entry, epoch, is_ours);
                if struck == Struck::Dead {
                    self.evict(now, &peer.clone(), EvictReason::Dead);
                }
            }
        } else if was_candidate || matches!(request.what_for, WhatFor::Lookup(_)) {
            if is_ours {
                self.admit.forget(peer);
            } else {
                self.admit.failed(now, &request.contact);
            }
        }
    }

    pub(super) fn is_asked(&self, peer: &Peer) -> bool {
        self.requests
            .values()
            .any(|request| request.contact.peer == *peer)
    }
}
