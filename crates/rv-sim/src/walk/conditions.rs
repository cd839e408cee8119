//! What a network is like: how far, how lossy, how long nodes stay.

use std::time::Duration;

use crate::Dice;

/// The conditions that all models meet alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// Round trips are drawn evenly from this to [`Self::round_trip_max`].
    pub round_trip_min: Duration,
    /// See [`Self::round_trip_min`].
    pub round_trip_max: Duration,
    /// How long a dial to nobody takes.
    pub dial_timeout: Duration,
    /// How long a request stays without an answer when it was lost. rust's and py's own limit; the
    /// core counts its own time.
    pub request_timeout: Duration,
    /// How many of 10,000 requests are lost.
    pub lost_of_10000: u64,
    /// How long a connection without requests lasts, `libp2p-swarm`'s default.
    pub idle_timeout: Duration,
    /// How long half of the nodes stay; the lives are exponential. Who leaves is replaced at once
    /// by somebody new. None: nobody leaves.
    pub median_life: Option<Duration>,
}

impl Conditions {
    /// A network across the world in which nobody leaves: round trips of 20 to 300 ms, one request
    /// in a hundred lost, dials to nobody found out after 5 s.
    pub const CALM: Self = Self {
        round_trip_min: Duration::from_millis(20),
        round_trip_max: Duration::from_millis(300),
        dial_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(10),
        lost_of_10000: 100,
        idle_timeout: Duration::from_secs(10),
        median_life: None,
    };

    /// The same where half of all nodes are gone after two hours, as measured in the public
    /// network (RFM 2 of probe-lab).
    pub const CHURN: Self = Self {
        median_life: Some(Duration::from_secs(7_200)),
        ..Self::CALM
    };

    pub(crate) fn round_trip(&self, dice: &mut Dice) -> Duration {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let millis = dice.within(millis(self.round_trip_min), millis(self.round_trip_max));
        Duration::from_millis(millis)
    }

    /// A life from the exponential distribution.
    pub(crate) fn life(&self, dice: &mut Dice) -> Option<Duration> {
        let mean = self.median_life?.as_secs_f64() / std::f64::consts::LN_2;
        #[expect(clippy::cast_precision_loss, reason = "32 bits are exact")]
        let share = ((dice.roll() >> 32) as f64 + 0.5) / 2_f64.powi(32);
        Some(Duration::from_secs_f64(-share.ln() * mean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_lives_are_shorter_than_the_median() {
        let mut dice = Dice::new(1);
        let lives = (0..10_000).filter_map(|_| Conditions::CHURN.life(&mut dice));
        let short = lives
            .filter(|life| *life < Duration::from_secs(7_200))
            .count();
        assert!((4_800..5_200).contains(&short), "{short}");
    }
}
