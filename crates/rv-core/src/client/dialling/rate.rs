//! How fast peers are dialled.

use std::time::Duration;

use rv_proto::Time;

use super::DiallingConfig;

/// A token bucket, as one number: the moment at which it will be full again.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    token: Duration,
    burst: Duration,
    full_at: Time,
}

impl Rate {
    pub(super) fn new(config: &DiallingConfig) -> Self {
        let millis = 60_000_u64.div_ceil(u64::from(config.dials_per_minute.max(1)));
        let token = Duration::from_millis(millis);
        Self {
            token,
            burst: token.saturating_mul(config.dials_burst),
            full_at: Time::ZERO,
        }
    }

    /// From when on there is a token.
    pub(super) fn ready_at(&self) -> Time {
        let ahead = self.burst.saturating_sub(self.token);
        let ahead = u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX);
        Time::from_millis(self.full_at.as_millis().saturating_sub(ahead))
    }

    /// Takes a token, of which there is one.
    pub(super) fn take(&mut self, now: Time) {
        self.full_at = self.full_at.max(now).saturating_add(self.token);
    }
}
