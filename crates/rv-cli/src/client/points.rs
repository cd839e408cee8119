//! Which points to talk to, and where they are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use rv_client::rv_core::client::ClientConfig;

use crate::args::CommonArgs;
use crate::failure::{Exit, Failure};

/// An address of a point, with its `/p2p/` at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PointAddress {
    point: PeerId,
    /// Without the peer id of the point.
    address: Multiaddr,
}

impl FromStr for PointAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut address: Multiaddr = text.parse().map_err(|_| {
            "not a multiaddr, which looks like /ip4/203.0.113.7/tcp/6640/p2p/12D3KooW...".to_owned()
        })?;
        let Some(Protocol::P2p(point)) = address.pop() else {
            return Err("ends without /p2p/<peer id>, which says who must answer there".to_owned());
        };
        if address.is_empty() {
            return Err("says who it is but not where: put an address in front".to_owned());
        }
        Ok(Self { point, address })
    }
}

/// Every point with its addresses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Points(BTreeMap<PeerId, Vec<Multiaddr>>);

/// Where points may be named instead of on the command line.
const VARIABLE: &str = "RV_POINT";

impl Points {
    /// Those of the command line, else those of the environment.
    pub(crate) fn new(args: &CommonArgs) -> Result<Self, Failure> {
        let given = if args.points.is_empty() {
            let text = std::env::var(VARIABLE).unwrap_or_default();
            parse_list(&text).map_err(|error| Failure::new(Exit::Usage, error))?
        } else {
            args.points.clone()
        };
        let points = Self::of(given);
        let points_max = ClientConfig::default().points_max;
        if points.len() == 0 {
            let missing = anyhow::anyhow!(
                "no point is named: use --point MULTIADDR, or set the variable {VARIABLE}"
            );
            return Err(Failure::new(Exit::Usage, missing));
        }
        if points.len() > points_max {
            let too_many = anyhow::anyhow!("{} points are more than {points_max}", points.len());
            return Err(Failure::new(Exit::Usage, too_many));
        }
        Ok(points)
    }

    /// Those that were given, each with all of its addresses.
    pub(crate) fn of(given: impl IntoIterator<Item = PointAddress>) -> Self {
        let mut points = BTreeMap::new();
        for PointAddress { point, address } in given {
            let addresses: &mut Vec<_> = points.entry(point).or_default();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Self(points)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (PeerId, &[Multiaddr])> {
        self.0
            .iter()
            .map(|(point, addresses)| (*point, addresses.as_slice()))
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = PeerId> {
        self.0.keys().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn contains(&self, peer: &PeerId) -> bool {
        self.0.contains_key(peer)
    }

    pub(crate) fn remove(&mut self, point: &PeerId) {
        self.0.remove(point);
    }

    pub(crate) fn addresses(&self, point: &PeerId) -> &[Multiaddr] {
        self.0.get(point).map_or(&[], Vec::as_slice)
    }

    /// How a person knows the point: its first address, as it was given.
    pub(crate) fn name(&self, point: &PeerId) -> String {
        match self.addresses(point) {
            [] => point.to_string(),
            [address, ..] => format!("{address}/p2p/{point}"),
        }
    }

    /// Whether the point is on this machine, as far as its addresses say.
    pub(crate) fn is_on_loopback(&self, point: &PeerId) -> bool {
        self.addresses(point).iter().all(is_loopback)
    }

    /// Where to listen, so that whoever asks these points on this machine reaches us.
    pub(crate) fn loopbacks(&self) -> impl Iterator<Item = Multiaddr> + use<> {
        let starts = self.0.values().flatten().filter_map(|it| it.iter().next());
        let is_ip6 = |part: Protocol<'_>| matches!(part, Protocol::Ip6(_) | Protocol::Dns6(_));
        let families: BTreeSet<_> = starts.map(is_ip6).collect();
        families.into_iter().map(|is_ip6| {
            let address = if is_ip6 {
                Multiaddr::from(Ipv6Addr::LOCALHOST)
            } else {
                Multiaddr::from(Ipv4Addr::LOCALHOST)
            };
            address.with(Protocol::Tcp(0))
        })
    }

    /// Whether none of them can be dialled from elsewhere, as far as their addresses say.
    pub(crate) fn are_private(&self) -> bool {
        self.0.values().flatten().all(is_private)
    }

    /// Whether some address has to be resolved.
    pub(crate) fn need_dns(&self) -> bool {
        let mut all = self.0.values().flatten().flatten();
        all.any(|part| is_name(&part))
    }
}

const fn is_name(part: &Protocol<'_>) -> bool {
    matches!(
        part,
        Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)
    )
}

fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => {
            ip.is_loopback()
                || ip
                    .to_ipv4_mapped()
                    .is_some_and(|ip: Ipv4Addr| ip.is_loopback())
        }
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) => {
            name == "localhost"
        }
        _ => false,
    }
}

/// Loopback, home and laboratory.
fn is_private(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Some(Protocol::Ip6(ip)) => {
            let is_local = ip.is_unique_local() || ip.is_unicast_link_local();
            is_local || is_loopback(address)
        }
        _ => is_loopback(address),
    }
}

fn parse_list(text: &str) -> anyhow::Result<Vec<PointAddress>> {
    let parts = text.split(|it: char| it == ',' || it.is_whitespace());
    let parse = |part: &str| {
        part.parse()
            .map_err(|error| anyhow::anyhow!("{VARIABLE} names {part:?}: {error}"))
    };
    parts.filter(|part| !part.is_empty()).map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWFveZXZ2xpZMybP4JSjQbX71psER8xR5fhNbbkm1jWhk8";

    fn parsed(address: &str) -> PointAddress {
        format!("{address}/p2p/{PEER}").parse().expect("an address")
    }

    #[test]
    fn an_address_names_who_must_answer_there() {
        let address = parsed("/dns4/point.example.org/tcp/6640");
        assert_eq!(address.point.to_string(), PEER);
        assert_eq!(
            address.address.to_string(),
            "/dns4/point.example.org/tcp/6640"
        );
        let refused = |text: &str| text.parse::<PointAddress>().expect_err("refused");
        assert!(refused("/ip4/192.0.2.7/tcp/1").contains("without /p2p/"));
        assert!(refused("192.0.2.7:1").contains("not a multiaddr"));
        assert!(refused(&format!("/p2p/{PEER}")).contains("not where"));
    }

    #[test]
    fn a_list_is_separated_by_commas_or_spaces() {
        let one = format!("/ip4/192.0.2.7/tcp/1/p2p/{PEER}");
        let list = format!(" {one},{one} ,\t{one}\n{one}, ");
        assert_eq!(parse_list(&list).expect("four").len(), 4);
        assert_eq!(parse_list(" , ").expect("none"), []);
        let error = parse_list("here").expect_err("no address").to_string();
        assert!(
            error.starts_with("RV_POINT names \"here\": not a multiaddr"),
            "{error}"
        );
    }

    #[test]
    fn peers_are_private_if_no_address_of_theirs_is_public() {
        for (address, wanted) in [
            ("/ip4/127.0.0.1/tcp/1", true),
            ("/ip4/10.0.0.7/udp/1/quic-v1", true),
            ("/ip4/169.254.0.7/tcp/1", true),
            ("/ip6/fd00::1/tcp/1", true),
            ("/ip6/fe80::1/tcp/1", true),
            ("/ip6/::1/tcp/1", true),
            ("/dns4/localhost/tcp/1", true),
            ("/ip4/8.8.8.8/tcp/1", false),
            ("/ip6/2606:4700::1/tcp/1", false),
            ("/dns4/example.org/tcp/1", false),
        ] {
            let at_home = parsed("/ip4/192.168.0.7/tcp/1");
            let points = Points::of([at_home, parsed(address)]);
            assert_eq!(points.are_private(), wanted, "{address}");
        }
    }

    #[test]
    fn a_point_on_this_machine_is_told_by_its_address() {
        for (address, is_here) in [
            ("/ip4/127.0.0.1/tcp/1", true),
            ("/ip4/127.1.2.3/udp/1/quic-v1", true),
            ("/ip6/::1/tcp/1", true),
            ("/dns4/localhost/tcp/1", true),
            ("/ip4/192.168.0.7/tcp/1", false),
            ("/dns4/localhost.example.org/tcp/1", false),
        ] {
            assert_eq!(is_loopback(&parsed(address).address), is_here, "{address}");
        }
    }
}
