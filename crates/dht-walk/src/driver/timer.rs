//! The driver's clock, and where its secret comes from.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures_timer::Delay;
use web_time::Instant;

use crate::rng::Seed;
use crate::time::Time;

use super::error::BuildError;

/// The longest single sleep. A browser counts milliseconds in 31 bits: a timer of a month would
/// fire at once.
pub(crate) const SLEEP_MAX: Duration = Duration::from_secs(3_600);

/// A clock that can be waited for.
///
/// [`SystemTimer`] is the usual one. A test has its own, and then nothing sleeps.
pub trait Timer: Send + Sync + 'static {
    /// The time that has passed since a moment of the timer's choice; it never goes back.
    fn now(&self) -> Time;

    /// Ends when it is `at` or later.
    fn sleep_until(&self, at: Time) -> BoxFuture<'static, ()>;
}

/// The monotonic clock of the system, or of the browser.
#[derive(Clone, Copy, Debug)]
pub struct SystemTimer {
    started: Instant,
}

impl SystemTimer {
    /// Counts from now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where a walk meets a clock"
    )]
    pub fn new() -> Self {
        let started = Instant::now();
        Self { started }
    }
}

impl Default for SystemTimer {
    fn default() -> Self {
        Self::new()
    }
}

impl Timer for SystemTimer {
    fn now(&self) -> Time {
        Time::default().saturating_add(self.started.elapsed())
    }

    fn sleep_until(&self, at: Time) -> BoxFuture<'static, ()> {
        let timer = *self;
        let sleep = async move {
            loop {
                // `now` is cut to milliseconds, so this is never too short.
                let left = at.saturating_since(timer.now());
                Delay::new(left.min(SLEEP_MAX)).await;
                if left <= SLEEP_MAX {
                    return;
                }
            }
        };
        sleep.boxed()
    }
}

/// A seed that nobody knows.
pub(crate) fn secret() -> Result<Seed, BuildError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(BuildError::Randomness)?;
    Ok(Seed::from_bytes(bytes))
}
