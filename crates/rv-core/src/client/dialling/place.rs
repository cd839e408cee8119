//! Where an address leads: to the internet, to this machine or its own network, or nowhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol};

use super::names;

/// Where an address leads. Of the parts of an address, the worst counts.
///
/// The sources of the tables are the IANA registries of special-purpose addresses, as of RFC 6890
/// and its updates: <https://www.iana.org/assignments/iana-ipv4-special-registry> and
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>; for multicast RFC 5771 and RFC
/// 4291; for what of IPv6 is handed out at all
/// <https://www.iana.org/assignments/ipv6-address-space>; for names
/// <https://www.iana.org/assignments/special-use-domain-names>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Somebody on the internet may be there.
    Internet,
    /// This machine, or a network that is not the internet: loopback, link-local, private,
    /// shared (carrier-grade NAT), and names that only such a network knows.
    Local,
    /// Nobody is there: unspecified, documentation, multicast, reserved, and what cannot be read.
    Nowhere,
}

const fn v4(a: u8, b: u8, c: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, 0)
}

const fn v6(a: u16, b: u16, c: u16, d: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)
}

/// Blocks of IPv4 that are not the internet, by their first address and the length of their prefix.
const IPV4: [(Ipv4Addr, u32, Place); 16] = [
    (v4(0, 0, 0), 8, Place::Nowhere), // "this network": many systems go to loopback
    (v4(10, 0, 0), 8, Place::Local),  // private use
    (v4(100, 64, 0), 10, Place::Local), // shared: carrier-grade NAT
    (v4(127, 0, 0), 8, Place::Local), // loopback
    (v4(169, 254, 0), 16, Place::Local), // link-local
    (v4(172, 16, 0), 12, Place::Local), // private use
    (v4(192, 0, 0), 24, Place::Nowhere), // protocol assignments
    (v4(192, 0, 2), 24, Place::Nowhere), // documentation
    (v4(192, 31, 196), 24, Place::Nowhere), // AS112, answers DNS alone
    (v4(192, 52, 193), 24, Place::Nowhere), // multicast relays
    (v4(192, 88, 99), 24, Place::Nowhere), // 6to4 relays, given up
    (v4(192, 168, 0), 16, Place::Local), // private use
    (v4(198, 18, 0), 15, Place::Local), // benchmarks, and fake addresses of proxies
    (v4(198, 51, 100), 24, Place::Nowhere), // documentation
    (v4(203, 0, 113), 24, Place::Nowhere), // documentation
    (v4(224, 0, 0), 3, Place::Nowhere), // multicast, reserved, broadcast
];

/// Blocks of IPv6 that are not the internet though they lie where it does, and those outside that
/// are local. All others outside of 2000::/3 are nowhere.
const IPV6: [(Ipv6Addr, u32, Place); 10] = [
    (Ipv6Addr::LOCALHOST, 128, Place::Local),
    (v6(0x64, 0xff9b, 1, 0), 48, Place::Local), // translation to IPv4 within a network
    (v6(0x2001, 0, 0, 0), 23, Place::Nowhere),  // protocol assignments, Teredo
    (v6(0x2001, 0xdb8, 0, 0), 32, Place::Nowhere), // documentation
    (v6(0x2620, 0x4f, 0x8000, 0), 48, Place::Nowhere), // AS112, answers DNS alone
    (v6(0x3fff, 0, 0, 0), 20, Place::Nowhere),  // documentation
    (v6(0xfc00, 0, 0, 0), 7, Place::Local),     // unique local
    (v6(0xfe80, 0, 0, 0), 10, Place::Local),    // link-local
    (v6(0xfec0, 0, 0, 0), 10, Place::Local),    // site-local, given up
    (v6(0x2000, 0, 0, 0), 3, Place::Internet),  // global unicast
];

impl Place {
    /// Where an address leads. That of a relayed peer is judged by its part up to the relay.
    pub fn of(address: &Multiaddr) -> Self {
        let mut worst = None;
        for part in address {
            let place = match part {
                Protocol::P2pCircuit => break,
                Protocol::Ip4(ip) => Self::of_ipv4(ip),
                Protocol::Ip6(ip) => Self::of_ipv6(ip),
                Protocol::Ip6zone(_) | Protocol::Memory(_) | Protocol::Unix(_) => Self::Local,
                Protocol::Dns(name)
                | Protocol::Dns4(name)
                | Protocol::Dns6(name)
                | Protocol::Dnsaddr(name) => names::place_of(&name),
                // Networks of their own, which have nothing local.
                Protocol::Onion(..)
                | Protocol::Onion3(_)
                | Protocol::Garlic32(_)
                | Protocol::Garlic64(_) => Self::Internet,
                Protocol::Tcp(0) | Protocol::Udp(0) | Protocol::Ipcidr(_) => Self::Nowhere,
                _ => continue,
            };
            worst = worst.max(Some(place));
        }
        // Without any of them it does not say where.
        worst.unwrap_or(Self::Nowhere)
    }

    /// Where an IP address leads. One of IPv6 that stands for one of IPv4 is where that is.
    pub fn of_ip(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::of_ipv4(ip),
            IpAddr::V6(ip) => Self::of_ipv6(ip),
        }
    }

    fn of_ipv4(ip: Ipv4Addr) -> Self {
        let is_in = |(base, prefix, _): &&(Ipv4Addr, u32, Self)| {
            (ip.to_bits() ^ base.to_bits()) >> (u32::BITS - prefix) == 0
        };
        IPV4.iter()
            .find(is_in)
            .map_or(Self::Internet, |(.., place)| *place)
    }

    fn of_ipv6(ip: Ipv6Addr) -> Self {
        if let Some(inner) = inner_ipv4(ip) {
            return Self::of_ipv4(inner);
        }
        let is_in = |(base, prefix, _): &&(Ipv6Addr, u32, Self)| {
            (ip.to_bits() ^ base.to_bits()) >> (u128::BITS - prefix) == 0
        };
        IPV6.iter()
            .find(is_in)
            .map_or(Self::Nowhere, |(.., place)| *place)
    }
}

/// The IPv4 address that one of IPv6 stands for: mapped, translated (NAT64, RFC 6052), 6to4 (RFC
/// 3056).
fn inner_ipv4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(of(high, low))
        }
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

/// Whether an address can lead to `peer`, as `local` sees it: it names nobody else at its end, and
/// its relay is not `local` itself.
pub(super) fn leads_to(address: &Multiaddr, local: &PeerId, peer: &PeerId) -> bool {
    let mut named = None;
    for part in address {
        match part {
            Protocol::P2p(id) => named = Some(id),
            Protocol::P2pCircuit if named.as_ref() == Some(local) => return false,
            Protocol::P2pCircuit => named = None,
            _ => {}
        }
    }
    named.is_none_or(|named| named == *peer)
}
