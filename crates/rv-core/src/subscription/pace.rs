//! When the next update of a subscription may come.

use std::time::Duration;

use rv_proto::Time;

/// Keeps a least time between two updates, so that many writes in a short time are told together.
///
/// What cannot be told in one update is told at once: only who knows everything waits.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    gap: Duration,
    rests_until: Time,
    /// Whether there may be something to tell.
    has_news: bool,
}

impl Pace {
    /// Of a subscription that was told nothing.
    pub(super) fn new(gap: Duration) -> Self {
        Self {
            gap,
            rests_until: Time::ZERO,
            has_news: true,
        }
    }

    pub(super) fn handle_news(&mut self) {
        self.has_news = true;
    }

    pub(super) fn is_resting(&self, uptime: Time) -> bool {
        uptime < self.rests_until
    }

    /// When to look for news; `None` while there is none.
    pub(super) fn due_at(&self) -> Option<Time> {
        self.has_news.then_some(self.rests_until)
    }

    /// Takes note that all was looked at, or that there is more than was.
    pub(super) fn looked(&mut self, is_complete: bool) {
        self.has_news = !is_complete;
    }

    /// Takes note that the update of the last look is sent.
    pub(super) fn told(&mut self, uptime: Time) {
        if !self.has_news {
            self.rests_until = uptime.saturating_add(self.gap);
        }
    }
}
