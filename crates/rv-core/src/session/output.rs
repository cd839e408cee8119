//! What a session wants of its shell, and what it tells.

use bytes::Bytes;
use rv_proto::{DecodeError, Namespace, Scope, Ttl, UnverifiedRecord};

#[cfg(doc)]
use crate::Session;
use crate::registry::Query;
use crate::{Operation, Refusal};

/// A stream of the connection, numbered by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// What the shell does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// The request of this stream waits to learn whether it is the last one of it: call
    /// [`Session::handle_closed`] when the peer closes the stream for writing.
    AwaitClose {
        /// The stream that waits.
        stream: StreamId,
    },
    /// Ask the registry, then call [`Session::handle_page`].
    Discover {
        /// The stream that waits.
        stream: StreamId,
        /// The question.
        query: Query,
    },
    /// Nothing is answered: read the stream's next frame.
    Next {
        /// The stream that may go on.
        stream: StreamId,
    },
    /// Write the frame, then the updates of the subscription that was begun on this stream.
    Push {
        /// The stream that is the subscription's from now on.
        stream: StreamId,
        /// The answer, length prefix included.
        frame: Bytes,
    },
    /// Ask the registry how it reads the question, then call [`Session::handle_reading`].
    Read {
        /// The stream that waits.
        stream: StreamId,
        /// The question.
        query: Query,
    },
    /// Something that an operator or the embedding application may want to know.
    Report(Report),
    /// Reset the stream: its bytes are no request.
    Reset {
        /// The stream.
        stream: StreamId,
        /// What is wrong with them.
        error: DecodeError,
    },
    /// Write the frame, then read the stream's next.
    Respond {
        /// The stream that waited.
        stream: StreamId,
        /// The answer, length prefix included.
        frame: Bytes,
    },
    /// Give the operation to the [`Writer`](crate::Writer), in the order of these outputs, then
    /// call [`Session::handle_verdict`].
    Submit {
        /// The stream that waits.
        stream: StreamId,
        /// What is to be changed.
        operation: Operation,
    },
    /// Begin a [`Subscription`](crate::Subscription), then call [`Session::handle_subscription`].
    Subscribe {
        /// The stream that waits.
        stream: StreamId,
        /// What to subscribe to.
        query: Query,
    },
    /// See whether a subscription of go's type could be begun, which its peer asks for on another
    /// stream, then call [`Session::handle_inmem_room`].
    SubscribeInmem {
        /// The stream that waits.
        stream: StreamId,
        /// What to subscribe to.
        namespace: Namespace,
    },
    /// Check the records' signatures, or find them equal to verified ones, then call
    /// [`Session::handle_verified`].
    Verify {
        /// The stream that waits.
        stream: StreamId,
        /// Where the peer registers, which is where an equal record may be held already.
        namespace: Namespace,
        /// One record, or two that say the same in two dialects.
        records: Vec<UnverifiedRecord>,
    },
}

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A REGISTER was granted.
    Registered {
        /// Where.
        namespace: Namespace,
        /// For how long.
        ttl: Ttl,
    },
    /// A REGISTER was refused.
    RegisterRefused {
        /// Why.
        refusal: Refusal,
    },
    /// An UNREGISTER was acted on.
    Unregistered {
        /// Which registrations.
        scope: Scope,
        /// How many there were.
        count: usize,
    },
    /// An UNREGISTER could not be kept, or is not known to be. The protocol has no answer to it.
    UnregisterLost {
        /// Why.
        refusal: Refusal,
    },
    /// A DISCOVER was answered.
    Discovered {
        /// What was listed.
        scope: Scope,
        /// How many entries the answer has.
        count: usize,
    },
    /// A DISCOVER was refused.
    DiscoverRefused {
        /// Why.
        refusal: Refusal,
    },
    /// A subscription was begun.
    Subscribed {
        /// What to.
        scope: Scope,
    },
    /// A subscription was refused.
    SubscribeRefused {
        /// Why.
        refusal: Refusal,
    },
}
