//! The peers that register: identities made from numbers, and their requests.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use bytes::Bytes;
use libp2p::{Multiaddr, identity::Keypair, multiaddr::Protocol};
use rv_proto::{
    Dialect, DialectSet, DiscoverRequest, PeerRecord, Record, RegisterRequest, Request,
    encode_frame,
};

/// The namespace that every listing asks for.
pub(crate) const NAMESPACE: &str = "bench";

/// The lifetime asked for, in seconds: above the stock server's minimum, far above a run.
const TTL_SECS: u64 = 7200;

/// Sequence numbers of records only rise, over all servers of a run, so that none is stale.
static NEXT_RECORD_SEQ: AtomicU64 = AtomicU64::new(1);

/// One peer: an identity and what it says of itself.
#[derive(Clone, Debug)]
pub(crate) struct BenchPeer {
    pub(crate) key: Keypair,
    address: Multiaddr,
}

impl BenchPeer {
    /// The peer of this number; the same in each run.
    pub(crate) fn new(number: u32) -> Result<Self> {
        let mut seed = *b"rv-bench: seed of the peer ....."; // the last bytes are the number
        seed[28..].copy_from_slice(&number.to_be_bytes());
        // Of the range for documentation; nobody dials it.
        let [_, port_high, port_low, host] = number.to_be_bytes();
        let address = Multiaddr::empty()
            .with(Protocol::Ip4([203, 0, 113, host].into()))
            .with(Protocol::Tcp(u16::from_be_bytes([
                port_high | 0x10,
                port_low,
            ])));
        Ok(Self {
            key: Keypair::ed25519_from_bytes(seed)?,
            address,
        })
    }

    /// A REGISTER frame for `namespace` with a record of a new sequence number.
    pub(crate) fn register(&self, namespace: &str, dialect: Dialect) -> Result<Vec<u8>> {
        let record = match dialect {
            Dialect::Legacy | Dialect::Standard => self.sealed(dialect)?,
            Dialect::Plain => {
                let peer = self.key.public().to_peer_id();
                Record::plain(&peer, std::slice::from_ref(&self.address))
                    .bytes()
                    .clone()
            }
        };
        let request = Request::Register(RegisterRequest {
            namespace: Some(Bytes::copy_from_slice(namespace.as_bytes())),
            record: Some(record),
            counterpart: None,
            ttl_secs: Some(TTL_SECS),
        });
        Ok(encode_frame(&request.encode()))
    }

    fn sealed(&self, dialect: Dialect) -> Result<Bytes> {
        let record = PeerRecord {
            peer: self.key.public().to_peer_id(),
            seq: NEXT_RECORD_SEQ.fetch_add(1, Ordering::Relaxed),
            addresses: vec![self.address.clone()],
        };
        Ok(record.seal(dialect, &self.key)?)
    }
}

/// A DISCOVER frame of `namespace`, or of everything.
pub(crate) fn discover(namespace: Option<&str>, limit: u64, cookie: Option<Bytes>) -> Vec<u8> {
    let request = Request::Discover(DiscoverRequest {
        namespace: namespace.map(|namespace| Bytes::copy_from_slice(namespace.as_bytes())),
        limit: Some(limit),
        cookie,
        accepts: DialectSet::EMPTY,
    });
    encode_frame(&request.encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_of_different_numbers_have_different_identities() {
        let ids: std::collections::BTreeSet<_> = [0, 1, 256, 65_536, u32::MAX]
            .into_iter()
            .map(|number| {
                BenchPeer::new(number)
                    .expect("a seed of 32 bytes")
                    .key
                    .public()
            })
            .map(|key| key.to_peer_id())
            .collect();
        assert_eq!(ids.len(), 5);
    }

    #[test]
    fn each_signed_registration_is_a_new_record() {
        let peer = BenchPeer::new(7).expect("a seed of 32 bytes");
        let first = peer.register(NAMESPACE, Dialect::Legacy).expect("sealed");
        let second = peer.register(NAMESPACE, Dialect::Legacy).expect("sealed");
        assert_ne!(first, second);
    }
}
