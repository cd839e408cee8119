//! A listen address as a socket, and whether it is free.

use std::io;
use std::net::{IpAddr, SocketAddr};

use multiaddr::{Multiaddr, Protocol};
use socket2::{Domain, Socket, Type};

/// A listen address of a kind that the swarm can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) struct ListenSocket {
    address: SocketAddr,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Quic,
    Tcp,
    WebSocket,
}

impl ListenSocket {
    /// Reads `/ip4|ip6/<ip>/` and then `tcp/<port>`, `tcp/<port>/ws` or `udp/<port>/quic-v1`.
    pub(in crate::daemon) fn parse(address: &Multiaddr) -> Option<Self> {
        let mut parts = address.iter();
        let ip: IpAddr = match parts.next()? {
            Protocol::Ip4(ip) => ip.into(),
            Protocol::Ip6(ip) => ip.into(),
            _ => return None,
        };
        let (kind, port) = match (parts.next()?, parts.next(), parts.next()) {
            (Protocol::Tcp(port), None, _) => (Kind::Tcp, port),
            (Protocol::Tcp(port), Some(Protocol::Ws(path)), None) if path == "/" => {
                (Kind::WebSocket, port)
            }
            (Protocol::Udp(port), Some(Protocol::QuicV1), None) => (Kind::Quic, port),
            _ => return None,
        };
        Some(Self {
            address: SocketAddr::new(ip, port),
            kind,
        })
    }

    pub(in crate::daemon) const fn is_quic(self) -> bool {
        matches!(self.kind, Kind::Quic)
    }

    /// Takes the address and gives it up again.
    ///
    /// The TCP transport listens with `SO_REUSEPORT`, so that taking the port of another process of
    /// the same user would succeed, and the system would share the connections out between the two.
    /// A socket without that option is refused. Two points that start at the same instant can still
    /// meet on one port.
    ///
    /// # Errors
    ///
    /// What the system says: the address is taken, is not this machine's, or is not allowed.
    pub(in crate::daemon) fn probe(self) -> io::Result<()> {
        let domain = Domain::for_address(self.address);
        let socket = match self.kind {
            Kind::Quic => Socket::new(domain, Type::DGRAM, None)?,
            Kind::Tcp | Kind::WebSocket => Socket::new(domain, Type::STREAM, None)?,
        };
        if self.address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if self.is_quic() {
            return socket.bind(&self.address.into());
        }
        // Else connections that ended a moment ago would keep the port. On Windows the option
        // means that a taken port may be taken.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.bind(&self.address.into())?;
        socket.listen(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(address: &str) -> Option<ListenSocket> {
        ListenSocket::parse(&address.parse().expect("a multiaddr"))
    }

    #[test]
    fn the_four_kinds_of_address_are_read() {
        let tcp = parse("/ip4/127.0.0.1/tcp/0").expect("tcp");
        assert_eq!(
            (tcp.kind, tcp.address),
            (Kind::Tcp, ([127, 0, 0, 1], 0).into())
        );
        let websocket = parse("/ip6/::/tcp/80/ws").expect("ws");
        assert_eq!(websocket.kind, Kind::WebSocket);
        assert_eq!(websocket.address.port(), 80);
        assert!(
            parse("/ip4/0.0.0.0/udp/6640/quic-v1")
                .expect("quic")
                .is_quic()
        );
    }

    #[test]
    fn other_addresses_are_not_ours() {
        for address in [
            "/ip4/127.0.0.1",
            "/ip4/127.0.0.1/udp/1",
            "/ip4/127.0.0.1/udp/1/quic",
            "/ip4/127.0.0.1/tcp/1/wss",
            "/ip4/127.0.0.1/tcp/1/ws/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
            "/dns4/localhost/tcp/1",
            "/memory/1",
        ] {
            assert_eq!(parse(address), None, "{address}");
        }
    }

    #[test]
    fn a_taken_port_is_told_even_when_it_is_shared_willingly() {
        let taken = Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket");
        taken.set_reuse_address(true).expect("set");
        #[cfg(unix)]
        taken.set_reuse_port(true).expect("set");
        taken
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .expect("bound");
        taken.listen(1).expect("listens");
        let address = taken
            .local_addr()
            .ok()
            .and_then(|addr| addr.as_socket())
            .expect("IPv4");
        for kind in [Kind::Tcp, Kind::WebSocket] {
            let error = ListenSocket { address, kind }.probe().expect_err("taken");
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        drop(taken);
        ListenSocket {
            address,
            kind: Kind::Tcp,
        }
        .probe()
        .expect("free again");
    }

    #[test]
    fn a_taken_udp_port_is_told() {
        let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("bound");
        let address = taken.local_addr().expect("bound");
        let error = ListenSocket {
            address,
            kind: Kind::Quic,
        }
        .probe()
        .expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
