//! What the client tells the shell and the application.

use std::sync::Arc;

use bytes::Bytes;
use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use rv_proto::{Namespace, Record, Scope, Time, Ttl};

use super::dialling::DialEvent;
use super::{Cause, Failure, OperationId, RequestId, Skipped, Wanted};

/// What the shell does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Nobody waits for the answer any more: close the stream. What comes of it is ignored.
    Cancel {
        /// Which request.
        id: RequestId,
    },
    /// Something that the application may want to know.
    Event(Event),
    /// Send it, then call [`handle_response`](super::Client::handle_response),
    /// [`handle_written`](super::Client::handle_written) or
    /// [`handle_failure`](super::Client::handle_failure) with the same id.
    Request {
        /// Which request.
        id: RequestId,
        /// To whom.
        point: PeerId,
        /// What to send.
        request: Wanted,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A found peer is dialled, where the application wants that: told by the shell that carries
    /// out a [`Dialler`](super::dialling::Dialler).
    Dial(DialEvent),
    /// A discovery is over. Its entries came before, as [`Event::Found`].
    DiscoverDone {
        /// Which call.
        operation: OperationId,
        /// What each point did. The discovery succeeded if it did at one point.
        points: Vec<Listed>,
    },
    /// A page of a discovery. No entry comes twice in one discovery, unless it is a newer record
    /// of the same peer.
    Found {
        /// Which call.
        operation: OperationId,
        /// Who listed them.
        point: PeerId,
        /// The entries that are usable, each with the newest record that is known of the peer.
        peers: Vec<Discovered>,
        /// How many were not, and why.
        skipped: Skipped,
    },
    /// A watched peer is not listed any more.
    Gone {
        /// Where.
        namespace: Namespace,
        /// Who.
        peer: PeerId,
        /// Why it is known.
        reason: GoneReason,
    },
    /// A watched namespace has a peer that was not there before, or was when the watch began.
    Joined(Discovered),
    /// A registration was not renewed in time: its deadline is past.
    Lapsed {
        /// At which point.
        point: PeerId,
        /// Where.
        namespace: Namespace,
    },
    /// A point cannot be reached. Until it can, one request at a time tries.
    PointDown {
        /// Which point.
        point: PeerId,
        /// What happened.
        failure: Failure,
        /// When the next request tries.
        retry_at: Time,
    },
    /// A point answers again that could not be reached. What is registered there is registered
    /// anew, as it may have been restarted without its memory: once at once, and while it comes and
    /// goes, ever more seldom.
    PointUp {
        /// Which point.
        point: PeerId,
    },
    /// A call of `register` is over: with what is granted so far, at least one, or with what every
    /// point said. In either case the client goes on trying where it does not stand yet, until
    /// `unregister`.
    RegisterDone {
        /// Which call.
        operation: OperationId,
        /// What was granted where, or why nowhere.
        result: Result<Vec<Grant>, Vec<(PeerId, Cause)>>,
    },
    /// A registration was granted or renewed.
    Registered(Grant),
    /// An attempt to register failed. A registration that was granted before stands until its
    /// deadline.
    RegistrationFailed {
        /// At which point.
        point: PeerId,
        /// Where.
        namespace: Namespace,
        /// Why.
        cause: Cause,
        /// When it is tried again, if nothing happens before; `None` if that depends on an address.
        retry_at: Option<Time>,
    },
    /// A watched peer has a new record or a later deadline.
    Renewed(Discovered),
    /// A call of `unregister` is over. At points that are not in `failures` it is written.
    UnregisterDone {
        /// Which call.
        operation: OperationId,
        /// Where it is not, and why.
        failures: Vec<(PeerId, Cause)>,
    },
    /// A poll of a watch failed. What it listed before that counts.
    WatchFailed {
        /// At which point.
        point: PeerId,
        /// What was listed.
        scope: Scope,
        /// Why.
        cause: Cause,
        /// When it is tried again.
        retry_at: Time,
    },
}

/// A registration that a point granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// At which point.
    pub point: PeerId,
    /// Where.
    pub namespace: Namespace,
    /// For how long. Never 0 and never above 72 h, whatever the point said.
    pub ttl: Ttl,
    /// Until when, counted from when the request was sent.
    pub until: Time,
    /// When it is refreshed; `None` if refresh is switched off.
    pub refresh_at: Option<Time>,
}

/// A peer in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// Where.
    pub namespace: Namespace,
    /// What it says about itself.
    pub record: Arc<Record>,
    /// Until when it is listed, at the point that lists it longest.
    pub until: Time,
}

impl Discovered {
    /// Who it is.
    pub fn peer(&self) -> PeerId {
        *self.record.peer()
    }

    /// Where it is reached.
    pub fn addresses(&self) -> &[Multiaddr] {
        self.record.addresses()
    }

    /// Whether the peer signed its addresses and the signature was checked here. If not, they are
    /// what the point says: good for a dial of one's own, not to be told to others.
    pub fn is_verified(&self) -> bool {
        self.record.dialect().is_signed()
    }
}

/// Why a watched peer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum GoneReason {
    /// The application cleared the cache.
    Cleared,
    /// Its place in the cache was needed: see [`CacheLimits`](super::CacheLimits).
    Evicted,
    /// Its deadline is past at every point.
    Expired,
    /// It took itself off the list, as the last point that listed it says at once.
    Left,
    /// The point that listed it was removed.
    PointRemoved,
    /// A full listing lacks it.
    Unlisted,
}

impl GoneReason {
    /// The name in logs and results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cleared => "cleared",
            Self::Evicted => "evicted",
            Self::Expired => "expired",
            Self::Left => "left",
            Self::PointRemoved => "point-removed",
            Self::Unlisted => "unlisted",
        }
    }
}

/// How a discovery ended at one point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which point.
    pub point: PeerId,
    /// Pages that it gave.
    pub pages: usize,
    /// Usable entries in them, those of other points included.
    pub entries: usize,
    /// Where the next page starts, if there is one or may be one later.
    pub cookie: Option<Bytes>,
    /// Why it ended before its end; `None` if it did not, or reached the limit that was asked for.
    pub cause: Option<Cause>,
}
