//! The payload of both signed dialects.

use bytes::Bytes;
use libp2p_identity::{Keypair, PeerId};
use multiaddr::Multiaddr;
use prost::Message as _;

use super::shape::{Signed, undecodable};
use super::{Dialect, RECORD_ADDRESSES_MAX, RECORD_BYTES_MAX, RecordError, SealError};
use crate::generated::record::{self as pb, peer_record::AddressInfo};
use crate::wire::{Fields, Value};

/// What a peer says about itself, before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRecord {
    /// Whom it is about.
    pub peer: PeerId,
    /// Which of two is newer. The units are the sender's: rust and nim count seconds, js
    /// milliseconds, go nanoseconds.
    pub seq: u64,
    /// Where the peer is reached.
    pub addresses: Vec<Multiaddr>,
}

impl PeerRecord {
    /// The bytes that are signed.
    pub fn encode(&self) -> Vec<u8> {
        let addresses = self.addresses.iter();
        pb::PeerRecord {
            peer_id: Some(self.peer.to_bytes().into()),
            seq: Some(self.seq),
            addresses: addresses
                .map(|a| AddressInfo {
                    multiaddr: Some(a.to_vec().into()),
                })
                .collect(),
        }
        .encode_to_vec()
    }

    /// The record that was signed.
    ///
    /// # Errors
    ///
    /// If the bytes are not a peer record, hold more than they may, or one address is not a
    /// multiaddr: some readers would refuse a whole list that this record is in.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLarge { bytes: bytes.len() });
        }
        Self::decode_within(bytes, RECORD_ADDRESSES_MAX)
    }

    /// As [`PeerRecord::decode`], for bytes that were bounded before.
    pub(super) fn decode_within(bytes: &[u8], addresses_max: usize) -> Result<Self, RecordError> {
        let mut peer = None;
        let mut seq = 0;
        let mut addresses = Vec::new();
        let mut count = 0;
        for field in Fields::new(bytes) {
            match field.map_err(undecodable)? {
                (1, Value::Bytes(bytes)) => peer = Some(parse_peer(bytes)?),
                (2, Value::Varint(value)) => seq = value,
                (3, Value::Bytes(info)) => {
                    if count < addresses_max {
                        addresses.push(parse_address_info(info, count)?);
                    }
                    count += 1;
                }
                (1..=3, _) => return Err(RecordError::Undecodable("a field of another kind")),
                _ => {}
            }
        }
        if count > addresses_max {
            return Err(RecordError::TooManyAddresses { count });
        }
        let peer = peer.ok_or(RecordError::Undecodable("no peer id"))?;
        Ok(Self {
            peer,
            seq,
            addresses,
        })
    }

    /// Signs the record: the bytes of an envelope.
    ///
    /// Whoever verifies it checks that the key is the peer's own; here that is up to the caller.
    ///
    /// # Errors
    ///
    /// If the dialect has no signature, or the key does not sign.
    pub fn seal(&self, dialect: Dialect, key: &Keypair) -> Result<Bytes, SealError> {
        let kind = match dialect {
            Dialect::Legacy => Signed::Legacy,
            Dialect::Standard => Signed::Standard,
            Dialect::Plain => return Err(SealError::Unsigned),
        };
        let payload = self.encode();
        let signature = key.sign(&kind.signed_bytes(&payload))?;
        Ok(encode_envelope(
            kind,
            key.public().encode_protobuf().into(),
            payload.into(),
            signature.into(),
        ))
    }
}

pub(super) fn encode_envelope(
    kind: Signed,
    public_key: Bytes,
    payload: Bytes,
    signature: Bytes,
) -> Bytes {
    let envelope = pb::Envelope {
        public_key: Some(public_key),
        payload_type: Some(Bytes::from_static(kind.payload_type())),
        payload: Some(payload),
        signature: Some(signature),
    };
    envelope.encode_to_vec().into()
}

pub(super) fn parse_peer(bytes: &[u8]) -> Result<PeerId, RecordError> {
    PeerId::from_bytes(bytes).map_err(|_| RecordError::Undecodable("not a peer id"))
}

/// `None` also for nothing at all, which some implementations do not take for a multiaddr.
pub(super) fn parse_address(bytes: &[u8]) -> Option<Multiaddr> {
    if bytes.is_empty() {
        return None;
    }
    Multiaddr::try_from(bytes.to_vec()).ok()
}

fn parse_address_info(info: &[u8], index: usize) -> Result<Multiaddr, RecordError> {
    let mut address = None;
    for field in Fields::new(info) {
        match field.map_err(undecodable)? {
            (1, Value::Bytes(bytes)) => address = Some(bytes),
            (1, _) => return Err(RecordError::BadAddress { index }),
            _ => {}
        }
    }
    address
        .and_then(parse_address)
        .ok_or(RecordError::BadAddress { index })
}
