//! Where a point listens: which addresses it can take, and taking them.

mod socket;

use std::io;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use libp2p::core::transport::ListenerId;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Swarm, TransportError};
use multiaddr::Protocol;

use super::swarm::PointBehaviour;
use super::{Config, DaemonError};

pub(super) use socket::ListenSocket;

/// How long a wildcard listener may take to name the addresses of the interfaces. They come within
/// milliseconds, and never on a machine that has none of the family.
const INTERFACES_TIMEOUT: Duration = Duration::from_secs(1);

type Tell = Box<dyn FnMut(&Multiaddr) + Send>;

/// The open listeners and their addresses.
pub(super) struct Listeners {
    peer: PeerId,
    open: Vec<Listener>,
    addresses: Vec<Multiaddr>,
    tell: Option<Tell>,
}

struct Listener {
    id: ListenerId,
    configured: Multiaddr,
    is_quic: bool,
    has_address: bool,
}

impl Listeners {
    pub(super) fn addresses(&self) -> &[Multiaddr] {
        &self.addresses
    }

    /// Tells every address, those that are known at once.
    pub(super) fn tell(&mut self, mut tell: Tell) {
        self.addresses.iter().for_each(&mut tell);
        self.tell = Some(tell);
    }

    pub(super) fn handle_new(&mut self, id: ListenerId, address: Multiaddr) {
        let address = address
            .with_p2p(self.peer)
            .unwrap_or_else(|address| address);
        tracing::info!(%address, "listening");
        if let Some(listener) = self.open.iter_mut().find(|listener| listener.id == id) {
            listener.has_address = true;
        }
        if self.addresses.contains(&address) {
            return;
        }
        if let Some(tell) = &mut self.tell {
            tell(&address);
        }
        self.addresses.push(address);
    }

    pub(super) fn handle_expired(&mut self, address: Multiaddr) {
        let address = address
            .with_p2p(self.peer)
            .unwrap_or_else(|address| address);
        tracing::info!(%address, "no longer listening");
        self.addresses.retain(|known| *known != address);
    }

    /// Forgets a listener that has closed.
    ///
    /// # Errors
    ///
    /// [`DaemonError::ListenersClosed`] if it was the last.
    pub(super) fn handle_closed(
        &mut self,
        id: ListenerId,
        addresses: Vec<Multiaddr>,
        reason: &io::Result<()>,
    ) -> Result<(), DaemonError> {
        for address in addresses {
            self.handle_expired(address);
        }
        if let Some(place) = self.open.iter().position(|listener| listener.id == id) {
            let listener = self.open.swap_remove(place);
            tracing::error!(address = %listener.configured, ?reason, "a listener has closed");
        }
        if self.open.is_empty() {
            Err(DaemonError::ListenersClosed)
        } else {
            Ok(())
        }
    }

    /// Gives up every listener whose connections live on without it.
    pub(super) fn close(&mut self, swarm: &mut Swarm<PointBehaviour>) {
        // A closed QUIC listener takes its socket and with it all of its connections along.
        for listener in self.open.extract_if(.., |listener| !listener.is_quic) {
            swarm.remove_listener(listener.id);
        }
    }

    /// Whether every listener has named an address, wildcards included.
    fn are_known(&self) -> bool {
        self.open.iter().all(|listener| listener.has_address)
    }
}

/// Listens on every configured address.
pub(super) async fn listen(
    swarm: &mut Swarm<PointBehaviour>,
    config: &Config,
) -> Result<Listeners, DaemonError> {
    let mut listeners = Listeners {
        peer: *swarm.local_peer_id(),
        open: Vec::new(),
        addresses: Vec::new(),
        tell: None,
    };
    let is_default = config.listen == Config::default().listen;
    for address in &config.listen {
        match listen_on(swarm, address) {
            Ok(listener) => listeners.open.push(listener),
            Err(error) if is_default && is_ipv6(address) && !is_taken(&error) => {
                tracing::info!(%address, "skipped: this machine has no IPv6");
            }
            Err(source) => {
                let reason = reason(&source);
                return Err(DaemonError::Listen {
                    address: address.clone(),
                    reason,
                    source,
                });
            }
        }
    }
    let waited = tokio::time::timeout(INTERFACES_TIMEOUT, learn_addresses(swarm, &mut listeners));
    match waited.await {
        Ok(result) => result?,
        Err(_) => {
            for listener in listeners
                .open
                .iter()
                .filter(|listener| !listener.has_address)
            {
                tracing::warn!(address = %listener.configured, "no interface has such an address");
            }
        }
    }
    Ok(listeners)
}

fn listen_on(swarm: &mut Swarm<PointBehaviour>, address: &Multiaddr) -> io::Result<Listener> {
    let unsupported = || io::Error::from(io::ErrorKind::Unsupported);
    let socket = ListenSocket::parse(address).ok_or_else(unsupported)?;
    socket.probe()?;
    let id = swarm
        .listen_on(address.clone())
        .map_err(|error| match error {
            TransportError::MultiaddrNotSupported(_) => unsupported(),
            TransportError::Other(error) => error,
        })?;
    let configured = address.clone();
    Ok(Listener {
        id,
        configured,
        is_quic: socket.is_quic(),
        has_address: false,
    })
}

/// Polls the swarm until every listener has an address and no event is left.
async fn learn_addresses(
    swarm: &mut Swarm<PointBehaviour>,
    listeners: &mut Listeners,
) -> Result<(), DaemonError> {
    loop {
        let event = if listeners.are_known() {
            let Some(event) = swarm.select_next_some().now_or_never() else {
                return Ok(());
            };
            event
        } else {
            swarm.select_next_some().await
        };
        match event {
            SwarmEvent::NewListenAddr {
                listener_id,
                address,
            } => {
                listeners.handle_new(listener_id, address);
            }
            SwarmEvent::ListenerClosed {
                listener_id,
                addresses,
                reason,
            } => {
                listeners.handle_closed(listener_id, addresses, &reason)?;
            }
            // The first connections may come before the last address is known.
            event => tracing::trace!(?event, "before the start"),
        }
    }
}

fn is_ipv6(address: &Multiaddr) -> bool {
    matches!(address.iter().next(), Some(Protocol::Ip6(_)))
}

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    )
}

fn reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "its port is taken by another process, or by another listen address: stop that \
             process, or choose another port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has this address: name one that it has, or a wildcard"
        }
        io::ErrorKind::PermissionDenied => {
            "this user may not take its port: choose one from 1024 on"
        }
        _ => "the system does not allow it: name another address",
    }
}
