//! What can be looked at, and what is asked for.

use bytes::Bytes;
use libp2p_identity::PeerId;
use rv_proto::{Dialect, Namespace, Scope, Time, Ttl};
use thiserror::Error;

use super::{Cause, Failure};

/// Which points an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// All, those that are added later included.
    Every,
    /// This one.
    Point(PeerId),
}

/// How to register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegisterOptions {
    /// For how long. Default: 2 h.
    pub ttl: Option<Ttl>,
    /// Whether the operation waits for an external address. Default: no, it is then over with
    /// [`Cause::NoAddress`]. In either case the client registers once there is one.
    pub wait_for_address: bool,
}

/// What to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoverOptions {
    /// How many entries at the most, those of all points together. Default: no limit but the
    /// client's own.
    pub limit: Option<usize>,
    /// Where to go on. Only for one point.
    pub cookie: Option<Bytes>,
    /// Whether to go on to the end, or to ask each point once. Default: to the end.
    pub pages: Pages,
}

impl Default for DiscoverOptions {
    fn default() -> Self {
        Self {
            limit: None,
            cookie: None,
            pages: Pages::All,
        }
    }
}

/// How many pages to ask a point for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// As many as there are.
    All,
    /// One; its cookie is told in [`Listed`](super::Listed).
    One,
}

/// Why an operation cannot be started.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
    /// A cookie belongs to one point.
    #[error("a cookie can only be used at one point")]
    CookieWithoutPoint,
    /// The client has no point.
    #[error("no rendezvous point is known")]
    NoPoint,
    /// A bound of the configuration is reached.
    #[error("no more than {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// The point was not added.
    #[error("this rendezvous point is not known")]
    UnknownPoint,
}

/// One registration at one point.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistrationStatus {
    /// At which point.
    pub point: PeerId,
    /// Where.
    pub namespace: Namespace,
    /// Until when it stands, if it does.
    pub until: Option<Time>,
    /// When the next request goes out, if nothing happens before. `None` while one is out, while
    /// there is no address, and when refresh is switched off.
    pub next_at: Option<Time>,
    /// The last failure since it last succeeded, and when.
    pub last_failure: Option<(Time, Cause)>,
    /// Whether it is being taken out.
    pub is_leaving: bool,
}

/// One point.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PointStatus {
    /// Which.
    pub point: PeerId,
    /// The dialect of the next REGISTER.
    pub dialect: Dialect,
    /// Whether it announced the extension.
    pub has_extension: bool,
    /// Whether it answers.
    pub reach: Reach,
}

/// Whether a point answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// It does not.
    Down {
        /// What happened last.
        failure: Failure,
        /// When it is tried again.
        retry_at: Time,
    },
    /// It was not tried yet.
    Unknown,
    /// It does.
    Up,
}

/// One watch at one point.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchStatus {
    /// At which point.
    pub point: PeerId,
    /// What is watched.
    pub scope: Scope,
    /// Whether a subscription is open, so that nothing is polled.
    pub is_pushed: bool,
    /// When it is polled next; `None` while it is being polled, or pushed to.
    pub poll_at: Option<Time>,
    /// The last failure since a poll succeeded, and when.
    pub last_failure: Option<(Time, Cause)>,
}

/// Why the client wants to be called at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimeoutReason {
    /// Changed addresses are to be registered.
    Addresses,
    /// A peer's deadline comes.
    CacheExpiry,
    /// A discovery waited long enough for slow points.
    Discover,
    /// A watch is polled.
    Poll,
    /// A registration is made, renewed, tried again, or lapses.
    Registration,
    /// A request took too long.
    RequestTimeout,
    /// A point that was not reached is tried again.
    Retry,
}
