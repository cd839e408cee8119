//! Our own client, in a swarm and a task of its own.

use futures::StreamExt as _;
use libp2p::swarm::{StreamProtocol, SwarmEvent};
use libp2p::{Multiaddr, PeerId};
use rv_client::rv_core::client::{Discovered, RegisterOptions};
use rv_client::rv_proto::{Namespace, Scope, Ttl};
use rv_client::{Behaviour, Client, Config, DiscoverError, Event, PROTOCOL};
use tokio::sync::watch;

use crate::swarm::peer_of;
use crate::{Identity, Task, new_swarm, within};

/// A client that knows one point and has an address to register.
#[derive(Debug)]
pub struct Ours {
    identity: Identity,
    point: PeerId,
    client: Client,
    grants: watch::Receiver<usize>,
    _task: Task,
}

impl Ours {
    /// Knows the point at `address`; it is dialled when there is something to ask.
    ///
    /// # Panics
    ///
    /// Never.
    pub async fn new(address: &Multiaddr) -> Self {
        let identity = Identity::new();
        let canvas = StreamProtocol::new("/canvas/rendezvous/1.0.0");
        let config = Config {
            protocols: vec![PROTOCOL, canvas],
            ..Config::default()
        };
        let behaviour = Behaviour::new(identity.key().clone(), config);
        let behaviour = behaviour.expect("a good configuration");
        let client = behaviour.client();
        let mut swarm = new_swarm(identity.key(), behaviour);
        swarm.add_external_address(identity.address());
        let (granted, grants) = watch::channel(0);
        let task = Task::spawn(async move {
            loop {
                let event = swarm.select_next_some().await;
                if let SwarmEvent::Behaviour(Event::Registered(_)) = event {
                    granted.send_modify(|count| *count += 1);
                }
            }
        });
        let point = peer_of(address);
        let added = client.add_point(point, [address.clone()]).await;
        added.expect("there is room for one");
        Self {
            identity,
            point,
            client,
            grants,
            _task: task,
        }
    }

    /// Who this is.
    pub fn peer(&self) -> PeerId {
        self.identity.peer()
    }

    /// What it registers.
    pub fn address(&self) -> Multiaddr {
        self.identity.address()
    }

    /// Its handle.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its handle of the point that it knows.
    pub fn at_point(&self) -> rv_client::Point {
        self.client.point(self.point)
    }

    /// Registers for so many seconds and stays registered; gives the granted ttl in seconds.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub async fn register(&self, namespace: &str, ttl_secs: u64) -> u32 {
        let options = RegisterOptions {
            ttl: Some(Ttl::from_secs(ttl_secs).expect("a good ttl")),
            ..RegisterOptions::default()
        };
        let granted = self.client.register(self::namespace(namespace), options);
        let granted = within("grant", granted).await;
        let granted = granted.expect("the point grants it");
        granted[0].ttl.as_secs()
    }

    /// Waits until it was granted its registration `count` times.
    ///
    /// # Panics
    ///
    /// If that takes too long.
    pub async fn granted(&mut self, count: usize) {
        let enough = self.grants.wait_for(|granted| *granted >= count);
        let enough = within("grants", enough).await;
        drop(enough.expect("the swarm runs"));
    }

    /// Unregisters, and waits until that is written.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub async fn unregister(&self, namespace: &str) {
        let left = self.client.unregister(self::namespace(namespace));
        let left = within("end of the registration", left).await;
        left.expect("it is written");
    }

    /// Everybody in a namespace but itself, page after page to the end, by peer id.
    ///
    /// # Errors
    ///
    /// What the client says.
    pub async fn discover(&self, namespace: &str) -> Result<Vec<Discovered>, DiscoverError> {
        let found = self.client.discover(scope(namespace), None);
        let mut peers = within("listing", found).await?.peers;
        peers.sort_by_key(Discovered::peer);
        Ok(peers)
    }
}

/// A scope of one namespace.
///
/// # Panics
///
/// If the name is not a good one.
pub fn scope(name: &str) -> Scope {
    Scope::Namespace(namespace(name))
}

fn namespace(name: &str) -> Namespace {
    Namespace::new(name).expect("a good name")
}
