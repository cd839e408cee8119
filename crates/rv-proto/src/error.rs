//! Bytes that are not what they should be.

use thiserror::Error;

use crate::{namespace::NamespaceError, record::RecordError, ttl::TtlError};

/// Why bytes are no message, or no fact.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not protobuf, or a field of the wrong kind.
    #[error("not a protobuf message")]
    Protobuf(#[from] prost::DecodeError),
    /// Not a sequence of protobuf fields.
    #[error("not a sequence of protobuf fields")]
    Malformed,
    /// A type that is unknown, or that goes the other way.
    #[error("message of unexpected type {0}")]
    UnexpectedType(i32),
    /// More repeated elements than any honest sender has.
    #[error("more than {max} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// As many are taken.
        max: usize,
    },
    /// A fact without something it cannot be without.
    #[error("no {0}")]
    Missing(&'static str),
    /// A fact with a peer id that is none.
    #[error("not a peer id")]
    PeerId,
    /// A fact with an origin that is neither 4 nor 6 bytes long.
    #[error("not an origin")]
    Origin,
    /// A fact with a namespace that is none.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A fact with a ttl that is none.
    #[error(transparent)]
    Ttl(#[from] TtlError),
    /// A fact with a record that is none.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A fact whose records are of somebody else, or not in the dialect that they stand for.
    #[error("records do not belong to the fact")]
    Records,
}
