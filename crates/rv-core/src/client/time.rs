//! The client's own time, its timers, and its dice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use libp2p_identity::PeerId;
use rv_proto::{Namespace, Time};

use super::point::Work;
use super::{OperationId, RequestId, TimeoutReason};

/// Time that never goes back.
///
/// A clock that is set back must not keep a registration from being refreshed in time, so a step
/// back counts as no time at all, and what is told outside is moved by the same step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timeline {
    last: Time,
    /// How far the inside is ahead of the outside.
    ahead: Duration,
}

impl Timeline {
    /// What `now` is inside.
    pub(super) fn enter(&mut self, now: Time) -> Time {
        self.ahead += self.last.saturating_since(now);
        self.last = now;
        now.saturating_add(self.ahead)
    }

    /// What `now` is inside, for who only looks.
    pub(super) fn peek(mut self, now: Time) -> Time {
        self.enter(now)
    }

    /// What a time inside is outside.
    pub(super) fn leave(self, time: Time) -> Time {
        let ahead = u64::try_from(self.ahead.as_millis()).unwrap_or(u64::MAX);
        Time::from_millis(time.as_millis().saturating_sub(ahead))
    }
}

/// What a timer is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    Addresses,
    Cache,
    Lapse(PeerId, Namespace),
    Operation(OperationId),
    Request(RequestId),
    Retry(PeerId),
    Work(PeerId, Work),
}

impl Task {
    const fn reason(&self) -> TimeoutReason {
        match self {
            Self::Addresses => TimeoutReason::Addresses,
            Self::Cache => TimeoutReason::CacheExpiry,
            Self::Operation(_) => TimeoutReason::Discover,
            Self::Request(_) => TimeoutReason::RequestTimeout,
            Self::Retry(_) => TimeoutReason::Retry,
            Self::Lapse(..) | Self::Work(_, Work::Registration(_)) => TimeoutReason::Registration,
            Self::Work(_, Work::Lookup(_)) => TimeoutReason::Discover,
            Self::Work(_, Work::Watch(_)) => TimeoutReason::Poll,
        }
    }
}

/// At most one timer for each task, in order of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Agenda {
    by_time: BTreeSet<(Time, Task)>,
    times: BTreeMap<Task, Time>,
}

impl Agenda {
    pub(super) fn set(&mut self, task: Task, at: Option<Time>) {
        if let Some(before) = self.times.remove(&task) {
            self.by_time.remove(&(before, task.clone()));
        }
        if let Some(at) = at {
            self.times.insert(task.clone(), at);
            self.by_time.insert((at, task));
        }
    }

    pub(super) fn contains(&self, task: &Task) -> bool {
        self.times.contains_key(task)
    }

    pub(super) fn first(&self) -> Option<(Time, TimeoutReason)> {
        self.by_time.first().map(|(at, task)| (*at, task.reason()))
    }

    /// Takes out all that is due.
    pub(super) fn take_due(&mut self, now: Time) -> Vec<Task> {
        let mut due = Vec::new();
        while let Some((at, task)) = self.by_time.pop_first() {
            if at > now {
                self.by_time.insert((at, task));
                break;
            }
            self.times.remove(&task);
            due.push(task);
        }
        due
    }

    pub(super) fn len(&self) -> usize {
        self.times.len()
    }
}

/// Numbers that look random and depend on the seed alone (splitmix64). They spread peers over
/// time and keep no secret.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Anything up to `most`.
    pub(super) fn up_to(&mut self, most: Duration) -> Duration {
        let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.roll() % millis.saturating_add(1))
    }

    /// The pause after that many failures in a row: `least` for the first, doubled each time up to
    /// `cap`, then cut by up to a half.
    pub(super) fn pause(&mut self, least: Duration, failures: u32, cap: Duration) -> Duration {
        let whole = doubled(least, failures.saturating_sub(1), cap.max(least));
        whole - self.up_to(whole / 2)
    }
}

/// `least`, doubled so many `times`, but no more than `cap`.
pub(super) fn doubled(least: Duration, times: u32, cap: Duration) -> Duration {
    let factor = 1_u32.checked_shl(times).unwrap_or(u32::MAX);
    least.saturating_mul(factor).min(cap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_back_counts_as_no_time() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.enter(Time::from_millis(1_000)).as_millis(), 1_000);
        assert_eq!(timeline.enter(Time::from_millis(400)).as_millis(), 1_000);
        assert_eq!(timeline.enter(Time::from_millis(500)).as_millis(), 1_100);
        assert_eq!(timeline.leave(Time::from_millis(1_600)).as_millis(), 1_000);
    }

    #[test]
    fn a_task_has_one_timer() {
        let mut agenda = Agenda::default();
        agenda.set(Task::Cache, Some(Time::from_millis(5)));
        agenda.set(Task::Cache, Some(Time::from_millis(9)));
        assert_eq!(agenda.take_due(Time::from_millis(8)), []);
        assert_eq!(agenda.take_due(Time::from_millis(9)), [Task::Cache]);
        assert_eq!(agenda.len(), 0);
    }

    #[test]
    fn pauses_double_up_to_their_cap_and_are_cut_by_a_half_at_most() {
        let mut dice = Dice::new(3);
        for (failures, whole) in [(1, 1), (2, 2), (5, 16), (9, 60), (u32::MAX, 60)] {
            let pause = dice.pause(Duration::from_secs(1), failures, Duration::from_secs(60));
            let whole = Duration::from_secs(whole);
            assert!(
                (whole / 2..=whole).contains(&pause),
                "{failures}: {pause:?}"
            );
        }
    }
}
