//! What a walk does by itself between refreshes: checks, candidates, seeds.

use std::collections::BTreeSet;

use crate::budget::Priority;
use crate::output::{Event, Output, TimeoutReason};
use crate::peer::{Addresses, Contact, Peer};
use crate::probe::needs_witness;
use crate::refusal::Refusal;
use crate::reseed::{Reseed, SeedSource, Seeding};
use crate::table::{Check, Source};
use crate::target::Target;
use crate::time::Time;

use super::{Walk, WhatFor};

impl Walk {
    /// The share of the budget, in percent, that checks of entries plan with.
    const CHECKS_PERCENT: u32 = 70;

    /// The host tells contacts, as it was asked to.
    pub fn handle_seeds(&mut self, now: Time, source: SeedSource, contacts: Vec<Contact>) {
        let now = self.enter(now);
        self.use_seeds(now, source, contacts);
        self.advance(now);
    }

    /// The peers of the bootstrap list, which are asked when nobody else is left.
    pub fn set_bootstrap(&mut self, now: Time, contacts: Vec<Contact>) {
        let now = self.enter(now);
        self.reseed.set_bootstrap(contacts);
        self.advance(now);
    }

    /// While nothing succeeds: one entry, somewhere, at growing intervals.
    pub(super) fn tend_outage(&mut self, now: Time) {
        let Some(ask_at) = self.outage.ask_at() else {
            return;
        };
        if !self.config.auto {
            return;
        }
        if ask_at <= now
            && let Some(peer) = self.any_entry()
        {
            if !self.check(now, &peer, Priority::Urgent) {
                return;
            }
            self.outage.asked(now);
        }
        if let Some(ask_at) = self.outage.ask_at().filter(|at| *at > now) {
            self.wake_at(ask_at, TimeoutReason::Outage);
        }
    }

    /// An entry that is not being checked, each bucket as likely as another.
    fn any_entry(&mut self) -> Option<Peer> {
        let deepest = self.table.deepest()?.index();
        let start = self.targets.rng().below(deepest + 1);
        let pick = self.targets.rng().number();
        for step in 0..=deepest {
            let at = (start + step) % (deepest + 1);
            let bucket = self
                .table
                .bucket(crate::key::Cpl::new(u8::try_from(at).ok()?));
            let free = bucket.iter().filter(|entry| entry.check != Check::InFlight);
            let free: Vec<&Peer> = free.map(|entry| entry.peer()).collect();
            if let Some(last) = free.len().checked_sub(1) {
                let at = usize::try_from(pick).unwrap_or(0) % (last + 1);
                return Some(free[at].clone());
            }
        }
        None
    }

    /// Second and third tries. Each goes with a witness where nothing else shows that our own line
    /// works.
    pub(super) fn tend_retries(&mut self, now: Time) {
        if !self.config.auto || self.outage.is_down() {
            return;
        }
        while let Some(peer) = self.probe.retry_due(now).cloned() {
            if !self.check(now, &peer, Priority::Urgent) {
                return;
            }
            let timeout = self.config.lookup.request_timeout;
            if needs_witness(now, self.outage.succeeded_at(), timeout)
                && self.requests.len() == 1
                && let Some(witness) = self.witness(&peer)
            {
                self.check(now, &witness, Priority::Urgent);
            }
        }
        if let Some(at) = self.probe.retry_at() {
            self.wake_at(at, TimeoutReason::Check);
        }
    }

    /// The entry that was heard last, this one aside.
    fn witness(&self, peer: &Peer) -> Option<Peer> {
        let free = |entry: &&crate::table::Entry| {
            entry.check != Check::InFlight && entry.peer != *peer && entry.strikes == 0
        };
        let latest = self
            .table
            .iter()
            .filter(free)
            .max_by_key(|entry| entry.heard_at);
        latest.map(|entry| entry.peer.clone())
    }

    /// Entries that were not heard for too long.
    pub(super) fn tend_entries(&mut self, now: Time) {
        if !self.config.auto || self.outage.is_down() {
            return;
        }
        let per_hour = self.config.budget.messages_per_hour;
        let per_hour = per_hour.min(self.config.budget.dials_per_hour);
        let per_hour = (u64::from(per_hour) * u64::from(Self::CHECKS_PERCENT)).div_ceil(100);
        let per_hour = u32::try_from(per_hour).unwrap_or(u32::MAX);
        let timeout = self.config.lookup.request_timeout;
        let entries = self.table.len();
        let pace = self.probe.pace(now, entries, per_hour, timeout);
        while let Some(peer) = self.probe.suspect_due(now).cloned() {
            if !self.check(now, &peer, Priority::Routine) {
                return;
            }
        }
        while let Some(peer) = self.probe.quiet_due(now, pace.afforded, &mut self.table) {
            if !self.check(now, &peer, Priority::Routine) {
                return;
            }
        }
        // What a lookup could have and none wants is better spent than kept.
        while let Some(peer) = self.probe.quiet_due(now, pace.wanted, &mut self.table) {
            let may_check = self.may_spend_lookup(now, Priority::Lookup);
            if !may_check || !self.check(now, &peer, Priority::Routine) {
                break;
            }
        }
        for interval in [pace.wanted, pace.afforded] {
            if let Some(at) = self.probe.quiet_at(interval).filter(|at| *at > now) {
                self.wake_at(at, TimeoutReason::Check);
            }
        }
    }

    fn check(&mut self, now: Time, peer: &Peer, priority: Priority) -> bool {
        let Some(contact) = self.table.entry(peer).map(|entry| entry.contact()) else {
            return false;
        };
        if !self.may_ask(now, &contact, priority) {
            return false;
        }
        let target = self.check_target(peer);
        if let Some(entry) = self.table.entry_mut(peer) {
            self.probe.asked(entry);
        }
        self.counters.checks += 1;
        self.ask(now, contact, target, WhatFor::Check);
        true
    }

    /// Candidates for whom there is room.
    pub(super) fn tend_candidates(&mut self, now: Time) {
        if !self.config.auto || self.outage.is_down() {
            return;
        }
        while self.admit.has_next(&self.table) && self.may_spend(now, 1, 1, Priority::Urgent) {
            let refusals = &mut self.refusals;
            let refuse = |refusal: Refusal| refusals.add(refusal, 1);
            let Some(spare) = self.admit.next(&self.table, refuse) else {
                return;
            };
            if self.admit.is_proven(now, &spare) {
                self.admit(now, spare.contact, spare.source);
            } else if !self.is_asked(&spare.contact.peer) {
                let (contact, target) = (spare.contact.clone(), Target::peer(self.local.clone()));
                self.admit.asked(spare);
                self.counters.candidates += 1;
                self.ask(now, contact, target, WhatFor::Verify);
            }
        }
    }

    /// Looks for peers when there are too few, and asks those that were found.
    pub(super) fn tend_seeds(&mut self, now: Time) {
        if !self.config.auto {
            return;
        }
        let is_low = self.table.len() < self.config.peers_min;
        if !is_low && !self.outage.is_down() {
            self.reseed.settled();
            self.seeds.clear();
            return;
        }
        self.search_seeds(now);
        while let Some(contact) = self.seeds.front() {
            let contact = contact.clone();
            if !self.may_ask(now, &contact, Priority::Urgent) {
                return;
            }
            self.seeds.pop_front();
            if self.is_asked(&contact.peer) || self.table.entry(&contact.peer).is_some() {
                continue;
            }
            let target = Target::peer(self.local.clone());
            let (source, heard_at) = (Source::Itself, now);
            let spare = contact.clone();
            let spare = crate::admit::Spare {
                contact: spare,
                source,
                heard_at,
                answered_at: None,
            };
            self.admit.asked(spare);
            self.ask(now, contact, target, WhatFor::Verify);
        }
    }

    /// Whether somebody may still be found in this round of all sources.
    pub(super) fn is_seeding(&self) -> bool {
        let is_under_way = !self.seeds.is_empty() || self.admit.verifying() > 0;
        self.config.auto
            && self.is_running
            && !self.outage.is_down()
            && self.table.len() < self.config.peers_min
            && (is_under_way || self.reseed.has_next())
    }

    fn search_seeds(&mut self, now: Time) {
        // Seeds that wait, and candidates that are asked, may be enough; but a long list of peers
        // that are all gone must not keep the next source waiting.
        let is_under_way = !self.seeds.is_empty() || self.admit.verifying() > 0;
        if is_under_way && (self.reseed.search_at() > now || !self.reseed.has_next()) {
            if self.reseed.has_next() {
                self.wake_at(self.reseed.search_at(), TimeoutReason::Seeds);
            }
            return;
        }
        for _ in 0..4 {
            if self.reseed.search_at() > now && self.is_searching() {
                break;
            }
            match self.reseed.search(now, self.targets.rng()) {
                Some(Seeding::AskHost(source)) => {
                    self.outputs.push_back(Output::AskSeeds(source));
                    break;
                }
                Some(Seeding::Use(source, contacts)) => {
                    self.use_seeds(now, source, contacts);
                    if !self.seeds.is_empty() {
                        break;
                    }
                }
                None => {}
            }
        }
        let search_at = self.reseed.search_at();
        if search_at > now {
            self.wake_at(search_at, TimeoutReason::Seeds);
        }
    }

    fn is_searching(&self) -> bool {
        self.reseed.is_searching()
    }

    /// The contact as it may be asked. Who is on the bootstrap list is meant as it stands there,
    /// and a connected peer needs no address; what a file or a store says is a rumour.
    fn judge_seed(&mut self, source: SeedSource, mut contact: Contact) -> Option<Contact> {
        let is_connected = source == SeedSource::Connected;
        let refusal = match self.judge(&contact) {
            Ok(judged) => return Some(judged),
            Err(Refusal::OwnId) => Refusal::OwnId,
            Err(_) if source == SeedSource::Bootstrap && !contact.addresses.is_empty() => {
                return Some(contact);
            }
            Err(_) if is_connected => {
                contact.addresses = Addresses::none();
                return Some(contact);
            }
            Err(refusal) => refusal,
        };
        self.refusals.add(refusal, 1);
        None
    }

    fn use_seeds(&mut self, now: Time, source: SeedSource, contacts: Vec<Contact>) {
        let mut waiting: BTreeSet<Peer> = self.seeds.iter().map(|it| it.peer.clone()).collect();
        let mut fresh = Vec::new();
        for contact in contacts.into_iter().take(Reseed::CONTACTS_MAX) {
            let Some(contact) = self.judge_seed(source, contact) else {
                continue;
            };
            let is_known = self.table.entry(&contact.peer).is_some();
            if !is_known && waiting.insert(contact.peer.clone()) {
                fresh.push(contact);
            }
        }
        // A later source is tried because an earlier one did not help.
        let taken = fresh.len();
        fresh
            .into_iter()
            .rev()
            .for_each(|it| self.seeds.push_front(it));
        self.seeds.truncate(Reseed::CONTACTS_MAX);
        if taken == 0 {
            self.reseed.nobody(now);
        } else {
            self.tell(Event::Seeding {
                source,
                contacts: taken,
            });
        }
    }
}
