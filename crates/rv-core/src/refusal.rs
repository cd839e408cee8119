//! The one place where a reason to refuse becomes a status on the wire.

use rv_proto::{CookieError, NamespaceError, RecordError, Status, Ttl};
use thiserror::Error;

/// Why a rule says no. The text is what the peer reads in `statusText`.
///
/// Codes of <https://github.com/libp2p/specs/blob/master/rendezvous/README.md#protobuf>; which
/// reason takes which is this project's choice, see `docs/PROTOCOL.md`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// REGISTER without a namespace, or a namespace that cannot be one.
    #[error("{0}: name 1 to 255 bytes of UTF-8")]
    Namespace(#[from] NamespaceError),
    /// DISCOVER of everything, which this operator forbids.
    #[error("this point does not list all namespaces: name one")]
    DiscoverAll,
    /// REGISTER without a record.
    #[error("no signed peer record: send one")]
    RecordAbsent,
    /// A record that is no record, is too large, or is not signed by whom it says.
    #[error("{0}")]
    Record(#[from] RecordError),
    /// Two records in one REGISTER that do not say the same.
    #[error("the two records differ: sign the same peer record twice")]
    RecordsDiffer,
    /// A record older than the one that is held.
    #[error("stale record: seq {seq} is below the stored seq {stored}")]
    StaleRecord {
        /// The sequence number of the refused record.
        seq: u64,
        /// The sequence number of the stored one. A client goes above it.
        stored: u64,
    },
    /// A ttl outside what this point grants.
    #[error("ttl of {ttl_secs} s refused: ask for {min} to {max}")]
    Ttl {
        /// The ttl that was asked for.
        ttl_secs: u64,
        /// The shortest ttl granted.
        min: Ttl,
        /// The longest ttl granted.
        max: Ttl,
    },
    /// A cookie that cannot be ours.
    #[error("{0}: start again without a cookie")]
    Cookie(#[from] CookieError),
    /// Our cookie, of another namespace.
    #[error("the cookie belongs to another namespace: start again without a cookie")]
    CookieScope,
    /// A record about somebody else.
    #[error("a peer can only register itself")]
    ForeignPeer,
    /// A subscription type that this point does not offer.
    #[error("subscription type not found")]
    SubscriptionType,
    /// One peer holds as much as it may.
    #[error("this peer holds {limit} registrations, no more are allowed: unregister some")]
    PeerFull {
        /// The limit that was reached.
        limit: usize,
    },
    /// One network holds as much as it may.
    #[error("{limit} registrations from this network, no more are allowed")]
    OriginFull {
        /// The limit that was reached.
        limit: usize,
    },
    /// As many subscriptions are open as may be.
    #[error("{limit} subscriptions are open, no more are allowed: end some, or poll")]
    SubscriptionsFull {
        /// The limit that was reached.
        limit: usize,
    },
    /// The point holds as much as it may.
    #[error("this point is full: try another")]
    Full,
    /// The peer registers faster than it may.
    #[error("too many registrations by this peer in a short time: try later")]
    RateLimited,
    /// More writes wait than may wait.
    #[error("this point is busy: try later")]
    Busy,
    /// The point is about to stop.
    #[error("this point is shutting down: try another")]
    Draining,
    /// The journal could not keep the write.
    #[error("this point cannot store registrations now: try later")]
    Store,
    /// The journal does not answer, so nobody knows yet whether it kept the write.
    #[error("this point cannot tell yet whether it stored this: try again later")]
    Undecided,
}

impl Refusal {
    /// The status that goes on the wire.
    pub const fn status(&self) -> Status {
        match self {
            Self::Namespace(_) | Self::DiscoverAll => Status::INVALID_NAMESPACE,
            Self::RecordAbsent
            | Self::Record(_)
            | Self::RecordsDiffer
            | Self::StaleRecord { .. } => Status::INVALID_SIGNED_PEER_RECORD,
            Self::Ttl { .. } => Status::INVALID_TTL,
            Self::Cookie(_) | Self::CookieScope => Status::INVALID_COOKIE,
            Self::ForeignPeer => Status::NOT_AUTHORIZED,
            Self::SubscriptionType => Status::INTERNAL_ERROR,
            Self::PeerFull { .. }
            | Self::OriginFull { .. }
            | Self::SubscriptionsFull { .. }
            | Self::Full
            | Self::RateLimited
            | Self::Busy
            | Self::Draining
            | Self::Store
            | Self::Undecided => Status::UNAVAILABLE,
        }
    }

    /// A short name for logs and counters.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Namespace(_) => "namespace",
            Self::DiscoverAll => "discover_all",
            Self::RecordAbsent => "record_absent",
            Self::Record(_) => "record",
            Self::RecordsDiffer => "records_differ",
            Self::StaleRecord { .. } => "stale_record",
            Self::Ttl { .. } => "ttl",
            Self::Cookie(_) => "cookie",
            Self::CookieScope => "cookie_scope",
            Self::ForeignPeer => "foreign_peer",
            Self::SubscriptionType => "subscription_type",
            Self::PeerFull { .. } => "peer_full",
            Self::OriginFull { .. } => "origin_full",
            Self::SubscriptionsFull { .. } => "subscriptions_full",
            Self::Full => "full",
            Self::RateLimited => "rate_limited",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Store => "store",
            Self::Undecided => "undecided",
        }
    }
}
