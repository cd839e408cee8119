//! The network that a registration came from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The IP prefix that counts as one network: all of an IPv4 address, 48 bits of an IPv6 one.
///
/// 48 bits is what one site gets assigned; whoever has one has 65,536 networks in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(Prefix);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Prefix {
    V4([u8; 4]),
    V6([u8; 6]),
}

impl Origin {
    /// The network of an address; `None` for one of this machine itself.
    ///
    /// An IPv4 address inside an IPv6 one is the IPv4 address.
    pub fn from_ip(ip: IpAddr) -> Option<Self> {
        let ip = ip.to_canonical();
        if ip.is_loopback() {
            return None;
        }
        Some(match ip {
            IpAddr::V4(ip) => Self(Prefix::V4(ip.octets())),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, ..] = ip.octets();
                Self(Prefix::V6([a, b, c, d, e, f]))
            }
        })
    }

    pub(crate) const fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Prefix::V4(octets) => octets,
            Prefix::V6(octets) => octets,
        }
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let v4 = <[u8; 4]>::try_from(bytes).map(Prefix::V4);
        v4.or_else(|_| bytes.try_into().map(Prefix::V6))
            .ok()
            .map(Self)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Prefix::V4(octets) => write!(f, "{}/32", Ipv4Addr::from(octets)),
            Prefix::V6([a, b, c, d, e, g]) => {
                let ip = Ipv6Addr::from([a, b, c, d, e, g, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                write!(f, "{ip}/48")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(ip: &str) -> Option<String> {
        let origin = Origin::from_ip(ip.parse().expect("an address"))?;
        assert_eq!(Origin::from_bytes(origin.as_bytes()), Some(origin));
        Some(origin.to_string())
    }

    #[test]
    fn an_origin_is_an_address_or_a_site() {
        assert_eq!(origin("192.0.2.7").as_deref(), Some("192.0.2.7/32"));
        assert_eq!(origin("::ffff:192.0.2.7").as_deref(), Some("192.0.2.7/32"));
        assert_eq!(
            origin("2001:db8:1:2::3").as_deref(),
            Some("2001:db8:1::/48")
        );
        assert_eq!(
            origin("2001:db8:1:ffff::").as_deref(),
            Some("2001:db8:1::/48")
        );
    }

    #[test]
    fn this_machine_is_no_origin() {
        for ip in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(origin(ip), None);
        }
    }

    #[test]
    fn other_lengths_are_no_origin() {
        for len in [0, 3, 5, 7, 16] {
            assert_eq!(Origin::from_bytes(&vec![1; len]), None);
        }
    }
}
