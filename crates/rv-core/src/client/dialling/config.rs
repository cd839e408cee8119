//! Every bound of a dialler, with its default and the reason for it.

use std::collections::BTreeSet;
use std::time::Duration;

use rv_proto::Namespace;
use thiserror::Error;

/// Whom a dialler dials, how many of them and how fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiallingConfig {
    /// In which namespaces found peers are dialled. Default `None`: in all.
    pub namespaces: Option<BTreeSet<Namespace>>,
    /// Dial only while fewer found peers than this are connected or being dialled. Default `None`:
    /// every found peer is dialled.
    pub connected_target: Option<usize>,
    /// Dials under way at a time. Default 8: home routers lose track of more.
    pub dials_in_flight_max: usize,
    /// Dials a minute in the long run. Default 60: what a point lists costs strangers no more than
    /// one attempt a second.
    pub dials_per_minute: u32,
    /// Dials that may follow each other at once after a rest. Default 16, so that an application
    /// that just started has company soon.
    pub dials_burst: u32,
    /// The pause before a peer is dialled again. Default 30 s. It doubles with each failure, each
    /// cut at random by up to a half. A connection that ends before it lasted
    /// [`lasting_min`](Self::lasting_min) counts as a failure.
    pub backoff_min: Duration,
    /// The longest pause before a peer is dialled again. Default 1 h: a peer that comes back is
    /// found again within half of its usual ttl.
    pub backoff_max: Duration,
    /// How long a connection lasts that is no failure. Default 1 min: above the usual idle timeout,
    /// so that peers with whom there is nothing to do are not dialled again and again.
    pub lasting_min: Duration,
    /// Peers that wait to be dialled. Default 2,000: half an hour of dials. Their records are
    /// mostly shared with the cache; where they are not, 2 to 30 MB. Above it,
    /// the point with most of them loses the one whose turn comes last.
    pub waiting_max: usize,
    /// Peers whose failures are remembered. Default 10,000: about 2 MB. Above it, the one whose
    /// pause ends first is forgotten: that makes the least difference.
    pub failures_max: usize,
    /// Addresses that one dial tries. Default 8: each is an attempt of its own to somewhere.
    pub addresses_max: usize,
    /// Whether [`Place::Local`](super::Place::Local) addresses are dialled. Default false: found
    /// peers choose them, and would have us knock on doors in our own network. What is
    /// [`Place::Nowhere`](super::Place::Nowhere) is never dialled.
    pub local_addresses: bool,
    /// Whether addresses with a name are dialled. Default true. A name can lead into our own
    /// network all the same, which shows only when it is resolved: where that matters, say no.
    pub named_addresses: bool,
    /// Whether addresses that the peer did not sign are dialled. Default true: peers of go and py
    /// have no others. Who lies about them gains little, since a connection proves who is there.
    pub unverified_addresses: bool,
}

impl DiallingConfig {
    /// The most dials a minute: time is counted in milliseconds.
    pub const DIALS_PER_MINUTE_MAX: u32 = 6_000;

    /// Checks that the bounds make sense together.
    ///
    /// # Errors
    ///
    /// Says which of them does not.
    pub fn validate(&self) -> Result<(), DiallingConfigError> {
        if self.backoff_min > self.backoff_max {
            return Err(DiallingConfigError::Order);
        }
        if self.backoff_min < Duration::from_millis(100) {
            return Err(DiallingConfigError::TooShort);
        }
        if self.dials_per_minute > Self::DIALS_PER_MINUTE_MAX {
            return Err(DiallingConfigError::TooFast);
        }
        let is_zero = [
            ("addresses_max", self.addresses_max == 0),
            ("connected_target", self.connected_target == Some(0)),
            ("dials_burst", self.dials_burst == 0),
            ("dials_in_flight_max", self.dials_in_flight_max == 0),
            ("dials_per_minute", self.dials_per_minute == 0),
            ("failures_max", self.failures_max == 0),
            ("waiting_max", self.waiting_max == 0),
        ];
        match is_zero.into_iter().find(|(_, is_zero)| *is_zero) {
            Some((what, _)) => Err(DiallingConfigError::Zero { what }),
            None => Ok(()),
        }
    }
}

impl Default for DiallingConfig {
    fn default() -> Self {
        Self {
            namespaces: None,
            connected_target: None,
            dials_in_flight_max: 8,
            dials_per_minute: 60,
            dials_burst: 16,
            backoff_min: Duration::from_secs(30),
            backoff_max: Duration::from_secs(60 * 60),
            lasting_min: Duration::from_secs(60),
            waiting_max: 2_000,
            failures_max: 10_000,
            addresses_max: 8,
            local_addresses: false,
            named_addresses: true,
            unverified_addresses: true,
        }
    }
}

/// Bounds that contradict each other, or allow nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiallingConfigError {
    /// The shortest pause is above the longest.
    #[error("dialling: backoff_min is above backoff_max")]
    Order,
    /// More dials than can be spread over time.
    #[error("dials_per_minute is above {}", DiallingConfig::DIALS_PER_MINUTE_MAX)]
    TooFast,
    /// A pause so short that a dead peer would be dialled without a rest.
    #[error("dialling: backoff_min is below 100 ms")]
    TooShort,
    /// A bound that allows nothing at all.
    #[error("dialling: {what} must be at least 1")]
    Zero {
        /// Which bound.
        what: &'static str,
    },
}
