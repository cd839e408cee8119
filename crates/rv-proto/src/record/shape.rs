//! What a record is, by its raw protobuf fields: an envelope of one dialect, or a peer info.

use super::{Dialect, RecordError};
use crate::wire::{Fields, Malformed, Value};

/// The payload types in field 2 of an envelope.
const LEGACY_PAYLOAD_TYPE: &[u8] = b"/libp2p/routing-state-record";
const STANDARD_PAYLOAD_TYPE: &[u8] = &[0x03, 0x01];

/// A public key begins with its type, field 1.
const PUBLIC_KEY_START: &[u8] = &[0x08];

/// A peer id is a multihash: an identity, or a sha2-256.
const PEER_ID_STARTS: [&[u8]; 2] = [&[0x00], &[0x12, 0x20]];

/// The dialect of a record that came in a REGISTER, without checking more than its shape.
///
/// The forms cannot be taken for each other: a public key never begins as a peer id does.
///
/// # Errors
///
/// If it is none of them.
pub fn classify(bytes: &[u8]) -> Result<Dialect, RecordError> {
    Shape::read(bytes).map(|shape| shape.dialect())
}

/// A record taken apart.
#[derive(Debug)]
pub(super) enum Shape<'a> {
    Envelope {
        kind: Signed,
        public_key: &'a [u8],
        payload: &'a [u8],
        signature: &'a [u8],
    },
    PeerInfo {
        id: &'a [u8],
        message: &'a [u8],
    },
}

/// The dialects that have a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signed {
    Legacy,
    Standard,
}

impl<'a> Shape<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, RecordError> {
        // The last one wins, as everywhere in protobuf.
        let mut parts = [None; 6];
        for field in Fields::new(bytes) {
            let (number, value) = field.map_err(undecodable)?;
            let part = match number {
                1 | 2 | 3 | 5 => &mut parts[number as usize],
                _ => continue,
            };
            let Value::Bytes(value) = value else {
                return Err(RecordError::Undecodable("a field of another kind"));
            };
            *part = Some(value);
        }

        let [_, first, second, payload, _, signature] = parts;
        let first = first.ok_or(RecordError::Undecodable("neither a key nor a peer id"))?;
        match (payload, signature) {
            (Some(payload), Some(signature)) if first.starts_with(PUBLIC_KEY_START) => {
                let kind = match second {
                    Some(LEGACY_PAYLOAD_TYPE) => Signed::Legacy,
                    Some(STANDARD_PAYLOAD_TYPE) => Signed::Standard,
                    Some(_) | None => return Err(RecordError::PayloadType),
                };
                Ok(Self::Envelope {
                    kind,
                    public_key: first,
                    payload,
                    signature,
                })
            }
            (None, None) if PEER_ID_STARTS.iter().any(|start| first.starts_with(start)) => {
                Ok(Self::PeerInfo {
                    id: first,
                    message: bytes,
                })
            }
            _ => Err(RecordError::Undecodable(
                "neither an envelope nor a peer info",
            )),
        }
    }

    pub(super) const fn dialect(&self) -> Dialect {
        match self {
            Self::Envelope { kind, .. } => kind.dialect(),
            Self::PeerInfo { .. } => Dialect::Plain,
        }
    }
}

impl Signed {
    pub(super) const fn dialect(self) -> Dialect {
        match self {
            Self::Legacy => Dialect::Legacy,
            Self::Standard => Dialect::Standard,
        }
    }

    pub(super) const fn payload_type(self) -> &'static [u8] {
        match self {
            Self::Legacy => LEGACY_PAYLOAD_TYPE,
            Self::Standard => STANDARD_PAYLOAD_TYPE,
        }
    }

    const fn domain(self) -> &'static [u8] {
        match self {
            Self::Legacy => b"libp2p-routing-state",
            Self::Standard => b"libp2p-peer-record",
        }
    }

    /// What the signature is over: domain, payload type and payload, each behind its length
    /// (<https://github.com/libp2p/specs/blob/master/RFC/0002-signed-envelopes.md>).
    pub(super) fn signed_bytes(self, payload: &[u8]) -> Vec<u8> {
        let parts = [self.domain(), self.payload_type(), payload];
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 10).sum());
        for part in parts {
            prost::encoding::encode_varint(part.len() as u64, &mut bytes);
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

pub(super) const fn undecodable(_: Malformed) -> RecordError {
    RecordError::Undecodable("not a protobuf message")
}
