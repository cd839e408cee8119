//! Rounds: refreshes, walks and sweeps, one after the other, and the lookups of the one that runs.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::budget::Priority;
use crate::config::Lookups;
use crate::explore::{Purpose, limit_after_gap};
use crate::key::Cpl;
use crate::lookup::{Lookup, LookupEnd, Step};
use crate::output::{Event, LookupId, Output, TimeoutReason};
use crate::peer::{Addresses, Contact, Peer};
use crate::refusal::Refusal;
use crate::report::{BucketReport, LookupReport, Report, RoundEnd, RoundId, RoundKind};
use crate::table::Source;
use crate::target::Target;
use crate::time::Time;

use super::{Walk, WhatFor};

/// A round that waits for its turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    id: RoundId,
    kind: RoundKind,
    deadline: Duration,
}

/// The round that runs.
#[derive(Debug)]
pub(super) struct Round {
    id: RoundId,
    kind: RoundKind,
    /// Somebody waits for it, so it may spend all of the budget.
    is_asked: bool,
    started_at: Time,
    ends_at: Time,
    purposes: VecDeque<Purpose>,
    slices: Vec<Target>,
    /// A refresh plans its buckets when the lookup of ourselves has shown how deep they go.
    has_buckets: bool,
    looked_up: Vec<Cpl>,
    deepest: Cpl,
    lookups: Vec<LookupReport>,
    left_out: u32,
    before: Vec<usize>,
    found: BTreeMap<Peer, Addresses>,
    found_more: u64,
    pub(super) admitted: u32,
    pub(super) evicted: u32,
}

/// A lookup of the round.
#[derive(Debug)]
pub(super) struct Running {
    purpose: Purpose,
    target: Target,
    started_at: Time,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Delegated { ends_at: Time, is_cancelled: bool },
    Own(Box<Lookup>),
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

/// Too many rounds wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many refreshes, walks and sweeps wait: ask again when one has ended")]
pub struct Busy;

impl Walk {
    /// How long the host has to tell what a cancelled lookup found.
    const GRACE: Duration = Duration::from_secs(1);

    /// Passes over the lookups in one go. Each pass ends a lookup that had nobody to ask, or
    /// begins one; the others follow at the next wake-up.
    const PASSES_MAX: usize = 64;

    /// Refreshes the table. The refresh begins after this call: one that already runs is not what
    /// is meant, one that waits is.
    ///
    /// Forced, all buckets are looked up; else those that need it, and none before a refresh is
    /// due. [`Event::Finished`] tells the end.
    ///
    /// # Errors
    ///
    /// When [`waiting_max`](crate::RefreshConfig::waiting_max) rounds wait.
    pub fn refresh(&mut self, now: Time, is_forced: bool) -> Result<RoundId, Busy> {
        let kind = RoundKind::Refresh { is_forced };
        let is_same = |it: &&Planned| it.kind == kind;
        if let Some(waiting) = self.waiting.iter().find(is_same) {
            return Ok(waiting.id);
        }
        self.plan(now, kind, self.config.refresh.deadline)
    }

    /// Looks up `count` targets anywhere.
    ///
    /// # Errors
    ///
    /// When [`waiting_max`](crate::RefreshConfig::waiting_max) rounds wait.
    pub fn walks(&mut self, now: Time, count: u32) -> Result<RoundId, Busy> {
        self.plan(now, RoundKind::Walks { count }, self.config.refresh.deadline)
    }

    /// Looks up one target in each of `slices` equal parts of the key space, at most
    /// [`SLICES_MAX`](crate::Targets::SLICES_MAX). With `2 N / k` slices, 98% of `N` peers are told of, where uniform
    /// walks show 86%.
    ///
    /// # Errors
    ///
    /// When [`waiting_max`](crate::RefreshConfig::waiting_max) rounds wait.
    pub fn sweep(&mut self, now: Time, slices: u32, deadline: Duration) -> Result<RoundId, Busy> {
        self.plan(now, RoundKind::Sweep { slices }, deadline)
    }

    /// A lookup of the host's ended.
    pub fn handle_lookup_ended(&mut self, now: Time, id: LookupId, found: Found) {
        let now = self.enter(now);
        let is_delegated = |it: &Running| matches!(it.way, Way::Delegated { .. });
        if !self.lookups.get(&id).is_some_and(is_delegated) {
            self.refusals.add(Refusal::Unasked, 1);
            return;
        }
        self.settle_budget(found.requests);
        if !found.closest.is_empty() {
            self.succeeded(now);
        }
        for contact in &found.closest {
            if let Ok(contact) = self.judge(contact).map_err(|why| self.refusals.add(why, 1)) {
                self.found(id, std::slice::from_ref(&contact));
                self.answered_lookup(now, &contact, Source::Itself);
            }
        }
        let heard_max = self.config.lookup.candidates_max;
        self.refusals.add(Refusal::Surplus, found.heard.len().saturating_sub(heard_max));
        for contact in found.heard.iter().take(heard_max) {
            if let Some(contact) = self.hear(now, contact, Source::Itself, None) {
                self.found(id, std::slice::from_ref(&contact));
            }
        }
        let end = match (found.is_complete, found.closest.is_empty()) {
            (_, true) => LookupEnd::Exhausted,
            (true, false) => LookupEnd::Converged,
            (false, false) => LookupEnd::Deadline,
        };
        self.end_delegated(now, id, end, found);
        self.advance(now);
    }

    fn plan(&mut self, now: Time, kind: RoundKind, deadline: Duration) -> Result<RoundId, Busy> {
        let now = self.enter(now);
        if self.waiting.len() >= self.config.refresh.waiting_max {
            return Err(Busy);
        }
        let id = RoundId(self.next_id());
        self.waiting.push_back(Planned { id, kind, deadline });
        if self.is_running {
            self.advance(now);
        } else {
            self.stop_rounds(now);
        }
        Ok(id)
    }

    /// Begins what waits, or a refresh that is due.
    pub(super) fn begin_rounds(&mut self, now: Time) {
        if self.round.is_none() && self.config.auto && !self.outage.is_down() {
            if self.explore.due_at() <= now && self.can_look_up() {
                let id = RoundId(self.next_id());
                let kind = RoundKind::Refresh { is_forced: false };
                let deadline = self.config.refresh.deadline;
                self.begin(now, Planned { id, kind, deadline }, false);
                self.drive_rounds(now);
            } else if self.explore.due_at() <= now {
                // Nobody to ask: whoever becomes an entry brings the next pass.
                self.explore.delay(now, self.targets.rng());
            }
        }
        if self.round.is_none() && self.config.auto && !self.outage.is_down() {
            self.wake_at(self.explore.due_at(), TimeoutReason::Refresh);
        }
    }

    /// Whether a lookup would have anybody to begin with. A host knows that itself.
    fn can_look_up(&self) -> bool {
        !self.table.is_empty() || self.config.lookups == Lookups::Delegated
    }

    fn begin(&mut self, now: Time, planned: Planned, is_asked: bool) {
        let Planned { id, kind, deadline } = planned;
        let mut round = Round {
            id,
            kind,
            is_asked,
            started_at: now,
            ends_at: now.saturating_add(deadline),
            purposes: VecDeque::new(),
            slices: Vec::new(),
            has_buckets: true,
            looked_up: Vec::new(),
            deepest: Cpl::new(0),
            lookups: Vec::new(),
            left_out: 0,
            before: (0..=u8::MAX).map(|cpl| self.table.bucket(Cpl::new(cpl)).len()).collect(),
            found: BTreeMap::new(),
            found_more: 0,
            admitted: 0,
            evicted: 0,
        };
        match kind {
            RoundKind::Refresh { is_forced } => {
                if is_asked && !is_forced && now < self.explore.due_at() {
                    self.round = Some(Box::new(round));
                    self.end_round(now, RoundEnd::Skipped);
                    return;
                }
                round.purposes.push_back(Purpose::Itself);
                round.has_buckets = false;
            }
            RoundKind::Sweep { slices } => {
                round.slices = self.targets.stratified(slices as usize);
                let all = 0..u32::try_from(round.slices.len()).unwrap_or(u32::MAX);
                round.purposes = all.map(Purpose::Slice).collect();
            }
            RoundKind::Walks { count } => {
                round.purposes = (0..count).map(|_| Purpose::Uniform).collect();
            }
        }
        self.round = Some(Box::new(round));
        if !self.can_look_up() {
            self.end_round(now, RoundEnd::NobodyToAsk);
        }
    }

    /// Goes on with the round that runs, and with those that wait.
    pub(super) fn drive_rounds(&mut self, now: Time) {
        for _ in 0..Self::PASSES_MAX {
            if self.round.is_none() {
                let Some(planned) = self.waiting.pop_front() else {
                    return;
                };
                self.begin(now, planned, true);
                continue;
            }
            if self.round.as_ref().is_some_and(|round| round.ends_at <= now) {
                self.cut_lookups(now, LookupEnd::Deadline);
                self.end_round(now, RoundEnd::Deadline);
                continue;
            }
            let has_begun = self.begin_lookups(now);
            let has_ended = self.poll_lookups(now);
            if has_begun || has_ended {
                continue;
            }
            if self.lookups.is_empty() && self.has_no_purpose() {
                self.end_round(now, RoundEnd::Done);
                continue;
            }
            if let Some(round) = &self.round {
                self.wake_at(round.ends_at, TimeoutReason::Refresh);
            }
            return;
        }
        self.wake_at(now, TimeoutReason::Lookup);
    }

    fn has_no_purpose(&self) -> bool {
        self.round.as_ref().is_none_or(|it| it.purposes.is_empty() && it.has_buckets)
    }

    fn begin_lookups(&mut self, now: Time) -> bool {
        let mut has_begun = false;
        while self.lookups.len() < self.config.refresh.lookups_max {
            self.plan_buckets(now);
            let Some(round) = &self.round else {
                break;
            };
            let Some(purpose) = round.purposes.front().copied() else {
                break;
            };
            if self.is_beyond_gap(purpose) {
                if let Some(round) = &mut self.round {
                    round.purposes.pop_front();
                    round.left_out += 1;
                }
                continue;
            }
            if !self.may_look_up(now) {
                break;
            }
            let target = self.target_of(purpose);
            if let Some(round) = &mut self.round {
                round.purposes.pop_front();
            }
            if let Some(target) = target {
                self.begin_lookup(now, purpose, target);
                has_begun = true;
            }
        }
        has_begun
    }

    /// The buckets of a refresh, once the lookup of ourselves has ended, however it did.
    fn plan_buckets(&mut self, now: Time) {
        let is_planned = |round: &Round| round.has_buckets || !round.purposes.is_empty();
        if self.round.as_deref().is_none_or(is_planned) || !self.lookups.is_empty() {
            return;
        }
        let health = self.health(now);
        let Some(round) = &mut self.round else {
            return;
        };
        let is_forced = round.kind == RoundKind::Refresh { is_forced: true };
        let buckets = self.explore.due_buckets(now, &health, is_forced);
        round.deepest = buckets.last().copied().unwrap_or(Cpl::new(0));
        round.purposes.extend(buckets.into_iter().map(Purpose::Bucket));
        let uniform = std::iter::repeat_n(Purpose::Uniform, self.config.refresh.uniform);
        round.purposes.extend(uniform);
        round.has_buckets = true;
    }

    /// Whether an earlier bucket stayed empty although it was looked up.
    fn is_beyond_gap(&self, purpose: Purpose) -> bool {
        let (Purpose::Bucket(cpl), Some(round)) = (purpose, &self.round) else {
            return false;
        };
        let is_empty = |cpl: &&Cpl| self.table.bucket(**cpl).is_empty();
        let gap = round.looked_up.iter().filter(is_empty).min();
        gap.is_some_and(|gap| cpl > limit_after_gap(*gap, round.deepest))
    }

    fn may_look_up(&mut self, now: Time) -> bool {
        let is_asked = self.round.as_ref().is_some_and(|round| round.is_asked);
        let what = if is_asked { Priority::Urgent } else { Priority::Lookup };
        let cost = match self.config.lookups {
            Lookups::Delegated => self.config.lookup.delegated_messages,
            Lookups::Own => 1,
        };
        if self.is_busy() {
            return false;
        }
        let ready_at = self.budget.ready_at(now, cost, cost, what);
        if ready_at > now {
            self.wake_at(ready_at, TimeoutReason::Budget);
        }
        ready_at <= now
    }

    fn target_of(&mut self, purpose: Purpose) -> Option<Target> {
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

    fn begin_lookup(&mut self, now: Time, purpose: Purpose, target: Target) {
        let Some(round) = self.round.as_ref().map(|round| round.id) else {
            return;
        };
        let id = LookupId(self.next_id());
        self.counters.lookups += 1;
        self.tell(Event::LookupBegan { round, purpose });
        let config = self.config.lookup;
        let way = match self.config.lookups {
            Lookups::Delegated => {
                self.budget.charge(config.delegated_messages, config.delegated_messages);
                self.outputs.push_back(Output::Lookup { id, target: target.clone() });
                Way::Delegated { ends_at: now.saturating_add(config.deadline), is_cancelled: false }
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
        self.lookups.insert(id, Running { purpose, target, started_at: now, way });
    }

    /// Takes each lookup as far as it goes; says whether one ended.
    fn poll_lookups(&mut self, now: Time) -> bool {
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
                    if let Some(Running { way: Way::Own(lookup), .. }) = self.lookups.get_mut(&id) {
                        lookup.asked(now, &contact.peer);
                    }
                    self.ask(now, contact, target, WhatFor::Lookup(id));
                }
                Step::Done(end) => {
                    self.end_own(now, id, end);
                    return true;
                }
                Step::Wait(until) => {
                    self.wake_at(until, TimeoutReason::Lookup);
                    break;
                }
            }
        }
        if let Some(Running { way: Way::Own(lookup), .. }) = self.lookups.get(&id) {
            let ends_at = now.saturating_add(lookup.time_left(now));
            self.wake_at(ends_at, TimeoutReason::Lookup);
        }
        false
    }

    fn poll_delegated(&mut self, now: Time, id: LookupId) -> bool {
        let Some(running) = self.lookups.get_mut(&id) else {
            return false;
        };
        let Way::Delegated { ends_at, is_cancelled } = &mut running.way else {
            return false;
        };
        if *ends_at <= now && *is_cancelled {
            self.settle_budget(None);
            let end = LookupEnd::Deadline;
            self.end_delegated(now, id, end, Found::default());
            return true;
        }
        if *ends_at <= now {
            *is_cancelled = true;
            *ends_at = now.saturating_add(Self::GRACE);
            self.outputs.push_back(Output::CancelLookup(id));
        }
        let ends_at = *ends_at;
        self.wake_at(ends_at, TimeoutReason::Lookup);
        false
    }

    /// A peer answered a lookup's request.
    pub(super) fn lookup_answered(&mut self, id: LookupId, peer: &Peer, told: Vec<Contact>) {
        if let Some(Running { way: Way::Own(lookup), .. }) = self.lookups.get_mut(&id) {
            lookup.handle_answer(peer, told);
        }
    }

    pub(super) fn lookup_failed(&mut self, id: LookupId, peer: &Peer) {
        if let Some(Running { way: Way::Own(lookup), .. }) = self.lookups.get_mut(&id) {
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
                *known = known.joined(addresses, self.config.admission.addresses_per_source).0;
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
        if end == LookupEnd::Converged && running.purpose != Purpose::Itself {
            self.size.add(now, running.target.as_peer(), &closest);
        }
        let report = LookupReport {
            purpose: running.purpose,
            target: running.target.peer_id(),
            end,
            started_at: running.started_at,
            ended_at: now,
            requests: count(lookup.requests()),
            failures: count(lookup.failures()),
            closest: closest.into_iter().map(Peer::id).collect(),
            error: None,
        };
        self.lookup_ended(now, report);
    }

    fn end_delegated(&mut self, now: Time, id: LookupId, end: LookupEnd, found: Found) {
        let Some(running) = self.lookups.remove(&id) else {
            return;
        };
        let mut closest: Vec<&Peer> = found.closest.iter().map(|it| &it.peer).collect();
        closest.sort_by(|left, right| Peer::nearer(running.target.as_peer(), left, right));
        closest.dedup();
        closest.truncate(self.config.bucket_size);
        if end == LookupEnd::Converged && running.purpose != Purpose::Itself {
            self.size.add(now, running.target.as_peer(), &closest);
        }
        let report = LookupReport {
            purpose: running.purpose,
            target: running.target.peer_id(),
            end,
            started_at: running.started_at,
            ended_at: now,
            requests: found.requests.unwrap_or(self.config.lookup.delegated_messages),
            failures: found.failures,
            closest: closest.into_iter().map(Peer::id).collect(),
            error: found.error,
        };
        self.lookup_ended(now, report);
    }

    fn lookup_ended(&mut self, now: Time, report: LookupReport) {
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
        self.tell(Event::LookupEnded { round: id, report: boxed });
    }

    /// A delegated lookup was charged beforehand.
    fn settle_budget(&mut self, requests: Option<u32>) {
        let charged = self.config.lookup.delegated_messages;
        let requests = requests.unwrap_or(charged);
        let (more, less) = (requests.saturating_sub(charged), charged.saturating_sub(requests));
        self.budget.charge(more, more);
        self.budget.give_back(less, less);
    }

    /// Ends all lookups with what they have.
    fn cut_lookups(&mut self, now: Time, end: LookupEnd) {
        let ids: Vec<LookupId> = self.lookups.keys().copied().collect();
        for id in ids {
            match self.lookups.get(&id).map(|running| &running.way) {
                Some(Way::Own(_)) => self.end_own(now, id, end),
                Some(Way::Delegated { is_cancelled, .. }) => {
                    if !is_cancelled {
                        self.outputs.push_back(Output::CancelLookup(id));
                    }
                    self.settle_budget(None);
                    self.end_delegated(now, id, end, Found::default());
                }
                None => {}
            }
        }
    }

    /// Ends the round that runs, and those that wait.
    pub(super) fn stop_rounds(&mut self, now: Time) {
        self.cut_lookups(now, LookupEnd::Stopped);
        self.end_round(now, RoundEnd::Stopped);
        while let Some(planned) = self.waiting.pop_front() {
            self.begin(now, planned, true);
            self.end_round(now, RoundEnd::Stopped);
        }
    }

    fn end_round(&mut self, now: Time, end: RoundEnd) {
        let Some(round) = self.round.take() else {
            return;
        };
        let is_refresh = matches!(round.kind, RoundKind::Refresh { .. });
        if is_refresh && end != RoundEnd::Skipped && end != RoundEnd::Stopped {
            let (health, has_gained) = (self.health(now), round.admitted > round.evicted);
            self.explore.ended(now, &health, has_gained, self.targets.rng());
        }
        let report = self.report(now, *round, end);
        self.tell(Event::Finished(Box::new(report)));
    }

    fn report(&self, now: Time, round: Round, end: RoundEnd) -> Report {
        let deepest = self.table.deepest().map_or(0, Cpl::index);
        let deepest_before = round.before.iter().rposition(|count| *count > 0).unwrap_or(0);
        let numbered = (0..=u8::MAX).map(Cpl::new).zip(round.before);
        let buckets = numbered.take(deepest.max(deepest_before) + 1).map(|(cpl, before)| {
            BucketReport { cpl, before, after: self.table.bucket(cpl).len() }
        });
        let found = round.found.into_iter();
        Report {
            id: round.id,
            kind: round.kind,
            end,
            started_at: round.started_at,
            ended_at: now,
            lookups: round.lookups,
            lookups_left_out: round.left_out.saturating_add(count(round.purposes.len())),
            buckets: buckets.collect(),
            found: found.map(|(peer, addresses)| Contact { peer, addresses }).collect(),
            found_more: round.found_more,
            admitted: round.admitted,
            evicted: round.evicted,
            estimate: self.estimate(now),
        }
    }
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}
