//! Every bound of a walk, with its default and the reason for it.

use std::time::Duration;

use thiserror::Error;

use crate::address::AddressPolicy;

/// How a walk behaves, and what it spends and holds at the most.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Whether the walk works by itself: refreshes, checks entries, looks for seeds. Default true.
    /// Off, it does what it is told to and schedules nothing.
    pub auto: bool,
    /// Who runs lookups. Default [`Lookups::Own`].
    pub lookups: Lookups,
    /// Peers in a bucket, and in an answer: the `k` of the network. Default 20, libp2p's.
    pub bucket_size: usize,
    /// Which addresses are taken. Default [`AddressPolicy::Public`].
    pub addresses: AddressPolicy,
    /// What may be spent.
    pub budget: BudgetLimits,
    /// How entries are checked.
    pub checks: CheckConfig,
    /// When and how far the table is refreshed.
    pub refresh: RefreshConfig,
    /// How a lookup goes.
    pub lookup: LookupConfig,
    /// Who is admitted.
    pub admission: AdmissionConfig,
    /// Below how many entries seeds are looked for. Default 10, as go-libp2p does.
    pub peers_min: usize,
}

/// Who runs the iterative lookups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lookups {
    /// The walk itself, one FIND_NODE at a time: each message is within the budget, and each answer
    /// is seen.
    #[default]
    Own,
    /// The host, for example libp2p-kad's `get_closest_peers`. The budget is charged with
    /// [`LookupConfig::delegated_messages`] before, and settled after.
    Delegated,
}

/// What may be spent, over everything that a walk does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLimits {
    /// Messages in an hour. Default 3,600. A tenth of it keeps a table of 150 entries alive where
    /// peers stay for hours; other implementations spend about 5,000.
    pub messages_per_hour: u32,
    /// Messages at once, after a quiet time. Default 600: a node that joins fills its table with
    /// 250 to 400.
    pub messages_burst: u32,
    /// Dials in an hour. Default 3,600. A message to a peer that is not connected is one.
    pub dials_per_hour: u32,
    /// Dials at once. Default 600.
    pub dials_burst: u32,
    /// Requests without an answer at a time. Default 32: routers at home keep a few hundred
    /// half-open connections, for everybody in the house.
    pub in_flight_max: usize,
}

/// How entries of the table are checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CheckConfig {
    /// The share of dead entries to stay below, from which follows how often each is checked, by
    /// the rate at which peers were seen to leave and the time that three tries take. Default 0.01.
    /// Half of it costs more than twice as many messages.
    pub stale_share: f64,
    /// The shortest time between two checks of one entry. Default 30 s.
    pub interval_min: Duration,
    /// The longest time between two checks of one entry. Default 1 h: tables of a quiet network
    /// are found out within it when that changes.
    pub interval_max: Duration,
    /// Failures in a row after which an entry is dead. Default 3: at 1% of lost requests a live
    /// one is dropped once in a million checks.
    pub strikes_max: u8,
    /// The pause before the second try, doubled before each further one. Default 3 s: the three
    /// tries span about half a minute, which a peer that changes its network survives.
    pub retry_pause: Duration,
    /// How long nothing at all may have succeeded before it is our own outage. Default 20 s: four
    /// requests' time. With less than two of them, a few dead peers pass for an outage, and their
    /// strikes are forgotten.
    pub outage_after: Duration,
}

/// When and how far the table is refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshConfig {
    /// The pause between two refreshes while the table is not full. Default 10 s.
    pub interval_min: Duration,
    /// The pause between two refreshes of a healthy table. Default 10 min, the specification's.
    /// Reached by doubling.
    pub interval_max: Duration,
    /// After how long a full bucket is looked up again. Default 2 h: checks of its entries have
    /// brought fresh contacts meanwhile.
    pub full_bucket_age: Duration,
    /// How long one refresh may take. Default 3 min. What was found until then counts.
    pub deadline: Duration,
    /// Lookups at a time. Default 3, the random walk's count in py-libp2p.
    pub lookups_max: usize,
    /// Uniform lookups in each refresh, besides those of buckets. Default 0: one of them falls
    /// into bucket 9 once in a thousand times. py-libp2p has nothing but these.
    pub uniform: usize,
    /// From how many entries on there are none of them. Default none: always.
    pub uniform_below: Option<usize>,
    /// Refreshes, walks and sweeps that wait for their turn. Default 8.
    pub waiting_max: usize,
    /// Contacts that one report names. Default 65,536, about 20 MB; the further ones are counted.
    pub found_max: usize,
}

/// How a lookup goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupConfig {
    /// Requests of one lookup at a time. Default 3, Kademlia's `alpha`.
    pub parallelism: usize,
    /// How long one request may take, dial included. Default 5 s. A peer that takes longer delays
    /// everybody who has it in a table.
    pub request_timeout: Duration,
    /// After how long a request without an answer holds up no other one. Default 1 s: a few round
    /// trips across the world.
    pub stall: Duration,
    /// How long a lookup may take. Default 30 s; its results count nevertheless.
    pub deadline: Duration,
    /// Requests in one lookup. Default 100, three times what a network of a million takes.
    pub requests_max: usize,
    /// Contacts that a lookup has in sight. Default 128; farther ones are dropped.
    pub candidates_max: usize,
    /// What a delegated lookup is taken to cost until it says so itself. Default 40 messages.
    pub delegated_messages: u32,
}

/// Who is admitted to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionConfig {
    /// Candidates that are asked at a time. Default 8.
    pub verifying_max: usize,
    /// Candidates that wait, for each bucket. Default 10. What comes later pushes out the oldest.
    pub spares_per_bucket: usize,
    /// How many entries of a bucket one source may have told us of. Default 10, half a bucket.
    pub per_source_max: usize,
    /// How many new addresses of one peer somebody else may add. Default 2.
    pub addresses_per_source: usize,
    /// Entries of a bucket in one /24 of IPv4 or /48 of IPv6. Default 2, as discv5 and py-libp2p.
    /// Private addresses do not count.
    pub group_per_bucket_max: usize,
    /// Entries of the whole table in one such group. Default 10, as discv5.
    pub group_per_table_max: usize,
    /// How long a peer that failed is not tried again, unless it calls itself. Default 10 min:
    /// others go on telling of it until they find out.
    pub failed_pause: Duration,
    /// Failed peers that are remembered. Default 256.
    pub failed_max: usize,
    /// How many nearest peers have a place before others of their bucket. Default 30: one and a
    /// half buckets, so that who leaves is replaced at once.
    pub neighbours: usize,
    /// How long an answer is a proof that needs no other. Default 2 min.
    pub answer_fresh: Duration,
}

/// Bounds that make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number that must not be zero.
    #[error("{what} is zero: set at least 1")]
    Zero {
        /// Which.
        what: &'static str,
    },
    /// A lower bound above its upper one.
    #[error("the shortest {what} is above the longest: swap or align them")]
    Order {
        /// Which.
        what: &'static str,
    },
    /// A share outside 0 to 1.
    #[error("{what} is no share: set a number above 0 and at most 1")]
    Share {
        /// Which.
        what: &'static str,
    },
}

impl Config {
    /// Entries of a table at the most, whatever the bounds say: 256 buckets of this many.
    pub const BUCKET_SIZE_MAX: usize = 256;

    /// Checks that the bounds make sense together.
    ///
    /// # Errors
    ///
    /// Says which of them does not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let counts = [
            ("bucket_size", self.bucket_size),
            (
                "budget.messages_per_hour",
                self.budget.messages_per_hour as usize,
            ),
            ("budget.messages_burst", self.budget.messages_burst as usize),
            ("budget.dials_per_hour", self.budget.dials_per_hour as usize),
            ("budget.dials_burst", self.budget.dials_burst as usize),
            ("budget.in_flight_max", self.budget.in_flight_max),
            ("checks.strikes_max", self.checks.strikes_max.into()),
            ("refresh.lookups_max", self.refresh.lookups_max),
            ("lookup.parallelism", self.lookup.parallelism),
            ("lookup.requests_max", self.lookup.requests_max),
            ("lookup.candidates_max", self.lookup.candidates_max),
            ("admission.verifying_max", self.admission.verifying_max),
        ];
        if let Some((what, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(ConfigError::Zero { what });
        }
        let spans = [
            ("checks.interval_min", self.checks.interval_min),
            ("checks.retry_pause", self.checks.retry_pause),
            ("refresh.interval_min", self.refresh.interval_min),
            ("lookup.request_timeout", self.lookup.request_timeout),
            ("lookup.deadline", self.lookup.deadline),
        ];
        let least = Duration::from_millis(1);
        if let Some((what, _)) = spans.into_iter().find(|(_, span)| *span < least) {
            return Err(ConfigError::Zero { what });
        }
        if self.checks.interval_min > self.checks.interval_max {
            return Err(ConfigError::Order {
                what: "checks.interval",
            });
        }
        if self.refresh.interval_min > self.refresh.interval_max {
            return Err(ConfigError::Order {
                what: "refresh.interval",
            });
        }
        if self.bucket_size > Self::BUCKET_SIZE_MAX {
            return Err(ConfigError::Order {
                what: "bucket_size",
            });
        }
        let share = self.checks.stale_share;
        if !(share > 0.0 && share <= 1.0) {
            return Err(ConfigError::Share {
                what: "checks.stale_share",
            });
        }
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            auto: true,
            lookups: Lookups::default(),
            bucket_size: 20,
            addresses: AddressPolicy::default(),
            budget: BudgetLimits::default(),
            checks: CheckConfig::default(),
            refresh: RefreshConfig::default(),
            lookup: LookupConfig::default(),
            admission: AdmissionConfig::default(),
            peers_min: 10,
        }
    }
}

impl Default for BudgetLimits {
    fn default() -> Self {
        Self {
            messages_per_hour: 3_600,
            messages_burst: 600,
            dials_per_hour: 3_600,
            dials_burst: 600,
            in_flight_max: 32,
        }
    }
}

impl Default for CheckConfig {
    fn default() -> Self {
        Self {
            stale_share: 0.01,
            interval_min: Duration::from_secs(30),
            interval_max: Duration::from_secs(3_600),
            strikes_max: 3,
            retry_pause: Duration::from_secs(3),
            outage_after: Duration::from_secs(20),
        }
    }
}

impl Default for RefreshConfig {
    fn default() -> Self {
        Self {
            interval_min: Duration::from_secs(10),
            interval_max: Duration::from_secs(600),
            full_bucket_age: Duration::from_secs(7_200),
            deadline: Duration::from_secs(180),
            lookups_max: 3,
            uniform: 0,
            uniform_below: None,
            waiting_max: 8,
            found_max: 65_536,
        }
    }
}

impl Default for LookupConfig {
    fn default() -> Self {
        Self {
            parallelism: 3,
            request_timeout: Duration::from_secs(5),
            stall: Duration::from_secs(1),
            deadline: Duration::from_secs(30),
            requests_max: 100,
            candidates_max: 128,
            delegated_messages: 40,
        }
    }
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        Self {
            verifying_max: 8,
            spares_per_bucket: 10,
            per_source_max: 10,
            addresses_per_source: 2,
            group_per_bucket_max: 2,
            group_per_table_max: 10,
            failed_pause: Duration::from_secs(600),
            failed_max: 256,
            neighbours: 30,
            answer_fresh: Duration::from_secs(120),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Config)) -> Result<(), ConfigError> {
        let mut config = Config::default();
        change(&mut config);
        config.validate()
    }

    #[test]
    fn the_defaults_make_sense_and_broken_bounds_are_named() {
        assert_eq!(check(|_| ()), Ok(()));
        let what = "bucket_size";
        assert_eq!(
            check(|it| it.bucket_size = 0),
            Err(ConfigError::Zero { what })
        );
        assert_eq!(
            check(|it| it.bucket_size = 257),
            Err(ConfigError::Order { what })
        );
        let what = "checks.interval";
        let change = |it: &mut Config| it.checks.interval_max = Duration::from_secs(1);
        assert_eq!(check(change), Err(ConfigError::Order { what }));
        let what = "checks.stale_share";
        for share in [0.0, -1.0, 1.1, f64::NAN] {
            let change = |it: &mut Config| it.checks.stale_share = share;
            assert_eq!(check(change), Err(ConfigError::Share { what }));
        }
    }
}
