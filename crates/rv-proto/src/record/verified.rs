//! Records that may be relied on.

use bytes::Bytes;
use libp2p_identity::{KeyType, PeerId};
use multiaddr::Multiaddr;
use prost::Message as _;

use super::Dialect;
use super::shape::Signed;
use crate::generated::record as pb;
use crate::wire::{Fields, Value};

/// The code of the identity multihash: such a peer id is the public key itself.
const IDENTITY: u64 = 0;

/// A record whose signature was checked, or a plain one, which has none.
///
/// Holds its own bytes, never a part of the frame that it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    dialect: Dialect,
    peer: PeerId,
    seq: Option<u64>,
    addresses: Vec<Multiaddr>,
    /// The number of a `KeyType` in a public key.
    key_number: Option<u64>,
    bytes: Bytes,
}

impl Record {
    /// The plain record of a peer.
    pub fn plain(peer: &PeerId, addresses: &[Multiaddr]) -> Self {
        let info = pb::PeerInfo {
            id: Some(peer.to_bytes().into()),
            addrs: addresses
                .iter()
                .map(|address| address.to_vec().into())
                .collect(),
        };
        let multihash = peer.as_ref();
        let public_key = (multihash.code() == IDENTITY).then(|| multihash.digest());
        Self {
            dialect: Dialect::Plain,
            peer: *peer,
            seq: None,
            addresses: addresses.to_vec(),
            key_number: public_key.and_then(key_number),
            bytes: info.encode_to_vec().into(),
        }
    }

    pub(super) fn signed(
        kind: Signed,
        peer: PeerId,
        seq: u64,
        addresses: Vec<Multiaddr>,
        public_key: &[u8],
        bytes: Bytes,
    ) -> Self {
        let key_number = key_number(public_key);
        Self {
            dialect: kind.dialect(),
            peer,
            seq: Some(seq),
            addresses,
            key_number,
            bytes,
        }
    }

    /// The form that it has.
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whom it is about.
    pub const fn peer(&self) -> &PeerId {
        &self.peer
    }

    /// The sequence number of a signed one, in units of its maker.
    pub const fn seq(&self) -> Option<u64> {
        self.seq
    }

    /// Where the peer is reached.
    pub fn addresses(&self) -> &[Multiaddr] {
        &self.addresses
    }

    /// The record as it goes out: the envelope, or the peer info.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The type of the key that signed it. For a plain one the type of the peer's key, if the peer
    /// id contains that key.
    pub const fn key_type(&self) -> Option<KeyType> {
        // The numbers of
        // https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md#key-types
        match self.key_number {
            Some(0) => Some(KeyType::RSA),
            Some(1) => Some(KeyType::Ed25519),
            Some(2) => Some(KeyType::Secp256k1),
            Some(3) => Some(KeyType::Ecdsa),
            Some(_) | None => None,
        }
    }

    /// The same without its signature.
    #[must_use]
    pub fn to_plain(&self) -> Self {
        match self.dialect {
            Dialect::Legacy | Dialect::Standard => Self::plain(&self.peer, &self.addresses),
            Dialect::Plain => self.clone(),
        }
    }
}

fn key_number(public_key: &[u8]) -> Option<u64> {
    let fields = Fields::new(public_key).map_while(Result::ok);
    let numbers = fields.filter_map(|(field, value)| match value {
        Value::Varint(number) if field == 1 => Some(number),
        Value::Varint(_) | Value::Bytes(_) | Value::Fixed => None,
    });
    numbers.last()
}
