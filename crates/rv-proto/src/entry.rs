//! Entries of a DISCOVER_RESPONSE, kept encoded so that a page is a copy.

use prost::encoding::{encode_varint, encoded_len_varint};

use crate::Namespace;
use crate::generated::rendezvous::message::MessageType;
use crate::wire::{Fields, Value};

/// The tags of the fields that are written here, each `number << 3 | wire type`.
mod tag {
    /// `Message.type`, `DiscoverResponse.status`.
    pub(super) const TYPE: u8 = 1 << 3;
    pub(super) const STATUS: u8 = 3 << 3;
    /// `Message.discoverResponse`.
    pub(super) const DISCOVER_RESPONSE: u8 = 6 << 3 | 2;
    /// `DiscoverResponse.registrations`, `.cookie`.
    pub(super) const ENTRY: u8 = 1 << 3 | 2;
    pub(super) const COOKIE: u8 = 2 << 3 | 2;
    /// `Register.ns`, `.signedPeerRecord`, `.ttl`, `.verified`.
    pub(super) const NS: u8 = 1 << 3 | 2;
    pub(super) const RECORD: u8 = 2 << 3 | 2;
    pub(super) const TTL: u8 = 3 << 3;
    pub(super) const VERIFIED: u32 = 1002 << 3;
}

/// Tag of two bytes and a bool of one.
const VERIFIED_BYTES: usize = 3;

/// The namespace and the record of one entry, encoded; what remains of the ttl is added when the
/// entry goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedEntry(Box<[u8]>);

impl EncodedEntry {
    /// Encodes an entry.
    pub fn new(ns: &Namespace, record: &[u8]) -> Self {
        let ns = ns.as_str().as_bytes();
        let mut body = Vec::with_capacity(field_len(ns.len()) + field_len(record.len()));
        put_bytes(tag::NS, ns, &mut body);
        put_bytes(tag::RECORD, record, &mut body);
        Self(body.into_boxed_slice())
    }

    /// The record in it.
    pub fn record(&self) -> &[u8] {
        match Fields::new(&self.0).last() {
            Some(Ok((_, Value::Bytes(record)))) => record,
            Some(_) | None => &[],
        }
    }

    /// How many bytes [`EncodedEntry::append_to`] adds.
    pub fn len_with_ttl(&self, ttl_secs: u32) -> usize {
        field_len(self.body_len(ttl_secs))
    }

    /// Adds the entry to those of a page.
    pub fn append_to(&self, ttl_secs: u32, out: &mut Vec<u8>) {
        self.append_body(self.body_len(ttl_secs), ttl_secs, out);
    }

    /// How many bytes [`EncodedEntry::append_marked_to`] adds.
    pub fn len_marked_with_ttl(&self, ttl_secs: u32) -> usize {
        field_len(self.body_len(ttl_secs) + VERIFIED_BYTES)
    }

    /// As [`EncodedEntry::append_to`], for readers of the extension: says whether the point checked
    /// a signature.
    pub fn append_marked_to(&self, ttl_secs: u32, verified: bool, out: &mut Vec<u8>) {
        self.append_body(self.body_len(ttl_secs) + VERIFIED_BYTES, ttl_secs, out);
        encode_varint(u64::from(tag::VERIFIED), out);
        out.push(u8::from(verified));
    }

    fn body_len(&self, ttl_secs: u32) -> usize {
        self.0.len() + 1 + encoded_len_varint(u64::from(ttl_secs))
    }

    fn append_body(&self, body_len: usize, ttl_secs: u32, out: &mut Vec<u8>) {
        out.push(tag::ENTRY);
        encode_varint(body_len as u64, out);
        out.extend_from_slice(&self.0);
        out.push(tag::TTL);
        encode_varint(u64::from(ttl_secs), out);
    }
}

/// The frame of a DISCOVER_RESPONSE that is OK, around entries that [`EncodedEntry`] appended.
///
/// The same bytes as from [`Response::encode`](crate::Response::encode) and
/// [`encode_frame`](crate::encode_frame), in one allocation.
pub fn encode_discover_page_frame(entries: &[u8], cookie: &[u8]) -> Vec<u8> {
    let response_len = entries.len() + field_len(cookie.len()) + 2;
    let payload_len = 2 + field_len(response_len);
    let mut frame = Vec::with_capacity(encoded_len_varint(payload_len as u64) + payload_len);
    encode_varint(payload_len as u64, &mut frame);
    frame.extend_from_slice(&[tag::TYPE, MessageType::DiscoverResponse as u8]);
    frame.push(tag::DISCOVER_RESPONSE);
    encode_varint(response_len as u64, &mut frame);
    frame.extend_from_slice(entries);
    put_bytes(tag::COOKIE, cookie, &mut frame);
    frame.extend_from_slice(&[tag::STATUS, 0]);
    frame
}

pub(crate) fn put_bytes(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// The length of a field of that many bytes, with its tag of one byte and its length.
pub(crate) fn field_len(bytes: usize) -> usize {
    1 + encoded_len_varint(bytes as u64) + bytes
}
