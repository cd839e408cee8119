//! Where nodes stand and where they are dialled: an address names a node's number.
//!
//! Each node has a public address in a /24 of its own, so that no limit on groups of addresses
//! counts honest nodes together. Sybils share one /24 and differ by port.

use std::net::Ipv4Addr;

use dht_walk::multiaddr::{Multiaddr, Protocol};
use dht_walk::{Contact, Key, Peer};

/// The number of a node, counted from the first that ever joined.
pub type Slot = u32;

/// The first byte of honest nodes' addresses; up to 99 all of them are public.
const FIRST_BYTE: u32 = 11;

/// The one /24 of all Sybils.
const CROWDED: [u8; 3] = [9, 9, 9];

/// The contact of node `slot`.
pub(crate) fn contact(peer: &Peer, slot: Slot) -> Contact {
    let [_, high, middle, low] = slot.to_be_bytes();
    let first = FIRST_BYTE.saturating_add(u32::from(high)).min(99);
    let first = u8::try_from(first).expect("below 100");
    at(peer, Ipv4Addr::new(first, middle, low, 7), 4_001)
}

/// The contact of a Sybil: number `nth` of those that begin at `slot`.
pub(crate) fn crowded_contact(peer: &Peer, nth: u16) -> Contact {
    let [a, b, c] = CROWDED;
    at(peer, Ipv4Addr::new(a, b, c, 9), nth.saturating_add(1))
}

fn at(peer: &Peer, ip: Ipv4Addr, port: u16) -> Contact {
    let address = Multiaddr::empty()
        .with(Protocol::Ip4(ip))
        .with(Protocol::Tcp(port));
    Contact::new(peer.clone(), [address])
}

/// Which node an address leads to; Sybils are counted from `crowd_at`.
pub(crate) fn slot_at(address: &Multiaddr, crowd_at: Slot) -> Option<Slot> {
    let mut parts = address.iter();
    let (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) = (parts.next(), parts.next()) else {
        return None;
    };
    let [first, middle, low, _] = ip.octets();
    if [first, middle, low] == CROWDED {
        return crowd_at.checked_add(Slot::from(port).checked_sub(1)?);
    }
    let high = u32::from(first).checked_sub(FIRST_BYTE)?;
    Some((high << 16) | (u32::from(middle) << 8) | u32::from(low))
}

/// The first bits of a position, which tell all nodes of a simulation apart.
pub(crate) fn head(key: &Key) -> u64 {
    let first = key
        .as_bytes()
        .first_chunk()
        .expect("a position has 32 bytes");
    u64::from_be_bytes(*first)
}

#[cfg(test)]
mod tests {
    use dht_walk::{Seed, Targets};

    use super::*;

    #[test]
    fn an_address_leads_to_the_node_it_was_made_for() {
        let peer = Targets::new(Seed::from_bytes([1; 32])).uniform();
        for slot in [0, 1, 255, 256, 65_535, 65_536, 3_000_000] {
            let contact = contact(peer.as_peer(), slot);
            assert_eq!(slot_at(&contact.addresses.as_slice()[0], 9), Some(slot));
        }
        let sybil = crowded_contact(peer.as_peer(), 7);
        assert_eq!(slot_at(&sybil.addresses.as_slice()[0], 1_000), Some(1_007));
        let elsewhere = "/dns4/example.org/tcp/1".parse().expect("an address");
        assert_eq!(slot_at(&elsewhere, 0), None);
    }
}
