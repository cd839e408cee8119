//! What a subscription of the extension brings.

use bytes::Bytes;
use prost::Message as _;

use super::{Entry, decode_message, parse_status, parse_text, text_bytes};
use crate::generated::rendezvous::Message;
use crate::generated::rendezvous::message::subscription_update as pb;
use crate::generated::rendezvous::message::{MessageType, SubscriptionUpdate as PbUpdate};
use crate::{DecodeError, Status};

/// The type of the extension's subscriptions, as a DISCOVER_SUBSCRIBE and its answer name it.
pub const UPDATES_TYPE: &str = "rv-updates/1";

/// The most entries, and the most removals, that one update may have.
pub const UPDATE_ENTRIES_MAX: usize = 2_000;

/// The longest update that a point sends, in bytes: a hundred registrations with usual records, and
/// several of the largest. It is what a subscriber that does not read can make a point keep.
pub const UPDATE_BYTES_MAX: usize = 32_768;

/// What changed since the update before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionUpdate {
    /// Who is there: new, or with a new record or deadline.
    pub entries: Vec<Entry>,
    /// Who is there no longer, before the deadline that was told.
    pub removals: Vec<Removal>,
    /// Where a later subscription goes on.
    pub cookie: Option<Bytes>,
    /// Whether a snapshot begins with this update: what was told before counts no longer.
    pub is_reset: bool,
    /// Whether what was told up to here is all there is.
    pub is_complete: bool,
    /// Why the subscription ends with this update, if it does: a status, and details for a human.
    pub end: Option<(Status, String)>,
}

/// A peer that is in a namespace no longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Where. Any bytes.
    pub namespace: Option<Bytes>,
    /// Who. Any bytes.
    pub peer: Option<Bytes>,
}

impl SubscriptionUpdate {
    /// The last update of a subscription, and why it ends.
    pub fn ended(status: Status, status_text: String) -> Self {
        Self {
            end: Some((status, status_text)),
            ..Self::default()
        }
    }

    /// Reads a message, without the length that is in front of it.
    ///
    /// # Errors
    ///
    /// If it is no message, or not an update.
    pub fn decode(payload: Bytes) -> Result<Self, DecodeError> {
        let message = decode_message(payload)?;
        let number = message.r#type.unwrap_or_default();
        if number != MessageType::SubscriptionUpdate as i32 {
            return Err(DecodeError::UnexpectedType(number));
        }
        let update = message.subscription_update.unwrap_or_default();
        let text = parse_text(update.status_text);
        let removals = update.removals.into_iter().map(|removal| Removal {
            namespace: removal.ns,
            peer: removal.id,
        });
        Ok(Self {
            entries: update
                .registrations
                .into_iter()
                .map(Entry::from_pb)
                .collect(),
            removals: removals.collect(),
            cookie: update.cookie,
            is_reset: update.reset.unwrap_or_default(),
            is_complete: update.complete.unwrap_or_default(),
            end: update.status.map(|code| (parse_status(Some(code)), text)),
        })
    }

    /// The message, without a length in front of it.
    pub fn encode(&self) -> Vec<u8> {
        let removals = self.removals.iter().map(|removal| pb::Removal {
            ns: removal.namespace.clone(),
            id: removal.peer.clone(),
        });
        let update = PbUpdate {
            registrations: self.entries.iter().map(Entry::to_pb).collect(),
            removals: removals.collect(),
            cookie: self.cookie.clone(),
            reset: self.is_reset.then_some(true),
            complete: self.is_complete.then_some(true),
            status: self.end.as_ref().map(|(status, _)| status.to_wire()),
            status_text: self.end.as_ref().and_then(|(_, text)| text_bytes(text)),
        };
        let message = Message {
            r#type: Some(MessageType::SubscriptionUpdate as i32),
            subscription_update: Some(update),
            ..Message::default()
        };
        message.encode_to_vec()
    }
}
