//! The lookups of the round that runs: own ones step by step, delegated ones from their beginning
//! to their end.

use std::time::Duration;

use crate::budget::Priority;
use crate::config::Lookups;
use crate::explore::Purpose;
use crate::lookup::{Lookup, LookupEnd, Step};
use crate::output::{Event, LookupId, Output, TimeoutReason};
use crate::peer::{Contact, Peer};
use crate::refusal::Refusal;
use crate::report::LookupReport;
use crate::table::Source;
use crate::target::Target;
use crate::time::Time;

use super::rounds::count;
use super::{Walk, WhatFor};

/// A lookup of the round.
#[derive(Debug)]
pub(super) struct Running {
    purpose: Purpose,
    target: Target,
    started_at: Time,
    way: Way,
    /// Unless an answer or a failure comes, nothing is to be done before.
    idle_until: Time,
}

#[derive(Debug)]
enum Way {
    Delegated { ends_at: Time, is_cancelled: bool },
    Own(Box<Lookup>),
}

impl Running {
    /// When a lookup of the host's ends, and whether it was told so.
    fn delegated(&self) -> Option<(Time, bool)> {
        match &self.way {
            Way::Delegated {
                ends_at,
                is_cancelled,
            } => Some((*ends_at, *is_cancelled)),
            Way::Own(_) => None,
        }
    }
}

/// What a lookup of the host's found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The nearest peers that answered, nearest first.
    pub closest: Vec<Contact>,
    /// Everybody else that was told of, where the host knows.
    pub heard: Vec<Contact>,
    /// Requests sent, where the host knows.
    pub requests: Option<u32>,
    /// Requests that failed.
    pub failures: u32,
    /// Whether the nearest peers have all answered, and not just the time was up.
    pub is_complete: bool,
    /// Why nothing was found, or not all.
    pub error: Option<String>,
}

impl Walk {
    /// How long the host has to tell what a cancelled lookup found.
    const GRACE: Duration = Duration::from_secs(1);

    /// A lookup of the host's ended.
    pub fn handle_lookup_ended(&mut self, now: Time, id: LookupId, mut found: Found) {
        let now = self.enter(now);
        let delegated = self.lookups.get(&id).and_then(Running::delegated);
        let Some((_, is_cancelled)) = delegated else {
            self.refusals.add(Refusal::Unasked, 1);
            return;
        };
        let heard_max = self.config.lookup.candidates_max;
        let surplus = found.closest.len().saturating_sub(heard_max);
        self.refusals.add(Refusal::Surplus, surplus);
        found.closest.truncate(heard_max);
        if let Some(requests) = found.requests {
            self.settle_budget(requests);
        }
        if !found.closest.is_empty() {
            self.succeeded(now);
        }
        for contact in &found.closest {
            if let Ok(contact) = self.judge(contact).map_err(|why| self.refusals.add(why, 1)) {
                self.found(id, std::slice::from_ref(&contact));
                self.answered_lookup(now, &contact, Source::Itself);
            }
        }
        self.refusals.add(
            Refusal::Surplus,
            found.heard.len().saturating_sub(heard_max),
        );
        for contact in found.heard.iter().take(heard_max) {
            if let Some(contact) = self.hear(now, contact, Source::Itself, None) {
                self.found(id, std::slice::from_ref(&contact));
            }
        }
        let end = match (found.is_complete, found.closest.is_empty()) {
            _ if is_cancelled => LookupEnd::Deadline,
            (_, true) => LookupEnd::Exhausted,
            (true, false) => LookupEnd::Converged,
            (false, false) => LookupEnd::Deadline,
        };
        self.end_delegated(now, id, end, found);
        self.advance(now);
    }

    /// The host looked up a target of its own accord, as libp2p-kad's bootstrap does. It counts as
    /// ours: its bucket is not due again so soon, and its messages are paid from the budget.
    pub fn handle_host_lookup(&mut self, now: Time, target: &Peer, requests: u32) {
        let now = self.enter(now);
        self.budget.charge(requests, requests);
        if let Some(cpl) = self.local.cpl(target) {
            self.explore.refreshed(now, cpl);
        }
        self.advance(now);
    }

    pub(super) fn may_look_up(&mut self, now: Time) -> bool {
        let is_asked = self.round.as_ref().is_some_and(|round| round.is_asked);
        let priority = if is_asked {
            Priority::Urgent
        } else {
            Priority::Lookup
        };
        self.may_spend_lookup(now, priority)
    }

    /// Whether the budget would do for a lookup.
    pub(super) fn may_spend_lookup(&mut self, now: Time, priority: Priority) -> bool {
        let cost = match self.config.lookups {
            Lookups::Delegated => self.config.lookup.delegated_messages,
            Lookups::Own => 1,
        };
        self.may_spend(now, cost, cost, priority)
    }

    pub(super) fn target_of(&mut self, purpose: Purpose) -> Option<Target> {
        match purpose {
            Purpose::Itself => Some(Target::peer(self.local.clone())),
            Purpose::Bucket(cpl) => self.targets.in_bucket(self.local.key(), cpl),
            Purpose::Uniform => Some(self.targets.uniform()),
            Purpose::Slice(at) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                self.round.as_ref()?.slices.get(at).cloned()
            }
        }
    }

    pub(super) fn begin_lookup(&mut self, now: Time, purpose: Purpose, target: Target) {
        let Some(round) = self.round.as_ref().map(|round| round.id) else {
            return;
        };
        let id = LookupId(self.next_id());
        self.counters.lookups += 1;
        self.tell(Event::LookupBegan { round, purpose });
        let config = self.config.lookup;
        let way = match self.config.lookups {
            Lookups::Delegated => {
                self.budget
                    .charge(config.delegated_messages, config.delegated_messages);
                self.outputs.push_back(Output::Lookup {
                    id,
                    target: target.clone(),
                });
                Way::Delegated {
                    ends_at: now.saturating_add(config.deadline),
                    is_cancelled: false,
                }
            }
            Lookups::Own => {
                let wanted = self.config.bucket_size;
                let known = self.table.closest(target.key(), wanted);
                let known: Vec<Contact> = known.into_iter().map(|it| it.contact()).collect();
                let local = self.local.clone();
                let lookup = Lookup::new(now, config, local, target.clone(), wanted, known);
                Way::Own(Box::new(lookup))
            }
        };
        self.lookups.insert(
            id,
            Running {
                purpose,
                target,
                started_at: now,
                way,
                idle_until: now,
            },
        );
    }

    /// Takes each lookup as far as it goes; says whether one ended.
    pub(super) fn poll_lookups(&mut self, now: Time) -> bool {
        let mut has_ended = false;
        let ids: Vec<LookupId> = self.lookups.keys().copied().collect();
        for id in ids {
            has_ended |= self.poll_lookup(now, id);
        }
        has_ended
    }

    fn poll_lookup(&mut self, now: Time, id: LookupId) -> bool {
        for _ in 0..=self.config.lookup.requests_max {
            let Some(running) = self.lookups.get_mut(&id) else {
                return false;
            };
            if now < running.idle_until {
                let until = running.idle_until;
                self.wake_at(until, TimeoutReason::Lookup);
                return false;
            }
            let lookup = match &mut running.way {
                Way::Own(lookup) => lookup,
                Way::Delegated { .. } => return self.poll_delegated(now, id),
            };
            match lookup.poll(now) {
                Step::Ask(contact) => {
                    let target = lookup.target().clone();
                    if !self.may_ask(now, &contact, Priority::Urgent) {
                        break;
                    }
                    if let Some(lookup) = self.own(id) {
                        lookup.asked(now, &contact.peer);
                    }
                    self.ask(now, contact, target, WhatFor::Lookup(id));
                }
                Step::Done(end) => {
                    self.end_own(now, id, end);
                    return true;
                }
                Step::Wait(until) => running.idle_until = until,
            }
        }
        if let Some(lookup) = self.own(id) {
            let ends_at = now.saturating_add(lookup.time_left(now));
            self.wake_at(ends_at, TimeoutReason::Lookup);
        }
        false
    }

    /// An own lookup, that is to be polled again because of what is done to it.
    fn own(&mut self, id: LookupId) -> Option<&mut Lookup> {
        let running = self.lookups.get_mut(&id)?;
        running.idle_until = Time::default();
        match &mut running.way {
            Way::Own(lookup) => Some(lookup),
            Way::Delegated { .. } => None,
        }
    }

    fn poll_delegated(&mut self, now: Time, id: LookupId) -> bool {
        let delegated = self.lookups.get(&id).and_then(Running::delegated);
        let Some((ends_at, is_cancelled)) = delegated else {
            return false;
        };
        if ends_at <= now && is_cancelled {
            let end = LookupEnd::Deadline;
            self.end_delegated(now, id, end, Found::default());
            return true;
        }
        if ends_at <= now {
            self.cancel_delegated(now, id);
        }
        let grace = now.saturating_add(Self::GRACE);
        let ends_at = if ends_at <= now { grace } else { ends_at };
        self.wake_at(ends_at, TimeoutReason::Lookup);
        false
    }

    /// Has the host tell what its lookup found until now, for which it has not long.
    fn cancel_delegated(&mut self, now: Time, id: LookupId) {
        let way = self.lookups.get_mut(&id).map(|running| &mut running.way);
        if let Some(Way::Delegated {
            ends_at,
            is_cancelled: is_cancelled @ false,
        }) = way
        {
            *is_cancelled = true;
            *ends_at = now.saturating_add(Self::GRACE);
            self.outputs.push_back(Output::CancelLookup(id));
        }
    }

    /// A peer answered a lookup's request.
    pub(super) fn lookup_answered(&mut self, id: LookupId, peer: &Peer, told: Vec<Contact>) {
        if let Some(lookup) = self.own(id) {
            lookup.handle_answer(peer, told);
        }
    }

    pub(super) fn lookup_failed(&mut self, id: LookupId, peer: &Peer) {
        if let Some(lookup) = self.own(id) {
            lookup.handle_failure(peer);
        }
    }

    /// Who told the lookup of this peer.
    pub(super) fn lookup_source(&self, id: LookupId, peer: &Peer) -> Source {
        let told_by = match self.lookups.get(&id).map(|it| &it.way) {
            Some(Way::Own(lookup)) => lookup.told_by(peer),
            Some(Way::Delegated { .. }) | None => None,
        };
        told_by.map_or(Source::Itself, |teller| Source::Peer(teller.prefix()))
    }

    /// Contacts for the round's report.
    pub(super) fn found(&mut self, id: LookupId, contacts: &[Contact]) {
        let (Some(round), true) = (&mut self.round, self.lookups.contains_key(&id)) else {
            return;
        };
        for Contact { peer, addresses } in contacts {
            if let Some(known) = round.found.get_mut(peer) {
                if !known.is_shared_with(addresses) {
                    *known = known
                        .joined(addresses, self.config.admission.addresses_per_source)
                        .0;
                }
            } else if round.found.len() < self.config.refresh.found_max {
                round.found.insert(peer.clone(), addresses.clone());
            } else {
                round.found_more += 1;
            }
        }
    }

    fn end_own(&mut self, now: Time, id: LookupId, end: LookupEnd) {
        let Some(running) = self.lookups.remove(&id) else {
            return;
        };
        let Way::Own(lookup) = &running.way else {
            return;
        };
        let closest: Vec<&Peer> = lookup.closest().map(|contact| &contact.peer).collect();
        let spent = (count(lookup.requests()), count(lookup.failures()));
        self.ended(now, &running, end, &closest, spent, None);
    }

    fn end_delegated(&mut self, now: Time, id: LookupId, end: LookupEnd, found: Found) {
        let Some(running) = self.lookups.remove(&id) else {
            return;
        };
        let mut closest: Vec<&Peer> = found.closest.iter().map(|it| &it.peer).collect();
        closest.sort_by(|left, right| Peer::nearer(running.target.as_peer(), left, right));
        closest.dedup();
        closest.truncate(self.config.bucket_size);
        let requests = found.requests;
        let requests = requests.unwrap_or(self.config.lookup.delegated_messages);
        let spent = (requests, found.failures);
        self.ended(now, &running, end, &closest, spent, found.error);
    }

    fn ended(
        &mut self,
        now: Time,
        running: &Running,
        end: LookupEnd,
        closest: &[&Peer],
        (requests, failures): (u32, u32),
        error: Option<String>,
    ) {
        if end == LookupEnd::Converged {
            match running.purpose {
                Purpose::Itself => self.size.neighbours_known(now),
                Purpose::Bucket(_) | Purpose::Slice(_) | Purpose::Uniform => {
                    self.size.add(now, running.target.as_peer(), closest);
                }
            }
        }
        let report = LookupReport {
            purpose: running.purpose,
            target: running.target.peer_id(),
            end,
            started_at: running.started_at,
            ended_at: now,
            requests,
            failures,
            closest: closest.iter().map(|peer| peer.id()).collect(),
            error,
        };
        self.lookup_ended(now, report);
    }

    fn lookup_ended(&mut self, now: Time, report: LookupReport) {
        if matches!(report.end, LookupEnd::Converged | LookupEnd::Exhausted) {
            self.lookup_costs.add(report.requests);
        }
        let Some(round) = &mut self.round else {
            return;
        };
        if let Purpose::Bucket(cpl) = report.purpose {
            round.looked_up.push(cpl);
            if !report.closest.is_empty() {
                self.explore.refreshed(now, cpl);
            }
        }
        let (id, boxed) = (round.id, Box::new(report.clone()));
        round.lookups.push(report);
        self.tell(Event::LookupEnded {
            round: id,
            report: boxed,
        });
    }

    /// A delegated lookup was charged beforehand.
    fn settle_budget(&mut self, requests: u32) {
        let charged = self.config.lookup.delegated_messages;
        let (more, less) = (
            requests.saturating_sub(charged),
            charged.saturating_sub(requests),
        );
        self.budget.charge(more, more);
        self.budget.give_back(less, less);
    }

    /// Ends all lookups with what they have. Those of the host may still tell what they found,
    /// unless the walk is stopped.
    pub(super) fn cut_lookups(&mut self, now: Time, end: LookupEnd) {
        let ids: Vec<LookupId> = self.lookups.keys().copied().collect();
        for id in ids {
            match self.lookups.get(&id).map(|running| &running.way) {
                Some(Way::Own(_)) => self.end_own(now, id, end),
                Some(Way::Delegated { .. }) => {
                    self.cancel_delegated(now, id);
                    if end == LookupEnd::Stopped {
                        self.end_delegated(now, id, end, Found::default());
                    }
                }
                None => {}
            }
        }
    }
}
