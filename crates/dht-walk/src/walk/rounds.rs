//! Rounds: refreshes, walks and sweeps, one after the other.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::config::Lookups;
use crate::explore::{Purpose, limit_after_gap};
use crate::key::Cpl;
use crate::lookup::LookupEnd;
use crate::output::{Event, TimeoutReason};
use crate::peer::{Addresses, Contact, Peer};
use crate::report::{BucketReport, LookupReport, Report, RoundEnd, RoundId, RoundKind};
use crate::target::{Target, Targets};
use crate::time::Time;

use super::Walk;

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
    pub(super) id: RoundId,
    kind: RoundKind,
    /// Somebody waits for it, so it may spend all of the budget.
    pub(super) is_asked: bool,
    started_at: Time,
    ends_at: Time,
    purposes: VecDeque<Purpose>,
    pub(super) slices: Vec<Target>,
    /// A refresh plans its buckets when the lookup of ourselves has shown how deep they go.
    has_buckets: bool,
    pub(super) looked_up: Vec<Cpl>,
    deepest: Cpl,
    pub(super) lookups: Vec<LookupReport>,
    left_out: u32,
    before: Vec<usize>,
    pub(super) found: BTreeMap<Peer, Addresses>,
    pub(super) found_more: u64,
    pub(super) moves: Moves,
}

/// Who entered and who left, by bucket.
#[derive(Debug, Default)]
pub(super) struct Moves(BTreeMap<Cpl, Moved>);

#[derive(Clone, Copy, Debug, Default)]
struct Moved {
    admitted: u32,
    evicted: u32,
}

impl Moves {
    pub(super) fn admitted(&mut self, cpl: Option<Cpl>) {
        if let Some(cpl) = cpl {
            self.0.entry(cpl).or_default().admitted += 1;
        }
    }

    /// The host's own table did not take who was admitted.
    pub(super) fn refused(&mut self, cpl: Option<Cpl>) {
        if let Some(moved) = cpl.and_then(|cpl| self.0.get_mut(&cpl)) {
            moved.admitted = moved.admitted.saturating_sub(1);
        }
    }

    pub(super) fn evicted(&mut self, cpl: Option<Cpl>) {
        if let Some(cpl) = cpl {
            self.0.entry(cpl).or_default().evicted += 1;
        }
    }

    fn of(&self, cpl: Cpl) -> Moved {
        self.0.get(&cpl).copied().unwrap_or_default()
    }

    fn all(&self) -> Moved {
        self.0.values().fold(Moved::default(), |sum, it| Moved {
            admitted: sum.admitted.saturating_add(it.admitted),
            evicted: sum.evicted.saturating_add(it.evicted),
        })
    }
}

/// Too many rounds wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many refreshes, walks and sweeps wait: ask again when one has ended")]
pub struct Busy;

impl Walk {
    /// Passes over the lookups in one go. Each pass ends a lookup that had nobody to ask, or
    /// begins one; the others follow at the next wake-up.
    const PASSES_MAX: usize = 64;

    /// Lookups of one round, whatever is asked for: as many as a sweep has at the most.
    const WALKS_MAX: usize = Targets::SLICES_MAX;

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

    /// Looks up `count` targets anywhere, at most [`SLICES_MAX`](crate::Targets::SLICES_MAX).
    ///
    /// # Errors
    ///
    /// When [`waiting_max`](crate::RefreshConfig::waiting_max) rounds wait.
    pub fn walks(&mut self, now: Time, count: u32) -> Result<RoundId, Busy> {
        self.plan(
            now,
            RoundKind::Walks { count },
            self.config.refresh.deadline,
        )
    }

    /// Looks up one target in each of `slices` equal parts of the key space, at most
    /// [`SLICES_MAX`](crate::Targets::SLICES_MAX). With `2 N / k` slices, 98% of `N` peers are
    /// told of, where uniform walks show 86%.
    ///
    /// # Errors
    ///
    /// When [`waiting_max`](crate::RefreshConfig::waiting_max) rounds wait.
    pub fn sweep(&mut self, now: Time, slices: u32, deadline: Duration) -> Result<RoundId, Busy> {
        self.plan(now, RoundKind::Sweep { slices }, deadline)
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
            before: (0..=u8::MAX)
                .map(|cpl| self.table.bucket(Cpl::new(cpl)).len())
                .collect(),
            found: BTreeMap::new(),
            found_more: 0,
            moves: Moves::default(),
        };
        match kind {
            RoundKind::Refresh { is_forced } => {
                let is_early = self.is_running && now < self.explore.due_at();
                if is_asked && !is_forced && is_early {
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
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                let all = std::iter::repeat_n(Purpose::Uniform, count.min(Self::WALKS_MAX));
                round.purposes = all.collect();
            }
        }
        self.round = Some(Box::new(round));
        if self.is_running && !self.can_look_up() {
            self.end_round(now, RoundEnd::NobodyToAsk);
        }
    }

    /// Goes on with the round that runs, and with those that wait.
    pub(super) fn drive_rounds(&mut self, now: Time) {
        for _ in 0..Self::PASSES_MAX {
            if self.round.is_none() {
                // Whoever asks for peers while the first ones are being sought waits for those.
                if !self.can_look_up() && self.is_seeding() {
                    return;
                }
                let Some(planned) = self.waiting.pop_front() else {
                    return;
                };
                self.begin(now, planned, true);
                continue;
            }
            if self
                .round
                .as_ref()
                .is_some_and(|round| round.ends_at <= now)
            {
                self.cut_lookups(now, LookupEnd::Deadline);
                if self.poll_lookups(now) {
                    continue;
                }
                if !self.lookups.is_empty() {
                    // The host tells what its lookups found; it has not long to do so.
                    return;
                }
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
        self.round
            .as_ref()
            .is_none_or(|it| it.purposes.is_empty() && it.has_buckets)
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
        round
            .purposes
            .extend(buckets.into_iter().map(Purpose::Bucket));
        let uniform_below = self.config.refresh.uniform_below.unwrap_or(usize::MAX);
        if self.table.len() < uniform_below {
            let uniform = self.config.refresh.uniform.min(Self::WALKS_MAX);
            round
                .purposes
                .extend(std::iter::repeat_n(Purpose::Uniform, uniform));
        }
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
            let moved = round.moves.all();
            let (health, has_gained) = (self.health(now), moved.admitted > moved.evicted);
            self.explore
                .ended(now, &health, has_gained, self.targets.rng());
        }
        let report = self.report(now, *round, end);
        self.tell(Event::Finished(Box::new(report)));
    }

    fn report(&self, now: Time, round: Round, end: RoundEnd) -> Report {
        let (buckets, moved) = (self.bucket_reports(&round), round.moves.all());
        let found = round.found.into_iter();
        Report {
            id: round.id,
            kind: round.kind,
            end,
            started_at: round.started_at,
            ended_at: now,
            lookups: round.lookups,
            lookups_left_out: round.left_out.saturating_add(count(round.purposes.len())),
            buckets,
            found: found
                .map(|(peer, addresses)| Contact { peer, addresses })
                .collect(),
            found_more: round.found_more,
            admitted: moved.admitted,
            evicted: moved.evicted,
            estimate: self.estimate(now),
        }
    }

    /// As many buckets as anything is to be said of.
    fn bucket_reports(&self, round: &Round) -> Vec<BucketReport> {
        let numbered = (0..=u8::MAX).map(Cpl::new).zip(&round.before);
        let mut buckets: Vec<BucketReport> = numbered
            .map(|(cpl, before)| {
                let Moved { admitted, evicted } = round.moves.of(cpl);
                BucketReport {
                    cpl,
                    before: *before,
                    after: self.table.bucket(cpl).len(),
                    requests: 0,
                    found: 0,
                    admitted,
                    evicted,
                    end: None,
                }
            })
            .collect();
        for lookup in &round.lookups {
            if let Purpose::Bucket(cpl) = lookup.purpose {
                let bucket = &mut buckets[cpl.index()];
                bucket.requests = bucket.requests.saturating_add(lookup.requests);
                bucket.end = Some(lookup.end);
            }
        }
        for cpl in round.found.keys().filter_map(|peer| self.local.cpl(peer)) {
            buckets[cpl.index()].found += 1;
        }
        let is_told = |it: &BucketReport| {
            let counts = it.before + it.after + it.found;
            counts > 0 || it.admitted > 0 || it.evicted > 0 || it.end.is_some()
        };
        let deepest = buckets.iter().rposition(is_told).unwrap_or(0);
        buckets.truncate(deepest + 1);
        buckets
    }
}

pub(super) fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}
