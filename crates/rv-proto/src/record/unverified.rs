//! Records as they arrive.

use bytes::Bytes;
use libp2p_identity::{PeerId, PublicKey};
use multiaddr::Multiaddr;

use super::peer_record::{PeerRecord, encode_envelope, parse_address, parse_peer};
use super::shape::{Shape, Signed};
use super::{Dialect, RECORD_ADDRESSES_MAX, RECORD_BYTES_MAX, Record, RecordError};
use crate::wire;

/// A record that was taken apart and is within bounds, but says only what somebody claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedRecord {
    record: Record,
    proof: Option<Proof>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Proof {
    kind: Signed,
    public_key: Bytes,
    payload: Bytes,
    signature: Bytes,
}

impl UnverifiedRecord {
    /// Takes a record apart.
    ///
    /// Its bytes are encoded anew around the signed payload, which leaves an honest record as it
    /// is. Unknown fields, which some readers fail on, are gone, and so are addresses of a plain
    /// record that do not parse.
    ///
    /// # Errors
    ///
    /// If it is no record of any dialect, or above the bounds; if one address of a signed record
    /// does not parse, or all of a plain one.
    pub fn parse(bytes: Bytes) -> Result<Self, RecordError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLarge { bytes: bytes.len() });
        }
        let parsed = Self::parse_within(bytes, RECORD_ADDRESSES_MAX)?;
        if parsed.proof.is_none() && parsed.addresses().is_empty() {
            return Err(RecordError::NoAddress);
        }
        Ok(parsed)
    }

    /// For what was taken in before, whatever the bounds are now.
    pub(crate) fn parse_stored(bytes: Bytes) -> Result<Self, RecordError> {
        Self::parse_within(bytes, usize::MAX)
    }

    fn parse_within(bytes: Bytes, addresses_max: usize) -> Result<Self, RecordError> {
        match Shape::read(&bytes)? {
            Shape::Envelope {
                kind,
                public_key,
                payload,
                signature,
            } => {
                let PeerRecord {
                    peer,
                    seq,
                    addresses,
                } = PeerRecord::decode_within(payload, addresses_max)?;
                let proof = Proof {
                    kind,
                    public_key: bytes.slice_ref(public_key),
                    payload: bytes.slice_ref(payload),
                    signature: bytes.slice_ref(signature),
                };
                let record = Record::signed(
                    kind,
                    peer,
                    seq,
                    addresses,
                    &proof.public_key,
                    proof.encode(),
                );
                Ok(Self {
                    record,
                    proof: Some(proof),
                })
            }
            Shape::PeerInfo { id, message } => {
                let count = wire::count(message, 2);
                if count > addresses_max {
                    return Err(RecordError::TooManyAddresses { count });
                }
                let addresses: Vec<_> = wire::each(message, 2).filter_map(parse_address).collect();
                Ok(Self {
                    record: Record::plain(&parse_peer(id)?, &addresses),
                    proof: None,
                })
            }
        }
    }

    /// The form that it has.
    pub const fn dialect(&self) -> Dialect {
        self.record.dialect()
    }

    /// Whom it claims to be about.
    pub const fn peer(&self) -> &PeerId {
        self.record.peer()
    }

    /// The sequence number of a signed one.
    pub const fn seq(&self) -> Option<u64> {
        self.record.seq()
    }

    /// Where the peer is said to be reached.
    pub fn addresses(&self) -> &[Multiaddr] {
        self.record.addresses()
    }

    /// Checks the signature, and that it is by the peer that the record is about.
    ///
    /// A plain record has none and always passes: the caller must know from the connection whose it
    /// is.
    ///
    /// # Errors
    ///
    /// If the key or the signature is not what it should be.
    pub fn verify(self) -> Result<Record, RecordError> {
        let Self { record, proof } = self;
        let Some(Proof {
            kind,
            public_key,
            payload,
            signature,
        }) = proof
        else {
            return Ok(record);
        };
        let key = PublicKey::try_decode_protobuf(&public_key)
            .map_err(|_| RecordError::Undecodable("not a public key"))?;
        // An unusual encoding of a good key is one that some reader of a list may fail on.
        if key.encode_protobuf() != public_key {
            return Err(RecordError::Undecodable(
                "not a public key in its usual form",
            ));
        }
        // The cheap check first: signatures are what verification costs.
        if key.to_peer_id() != *record.peer() {
            return Err(RecordError::KeyMismatch);
        }
        if !key.verify(&kind.signed_bytes(&payload), &signature) {
            return Err(RecordError::Forged);
        }
        Ok(record)
    }

    /// Whether it is, byte for byte, the envelope of a [`Record`] that was verified before.
    pub fn is_copy_of(&self, envelope: &[u8]) -> bool {
        self.record.bytes() == envelope
    }

    /// Takes it for verified: for what comes from our own store, or is a copy of a verified one.
    pub fn trust(self) -> Record {
        self.record
    }
}

impl Proof {
    fn encode(&self) -> Bytes {
        encode_envelope(
            self.kind,
            self.public_key.clone(),
            self.payload.clone(),
            self.signature.clone(),
        )
    }
}
