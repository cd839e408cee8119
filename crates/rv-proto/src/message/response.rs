//! What a point answers.

use bytes::Bytes;
use prost::Message as _;

use super::decode_message;
use crate::generated::rendezvous::Message;
use crate::generated::rendezvous::message::{self as pb, MessageType, Register};
use crate::{DecodeError, Status, Ttl};

/// The most entries that a DISCOVER_RESPONSE may have. More than fit into
/// [`RESPONSE_BYTES_MAX`](crate::RESPONSE_BYTES_MAX) if each has a record.
pub const DISCOVER_ENTRIES_MAX: usize = 20_000;

/// One response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// REGISTER_RESPONSE.
    Register(RegisterResponse),
    /// DISCOVER_RESPONSE.
    Discover(DiscoverResponse),
    /// DISCOVER_SUBSCRIBE_RESPONSE.
    Subscribe(SubscribeResponse),
}

/// Whether the peer stands in the namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisterResponse {
    /// OK, or why not. OK if it was absent.
    pub status: Status,
    /// Details for a human.
    pub status_text: String,
    /// For how many seconds. Goes out as 0 if it is absent.
    pub ttl_secs: Option<u64>,
}

/// A page of those who stand in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscoverResponse {
    /// The peers.
    pub entries: Vec<Entry>,
    /// Where to go on. Goes out empty if it is absent and the status is OK.
    pub cookie: Option<Bytes>,
    /// OK, or why not. OK if it was absent.
    pub status: Status,
    /// Details for a human.
    pub status_text: String,
}

/// One peer in one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Where. Any bytes. Goes out empty if it is absent.
    pub namespace: Option<Bytes>,
    /// A record in any dialect. Any bytes.
    pub record: Option<Bytes>,
    /// For how many seconds more. Goes out as 0 if it is absent.
    pub ttl_secs: Option<u64>,
    /// The extension: whether the point checked a signature over the record.
    pub verified: Option<bool>,
}

/// How the peer is told of new ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeResponse {
    /// OK, or why not. OK if it was absent.
    pub status: Status,
    /// Details for a human.
    pub status_text: String,
    /// The type of push that was chosen.
    pub subscription_type: Option<Bytes>,
    /// What that type needs to know, as JSON.
    pub subscription_details: Option<Bytes>,
    /// The extension: the longest time without an update, in seconds.
    pub heartbeat_secs: Option<u64>,
}

impl RegisterResponse {
    /// The answer to a REGISTER that was granted.
    pub fn ok(ttl: Ttl) -> Self {
        let ttl_secs = Some(u64::from(ttl.as_secs()));
        Self {
            status: Status::OK,
            status_text: String::new(),
            ttl_secs,
        }
    }

    /// The answer to a REGISTER that was refused.
    pub fn refused(status: Status, status_text: String) -> Self {
        Self {
            status,
            status_text,
            ttl_secs: None,
        }
    }
}

impl DiscoverResponse {
    /// The answer to a DISCOVER that was refused.
    pub fn refused(status: Status, status_text: String) -> Self {
        Self {
            status,
            status_text,
            ..Self::default()
        }
    }
}

impl SubscribeResponse {
    /// The answer to a DISCOVER_SUBSCRIBE that was refused.
    pub fn refused(status: Status, status_text: String) -> Self {
        Self {
            status,
            status_text,
            ..Self::default()
        }
    }
}

impl Response {
    /// Reads a message, without the length that is in front of it.
    ///
    /// An absent status is OK, because proto3 leaves out what is zero. An absent body is one in
    /// which everything is absent.
    ///
    /// # Errors
    ///
    /// If it is no message, or not a response.
    pub fn decode(payload: Bytes) -> Result<Self, DecodeError> {
        let message = decode_message(payload)?;
        let number = message.r#type.unwrap_or_default();
        match MessageType::try_from(number) {
            Ok(MessageType::RegisterResponse) => {
                let response = message.register_response.unwrap_or_default();
                Ok(Self::Register(RegisterResponse {
                    status: parse_status(response.status),
                    status_text: parse_text(response.status_text),
                    ttl_secs: response.ttl,
                }))
            }
            Ok(MessageType::DiscoverResponse) => {
                let response = message.discover_response.unwrap_or_default();
                Ok(Self::Discover(DiscoverResponse {
                    entries: response
                        .registrations
                        .into_iter()
                        .map(Entry::from_pb)
                        .collect(),
                    cookie: response.cookie,
                    status: parse_status(response.status),
                    status_text: parse_text(response.status_text),
                }))
            }
            Ok(MessageType::DiscoverSubscribeResponse) => {
                let response = message.discover_subscribe_response.unwrap_or_default();
                Ok(Self::Subscribe(SubscribeResponse {
                    status: parse_status(response.status),
                    status_text: parse_text(response.status_text),
                    subscription_type: response.subscription_type,
                    subscription_details: response.subscription_details,
                    heartbeat_secs: response.heartbeat,
                }))
            }
            Ok(
                MessageType::Register
                | MessageType::Unregister
                | MessageType::Discover
                | MessageType::DiscoverSubscribe
                | MessageType::SubscriptionUpdate,
            )
            | Err(_) => Err(DecodeError::UnexpectedType(number)),
        }
    }

    /// The message, without a length in front of it.
    ///
    /// Type, status, ttl, namespace, and the cookie of what is OK are always there: some readers
    /// fail without them.
    pub fn encode(&self) -> Vec<u8> {
        let message = match self {
            Self::Register(response) => Message {
                r#type: Some(MessageType::RegisterResponse as i32),
                register_response: Some(pb::RegisterResponse {
                    status: Some(response.status.to_wire()),
                    status_text: text_bytes(&response.status_text),
                    ttl: Some(response.ttl_secs.unwrap_or_default()),
                }),
                ..Message::default()
            },
            Self::Discover(response) => Message {
                r#type: Some(MessageType::DiscoverResponse as i32),
                discover_response: Some(response.to_pb()),
                ..Message::default()
            },
            Self::Subscribe(response) => Message {
                r#type: Some(MessageType::DiscoverSubscribeResponse as i32),
                discover_subscribe_response: Some(pb::DiscoverSubscribeResponse {
                    subscription_type: response.subscription_type.clone(),
                    subscription_details: response.subscription_details.clone(),
                    status: Some(response.status.to_wire()),
                    status_text: text_bytes(&response.status_text),
                    heartbeat: response.heartbeat_secs,
                }),
                ..Message::default()
            },
        };
        message.encode_to_vec()
    }
}

impl DiscoverResponse {
    fn to_pb(&self) -> pb::DiscoverResponse {
        let empty_if_ok = (self.status == Status::OK).then(Bytes::new);
        pb::DiscoverResponse {
            registrations: self.entries.iter().map(Entry::to_pb).collect(),
            cookie: self.cookie.clone().or(empty_if_ok),
            status: Some(self.status.to_wire()),
            status_text: text_bytes(&self.status_text),
        }
    }
}

impl Entry {
    pub(super) fn to_pb(&self) -> Register {
        Register {
            ns: Some(self.namespace.clone().unwrap_or_default()),
            signed_peer_record: self.record.clone(),
            ttl: Some(self.ttl_secs.unwrap_or_default()),
            counterpart: None,
            verified: self.verified,
        }
    }

    pub(super) fn from_pb(entry: Register) -> Self {
        Self {
            namespace: entry.ns,
            record: entry.signed_peer_record,
            ttl_secs: entry.ttl,
            verified: entry.verified,
        }
    }
}

pub(super) fn parse_status(code: Option<i32>) -> Status {
    code.map_or(Status::OK, Status::from_wire)
}

/// What is not UTF-8 in it is replaced: nobody but a human reads it.
pub(super) fn parse_text(bytes: Option<Bytes>) -> String {
    bytes.map_or_else(String::new, |bytes| {
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

pub(super) fn text_bytes(text: &str) -> Option<Bytes> {
    (!text.is_empty()).then(|| Bytes::copy_from_slice(text.as_bytes()))
}
