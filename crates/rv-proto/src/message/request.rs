//! What a peer asks for.

use bytes::Bytes;
use prost::Message as _;

use super::decode_message;
use crate::generated::rendezvous::Message;
use crate::generated::rendezvous::message::{
    Discover, DiscoverSubscribe, MessageType, Register, Unregister,
};
use crate::{DecodeError, Dialect, DialectSet};

/// The most types of push that a DISCOVER_SUBSCRIBE may name: two are known.
pub const SUBSCRIPTION_TYPES_MAX: usize = 64;

/// One request. Every field is as it was sent, absent ones are `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// REGISTER.
    Register(RegisterRequest),
    /// UNREGISTER, which has no answer.
    Unregister(UnregisterRequest),
    /// DISCOVER.
    Discover(DiscoverRequest),
    /// DISCOVER_SUBSCRIBE.
    Subscribe(SubscribeRequest),
}

/// Asks to stand in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisterRequest {
    /// Where. Any bytes.
    pub namespace: Option<Bytes>,
    /// A record in any dialect. Any bytes.
    pub record: Option<Bytes>,
    /// The extension: the record in the other signed dialect. Any bytes.
    pub counterpart: Option<Bytes>,
    /// For how many seconds.
    pub ttl_secs: Option<u64>,
}

/// Asks to be taken out of a namespace, or with an empty one out of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnregisterRequest {
    /// Where. Any bytes.
    pub namespace: Option<Bytes>,
    /// The peer's own id, in the removed field that go and py still send. Any bytes.
    pub peer: Option<Bytes>,
}

/// Asks who stands in a namespace, or with an empty one in any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscoverRequest {
    /// Where. Any bytes.
    pub namespace: Option<Bytes>,
    /// How many entries at most.
    pub limit: Option<u64>,
    /// Where to go on. Any bytes.
    pub cookie: Option<Bytes>,
    /// The extension: the dialects that the asker reads. Empty if it did not say.
    pub accepts: DialectSet,
}

/// Asks to be told of new peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeRequest {
    /// The types of push that the asker understands. What is not text is left out.
    pub supported_types: Vec<String>,
    /// Where. Any bytes.
    pub namespace: Option<Bytes>,
    /// The extension: the dialects that the asker reads. Empty if it did not say.
    pub accepts: DialectSet,
    /// The extension: where an earlier subscription ended. Any bytes.
    pub cookie: Option<Bytes>,
}

impl Request {
    /// Reads a message, without the length that is in front of it.
    ///
    /// An absent type is REGISTER, because proto3 leaves out what is zero. An absent body is one in
    /// which everything is absent.
    ///
    /// # Errors
    ///
    /// If it is no message, or not a request.
    pub fn decode(payload: Bytes) -> Result<Self, DecodeError> {
        let message = decode_message(payload)?;
        let number = message.r#type.unwrap_or_default();
        match MessageType::try_from(number) {
            Ok(MessageType::Register) => {
                let Register {
                    ns,
                    signed_peer_record,
                    ttl,
                    counterpart,
                    verified: _,
                } = message.register.unwrap_or_default();
                Ok(Self::Register(RegisterRequest {
                    namespace: ns,
                    record: signed_peer_record,
                    counterpart,
                    ttl_secs: ttl,
                }))
            }
            Ok(MessageType::Unregister) => {
                let Unregister { ns, id } = message.unregister.unwrap_or_default();
                Ok(Self::Unregister(UnregisterRequest {
                    namespace: ns,
                    peer: id,
                }))
            }
            Ok(MessageType::Discover) => {
                let Discover {
                    ns,
                    limit,
                    cookie,
                    accepts,
                } = message.discover.unwrap_or_default();
                let accepts = accepts.into_iter().filter_map(parse_dialect).collect();
                Ok(Self::Discover(DiscoverRequest {
                    namespace: ns,
                    limit,
                    cookie,
                    accepts,
                }))
            }
            Ok(MessageType::DiscoverSubscribe) => {
                let DiscoverSubscribe {
                    supported_subscription_types,
                    ns,
                    accepts,
                    cookie,
                } = message.discover_subscribe.unwrap_or_default();
                let types = supported_subscription_types.into_iter();
                let texts = types.filter_map(|text| String::from_utf8(text.into()).ok());
                Ok(Self::Subscribe(SubscribeRequest {
                    supported_types: texts.collect(),
                    namespace: ns,
                    accepts: accepts.into_iter().filter_map(parse_dialect).collect(),
                    cookie,
                }))
            }
            Ok(
                MessageType::RegisterResponse
                | MessageType::DiscoverResponse
                | MessageType::DiscoverSubscribeResponse
                | MessageType::SubscriptionUpdate,
            )
            | Err(_) => Err(DecodeError::UnexpectedType(number)),
        }
    }

    /// The message, without a length in front of it. The type is always there.
    pub fn encode(&self) -> Vec<u8> {
        let message = match self {
            Self::Register(request) => Message {
                r#type: Some(MessageType::Register as i32),
                register: Some(Register {
                    ns: request.namespace.clone(),
                    signed_peer_record: request.record.clone(),
                    ttl: request.ttl_secs,
                    counterpart: request.counterpart.clone(),
                    verified: None,
                }),
                ..Message::default()
            },
            Self::Unregister(request) => Message {
                r#type: Some(MessageType::Unregister as i32),
                unregister: Some(Unregister {
                    ns: request.namespace.clone(),
                    id: request.peer.clone(),
                }),
                ..Message::default()
            },
            Self::Discover(request) => Message {
                r#type: Some(MessageType::Discover as i32),
                discover: Some(Discover {
                    ns: request.namespace.clone(),
                    limit: request.limit,
                    cookie: request.cookie.clone(),
                    accepts: numbers(request.accepts),
                }),
                ..Message::default()
            },
            Self::Subscribe(request) => Message {
                r#type: Some(MessageType::DiscoverSubscribe as i32),
                discover_subscribe: Some(DiscoverSubscribe {
                    supported_subscription_types: request
                        .supported_types
                        .iter()
                        .map(|text| Bytes::copy_from_slice(text.as_bytes()))
                        .collect(),
                    ns: request.namespace.clone(),
                    accepts: numbers(request.accepts),
                    cookie: request.cookie.clone(),
                }),
                ..Message::default()
            },
        };
        message.encode_to_vec()
    }
}

fn numbers(dialects: DialectSet) -> Vec<i32> {
    let numbers = dialects.iter().map(|dialect| i32::from(dialect.number()));
    numbers.collect()
}

/// Dialects that a later version may add are passed over.
fn parse_dialect(number: i32) -> Option<Dialect> {
    u64::try_from(number).ok().and_then(Dialect::from_number)
}
