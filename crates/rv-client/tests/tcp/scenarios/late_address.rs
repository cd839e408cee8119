//! An application whose only address is learnt from others.

use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{Multiaddr, PeerId, autonat, identify};
use rv_client::rv_core::client::RegisterOptions;
use rv_client::{Behaviour, Client, Event, RegisterError};

use crate::support::*;

/// A client and something that learns addresses.
#[derive(NetworkBehaviour)]
struct Learning<L: NetworkBehaviour> {
    client: Behaviour,
    learner: L,
}

/// A point and something that teaches them.
#[derive(NetworkBehaviour)]
struct Teaching<T: NetworkBehaviour> {
    server: rv_server::Behaviour,
    teacher: T,
}

/// A point, and a client that listens and does not know that others reach it there.
struct Scene<L: NetworkBehaviour, T: NetworkBehaviour> {
    point: Point<Teaching<T>>,
    node: Node<Learning<L>>,
    client: Client,
    listens_at: Multiaddr,
}

impl<L, T> Scene<L, T>
where
    L: NetworkBehaviour<ToSwarm: Send + 'static> + Send,
    T: NetworkBehaviour<ToSwarm: Send + 'static> + Send,
{
    async fn start(
        learner: impl FnOnce(&Keypair) -> L,
        teacher: impl FnOnce(&Keypair) -> T,
    ) -> Self {
        let key = Keypair::generate_ed25519();
        let server = own(120);
        let teacher = teacher(&key);
        let point = Point::start(&key, Teaching { server, teacher }, loopback()).await;

        let key = Keypair::generate_ed25519();
        let behaviour = Behaviour::new(key.clone(), quick()).expect("a good configuration");
        let client = behaviour.client();
        let learner = learner(&key);
        let learning = Learning {
            client: behaviour,
            learner,
        };
        let mut swarm = swarm(&key, learning);
        let listens_at = listen(&mut swarm, loopback()).await;
        let node = Node::spawn(swarm);
        let added = client
            .add_point(point.peer(), [point.address.clone()])
            .await;
        added.expect("there is room");
        Self {
            point,
            node,
            client,
            listens_at,
        }
    }

    fn at(&self) -> (PeerId, Multiaddr) {
        (self.point.peer(), self.point.address.clone())
    }

    /// Registers before any address is known, lets it be learnt, and sees that all is registered.
    async fn check(&self, learn: impl Future<Output = ()>) {
        let early = self.client.register(namespace("early"), ttl(600));
        assert_eq!(within("answer", early).await, Err(RegisterError::NoAddress));
        let options = RegisterOptions {
            wait_for_address: true,
            ..ttl(600)
        };
        let waiting = self.client.register(namespace("waiting"), options);
        let (granted, ()) = within("grant", async { futures::join!(waiting, learn) }).await;
        assert_eq!(granted.expect("granted")[0].point, self.point.peer());
        // What was not waited for is registered all the same.
        let is_early = |event: &LearningEvent<L>| match event {
            LearningEvent::Client(Event::Registered(it)) => it.namespace == namespace("early"),
            _ => false,
        };
        eventually("registration", async || {
            (self.node.count(is_early) > 0).then_some(())
        })
        .await;
        let (_seeker, seeker) = client_of([self.at()]).await;
        for name in ["early", "waiting"] {
            let found = within("listing", seeker.discover(scope(name), None)).await;
            let found = found.expect("the point answers");
            assert_eq!(found.peers[0].peer(), self.node.peer);
            assert_eq!(
                found.peers[0].addresses(),
                std::slice::from_ref(&self.listens_at)
            );
        }
    }
}

fn identify(key: &Keypair) -> identify::Behaviour {
    let config = identify::Config::new("/test/1.0.0".to_owned(), key.public());
    identify::Behaviour::new(config)
}

#[tokio::test]
async fn an_address_that_identify_observed_and_the_application_confirms_is_registered() {
    let scene = Scene::start(identify, identify).await;
    let to = scene.point.address.clone();
    let learn = async {
        let dialled = scene.node.with(move |swarm| swarm.dial(to)).await;
        dialled.expect("the address can be dialled");
        let observed = eventually("observed address", async || {
            scene.node.find(|event| match event {
                LearningEvent::Learner(identify::Event::Received { info, .. }) => {
                    Some(info.observed_addr.clone())
                }
                _ => None,
            })
        })
        .await;
        scene
            .node
            .with(move |swarm| swarm.add_external_address(observed))
            .await;
    };
    scene.check(learn).await;
}

#[tokio::test]
async fn an_address_that_autonat_confirms_is_registered() {
    let autonat = |key: &Keypair| {
        let config = autonat::Config {
            boot_delay: Duration::from_millis(100),
            retry_interval: Duration::from_millis(500),
            throttle_server_period: Duration::ZERO,
            only_global_ips: false,
            ..autonat::Config::default()
        };
        autonat::Behaviour::new(key.public().to_peer_id(), config)
    };
    let scene = Scene::start(autonat, autonat).await;
    let (point, address) = scene.at();
    let learn = scene.node.with(move |swarm| {
        let autonat = &mut swarm.behaviour_mut().learner;
        autonat.add_server(point, Some(address));
    });
    scene.check(learn).await;
}

#[derive(NetworkBehaviour)]
struct Probing {
    identify: identify::Behaviour,
    autonat: autonat::v2::client::Behaviour,
}

#[derive(NetworkBehaviour)]
struct Probed {
    identify: identify::Behaviour,
    autonat: autonat::v2::server::Behaviour,
}

#[tokio::test]
async fn an_address_that_identify_observed_and_the_second_autonat_confirms_is_registered() {
    let probing = |key: &Keypair| Probing {
        identify: identify(key),
        autonat: autonat::v2::client::Behaviour::default(),
    };
    let probed = |key: &Keypair| Probed {
        identify: identify(key),
        autonat: autonat::v2::server::Behaviour::default(),
    };
    let scene = Scene::start(probing, probed).await;
    let to = scene.point.address.clone();
    let learn = async {
        let dialled = scene.node.with(move |swarm| swarm.dial(to)).await;
        dialled.expect("the address can be dialled");
    };
    scene.check(learn).await;
}
