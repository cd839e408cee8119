//! Every byte format of a rendezvous point that outlives a process.
//!
//! - **Messages** of `/rendezvous/1.0.0`: [`Request`], [`Response`], and [`EncodedEntry`], which
//!   makes a page of a DISCOVER_RESPONSE a copy.
//! - **Frames** around them: [`encode_frame`], [`decode_frame`].
//! - **What stands in them**: [`Namespace`], [`Ttl`], [`Status`], [`Cookie`].
//! - **Records**, in the three [`Dialect`]s that are spoken: [`UnverifiedRecord`] becomes a
//!   [`Record`] by proof, [`PeerRecord::seal`] makes one.
//! - **Facts**, which a journal keeps: [`Fact`].
//!
//! No clock, no IO, no async, no global state. Whatever came from a network or a disk decodes to a
//! value or to an error, and allocates in proportion to what arrived. What a message *says* is
//! judged elsewhere: a namespace inside a request, for instance, is any bytes.
//!
//! # Example
//!
//! ```
//! use libp2p_identity::{Keypair, PeerId};
//! use rv_proto::{Dialect, PeerRecord, UnverifiedRecord};
//!
//! let key = Keypair::ed25519_from_bytes([7; 32])?;
//! let record = PeerRecord {
//!     peer: PeerId::from(key.public()),
//!     seq: 1,
//!     addresses: vec!["/ip4/203.0.113.7/tcp/4001".parse()?],
//! };
//! let envelope = record.seal(Dialect::Standard, &key)?;
//!
//! let received = UnverifiedRecord::parse(envelope)?.verify()?;
//! assert_eq!(received.peer(), &record.peer);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cookie;
mod entry;
mod error;
mod fact;
mod frame;
mod generated;
mod inmem;
mod message;
mod namespace;
mod origin;
mod position;
mod record;
mod status;
mod time;
mod ttl;
mod update;
mod wire;

pub use crate::cookie::{Cookie, CookieError, RawCookie};
pub use crate::entry::{EncodedEntry, encode_discover_page_frame};
pub use crate::error::DecodeError;
pub use crate::fact::{Fact, Registered, Removed};
pub use crate::frame::{
    FrameError, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, decode_frame, encode_frame,
};
pub use crate::inmem::{INMEM_PROTOCOL, INMEM_TYPE, InmemRecord, inmem_details};
pub use crate::message::{
    DISCOVER_ENTRIES_MAX, DiscoverRequest, DiscoverResponse, EXTENSION_PROTOCOL, Entry,
    RegisterRequest, RegisterResponse, Removal, Request, Response, SUBSCRIPTION_TYPES_MAX,
    SubscribeRequest, SubscribeResponse, SubscriptionUpdate, UPDATE_BYTES_MAX, UPDATE_ENTRIES_MAX,
    UPDATES_TYPE, UnregisterRequest,
};
pub use crate::namespace::{Namespace, NamespaceError, Scope};
pub use crate::origin::Origin;
pub use crate::position::{Epoch, Seq};
pub use crate::record::{
    Dialect, DialectSet, PeerRecord, RECORD_ADDRESSES_MAX, RECORD_BYTES_MAX, Record, RecordError,
    Records, SealError, UnknownDialect, UnverifiedRecord, classify,
};
pub use crate::status::Status;
pub use crate::time::Time;
pub use crate::ttl::{Ttl, TtlError};
pub use crate::update::{append_removal, encode_update_frame};
pub use libp2p_identity::{self, KeyType};
pub use multiaddr;
