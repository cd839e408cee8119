//! Which addresses are worth a dial, and which belong together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol};

use crate::peer::{Contact, Peer};
use crate::refusal::Refusal;

/// Which addresses are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressPolicy {
    /// Every one that can be dialled: networks in a laboratory, at home, in tests.
    Any,
    /// Only those that everybody can dial. In a public network a private address leads to a dial
    /// into the own network.
    #[default]
    Public,
}

/// Peers whose addresses are under one hand, most likely: the same /24 of IPv4 or /48 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group(NonZeroU64);

/// Whether an address is kept just as it is whatever the policy, as can be told in one pass: an IP
/// address that is public, a port, and no id. What is not that plain is for
/// [`AddressPolicy::judge`].
pub(crate) fn is_plain(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let is_wanted = match parts.next() {
        Some(Protocol::Ip4(ip)) => is_public_ip4(ip) && !ip.is_multicast(),
        Some(Protocol::Ip6(ip)) => is_public_ip6(ip),
        Some(_) | None => false,
    };
    let has_port =
        matches!(parts.next(), Some(Protocol::Tcp(port) | Protocol::Udp(port)) if port != 0);
    is_wanted
        && has_port
        && !parts.any(|part| matches!(part, Protocol::P2p(_)) || !is_legible(&part))
}

impl AddressPolicy {
    /// The contact with those of its addresses that are wanted, as they are kept. `refused` is told
    /// why each of the others is not.
    ///
    /// # Errors
    ///
    /// When it is `local`, or none of its addresses is wanted.
    pub(crate) fn keep(
        self,
        local: &Peer,
        contact: &Contact,
        mut refused: impl FnMut(Refusal),
    ) -> Result<Contact, Refusal> {
        let (peer, told) = (&contact.peer, &contact.addresses);
        if peer == local {
            return Err(Refusal::OwnId);
        }
        if told.is_empty() {
            return Err(Refusal::NoAddress);
        }
        if told.is_plain() {
            return Ok(contact.clone());
        }
        let id = peer.id();
        let judged = told.as_slice().iter().map(|it| self.judge(&id, it));
        let kept = judged.filter_map(|it| it.map_err(&mut refused).ok());
        let kept: Vec<Multiaddr> = kept.collect();
        if kept.is_empty() {
            return Err(Refusal::NoAddress);
        }
        // Who tells the same ones again is known by their being the same in memory.
        if kept == told.as_slice() {
            return Ok(contact.clone());
        }
        Ok(Contact::new(peer.clone(), kept))
    }

    /// The address as it is kept, without the peer's own id at its end.
    ///
    /// # Errors
    ///
    /// Says why it is not wanted.
    pub(crate) fn judge(self, peer: &PeerId, address: &Multiaddr) -> Result<Multiaddr, Refusal> {
        let stripped = strip(peer, address)?;
        if !is_dialable(&stripped) || !stripped.iter().all(|part| is_legible(&part)) {
            return Err(Refusal::Undialable);
        }
        match self {
            Self::Any => Ok(stripped),
            Self::Public if is_public(&stripped) => Ok(stripped),
            Self::Public => Err(Refusal::PrivateAddress),
        }
    }
}

/// Takes the peer's own id from the end. Another one's id there means that the dial would fail.
pub(crate) fn strip(peer: &PeerId, address: &Multiaddr) -> Result<Multiaddr, Refusal> {
    match address.iter().last() {
        Some(Protocol::P2p(id)) if id == *peer => {
            let mut shorter = address.clone();
            shorter.pop();
            Ok(shorter)
        }
        Some(Protocol::P2p(_)) => Err(Refusal::OtherPeer),
        Some(_) | None => Ok(address.clone()),
    }
}

/// Whether there is a host and a port, a relay, or a place in this process's memory.
fn is_dialable(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let has_host = match parts.next() {
        Some(Protocol::Ip4(ip)) => !ip.is_unspecified() && !ip.is_broadcast() && !ip.is_multicast(),
        Some(Protocol::Ip6(ip)) => !ip.is_unspecified() && !ip.is_multicast(),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)) => {
            return true;
        }
        Some(Protocol::Memory(port)) => return port != 0,
        Some(Protocol::P2p(_)) => {
            return matches!(parts.next(), Some(Protocol::P2pCircuit));
        }
        Some(_) | None => return false,
    };
    let has_port = match parts.next() {
        Some(Protocol::Tcp(port) | Protocol::Udp(port)) => port != 0,
        Some(_) | None => false,
    };
    has_host && has_port
}

/// Whether a name in an address is one of a host. Off the wire it may be any text, which stands in
/// the address's own text as it is: with a slash, a space or an end of line in it, that would be
/// read as something else, and by a terminal as anything.
fn is_legible(part: &Protocol<'_>) -> bool {
    match part {
        Protocol::Dns(name)
        | Protocol::Dns4(name)
        | Protocol::Dns6(name)
        | Protocol::Dnsaddr(name)
        | Protocol::Sni(name)
        | Protocol::Ip6zone(name) => {
            let is_of_name = |it: u8| it.is_ascii_alphanumeric() || b"-_.".contains(&it);
            !name.is_empty() && name.bytes().all(is_of_name)
        }
        Protocol::Unix(_) => false,
        _ => true,
    }
}

fn is_public(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => is_public_ip4(ip),
        Some(Protocol::Ip6(ip)) => is_public_ip6(ip),
        Some(
            Protocol::Dns(name)
            | Protocol::Dns4(name)
            | Protocol::Dns6(name)
            | Protocol::Dnsaddr(name),
        ) => {
            let name = name.trim_end_matches('.');
            let is_local = |end: &str| name == end || name.ends_with(&format!(".{end}"));
            !["localhost", "local", "internal", "home.arpa"]
                .iter()
                .any(|end| is_local(end))
        }
        // Through a relay that is known by its id alone.
        Some(Protocol::P2p(_)) => true,
        Some(_) | None => false,
    }
}

/// IANA's registry of special-purpose addresses, RFC 6890.
fn is_public_ip4(ip: Ipv4Addr) -> bool {
    let [first, second, third, _] = ip.octets();
    let is_shared = first == 100 && (64..128).contains(&second);
    let is_benchmark = first == 198 && (second == 18 || second == 19);
    let is_assigned = first == 192 && second == 0 && third == 0;
    let is_special = ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_documentation()
        || is_shared
        || is_benchmark
        || is_assigned;
    !is_special && (1..240).contains(&first)
}

fn is_public_ip6(ip: Ipv6Addr) -> bool {
    if let Some(mapped) = ip.to_ipv4_mapped() {
        return is_public_ip4(mapped);
    }
    let [first, second, ..] = ip.segments();
    let is_documentation = first == 0x2001 && second == 0x0db8;
    // 2000::/3 is all that is routed; 64:ff9b::/96 reaches IPv4 from it.
    let is_routed = first & 0xe000 == 0x2000 || (first == 0x64 && second == 0xff9b);
    is_routed && !is_documentation
}

impl Group {
    /// The group of the first public address. Private addresses and names are of none: whole
    /// laboratories share one /24.
    pub(crate) fn of(addresses: &[Multiaddr]) -> Option<Self> {
        let ips = addresses
            .iter()
            .filter_map(|address| match address.iter().next() {
                Some(Protocol::Ip4(ip)) => Some(IpAddr::V4(ip)),
                Some(Protocol::Ip6(ip)) => Some(IpAddr::V6(ip)),
                Some(_) | None => None,
            });
        ips.filter_map(Self::of_ip).next()
    }

    fn of_ip(ip: IpAddr) -> Option<Self> {
        let number = match ip.to_canonical() {
            // No public address begins with a zero.
            IpAddr::V4(ip) if is_public_ip4(ip) => u64::from(ip.to_bits() >> 8),
            IpAddr::V6(ip) if is_public_ip6(ip) => {
                let site = ip.to_bits() >> 80;
                // Above every group of IPv4.
                u64::try_from(site).expect("48 bits are left") | 1 << 63
            }
            IpAddr::V4(_) | IpAddr::V6(_) => 0,
        };
        NonZeroU64::new(number).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("the sample is an address")
    }

    fn judge(policy: AddressPolicy, text: &str) -> Result<(), Refusal> {
        policy.judge(&some_peer(1), &address(text)).map(|_| ())
    }

    fn some_peer(byte: u8) -> PeerId {
        let mut bytes = vec![0x12, 0x20];
        bytes.extend([byte; 32]);
        PeerId::from_bytes(&bytes).expect("a multihash of SHA-256")
    }

    #[test]
    fn an_address_needs_a_host_and_a_port() {
        for text in [
            "/ip4/8.8.8.8",
            "/ip4/8.8.8.8/tcp/0",
            "/ip4/0.0.0.0/tcp/4001",
            "/ip6/::/udp/4001/quic-v1",
            "/tcp/4001",
            "/memory/0",
        ] {
            assert_eq!(
                judge(AddressPolicy::Any, text),
                Err(Refusal::Undialable),
                "{text}"
            );
        }
        for text in [
            "/ip4/10.0.0.1/tcp/1",
            "/memory/9",
            "/ip6/::1/udp/4001/quic-v1",
        ] {
            assert_eq!(judge(AddressPolicy::Any, text), Ok(()), "{text}");
        }
    }

    #[test]
    fn private_addresses_are_refused_where_public_ones_are_wanted() {
        for text in [
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/10.1.2.3/tcp/1",
            "/ip4/100.64.0.1/tcp/1",
            "/ip4/169.254.1.1/tcp/1",
            "/ip4/192.168.1.1/tcp/1",
            "/ip4/240.0.0.1/tcp/1",
            "/ip6/::1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/ip6/fd00::1/tcp/1",
            "/ip6/::ffff:10.0.0.1/tcp/1",
            "/dns4/localhost/tcp/1",
            "/dns/printer.local/tcp/1",
            "/memory/9",
        ] {
            let verdict = judge(AddressPolicy::Public, text);
            assert_eq!(verdict, Err(Refusal::PrivateAddress), "{text}");
        }
        for text in [
            "/ip4/8.8.8.8/tcp/1",
            "/ip4/100.128.0.1/tcp/1",
            "/ip6/2606:4700::1/udp/1/quic-v1",
            "/dns4/example.org/tcp/1",
        ] {
            assert_eq!(judge(AddressPolicy::Public, text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_plain_address_is_kept_as_it_is_and_nothing_else_is_plain() {
        let id = some_peer(1);
        let plain = |text: &str| {
            let it = address(text);
            let is_plain = is_plain(&it);
            for policy in [AddressPolicy::Any, AddressPolicy::Public] {
                let judged = policy.judge(&id, &it);
                assert!(!is_plain || judged == Ok(it.clone()), "{text}");
            }
            is_plain
        };
        for text in ["/ip4/8.8.8.8/tcp/1", "/ip6/2606:4700::1/udp/1/quic-v1"] {
            assert!(plain(text), "{text}");
        }
        let with_id = format!("/ip4/8.8.8.8/tcp/1/p2p/{id}");
        let relayed = format!("/ip4/8.8.8.8/tcp/1/p2p/{id}/p2p-circuit");
        for text in [
            "/ip4/8.8.8.8",
            "/ip4/8.8.8.8/tcp/0",
            "/ip4/224.0.0.1/tcp/1",
            "/ip4/255.255.255.255/tcp/1",
            "/ip4/10.0.0.1/tcp/1",
            "/ip6/ff02::1/tcp/1",
            "/dns4/example.org/tcp/1",
            "/memory/9",
            &with_id,
            &relayed,
        ] {
            assert!(!plain(text), "{text}");
        }
    }

    #[test]
    fn a_name_that_is_none_of_a_host_is_refused() {
        let at = |part: Protocol<'_>| -> Multiaddr {
            let ip = Protocol::Ip4(Ipv4Addr::new(8, 8, 8, 8));
            [ip, Protocol::Tcp(1), part].into_iter().collect()
        };
        let by = |name: &str| -> Multiaddr {
            let name = Protocol::Dns4(name.to_owned().into());
            [name, Protocol::Tcp(1)].into_iter().collect()
        };
        for odd in ["", "x y", "x\ny", "x/tcp/1", "\u{1b}[2J", "caf\u{e9}.fr"] {
            let sni = at(Protocol::Sni(odd.to_owned().into()));
            assert!(!is_plain(&sni), "{odd:?}");
            for it in [by(odd), sni, at(Protocol::Unix(odd.to_owned().into()))] {
                for policy in [AddressPolicy::Any, AddressPolicy::Public] {
                    let verdict = policy.judge(&some_peer(1), &it);
                    assert_eq!(verdict, Err(Refusal::Undialable), "{odd:?}");
                }
            }
        }
        for good in ["example.org", "xn--caf-dma.fr", "_dnsaddr.a-b.c."] {
            assert!(
                AddressPolicy::Public
                    .judge(&some_peer(1), &by(good))
                    .is_ok()
            );
            assert!(is_plain(&at(Protocol::Sni(good.to_owned().into()))));
        }
    }

    #[test]
    fn the_own_id_at_the_end_is_cut_and_another_ones_is_refused() {
        let base: Multiaddr = "/ip4/8.8.8.8/tcp/1".parse().expect("an address");
        let with = |peer| base.clone().with_p2p(peer).expect("no id yet");
        let judge = |address: &Multiaddr| AddressPolicy::Public.judge(&some_peer(1), address);
        assert_eq!(judge(&with(some_peer(1))), Ok(base.clone()));
        assert_eq!(judge(&with(some_peer(2))), Err(Refusal::OtherPeer));
    }

    #[test]
    fn peers_of_one_network_are_one_group_and_private_ones_are_of_none() {
        let group = |text: &str| Group::of(&[text.parse().expect("an address")]);
        assert_eq!(group("/ip4/8.8.8.8/tcp/1"), group("/ip4/8.8.8.9/udp/2"));
        assert_ne!(group("/ip4/8.8.8.8/tcp/1"), group("/ip4/8.8.9.8/tcp/1"));
        assert_eq!(
            group("/ip6/2606:4700:1:2::1/tcp/1"),
            group("/ip6/2606:4700:1:3::1/tcp/1")
        );
        assert_ne!(
            group("/ip6/2606:4700:1::1/tcp/1"),
            group("/ip6/2606:4700:2::1/tcp/1")
        );
        assert_eq!(group("/ip4/10.0.0.1/tcp/1"), None);
        assert_eq!(group("/dns4/example.org/tcp/1"), None);
    }
}
