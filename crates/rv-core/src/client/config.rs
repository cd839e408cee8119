//! Every bound of a client, with its default and the reason for it.

use std::time::Duration;

use rv_proto::{Namespace, RECORD_ADDRESSES_MAX, RECORD_BYTES_MAX, Record, Ttl};
use thiserror::Error;

/// How a client behaves, and what it holds at the most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// Whether registrations are refreshed. Default true. Off, each one lapses at its deadline and
    /// is told as [`Lapsed`](super::Event::Lapsed).
    pub refresh: bool,
    /// Whether the peer's own registrations are listed and watched too, as those of others are.
    /// Default false: nobody looks for itself. Tools that show what a point holds do.
    pub lists_own: bool,
    /// Whether watches are pushed to where a point offers that. Default true. Off, or where it is
    /// not offered, they poll.
    pub push: bool,
    /// How long before its deadline a registration is refreshed at the latest. Default 10 s: a
    /// request over a slow line. At most a quarter of the ttl is used, so that short ones work.
    pub refresh_margin: Duration,
    /// How long changed addresses may still change before they are registered. Default 2 s: a
    /// listener that starts on several interfaces is done by then. Higher means fewer REGISTERs
    /// and stale addresses for longer. While they go on changing, each time is twice the one
    /// before.
    pub address_debounce: Duration,
    /// The longest of these times, and how long addresses have to rest before the first counts
    /// again. Default 2 min: an address that comes and goes for ever makes no more than 30
    /// REGISTERs an hour.
    pub address_debounce_max: Duration,
    /// The first pause after a failure. Default 1 s. Pauses double from here, each cut at random
    /// by up to a half.
    pub backoff_min: Duration,
    /// The longest pause after a failure. Default 5 min: a point that comes back is used again
    /// within it. Where a registration is at stake, one thirty-second of its ttl if that is less,
    /// so that several tries fit between its refresh and its deadline.
    pub backoff_max: Duration,
    /// How long one request may take, dial included. Default 30 s. A REGISTER gets one
    /// thirty-second of its ttl if that is less: with the longest pause after it, that is half of
    /// what a refresh leaves until the deadline.
    pub request_timeout: Duration,
    /// What a REGISTER of a short ttl gets nevertheless. Default 5 s: a dial over a slow line.
    pub request_timeout_min: Duration,
    /// Requests to one point at a time. Default 16: servers allow about 100 streams a connection,
    /// and the application has other uses for them.
    pub requests_per_point_max: usize,
    /// How long the slower points of a discovery are waited for after the first is done, and after
    /// each page that one of them gives then. Default 2 s: a dead point delays nobody.
    pub straggler_wait: Duration,
    /// How long they are waited for in all, however many pages they give. Default 30 s: a slow
    /// line brings a whole listing by then, and a point that gives each page as late as it may
    /// delays the end no longer. Above it their listings end with
    /// [`Bound::Wait`](super::Bound::Wait).
    pub straggler_wait_total: Duration,
    /// The shortest pause between two polls of a watch, used while things change. Default 15 s.
    pub poll_min: Duration,
    /// The longest pause between two polls of a watch, reached by doubling while nothing changes.
    /// Default 4 min: half of it is the mean delay of news in a quiet namespace.
    pub poll_max: Duration,
    /// How long before the deadline of a peer a watch is polled, so that a live one is seen to be
    /// renewed. Default 3 s: a request over a slow line. Peers whose ttl is below about eight
    /// times [`poll_min`](Self::poll_min) may be told gone and back again.
    pub poll_lead: Duration,
    /// How often a watch lists everything anew, which shows who unregistered. Default 15 min.
    /// Between two of these a peer is gone only at its deadline.
    pub relist_interval: Duration,
    /// Entries asked for in one page. Default 1,000, the most that stock points give.
    pub page_entries: usize,
    /// Entries of one listing. Default 50,000: 40 to 60 MB, where each has one to four addresses.
    /// Above it the listing ends with [`Bound::Entries`](super::Bound::Entries). So does a
    /// subscription with as many changes within [`relist_interval`](Self::relist_interval), where
    /// an update without any counts as one.
    pub listing_entries_max: usize,
    /// Bytes of the entries of one listing at one point, counted as
    /// [`CacheLimits::bytes_of`] does. Default 96 MiB: 50,000 signed peers with four addresses, or
    /// some 6,500 with the largest records. Above it the listing ends with
    /// [`Bound::Bytes`](super::Bound::Bytes); the page that goes above it is told.
    pub listing_bytes_max: usize,
    /// Pages of one listing. Default 1,000: there are points that give 64 entries a page. Above it
    /// the listing ends with [`Bound::Pages`](super::Bound::Pages).
    pub listing_pages_max: usize,
    /// How long one listing at one point may take. Default 5 min: 50,000 entries in pages of 64, or
    /// ten pages that each come as late as they may. The page that comes after it is told; then the
    /// listing ends with [`Bound::Time`](super::Bound::Time), and its cookie goes on.
    pub listing_time_max: Duration,
    /// Bytes of a cookie. Default 1,024: the longest known are below 300.
    pub cookie_bytes_max: usize,
    /// Points. Default 64: each is dialled.
    pub points_max: usize,
    /// Namespaces registered in. Default 1,000, what points grant one peer.
    pub registrations_max: usize,
    /// Scopes watched. Default 256: each is polled at every point.
    pub watches_max: usize,
    /// Operations, that is calls of `register`, `unregister` and `discover`, that are not done.
    /// Default 1,024.
    pub operations_max: usize,
    /// What the cache of discovered peers holds.
    pub cache: CacheLimits,
}

/// What a [`PeerCache`](super::PeerCache) holds at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Peers in one namespace. Default 20,000.
    pub peers_per_namespace: usize,
    /// Peers in all namespaces together; one in two namespaces counts twice. Default 100,000: 110
    /// MB, where each has one address and is listed by one point.
    pub peers_total: usize,
    /// Bytes of them, counted as [`bytes_of`](Self::bytes_of) does, where what several points say
    /// in the same words counts once. Default 128 MiB: as many peers as the bound above allows,
    /// if their records are small. With the largest records it is some 8,600.
    pub bytes_total: usize,
}

impl CacheLimits {
    /// What a peer takes beside its record and whoever lists it: its places in the maps.
    pub const PEER_BYTES: usize = 512;

    /// What each point that lists it takes.
    pub const REPORT_BYTES: usize = 512;

    /// What an address takes beside its own bytes, of which there are two copies: one in the
    /// record as it was signed, one by itself.
    pub const ADDRESS_BYTES: usize = 96;

    /// What it takes that a point lists anybody in a namespace.
    pub const NAMESPACE_BYTES: usize = 4_096;

    /// What the largest record may take, so that every bound on bytes allows one.
    pub const BYTES_MIN: usize = Self::NAMESPACE_BYTES
        + Self::PEER_BYTES
        + Self::REPORT_BYTES
        + Namespace::BYTES_MAX
        + 2 * RECORD_BYTES_MAX
        + RECORD_ADDRESSES_MAX * Self::ADDRESS_BYTES;

    /// What a peer that one point lists counts for, in bytes: a little more than the memory that it
    /// takes.
    pub fn bytes_of(namespace: &Namespace, record: &Record) -> usize {
        Self::PEER_BYTES
            + Self::REPORT_BYTES
            + namespace.as_str().len()
            + Self::bytes_of_record(record)
    }

    /// What its record alone counts for.
    pub fn bytes_of_record(record: &Record) -> usize {
        let addresses = record.addresses().iter();
        let addresses = addresses.map(|address| address.len() + Self::ADDRESS_BYTES);
        record.bytes().len() + addresses.sum::<usize>()
    }
}

impl ClientConfig {
    /// The most addresses in one record; further ones are left out.
    pub const ADDRESSES_MAX: usize = RECORD_ADDRESSES_MAX;

    /// How often in a row one attempt goes above the `seq` that a refusal names. A point that
    /// names a higher one each time is not followed further.
    pub const STALE_RETRIES_MAX: u32 = 2;

    /// The highest stored `seq` that is believed. It lies above the nanoseconds of every clock
    /// until 2116, and half of all numbers remain above it: a hostile point cannot use them up.
    pub const SEQ_STORED_MAX: u64 = 1 << 62;

    /// How often UNREGISTER is tried before the deadline is left to remove the registration.
    pub const UNREGISTER_ATTEMPTS_MAX: u32 = 3;

    /// Bytes that are kept of the text in a refusal.
    pub const STATUS_TEXT_BYTES_MAX: usize = 512;

    /// Into so many shares a ttl is cut: one is the longest pause that puts a registration at
    /// stake, the time for one REGISTER, and the longest pause between two renewals at a point that
    /// comes and goes. 32: one pause and one REGISTER together are half of what a refresh leaves
    /// until the deadline; and whatever a point does, a registration of 2 h is renewed 16 times an
    /// hour at the most.
    pub const TTL_SHARES: u32 = 32;

    /// The ttl that is meant when neither side names one.
    pub const TTL_DEFAULT: Ttl = Ttl::DEFAULT;

    /// Checks that the bounds make sense together.
    ///
    /// # Errors
    ///
    /// Says which of them does not.
    pub fn validate(&self) -> Result<(), ClientConfigError> {
        let order = [
            (
                "address_debounce",
                self.address_debounce,
                self.address_debounce_max,
            ),
            ("backoff", self.backoff_min, self.backoff_max),
            ("poll", self.poll_min, self.poll_max),
            (
                "request_timeout",
                self.request_timeout_min,
                self.request_timeout,
            ),
        ];
        if let Some((what, ..)) = order.into_iter().find(|(_, min, max)| min > max) {
            return Err(ClientConfigError::Order { what });
        }
        let least = Duration::from_millis(100);
        let durations = [
            ("backoff_min", self.backoff_min),
            ("listing_time_max", self.listing_time_max),
            ("poll_min", self.poll_min),
            ("relist_interval", self.relist_interval),
            ("request_timeout_min", self.request_timeout_min),
        ];
        if let Some((what, _)) = durations.into_iter().find(|(_, it)| *it < least) {
            return Err(ClientConfigError::TooShort { what });
        }
        let counts = [
            ("cache.peers_per_namespace", self.cache.peers_per_namespace),
            ("cache.peers_total", self.cache.peers_total),
            ("cookie_bytes_max", self.cookie_bytes_max),
            ("listing_entries_max", self.listing_entries_max),
            ("listing_pages_max", self.listing_pages_max),
            ("operations_max", self.operations_max),
            ("page_entries", self.page_entries),
            ("points_max", self.points_max),
            ("registrations_max", self.registrations_max),
            ("requests_per_point_max", self.requests_per_point_max),
            ("watches_max", self.watches_max),
        ];
        if let Some((what, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(ClientConfigError::Zero { what });
        }
        let min = CacheLimits::BYTES_MIN;
        let bytes = [
            ("cache.bytes_total", self.cache.bytes_total),
            ("listing_bytes_max", self.listing_bytes_max),
        ];
        match bytes.into_iter().find(|(_, bytes)| *bytes < min) {
            Some((what, _)) => Err(ClientConfigError::TooFewBytes { what, min }),
            None => Ok(()),
        }
    }
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            refresh: true,
            lists_own: false,
            push: true,
            refresh_margin: Duration::from_secs(10),
            address_debounce: Duration::from_secs(2),
            address_debounce_max: Duration::from_secs(2 * 60),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(5 * 60),
            request_timeout: Duration::from_secs(30),
            request_timeout_min: Duration::from_secs(5),
            requests_per_point_max: 16,
            straggler_wait: Duration::from_secs(2),
            straggler_wait_total: Duration::from_secs(30),
            poll_min: Duration::from_secs(15),
            poll_max: Duration::from_secs(4 * 60),
            poll_lead: Duration::from_secs(3),
            relist_interval: Duration::from_secs(15 * 60),
            page_entries: 1_000,
            listing_entries_max: 50_000,
            listing_bytes_max: 96 << 20,
            listing_pages_max: 1_000,
            listing_time_max: Duration::from_secs(5 * 60),
            cookie_bytes_max: 1_024,
            points_max: 64,
            registrations_max: 1_000,
            watches_max: 256,
            operations_max: 1_024,
            cache: CacheLimits::default(),
        }
    }
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self {
            peers_per_namespace: 20_000,
            peers_total: 100_000,
            bytes_total: 128 << 20,
        }
    }
}

/// Bounds that contradict each other, or allow nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientConfigError {
    /// The least is above the most.
    #[error("{what}: the shortest is above the longest")]
    Order {
        /// Of what.
        what: &'static str,
    },
    /// Bytes that are fewer than one record may take.
    #[error("{what} must be at least {min} bytes, which one record may take")]
    TooFewBytes {
        /// Which bound.
        what: &'static str,
        /// The least.
        min: usize,
    },
    /// A pause so short that the client would never rest.
    #[error("{what} is below 100 ms")]
    TooShort {
        /// Which pause.
        what: &'static str,
    },
    /// A bound that allows nothing at all.
    #[error("{what} must be at least 1")]
    Zero {
        /// Which bound.
        what: &'static str,
    },
}
