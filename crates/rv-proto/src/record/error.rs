//! What can be wrong with a record.

use libp2p_identity::SigningError;
use thiserror::Error;

use super::{RECORD_ADDRESSES_MAX, RECORD_BYTES_MAX};

/// Why bytes are not a record that anybody may rely on.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// Above [`RECORD_BYTES_MAX`].
    #[error("record of {bytes} bytes, at most {RECORD_BYTES_MAX} are taken")]
    TooLarge {
        /// The length of what was given.
        bytes: usize,
    },
    /// Above [`RECORD_ADDRESSES_MAX`].
    #[error("record of {count} addresses, at most {RECORD_ADDRESSES_MAX} are taken")]
    TooManyAddresses {
        /// How many there are.
        count: usize,
    },
    /// Not protobuf, or this part of it is missing or broken.
    #[error("undecodable record: {0}")]
    Undecodable(&'static str),
    /// A signed record with something that is no multiaddr.
    #[error("address {index} of the record is not a multiaddr")]
    BadAddress {
        /// Which one, from 0 on.
        index: usize,
    },
    /// An envelope around something else than a peer record.
    #[error("envelope of an unknown payload type")]
    PayloadType,
    /// An unsigned record without any multiaddr.
    #[error("record without an address")]
    NoAddress,
    /// The signature is not by the key, or not over the record.
    #[error("record with an invalid signature")]
    Forged,
    /// Signed by somebody else than the peer that it is about.
    #[error("record is not signed by its peer")]
    KeyMismatch,
}

/// Why a record could not be signed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SealError {
    /// [`Dialect::Plain`](crate::Dialect::Plain) has no signature.
    #[error("plain records are not signed")]
    Unsigned,
    /// The key does not sign.
    #[error("cannot sign the record")]
    Signing(#[from] SigningError),
}
