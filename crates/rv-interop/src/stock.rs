//! The published rust client and server, as they come.

use futures::StreamExt as _;
use libp2p::rendezvous::client::{Behaviour, Event};
use libp2p::rendezvous::{Cookie, ErrorCode, Namespace, Registration, server};
use libp2p::swarm::{Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId};

use crate::swarm::listen;
use crate::{Identity, Point, Task, Via, connect, new_swarm, within};

/// A swarm with nothing but the stock client in it.
#[expect(missing_debug_implementations, reason = "the stock behaviour has none")]
pub struct Stock {
    swarm: Swarm<Behaviour>,
    point: PeerId,
}

/// What the stock client makes of a DISCOVER.
pub type Discovered = Result<(Vec<Registration>, Cookie), ErrorCode>;

impl Stock {
    /// Connects over TCP as somebody new.
    pub async fn connect(point: &Point) -> Self {
        Self::connect_as(point, &Identity::new(), Via::Tcp).await
    }

    /// Connects as `identity`.
    pub async fn connect_as(point: &Point, identity: &Identity, via: Via) -> Self {
        Self::dial(point.address(via), identity, identity).await
    }

    /// Connects to whoever is at an address as `identity`, but signs records as `signer`.
    pub async fn dial(address: &Multiaddr, identity: &Identity, signer: &Identity) -> Self {
        let mut swarm = new_swarm(identity.key(), Behaviour::new(signer.key().clone()));
        swarm.add_external_address(identity.address());
        let point = connect(&mut swarm, address).await;
        Self { swarm, point }
    }

    /// Who this is.
    pub fn peer(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }

    /// Registers; gives the granted ttl in seconds.
    ///
    /// # Errors
    ///
    /// What the client says of a refusal.
    ///
    /// # Panics
    ///
    /// If nothing comes.
    pub async fn register(&mut self, namespace: &str, ttl: Option<u64>) -> Result<u64, ErrorCode> {
        let name = self::namespace(namespace);
        self.swarm
            .behaviour_mut()
            .register(name, self.point, ttl)
            .expect("an address is known");
        loop {
            let event = self.event().await;
            if let Event::Registered {
                ttl,
                namespace: registered,
                ..
            } = event
            {
                assert_eq!(registered.to_string(), namespace);
                return Ok(ttl);
            }
            if let Event::RegisterFailed { error, .. } = event {
                return Err(error);
            }
        }
    }

    /// Unregisters. There is no answer to that.
    pub fn unregister(&mut self, namespace: &str) {
        self.swarm
            .behaviour_mut()
            .unregister(self::namespace(namespace), self.point);
    }

    /// One page.
    ///
    /// # Errors
    ///
    /// What the client says of a refusal, and of everything that it cannot read.
    pub async fn discover(
        &mut self,
        namespace: Option<&str>,
        cookie: Option<Cookie>,
        limit: Option<u64>,
    ) -> Discovered {
        self.ask(namespace, cookie, limit);
        self.discovered().await
    }

    /// Asks for a page without waiting for it.
    pub fn ask(&mut self, namespace: Option<&str>, cookie: Option<Cookie>, limit: Option<u64>) {
        let namespace = namespace.map(self::namespace);
        self.swarm
            .behaviour_mut()
            .discover(namespace, cookie, limit, self.point);
    }

    /// The next page that was asked for.
    ///
    /// # Errors
    ///
    /// As of [`discover`](Self::discover).
    pub async fn discovered(&mut self) -> Discovered {
        loop {
            let event = self.event().await;
            if let Event::Discovered {
                registrations,
                cookie,
                ..
            } = event
            {
                return Ok((registrations, cookie));
            }
            if let Event::DiscoverFailed { error, .. } = event {
                return Err(error);
            }
        }
    }

    /// The peers of the first page.
    ///
    /// # Panics
    ///
    /// If the client got no page.
    pub async fn peers(&mut self, namespace: Option<&str>) -> Vec<PeerId> {
        let (registrations, _) = self.discover(namespace, None, None).await.expect("a page");
        registrations
            .iter()
            .map(|registration| registration.record.peer_id())
            .collect()
    }

    async fn event(&mut self) -> Event {
        within("event of the stock client", async {
            loop {
                if let SwarmEvent::Behaviour(event) = self.swarm.select_next_some().await {
                    return event;
                }
            }
        })
        .await
    }
}

/// The stock server, where it listens on loopback, until the task is dropped.
///
/// # Panics
///
/// If it cannot listen.
pub async fn serve_stock() -> (Multiaddr, Task) {
    let config = server::Config::default().with_min_ttl(1);
    let identity = Identity::new();
    let mut swarm = new_swarm(identity.key(), server::Behaviour::new(config));
    let address = listen(&mut swarm, Via::Tcp).await;
    let serving = Task::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    (address, serving)
}

fn namespace(name: &str) -> Namespace {
    Namespace::new(name.into()).expect("a short name")
}
