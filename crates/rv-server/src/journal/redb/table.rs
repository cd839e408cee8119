//! What stands in the file: two tables.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `format`, `epoch`, `head`, `commit` | a number |
//! | `registrations` | bytes of the peer id, then the namespace | number, then the encoded fact |
//!
//! The number of a registration is its place in the log, 8 bytes, big-endian. A peer id tells its
//! own length, so no two registrations share a key. `head` is the highest
//! sequence number ever given; `commit` counts the batches, and is what tells, after a commit
//! that did not end well, whether it took place.

use ::redb::TableDefinition;
use bytes::Bytes;
use libp2p_identity::PeerId;
use rv_proto::{Fact, Namespace, Seq};

/// The format that this release writes, and the newest that it reads.
pub(super) const FORMAT: u64 = 1;

pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
pub(super) const META_FORMAT: &str = "format";
pub(super) const META_EPOCH: &str = "epoch";
pub(super) const META_HEAD: &str = "head";
pub(super) const META_COMMIT: &str = "commit";

pub(super) const REGISTRATIONS: TableDefinition<'_, &[u8], &[u8]> =
    TableDefinition::new("registrations");

const SEQ_BYTES: usize = size_of::<u64>();

pub(super) fn key(peer: &PeerId, namespace: &Namespace) -> Vec<u8> {
    let mut key = peer.to_bytes();
    key.extend_from_slice(namespace.as_str().as_bytes());
    key
}

pub(super) fn value(seq: Seq, fact: &Fact) -> Vec<u8> {
    let fact = fact.encode();
    let mut value = Vec::with_capacity(SEQ_BYTES + fact.len());
    value.extend_from_slice(&seq.get().to_be_bytes());
    value.extend_from_slice(&fact);
    value
}

/// The sequence number that a row begins with.
pub(super) fn seq(value: &[u8]) -> Option<Seq> {
    let (seq, _) = value.split_first_chunk::<SEQ_BYTES>()?;
    Seq::new(u64::from_be_bytes(*seq))
}

/// Reads one row back.
///
/// # Errors
/// What is wrong with it, with its key.
pub(super) fn row(row_key: &[u8], value: &[u8], head: Seq) -> Result<(Seq, Fact), String> {
    let wrong = |what: &str| format!("row {}: {what}", row_key.escape_ascii());
    let seq = seq(value).ok_or_else(|| wrong("no sequence number"))?;
    if seq > head {
        return Err(wrong("its sequence number was never given"));
    }
    let fact = Bytes::copy_from_slice(value.get(SEQ_BYTES..).unwrap_or_default());
    let fact = Fact::decode(fact).map_err(|error| wrong(&error.to_string()))?;
    match &fact {
        Fact::Registered(it) if key(&it.peer, &it.namespace) == row_key => Ok((seq, fact)),
        Fact::Registered(_) => Err(wrong("it holds another registration")),
        Fact::Removed(_) => Err(wrong("it holds a removal")),
    }
}
