//! What can be seen from outside: the oracles are told nothing else.

use rv_core::client::{Event, OperationId, RequestId};

/// One thing that was seen. Clients, points and names are numbers.
#[derive(Clone, Debug)]
#[expect(
    missing_docs,
    reason = "indices of clients, points and names, and units in the names"
)]
pub enum Seen {
    /// An answer, or the end of a stream, reached a client.
    Answered { client: usize, point: usize },
    /// The application asked for something.
    Called { client: usize, call: Call },
    /// A point took a registration out. Nobody waits for it any more if `is_late`.
    Removed {
        client: usize,
        point: usize,
        name: usize,
        is_late: bool,
    },
    /// A point granted a registration. Nobody waits for the answer any more if `is_late`.
    Granted {
        client: usize,
        point: usize,
        name: usize,
        ttl_secs: u64,
        is_late: bool,
    },
    /// A point lost what it knew, or what it knew lasts shorter or longer now.
    Forgot {
        point: usize,
        lasts_longer_millis: u64,
    },
    /// A client sent a request.
    Sent {
        client: usize,
        point: usize,
        id: RequestId,
        sent: Sent,
    },
    /// A client told the application something.
    Told { client: usize, event: Event },
}

/// A request, without what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "an index of a name")]
pub enum Sent {
    /// REGISTER.
    Register { name: usize },
    /// UNREGISTER.
    Unregister { name: usize },
    /// DISCOVER, by a discovery or by a watch.
    Discover { name: usize },
    /// DISCOVER_SUBSCRIBE, by a watch.
    Subscribe { name: usize },
}

impl Sent {
    /// The number of its name.
    pub const fn name(self) -> usize {
        match self {
            Self::Register { name }
            | Self::Unregister { name }
            | Self::Discover { name }
            | Self::Subscribe { name } => name,
        }
    }
}

/// What an application does.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "an index of a name, and units in the names")]
pub enum Call {
    /// It is gone, and so is its client.
    Crash,
    /// It lists a namespace.
    Discover { operation: OperationId },
    /// It tells new addresses.
    Move,
    /// It registers.
    Register { name: usize, ttl_secs: u64 },
    /// It unregisters.
    Unregister { operation: OperationId, name: usize },
}
