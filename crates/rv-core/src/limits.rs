//! Every bound of a point, with its default and the reason for it.

use std::time::Duration;

use rv_proto::{Dialect, RESPONSE_BYTES_MAX, Ttl};
use thiserror::Error;

use crate::Agents;

/// What a point allows in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The shortest ttl granted. Default 2 min: what go and py clients may ask for; the
    /// specification recommends 2 h. Lower means fresher listings and more refreshes.
    pub ttl_min: Ttl,
    /// The longest ttl granted. Default 72 h, as the specification says.
    pub ttl_max: Ttl,
    /// The ttl of a REGISTER that names none. Default 2 h, as the specification says.
    pub ttl_default: Ttl,
    /// The most entries in one DISCOVER answer. Default 1,000, which is also what stock clients
    /// ask for at the most.
    pub page_entries_max: usize,
    /// The most bytes in one DISCOVER answer, frame included. Default 1,000,000: stock rust
    /// clients drop answers above 1 MiB. Readers that restart get
    /// [`LONG_PAGE_FACTOR`](Self::LONG_PAGE_FACTOR) times as much.
    pub page_bytes_max: usize,
    /// Whether DISCOVER without a namespace is answered. Default true. An operator of a point with
    /// private namespaces switches it off.
    pub discover_all: bool,
    /// The dialect of readers about whom nothing is known. Default legacy: rust clients are the
    /// largest installed base, and nim and go skip entries that they cannot parse.
    pub dialect_default: Dialect,
    /// The dialects of programs, by the agent that they name in identify. Default: the known
    /// implementations.
    pub agents: Agents,
    /// How long the first DISCOVER of a reader of whom nothing is known waits for what identify
    /// says. Default 0, not at all: only a shell that hands in what identify says gains from it.
    /// 500 ms at the most, which is several round trips around the world: a reader that has said
    /// nothing until then is not to be kept waiting.
    pub identify_wait: Duration,
    /// How long a subscription may be without an update before it gets an empty one. Default 30 s:
    /// within the time after which routers forget an idle connection, and soon enough to learn of a
    /// point that is gone. From 1 s to 10 min.
    pub heartbeat: Duration,
    /// The least time between two updates of a subscription that was told everything. Default
    /// 200 ms, which nobody notices who waits for a peer: writes that come closer together are told
    /// together, so that a point has at most five frames a second for each subscriber. What is the
    /// first, or does not fit into one update, is told at once. 1 s at the most; with 0 every write
    /// is told by itself to who reads fast.
    pub update_gap: Duration,
}

impl Rules {
    /// The longest [`identify_wait`](Self::identify_wait).
    pub const IDENTIFY_WAIT_MAX: Duration = Duration::from_millis(500);

    /// The shortest [`heartbeat`](Self::heartbeat).
    pub const HEARTBEAT_MIN: Duration = Duration::from_secs(1);

    /// The longest [`heartbeat`](Self::heartbeat).
    pub const HEARTBEAT_MAX: Duration = Duration::from_secs(600);

    /// The longest [`update_gap`](Self::update_gap): no heartbeat waits for it.
    pub const UPDATE_GAP_MAX: Duration = Self::HEARTBEAT_MIN;

    /// Below this a page could not hold one entry of the largest record and namespace.
    pub const PAGE_BYTES_MIN: usize = 8_192;

    /// How many times as long pages are for readers that restart, see
    /// [`Paging`](crate::Paging::Restarts). By default this gives 4,000,000 bytes, and py's clients
    /// drop answers above 4 MiB. Lower: they take the beginning of a long listing for all of it.
    pub const LONG_PAGE_FACTOR: usize = 4;

    /// Checks that the bounds make sense together.
    ///
    /// # Errors
    ///
    /// Says which of them does not, and what would.
    pub fn validate(&self) -> Result<(), RulesError> {
        if self.ttl_min > self.ttl_max {
            return Err(RulesError::TtlOrder {
                min: self.ttl_min,
                max: self.ttl_max,
            });
        }
        if self.ttl_default < self.ttl_min || self.ttl_default > self.ttl_max {
            return Err(RulesError::TtlDefault {
                default: self.ttl_default,
                min: self.ttl_min,
                max: self.ttl_max,
            });
        }
        if self.agents.len() > Agents::NAMES_MAX || self.agents.has_empty_name() {
            return Err(RulesError::Agents);
        }
        if self.identify_wait > Self::IDENTIFY_WAIT_MAX {
            return Err(RulesError::IdentifyWait);
        }
        if !(Self::HEARTBEAT_MIN..=Self::HEARTBEAT_MAX).contains(&self.heartbeat) {
            return Err(RulesError::Heartbeat);
        }
        if self.update_gap > Self::UPDATE_GAP_MAX {
            return Err(RulesError::UpdateGap);
        }
        if self.page_entries_max == 0 {
            return Err(RulesError::PageEntries);
        }
        if !(Self::PAGE_BYTES_MIN..=RESPONSE_BYTES_MAX).contains(&self.page_bytes_max) {
            return Err(RulesError::PageBytes {
                bytes: self.page_bytes_max,
            });
        }
        Ok(())
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            ttl_min: Ttl::from_secs(120).expect("120 s is a valid ttl"),
            ttl_max: Ttl::MAX,
            ttl_default: Ttl::DEFAULT,
            page_entries_max: 1_000,
            page_bytes_max: RESPONSE_BYTES_MAX,
            discover_all: true,
            dialect_default: Dialect::Legacy,
            agents: Agents::default(),
            identify_wait: Duration::ZERO,
            heartbeat: Duration::from_secs(30),
            update_gap: Duration::from_millis(200),
        }
    }
}

/// Rules that contradict each other.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RulesError {
    /// Too many names, or one that every agent contains.
    #[error(
        "the table of agents may have {max} names at the most, and none that is empty",
        max = Agents::NAMES_MAX
    )]
    Agents,
    /// Subscribers would hear too often or too seldom.
    #[error("a subscription must have an update every 1 s to 10 min")]
    Heartbeat,
    /// Readers would be kept waiting.
    #[error("a reader may be kept waiting for identify for 500 ms at the most")]
    IdentifyWait,
    /// A page that may hold nothing.
    #[error("a page must hold at least 1 entry")]
    PageEntries,
    /// A page that is too small for one entry, or too large for stock clients.
    #[error(
        "a page of {bytes} bytes at the most is out of range: choose {min} to {max}",
        min = Rules::PAGE_BYTES_MIN,
        max = RESPONSE_BYTES_MAX
    )]
    PageBytes {
        /// The value that was asked for.
        bytes: usize,
    },
    /// The default ttl would be refused.
    #[error("the default ttl of {default} lies outside {min} to {max}")]
    TtlDefault {
        /// The default ttl.
        default: Ttl,
        /// The shortest ttl.
        min: Ttl,
        /// The longest ttl.
        max: Ttl,
    },
    /// Subscribers would hear too late.
    #[error("a gap between updates of more than 1 s is out of range: choose 0 s to 1 s")]
    UpdateGap,
    /// No ttl could be granted at all.
    #[error("the shortest ttl {min} is above the longest {max}")]
    TtlOrder {
        /// The shortest ttl.
        min: Ttl,
        /// The longest ttl.
        max: Ttl,
    },
}

/// What a point holds at the most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Registrations of one peer. Default 1,000, as the specification recommends. Refreshes do
    /// not count.
    pub registrations_per_peer: usize,
    /// Registrations in all. Default 1,000,000: about 1.5 GB of memory.
    pub registrations_total: usize,
    /// Bytes of records in all. Default 1 GiB. A registration is at most 8 KiB, so this is what
    /// bounds memory when records are large.
    pub record_bytes_total: u64,
    /// Registrations from one IPv4 address or one IPv6 /48. Default 10,000: peer ids cost nothing,
    /// addresses do. Loopback is exempt.
    pub registrations_per_origin: usize,
    /// REGISTERs that one peer may send at once, refreshes included. Default 2,000: twice what
    /// one peer may hold, so that a restarting peer never meets it.
    pub register_burst: u32,
    /// REGISTERs a second that one peer may send for ever. Default 20. From 1 to 1,000,000.
    pub register_per_sec: u32,
    /// Peers whose rate is remembered. Default 100,000: about 20 MB. Above it the peer that is
    /// nearest to a full bucket is forgotten.
    pub register_buckets_max: usize,
    /// Writes that wait for the journal. Default 4,096. Above it REGISTER is refused as busy.
    pub pending_max: usize,
    /// Subscriptions of one peer. Default 64: one for each namespace that an application watches.
    pub subscriptions_per_peer: usize,
    /// Subscriptions from one IPv4 address or one IPv6 /48. Default 1,000: a tenth of all, so that
    /// one network does not take every place. Loopback is exempt.
    pub subscriptions_per_origin: usize,
    /// Subscriptions in all. Default 10,000: one that nobody reads keeps up to 32 kB. With 0 all
    /// clients poll.
    pub subscriptions_total: usize,
    /// Removals that are remembered for subscribers who are behind. Default 16,384: about 15 MB,
    /// with as many marks of namespaces of which some were forgotten. Who missed a forgotten one,
    /// when it comes back or because it reads slowly, is told everything anew.
    pub removals_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            registrations_per_peer: 1_000,
            registrations_total: 1_000_000,
            record_bytes_total: 1 << 30,
            registrations_per_origin: 10_000,
            register_burst: 2_000,
            register_per_sec: 20,
            register_buckets_max: 100_000,
            pending_max: 4_096,
            subscriptions_per_peer: 64,
            subscriptions_per_origin: 1_000,
            subscriptions_total: 10_000,
            removals_max: 16_384,
        }
    }
}
