//! Peers' identities and the records that they sign, by libp2p's own code.

use libp2p::core::{PeerRecord, SignedEnvelope};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};

use crate::wire;

/// A key with its peer id.
#[derive(Clone, Debug)]
pub struct Identity {
    key: Keypair,
    peer: PeerId,
}

impl Identity {
    /// Somebody new, with the usual kind of key.
    pub fn new() -> Self {
        Self::of(Keypair::generate_ed25519())
    }

    /// Somebody new, with a key that rust peers need not know.
    pub fn new_secp256k1() -> Self {
        Self::of(Keypair::generate_secp256k1())
    }

    /// One peer with a key that rust and others need not know, and whose id is a hash.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn rsa() -> Self {
        let mut key = include_bytes!("../keys/rsa.pk8").to_vec();
        Self::of(Keypair::rsa_from_pkcs8(&mut key).expect("it is a key"))
    }

    /// The peer of the golden frames.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn golden() -> Self {
        Self::of(Keypair::ed25519_from_bytes([0; 32]).expect("32 bytes are a key"))
    }

    /// Whoever has `key`.
    pub fn of(key: Keypair) -> Self {
        let peer = PeerId::from(key.public());
        Self { key, peer }
    }

    /// The key.
    pub fn key(&self) -> &Keypair {
        &self.key
    }

    /// The peer id.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// An address that names this peer, so that lists can be told apart.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn address(&self) -> Multiaddr {
        "/ip4/127.0.0.1/tcp/4001"
            .parse()
            .expect("the address is one")
    }

    /// A record as rust's rendezvous client makes it.
    ///
    /// # Panics
    ///
    /// If the key does not sign.
    pub fn legacy(&self) -> Vec<u8> {
        let record = PeerRecord::new(&self.key, vec![self.address()]).expect("the key signs");
        record.into_signed_envelope().into_protobuf_encoding()
    }

    /// A record as nim and js make it.
    ///
    /// # Panics
    ///
    /// If the key does not sign.
    pub fn standard(&self) -> Vec<u8> {
        let record =
            PeerRecord::new_interop(&self.key, vec![self.address()]).expect("the key signs");
        record.into_signed_envelope().into_protobuf_encoding()
    }

    /// A record as go and py make it.
    pub fn plain(&self) -> Vec<u8> {
        plain_record(self.peer, &[self.address().to_vec()])
    }

    /// A legacy record with this `seq` and these addresses, which may be any bytes.
    pub fn legacy_of(&self, seq: u64, addresses: &[Vec<u8>]) -> Vec<u8> {
        let payload = record_payload(self.peer, seq, addresses);
        envelope(&self.key, LEGACY_DOMAIN, LEGACY_TYPE, payload)
    }

    /// A standard record with this `seq` and these addresses, which may be any bytes.
    pub fn standard_of(&self, seq: u64, addresses: &[Vec<u8>]) -> Vec<u8> {
        let payload = record_payload(self.peer, seq, addresses);
        envelope(&self.key, STANDARD_DOMAIN, STANDARD_TYPE, payload)
    }

    /// A legacy record about somebody else.
    pub fn legacy_about(&self, peer: PeerId) -> Vec<u8> {
        let payload = record_payload(peer, 1, &[self.address().to_vec()]);
        envelope(&self.key, LEGACY_DOMAIN, LEGACY_TYPE, payload)
    }

    /// A record in an envelope of another type.
    pub fn of_type(&self, domain: &str, payload_type: &[u8]) -> Vec<u8> {
        let payload = record_payload(self.peer, 1, &[self.address().to_vec()]);
        envelope(&self.key, domain, payload_type, payload)
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self::new()
    }
}

const LEGACY_DOMAIN: &str = "libp2p-routing-state";
const LEGACY_TYPE: &[u8] = b"/libp2p/routing-state-record";
const STANDARD_DOMAIN: &str = "libp2p-peer-record";
const STANDARD_TYPE: &[u8] = &[0x03, 0x01];

/// An envelope around any payload.
///
/// # Panics
///
/// If the key does not sign.
pub fn envelope(key: &Keypair, domain: &str, payload_type: &[u8], payload: Vec<u8>) -> Vec<u8> {
    SignedEnvelope::new(key, domain.into(), payload_type.to_vec(), payload)
        .expect("the key signs")
        .into_protobuf_encoding()
}

/// An unsigned record with these addresses, which may be any bytes.
pub fn plain_record(peer: PeerId, addresses: &[Vec<u8>]) -> Vec<u8> {
    let mut record = wire::bytes(1, &peer.to_bytes());
    for address in addresses {
        record.extend(wire::bytes(2, address));
    }
    record
}

fn record_payload(peer: PeerId, seq: u64, addresses: &[Vec<u8>]) -> Vec<u8> {
    let mut payload = [wire::bytes(1, &peer.to_bytes()), wire::number(2, seq)].concat();
    for address in addresses {
        payload.extend(wire::bytes(3, &wire::bytes(1, address)));
    }
    payload
}
