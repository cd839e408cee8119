//! Who takes part: keys, names and addresses by number, the same in every run.

use std::sync::LazyLock;

use libp2p_identity::{Keypair, PeerId};
use rv_proto::Namespace;
use rv_proto::multiaddr::Multiaddr;

/// Clients of one network at the most.
pub(crate) const CLIENTS_MAX: usize = 6;

/// Points of one network at the most.
pub(crate) const POINTS_MAX: usize = 4;

static CLIENTS: LazyLock<Vec<Keypair>> = LazyLock::new(|| keypairs(1, CLIENTS_MAX));
static POINTS: LazyLock<Vec<PeerId>> = LazyLock::new(|| {
    let keys = keypairs(101, POINTS_MAX);
    keys.iter().map(|key| key.public().to_peer_id()).collect()
});

fn keypairs(first: u8, count: usize) -> Vec<Keypair> {
    let numbers = (first..).take(count);
    numbers
        .map(|number| Keypair::ed25519_from_bytes([number; 32]).expect("32 bytes"))
        .collect()
}

pub(crate) fn client_key(number: usize) -> &'static Keypair {
    &CLIENTS[number]
}

/// The peer id of a client.
///
/// # Panics
///
/// If a network has fewer clients.
pub fn client_peer(number: usize) -> PeerId {
    CLIENTS[number].public().to_peer_id()
}

/// The peer id of a point.
///
/// # Panics
///
/// If a network has fewer points.
pub fn point_peer(number: usize) -> PeerId {
    POINTS[number]
}

/// A peer id without a key: nobody can sign for it, so it costs nothing.
///
/// # Panics
///
/// Never: the bytes are a multihash.
pub fn plain_peer(number: u64) -> PeerId {
    let mut bytes = vec![0x12, 0x20];
    bytes.extend([0x5a; 24]);
    bytes.extend(number.to_be_bytes());
    PeerId::from_bytes(&bytes).expect("a sha2-256 multihash")
}

/// A namespace.
///
/// # Panics
///
/// Never: the name is short.
pub fn name(number: usize) -> Namespace {
    Namespace::new(format!("room-{number}")).expect("a short name")
}

pub(crate) fn address(port: u16) -> Multiaddr {
    format!("/ip4/203.0.113.9/tcp/{port}")
        .parse()
        .expect("an address")
}

/// The number of a namespace.
pub(crate) fn number_of(namespace: &Namespace) -> usize {
    let number = namespace.as_str().rsplit('-').next();
    number
        .and_then(|it| it.parse().ok())
        .expect("one of our names")
}

/// The number of a point.
pub(crate) fn number_of_point(point: PeerId) -> usize {
    let mut numbers = 0..POINTS_MAX;
    let number = numbers.find(|number| point_peer(*number) == point);
    number.expect("one of our points")
}
