//! What came back of a request, and who is known by it.

use std::collections::BTreeSet;

use crate::address::AddressPolicy;
use crate::key::Cpl;
use crate::output::{Failure, RequestId};
use crate::peer::{Addresses, Contact, Peer};
use crate::refusal::Refusal;
use crate::time::Time;

use super::output::{CrawlOutput, Fate};
use super::{Crawl, Known};

impl Crawl {
    /// A request was answered with these contacts. An answer to a request that is not open counts
    /// for nothing.
    pub fn handle_answer(&mut self, now: Time, id: RequestId, mut told: Vec<Contact>) {
        let now = self.enter(now);
        let Some(request) = self.requests.remove(&id) else {
            self.refusals.add(Refusal::Unasked, 1);
            return;
        };
        let surplus = told.len().saturating_sub(self.config.bucket_size);
        self.refusals.add(Refusal::Surplus, surplus);
        told.truncate(self.config.bucket_size);
        self.answered(&request.peer, &told);
        self.advance(now);
    }

    /// A request failed.
    pub fn handle_failure(&mut self, now: Time, id: RequestId, failure: Failure) {
        let now = self.enter(now);
        if let Some(request) = self.requests.remove(&id) {
            self.failed(now, &request.peer, failure);
            self.advance(now);
        }
    }

    pub(super) fn expire_requests(&mut self, now: Time) {
        // All have the same time, so the first one sent is the first one late.
        while let Some((id, request)) = self.requests.first_key_value()
            && request.sent_at.saturating_add(self.config.request_timeout) <= now
        {
            let (id, peer) = (*id, request.peer.clone());
            self.requests.remove(&id);
            self.outputs.push_back(CrawlOutput::Cancel(id));
            self.failed(now, &peer, Failure::TimedOut);
        }
    }

    fn answered(&mut self, peer: &Peer, told: &[Contact]) {
        let Some(mut asking) = self.asking.remove(peer) else {
            return;
        };
        let has_more = asking.has_more(peer, told);
        self.hear(told, &mut asking.brought);
        let next = Cpl::new(asking.cpl.bits() + 1);
        if let Some(known) = self.known.get_mut(peer) {
            known.has_answered = true;
            known.strikes = 0;
            known.next = next;
        }
        if has_more && next.bits() < self.config.requests_per_peer_max {
            asking.cpl = next;
            self.asking.insert(peer.clone(), asking);
            self.ready.push_back(peer.clone());
        } else {
            self.settle(peer, Fate::Answered);
        }
    }

    fn failed(&mut self, now: Time, peer: &Peer, failure: Failure) {
        self.asking.remove(peer);
        let Some(known) = self.known.get_mut(peer) else {
            return;
        };
        known.strikes = known.strikes.saturating_add(1);
        let is_last = known.strikes >= self.config.strikes_max;
        let (silent, not_serving) = match known.has_answered {
            true => (Fate::Answered, Fate::Answered),
            false => (Fate::Silent, Fate::NotServing),
        };
        match failure {
            Failure::NotServing => self.settle(peer, not_serving),
            Failure::Broken | Failure::TimedOut | Failure::Unreachable if is_last => {
                self.settle(peer, silent);
            }
            Failure::Broken | Failure::TimedOut | Failure::Unreachable => {
                let due_at = now.saturating_add(self.config.retry_pause);
                self.failed.push_back((due_at, peer.clone()));
            }
        }
    }

    /// Takes note of whom a peer told of; `brought` is how many became known by its word.
    fn hear(&mut self, told: &[Contact], brought: &mut usize) {
        let mut seen = BTreeSet::new();
        for contact in told {
            if !seen.insert(&contact.peer) {
                self.refusals.add(Refusal::RepeatedContact, 1);
                continue;
            }
            match self.judge(contact, self.config.addresses) {
                Ok(contact) => self.learn(contact, brought),
                Err(refusal) => self.refusals.add(refusal, 1),
            }
        }
    }

    fn learn(&mut self, contact: Contact, brought: &mut usize) {
        if let Some(known) = self.known.get_mut(&contact.peer) {
            let further = Self::ADDRESSES_PER_SOURCE;
            let (old, told) = (&known.addresses, &contact.addresses);
            let (joined, lost) = if known.has_answered {
                old.joined(told, further)
            } else {
                // Whoever told of it first may have filled all places with inventions.
                let newest: Addresses = told.as_slice().iter().take(further).cloned().collect();
                newest.joined(old, Addresses::MAX)
            };
            known.addresses = joined;
            self.refusals.add(Refusal::AddressesFull, lost);
        } else if *brought >= self.config.told_per_source_max {
            self.refusals.add(Refusal::SourceQuota, 1);
        } else if self.know(contact, Fate::Waiting) {
            *brought += 1;
        }
    }

    /// Keeps a peer, where there is room.
    fn know(&mut self, contact: Contact, fate: Fate) -> bool {
        if self.known.len() >= self.config.peers_max {
            self.counts.left_out += 1;
            return false;
        }
        let Contact { peer, addresses } = contact;
        if fate == Fate::Waiting {
            self.fresh.push_back(peer.clone());
        }
        self.counts.count(fate);
        let known = Known {
            addresses,
            fate,
            strikes: 0,
            has_answered: false,
            next: Cpl::new(0),
        };
        self.known.insert(peer, known);
        true
    }

    pub(super) fn add_seed(&mut self, contact: &Contact) {
        match self.judge(contact, AddressPolicy::Any) {
            Ok(contact) => {
                // Nobody's word, so no quota.
                let mut brought = 0;
                self.learn(contact, &mut brought);
            }
            Err(refusal) => self.refusals.add(refusal, 1),
        }
    }

    /// A peer of an earlier run.
    pub(super) fn restore(&mut self, contact: &Contact, fate: Fate) {
        let judged = self.judge(contact, self.config.addresses);
        match judged {
            Ok(contact) if !self.known.contains_key(&contact.peer) => {
                // Its silence may have been our own outage: it is asked again.
                let fate = match fate {
                    Fate::Silent => Fate::Waiting,
                    Fate::Answered | Fate::NotServing | Fate::Waiting => fate,
                };
                self.know(contact, fate);
            }
            Ok(_) => self.refusals.add(Refusal::RepeatedContact, 1),
            Err(refusal) => self.refusals.add(refusal, 1),
        }
    }

    /// The contact as it is kept, addresses that are not wanted left out.
    fn judge(&mut self, contact: &Contact, policy: AddressPolicy) -> Result<Contact, Refusal> {
        let refusals = &mut self.refusals;
        policy.keep(&self.local, contact, |why| refusals.add(why, 1))
    }
}
