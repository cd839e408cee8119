//! What the readers of each dialect parse.
//!
//! Taken from the libraries that they are built on: legacy readers from rust's multiaddr since
//! 0.18, standard readers from js's and nim's, plain readers from go-multiaddr and py-multiaddr
//! 0.2. A part that one of them lacks is not in its table.

use multiaddr::{Multiaddr, Protocol};
use rv_proto::{Dialect, KeyType};

/// Parts of one address beyond which no reader gets it: it bounds the work per record, and real
/// addresses have up to a dozen.
const PARTS_MAX: usize = 24;

/// Whether every reader of `dialect` can check a signature of this kind of key.
///
/// Legacy readers are rust programs, where all but ed25519 are optional features. Of the standard
/// readers, js lacks ECDSA. Plain records have no signature.
pub(super) fn is_readable_key(dialect: Dialect, key_type: Option<KeyType>) -> bool {
    match (dialect, key_type) {
        (Dialect::Plain, _) => true,
        (Dialect::Legacy, Some(key_type)) => key_type == KeyType::Ed25519,
        (Dialect::Standard, Some(key_type)) => key_type != KeyType::Ecdsa,
        (Dialect::Legacy | Dialect::Standard, None) => false,
    }
}

/// Whether every reader of `dialect` parses this address.
pub(super) fn is_readable_address(dialect: Dialect, address: &Multiaddr) -> bool {
    let mut count = 0;
    address.iter().all(|part| {
        count += 1;
        count <= PARTS_MAX && is_readable_part(dialect, &part)
    })
}

fn is_readable_part(dialect: Dialect, part: &Protocol<'_>) -> bool {
    match part {
        Protocol::Certhash(_)
        | Protocol::Ip4(_)
        | Protocol::Ip6(_)
        | Protocol::P2p(_)
        | Protocol::P2pCircuit
        | Protocol::Quic
        | Protocol::QuicV1
        | Protocol::Tcp(_)
        | Protocol::Tls
        | Protocol::Udp(_)
        | Protocol::WebTransport => true,
        // With a path they have codes that only rust knows.
        Protocol::Ws(path) | Protocol::Wss(path) => path == "/",
        // Readers of plain records look at the values, too: py raises on a name that is no
        // domain, and on a port of 0.
        Protocol::Dns(name)
        | Protocol::Dns4(name)
        | Protocol::Dns6(name)
        | Protocol::Dnsaddr(name) => dialect != Dialect::Plain || is_domain(name),
        Protocol::Onion3(onion) => dialect != Dialect::Plain || onion.port() > 0,
        // Found in go, but not in every py that is deployed.
        Protocol::Http
        | Protocol::Https
        | Protocol::Memory(_)
        | Protocol::Noise
        | Protocol::Sctp(_)
        | Protocol::Sni(_)
        | Protocol::WebRTC
        | Protocol::WebRTCDirect => dialect != Dialect::Plain,
        // `http-path` came late, and the rest is of no use to anybody today.
        _ => false,
    }
}

/// A domain of letters, digits and inner hyphens, as every resolver takes it.
fn is_domain(name: &str) -> bool {
    const NAME_BYTES_MAX: usize = 253;
    const LABEL_BYTES_MAX: usize = 63;
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label)
}
