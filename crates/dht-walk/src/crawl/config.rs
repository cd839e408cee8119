//! Every bound of a crawl, with its default and the reason for it.

use std::time::Duration;

use crate::address::AddressPolicy;
use crate::config::{Config, ConfigError};
use crate::target::Targets;

/// How a crawl behaves, and what it spends and holds at the most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrawlConfig {
    /// Which addresses are taken. Default [`AddressPolicy::Public`].
    pub addresses: AddressPolicy,
    /// Peers in an answer: the `k` of the network. Default 20, libp2p's. Further ones are left out.
    pub bucket_size: usize,
    /// How long it may take. Default 1 h; the public network takes minutes at the default rate.
    pub deadline: Duration,
    /// Requests without an answer at a time, each to another peer. Default 32: routers at home
    /// keep a few hundred half-open connections, for everybody in the house.
    pub in_flight_max: usize,
    /// Messages of this run. Default 1,000,000, ten for each peer that is kept.
    pub messages_max: u64,
    /// Messages in a second, and at once after a quiet one. Default 50, which is a connection each
    /// 20 ms for the own router; each peer is asked a handful of times, whatever this is.
    pub messages_per_second: u32,
    /// Peers that are kept. Default 100,000, about 45 MB with three addresses each. Further ones
    /// are counted.
    pub peers_max: usize,
    /// How long one request may take, dial included. Default 5 s.
    pub request_timeout: Duration,
    /// Buckets that one peer is asked for, beginning with the farthest. Default 16, enough for
    /// networks of 600,000. More lets whoever always tells something new cost more messages, and
    /// more hashes: a target for bucket `c` takes 2^(c+1).
    pub requests_per_peer_max: u8,
    /// The least time until a peer that failed is asked again. Default 10 s.
    pub retry_pause: Duration,
    /// Failures in a row after which a peer is silent. Default 2. The further ones are tried when
    /// everybody else was asked, so that an address that a liar told has been mended by others.
    pub strikes_max: u8,
    /// Peers that become known by one peer's word. Default 400: a table of a network of a million
    /// holds 332. Who invents peers costs twice as many messages, and no more.
    pub told_per_source_max: usize,
}

impl CrawlConfig {
    /// The most buckets that a peer can be asked for.
    pub const REQUESTS_PER_PEER_MAX: u8 = Targets::CPL_MAX.bits() + 1;

    /// Checks that the bounds make sense.
    ///
    /// # Errors
    ///
    /// Says which of them does not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let counts = [
            ("bucket_size", self.bucket_size),
            ("in_flight_max", self.in_flight_max),
            ("messages_per_second", self.messages_per_second as usize),
            ("peers_max", self.peers_max),
            ("requests_per_peer_max", self.requests_per_peer_max.into()),
            ("strikes_max", self.strikes_max.into()),
            ("told_per_source_max", self.told_per_source_max),
        ];
        if let Some((what, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(ConfigError::Zero { what });
        }
        if self.request_timeout < Duration::from_millis(1) {
            let what = "request_timeout";
            return Err(ConfigError::Zero { what });
        }
        if self.bucket_size > Config::BUCKET_SIZE_MAX {
            let what = "bucket_size";
            return Err(ConfigError::Order { what });
        }
        if self.requests_per_peer_max > Self::REQUESTS_PER_PEER_MAX {
            let what = "requests_per_peer_max";
            return Err(ConfigError::Order { what });
        }
        Ok(())
    }
}

impl Default for CrawlConfig {
    fn default() -> Self {
        Self {
            addresses: AddressPolicy::default(),
            bucket_size: 20,
            deadline: Duration::from_secs(3_600),
            in_flight_max: 32,
            messages_max: 1_000_000,
            messages_per_second: 50,
            peers_max: 100_000,
            request_timeout: Duration::from_secs(5),
            requests_per_peer_max: 16,
            retry_pause: Duration::from_secs(10),
            strikes_max: 2,
            told_per_source_max: 400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut CrawlConfig)) -> Result<(), ConfigError> {
        let mut config = CrawlConfig::default();
        change(&mut config);
        config.validate()
    }

    #[test]
    fn the_defaults_make_sense_and_broken_bounds_are_named() {
        assert_eq!(check(|_| ()), Ok(()));
        let what = "in_flight_max";
        let zero = check(|it| it.in_flight_max = 0);
        assert_eq!(zero, Err(ConfigError::Zero { what }));
        let what = "request_timeout";
        let zero = check(|it| it.request_timeout = Duration::ZERO);
        assert_eq!(zero, Err(ConfigError::Zero { what }));
        let what = "requests_per_peer_max";
        assert_eq!(check(|it| it.requests_per_peer_max = 21), Ok(()));
        let deep = check(|it| it.requests_per_peer_max = 22);
        assert_eq!(deep, Err(ConfigError::Order { what }));
        let what = "bucket_size";
        let wide = check(|it| it.bucket_size = 257);
        assert_eq!(wide, Err(ConfigError::Order { what }));
    }
}
