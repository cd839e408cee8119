//! Updates of a subscription, put together from encoded entries.

use prost::encoding::{encode_varint, encoded_len_varint};

use crate::Namespace;
use crate::entry::{field_len, put_bytes};
use crate::generated::rendezvous::message::MessageType;

/// The tags of the fields that are written here, each `number << 3 | wire type`.
mod tag {
    /// `Message.type`, `Message.subscriptionUpdate`.
    pub(super) const TYPE: u8 = 1 << 3;
    pub(super) const UPDATE: u32 = 1001 << 3 | 2;
    /// `SubscriptionUpdate.removals`, `.cookie`, `.reset`, `.complete`.
    pub(super) const REMOVAL: u8 = 2 << 3 | 2;
    pub(super) const COOKIE: u8 = 3 << 3 | 2;
    pub(super) const RESET: u8 = 4 << 3;
    pub(super) const COMPLETE: u8 = 5 << 3;
    /// `Removal.ns`, `.id`.
    pub(super) const NS: u8 = 1 << 3 | 2;
    pub(super) const ID: u8 = 2 << 3 | 2;
}

/// Adds a removal to what [`EncodedEntry::append_marked_to`](crate::EncodedEntry::append_marked_to)
/// adds entries to.
pub fn append_removal(namespace: &Namespace, peer: &[u8], out: &mut Vec<u8>) {
    let namespace = namespace.as_str().as_bytes();
    out.push(tag::REMOVAL);
    let body_len = field_len(namespace.len()) + field_len(peer.len());
    encode_varint(body_len as u64, out);
    put_bytes(tag::NS, namespace, out);
    put_bytes(tag::ID, peer, out);
}

/// The frame of an update around the entries and removals in `changes`.
///
/// The same bytes as from
/// [`SubscriptionUpdate::encode`](crate::SubscriptionUpdate::encode) and
/// [`encode_frame`](crate::encode_frame), if all entries come before all removals.
pub fn encode_update_frame(
    changes: &[u8],
    cookie: Option<&[u8]>,
    is_reset: bool,
    is_complete: bool,
) -> Vec<u8> {
    let mut rest = Vec::new();
    if let Some(cookie) = cookie {
        put_bytes(tag::COOKIE, cookie, &mut rest);
    }
    for (tag, is_set) in [(tag::RESET, is_reset), (tag::COMPLETE, is_complete)] {
        if is_set {
            rest.extend_from_slice(&[tag, 1]);
        }
    }
    let mut head = vec![tag::TYPE];
    encode_varint(MessageType::SubscriptionUpdate as u64, &mut head);
    encode_varint(u64::from(tag::UPDATE), &mut head);
    let update_len = changes.len() + rest.len();
    encode_varint(update_len as u64, &mut head);
    let payload_len = head.len() + update_len;
    let mut frame = Vec::with_capacity(encoded_len_varint(payload_len as u64) + payload_len);
    encode_varint(payload_len as u64, &mut frame);
    for part in [&head, changes, &rest] {
        frame.extend_from_slice(part);
    }
    frame
}
