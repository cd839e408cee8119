//! One purse for everything: messages and dials.
//!
//! What is urgent may spend all of it. What can wait leaves a part: checks of entries a quarter,
//! new lookups a half. So lookups do not starve retries, and a quiet hour leaves enough for a
//! burst.

use crate::config::BudgetLimits;
use crate::time::Time;

/// Tokens of both kinds.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    messages: Bucket,
    dials: Bucket,
    filled_at: Time,
    spent: Spent,
}

/// What was spent since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Requests sent.
    pub messages: u64,
    /// Those to peers that were not connected.
    pub dials: u64,
}

/// What a message is for, by how long it can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// A new lookup.
    Lookup,
    /// A check of an entry that is likely alive.
    Routine,
    /// A lookup that runs, a retry, a candidate.
    Urgent,
}

/// Whole tokens are thousands of thousands: a rate by the hour is whole by the millisecond.
const TOKEN: u64 = 3_600_000;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: u64,
    max: u64,
    per_milli: u64,
    /// What a lookup cost above what was set aside for it.
    debt: u64,
}

impl Bucket {
    fn new(per_hour: u32, burst: u32) -> Self {
        let max = u64::from(burst) * TOKEN;
        Self {
            level: max,
            max,
            per_milli: per_hour.into(),
            debt: 0,
        }
    }

    fn fill(&mut self, millis: u64) {
        let mut gained = self.per_milli.saturating_mul(millis);
        let repaid = gained.min(self.debt);
        self.debt -= repaid;
        gained -= repaid;
        self.level = self.level.saturating_add(gained).min(self.max);
    }

    /// The level from which `count` may be taken.
    fn needed(&self, count: u32, priority: Priority) -> u64 {
        let reserve = match priority {
            Priority::Lookup => self.max / 2,
            Priority::Routine => self.max / 4,
            Priority::Urgent => 0,
        };
        let tokens = u64::from(count) * TOKEN;
        // A purse smaller than what is asked for would otherwise never pay it.
        (reserve + tokens).min(self.max)
    }

    /// Milliseconds until `count` may be taken.
    fn wait(&self, count: u32, priority: Priority) -> u64 {
        let missing = self.needed(count, priority).saturating_sub(self.level) + self.debt;
        missing.div_ceil(self.per_milli.max(1))
    }

    fn take(&mut self, count: u32) {
        let tokens = u64::from(count) * TOKEN;
        self.debt += tokens.saturating_sub(self.level);
        self.level = self.level.saturating_sub(tokens);
    }
}

impl Budget {
    pub(crate) fn new(now: Time, limits: &BudgetLimits) -> Self {
        Self {
            messages: Bucket::new(limits.messages_per_hour, limits.messages_burst),
            dials: Bucket::new(limits.dials_per_hour, limits.dials_burst),
            filled_at: now,
            spent: Spent::default(),
        }
    }

    pub(crate) fn fill(&mut self, now: Time) {
        let millis = now.as_millis().saturating_sub(self.filled_at.as_millis());
        self.filled_at = self.filled_at.max(now);
        self.messages.fill(millis);
        self.dials.fill(millis);
    }

    /// When so many messages may be sent, some of which need a dial; now, if at once.
    pub(crate) fn ready_at(&self, now: Time, messages: u32, dials: u32, what: Priority) -> Time {
        let dials = if dials == 0 {
            0
        } else {
            self.dials.wait(dials, what)
        };
        let millis = self.messages.wait(messages, what).max(dials);
        Time::from_millis(now.as_millis().saturating_add(millis))
    }

    /// Takes one message, and a dial where it needs one. Call it only when they are ready.
    pub(crate) fn take(&mut self, with_dial: bool) {
        self.charge(1, u32::from(with_dial));
    }

    pub(crate) fn charge(&mut self, messages: u32, dials: u32) {
        self.messages.take(messages);
        self.dials.take(dials);
        self.spent.messages += u64::from(messages);
        self.spent.dials += u64::from(dials);
    }

    /// A lookup that was charged beforehand cost less.
    pub(crate) fn give_back(&mut self, messages: u32, dials: u32) {
        let back = |bucket: &mut Bucket, count: u32| {
            let tokens = u64::from(count) * TOKEN;
            let repaid = tokens.min(bucket.debt);
            bucket.debt -= repaid;
            bucket.level = (bucket.level + tokens - repaid).min(bucket.max);
        };
        back(&mut self.messages, messages);
        back(&mut self.dials, dials);
        self.spent.messages = self.spent.messages.saturating_sub(messages.into());
        self.spent.dials = self.spent.dials.saturating_sub(dials.into());
    }

    pub(crate) const fn spent(&self) -> Spent {
        self.spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(per_hour: u32, burst: u32) -> Budget {
        let limits = BudgetLimits {
            messages_per_hour: per_hour,
            messages_burst: burst,
            dials_per_hour: per_hour / 2,
            dials_burst: burst / 2,
            ..BudgetLimits::default()
        };
        Budget::new(Time::default(), &limits)
    }

    #[test]
    fn a_burst_is_spent_and_comes_back_at_the_rate() {
        let (mut budget, start) = (budget(3_600, 4), Time::default());
        for _ in 0..4 {
            assert_eq!(budget.ready_at(start, 1, 0, Priority::Urgent), start);
            budget.take(false);
        }
        let second = Time::from_millis(1_000);
        assert_eq!(budget.ready_at(start, 1, 0, Priority::Urgent), second);
        budget.fill(second);
        assert_eq!(budget.ready_at(second, 1, 0, Priority::Urgent), second);
        budget.fill(Time::from_millis(3_600_000));
        assert_eq!(budget.messages.level, 4 * TOKEN, "no more than the burst");
        assert_eq!(
            budget.spent(),
            Spent {
                messages: 4,
                dials: 0
            }
        );
    }

    #[test]
    fn what_can_wait_leaves_a_part() {
        let (mut budget, start) = (budget(3_600, 8), Time::default());
        let is_ready = |budget: &Budget, what| budget.ready_at(start, 1, 0, what) == start;
        for left in (1..=8).rev() {
            assert_eq!(is_ready(&budget, Priority::Lookup), left >= 5, "{left}");
            assert_eq!(is_ready(&budget, Priority::Routine), left >= 3, "{left}");
            assert!(is_ready(&budget, Priority::Urgent));
            budget.take(false);
        }
    }

    #[test]
    fn dials_have_their_own_limit() {
        let (mut budget, start) = (budget(3_600, 8), Time::default());
        (0..4).for_each(|_| budget.take(true));
        assert_eq!(
            budget.ready_at(start, 1, 1, Priority::Urgent).as_millis(),
            2_000
        );
        assert_eq!(budget.ready_at(start, 1, 0, Priority::Urgent), start);
    }

    #[test]
    fn what_costs_more_than_was_set_aside_is_paid_off_before_the_next() {
        let (mut budget, start) = (budget(3_600, 4), Time::default());
        budget.charge(10, 0);
        let ready_at = budget.ready_at(start, 1, 0, Priority::Urgent);
        assert_eq!(ready_at.as_millis(), 7_000);
        budget.give_back(6, 0);
        assert_eq!(
            budget.ready_at(start, 1, 0, Priority::Urgent).as_millis(),
            1_000
        );
        budget.fill(ready_at);
        assert_eq!(budget.ready_at(ready_at, 1, 0, Priority::Urgent), ready_at);
    }

    #[test]
    fn a_purse_smaller_than_a_lookup_pays_it_when_it_is_full() {
        let (budget, start) = (budget(3_600, 4), Time::default());
        assert_eq!(budget.ready_at(start, 40, 0, Priority::Lookup), start);
    }
}
