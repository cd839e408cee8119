//! What the shell sends for the client.

use std::sync::Arc;

use bytes::Bytes;
use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use rv_proto::{
    Dialect, DialectSet, DiscoverRequest, Namespace, RegisterRequest, Request, Scope,
    SubscribeRequest, Ttl, UPDATES_TYPE, UnregisterRequest,
};

/// One request that is out; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

/// One call of [`register`](super::Client::register), [`unregister`](super::Client::unregister) or
/// [`discover`](super::Client::discover); never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub(super) u64);

/// A request, apart from what only the shell can do: sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// List entries.
    Discover {
        /// Which.
        scope: Scope,
        /// As many at the most.
        limit: usize,
        /// Where to go on.
        cookie: Option<Bytes>,
        /// The dialects to announce as readable: empty at points without the extension.
        accepts: DialectSet,
    },
    /// Register a record that the shell makes of these parts.
    Register {
        /// Where.
        namespace: Namespace,
        /// For how long.
        ttl: Ttl,
        /// The dialect of the record.
        dialect: Dialect,
        /// The dialect in which the same record is sealed a second time, for the extension's
        /// field. The shell leaves it out where the frame would pass 4,096 bytes.
        counterpart: Option<Dialect>,
        /// The record's `seq` must be above this.
        seq_above: Option<u64>,
        /// The record's addresses, at least one, without the peer's own `/p2p` at their end.
        addresses: Arc<[Multiaddr]>,
    },
    /// Be told at once of what changes. What comes on its stream goes to
    /// [`handle_pushed`](super::Client::handle_pushed).
    Subscribe {
        /// What.
        scope: Scope,
        /// Where to go on.
        cookie: Option<Bytes>,
    },
    /// Take a registration out. It has no answer: the shell calls
    /// [`handle_written`](super::Client::handle_written).
    Unregister {
        /// Where.
        namespace: Namespace,
    },
}

impl Wanted {
    /// The request of the peer `local`.
    ///
    /// `record` and `counterpart` are the sealed records of a REGISTER; for the others they are
    /// not looked at.
    pub fn to_request(
        &self,
        local: &PeerId,
        record: Option<Bytes>,
        counterpart: Option<Bytes>,
    ) -> Request {
        let bytes = |namespace: &Namespace| Bytes::copy_from_slice(namespace.as_str().as_bytes());
        match self {
            Self::Discover {
                scope,
                limit,
                cookie,
                accepts,
            } => Request::Discover(DiscoverRequest {
                namespace: match scope {
                    Scope::All => None,
                    Scope::Namespace(namespace) => Some(bytes(namespace)),
                },
                limit: Some(*limit as u64),
                // nim and go refuse an empty one.
                cookie: cookie.clone().filter(|cookie| !cookie.is_empty()),
                accepts: *accepts,
            }),
            Self::Register { namespace, ttl, .. } => Request::Register(RegisterRequest {
                namespace: Some(bytes(namespace)),
                record,
                counterpart,
                // py refuses a REGISTER without one.
                ttl_secs: Some(u64::from(ttl.as_secs())),
            }),
            Self::Subscribe { scope, cookie } => Request::Subscribe(SubscribeRequest {
                supported_types: vec![UPDATES_TYPE.to_owned()],
                namespace: match scope {
                    Scope::All => None,
                    Scope::Namespace(namespace) => Some(bytes(namespace)),
                },
                accepts: DialectSet::ALL,
                cookie: cookie.clone(),
            }),
            Self::Unregister { namespace } => Request::Unregister(UnregisterRequest {
                namespace: Some(bytes(namespace)),
                // py ignores an UNREGISTER without it, though the specification removed it.
                peer: Some(local.to_bytes().into()),
            }),
        }
    }
}
