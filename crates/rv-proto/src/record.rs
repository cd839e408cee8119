//! Peer records: where a peer says it is, in each of the three dialects that are spoken.

mod dialect;
mod error;
mod peer_record;
mod records;
mod shape;
mod unverified;
mod verified;

pub use self::dialect::{Dialect, DialectSet, UnknownDialect};
pub use self::error::{RecordError, SealError};
pub use self::peer_record::PeerRecord;
pub use self::records::Records;
pub use self::shape::classify;
pub use self::unverified::UnverifiedRecord;
pub use self::verified::Record;

/// The longest record that is taken in: what nim reads of a REGISTER, so that every point takes
/// what one takes. An honest one has some hundred bytes.
pub const RECORD_BYTES_MAX: usize = 4_096;

/// The most addresses that a record may have: several times what any host has, and few enough that
/// a list of records stays a list of peers.
pub const RECORD_ADDRESSES_MAX: usize = 64;
