//! A client with a healthy point, to which a hostile one is added, and what it says of that one.

use std::time::Duration;

use futures::StreamExt as _;
use libp2p::{Multiaddr, PeerId};
use rv_client::rv_core::client::{
    Bound, Cause, ClientConfig, DiscoverOptions, Discovered, Event, Failure, Listed, Skip, Target,
};
use rv_client::rv_proto::{EXTENSION_PROTOCOL, Scope, Status};
use rv_client::{
    Behaviour, Client, Config, DiscoverError, Discovery, FindOptions, Found, RegisterError,
    WatchEvent,
};

use super::wicked::WickedPoint;
use crate::support::*;

/// A client, its healthy point, and a peer that is registered there in `ns`.
pub(crate) struct Scene {
    pub(crate) node: Node<Behaviour>,
    pub(crate) client: Client,
    healthy: Point<rv_server::Behaviour>,
    other_node: Node<Behaviour>,
    other: Client,
}

/// What is told of the hostile point, without its name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Broken(Failure),
    Cut(Bound),
    Refused(Status, String),
    TimedOut,
    Unreachable,
}

/// How a listing at one point ended.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) peers: Vec<Discovered>,
    pub(crate) skipped: Vec<(Skip, usize)>,
    pub(crate) listed: Listed,
}

/// As [`quick`], and slow points are not waited for either.
pub(crate) fn impatient() -> Config {
    let quick = quick();
    Config {
        client: ClientConfig {
            straggler_wait: Duration::from_millis(200),
            ..quick.client
        },
        ..quick
    }
}

impl Scene {
    pub(crate) async fn start(config: Config) -> Self {
        let healthy = own_point(120).await;
        let at = (healthy.peer(), healthy.address.clone());
        let (other_node, other) = client_of([at.clone()]).await;
        let granted = within("grant", other.register(namespace("ns"), ttl(600))).await;
        granted.expect("granted");
        let (node, client) = client_of_with(config, [at]).await;
        Self {
            node,
            client,
            healthy,
            other_node,
            other,
        }
    }

    /// Adds the hostile point.
    pub(crate) async fn meet(&self, (point, address): (PeerId, Multiaddr)) {
        let added = self.client.add_point(point, [address]).await;
        added.expect("there is room");
    }

    /// Removes the hostile point.
    pub(crate) async fn part(&self, point: PeerId) {
        self.client.point(point).close().await;
    }

    /// What a REGISTER for 600 s comes to there: the granted seconds.
    pub(crate) async fn register_at(&self, point: PeerId) -> Result<u32, Told> {
        let here = self.client.point(point);
        let granted = within("answer", here.register(namespace("ns"), secs(600))).await;
        granted.map(|ttl| ttl.as_secs()).map_err(|error| {
            let of = match &error {
                RegisterError::Broken { point, .. }
                | RegisterError::Refused { point, .. }
                | RegisterError::TimedOut { point }
                | RegisterError::Unreachable { point } => *point,
                _ => panic!("{error:?}"),
            };
            assert_eq!(of, point);
            match error {
                RegisterError::Broken { failure, .. } => Told::Broken(failure),
                RegisterError::Refused { status, text, .. } => Told::Refused(status, text),
                RegisterError::TimedOut { .. } => Told::TimedOut,
                _ => Told::Unreachable,
            }
        })
    }

    /// Why registrations failed there, in the client's own words.
    pub(crate) fn failures_at(&self, at: PeerId) -> Vec<Failure> {
        self.node.all(|event| match event {
            Event::RegistrationFailed {
                point,
                cause: Cause::Failed(failure),
                ..
            } if *point == at => Some(failure.clone()),
            _ => None,
        })
    }

    /// What a whole listing of `ns` comes to there.
    pub(crate) async fn discover_at(&self, point: PeerId) -> Result<usize, Told> {
        let here = self.client.point(point);
        let found = within("answer", here.discover(scope("ns"), None, None)).await;
        found.map(|page| page.peers.len()).map_err(|error| {
            let of = match &error {
                DiscoverError::Broken { point, .. }
                | DiscoverError::Refused { point, .. }
                | DiscoverError::TimedOut { point }
                | DiscoverError::Unreachable { point } => *point,
                DiscoverError::Cut(_) => point,
                _ => panic!("{error:?}"),
            };
            assert_eq!(of, point);
            match error {
                DiscoverError::Broken { failure, .. } => Told::Broken(failure),
                DiscoverError::Refused { status, text, .. } => Told::Refused(status, text),
                DiscoverError::Cut(bound) => Told::Cut(bound),
                DiscoverError::TimedOut { .. } => Told::TimedOut,
                _ => Told::Unreachable,
            }
        })
    }

    /// Lists a scope there to its end, and says what was left out and why.
    pub(crate) async fn list_at(&self, point: PeerId, scope: Scope) -> Seen {
        let start = move |swarm: &mut libp2p::Swarm<Behaviour>| {
            let options = DiscoverOptions::default();
            let target = Target::Point(point);
            swarm.behaviour_mut().discover(target, &scope, options)
        };
        let id = self.node.with(start).await.expect("there is such a point");
        let listed = eventually("end of the listing", async || {
            self.node.find(|event| match event {
                Event::DiscoverDone { operation, points } if *operation == id => {
                    Some(points[0].clone())
                }
                _ => None,
            })
        })
        .await;
        let mut seen = Seen {
            peers: Vec::new(),
            skipped: Vec::new(),
            listed,
        };
        self.node.find(|event| {
            if let Event::Found {
                operation,
                peers,
                skipped,
                ..
            } = event
                && *operation == id
            {
                seen.peers.extend(peers.iter().cloned());
                seen.skipped.extend(skipped.reasons.iter().copied());
            }
            None::<()>
        });
        seen
    }

    /// Registers, finds peers and watches at all points, and sees that the healthy one gives it
    /// all. `name` is a namespace that this was not called with before.
    pub(crate) async fn healthy_goes_on(&self, name: &str) {
        let healthy = self.healthy.peer();
        let granted = within("grant", self.client.register(namespace(name), ttl(600))).await;
        granted.expect("the healthy point grants");
        let is_granted = |event: &Event| match event {
            Event::Registered(it) => it.point == healthy && it.namespace == namespace(name),
            _ => false,
        };
        eventually("grant of the healthy point", async || {
            (self.node.count(is_granted) > 0).then_some(())
        })
        .await;

        let fresh = FindOptions {
            force_refresh: true,
            ..FindOptions::default()
        };
        let discovery = Discovery::new(self.client.clone());
        let found = discovery.find_peers(namespace("ns"), fresh);
        let found: Vec<_> = within("peers", found.collect()).await;
        assert!(found.iter().all(Result::is_ok), "{name}: {found:?}");
        let peers = || found.iter().flatten().map(Discovered::peer);
        let count = peers().filter(|peer| *peer == self.other_node.peer).count();
        assert_eq!(count, 1, "{name}");

        let mut watch = self.client.watch(scope(name)).await.expect("room");
        let granted = within("grant", self.other.register(namespace(name), ttl(600))).await;
        granted.expect("granted");
        within("change", async {
            loop {
                match watch.next().await.expect("the watch goes on") {
                    WatchEvent::Joined(it) if it.peer() == self.other_node.peer => break,
                    _ => {}
                }
            }
        })
        .await;
    }
}

/// Tells a client that watches something at a hostile point that this one offers to push.
pub(crate) async fn offer_push(node: &Node<Behaviour>, point: &WickedPoint) {
    eventually("poll", async || (point.asked() > 0).then_some(())).await;
    let peer = point.at.0;
    let identified = move |swarm: &mut libp2p::Swarm<Behaviour>| {
        let protocols = [EXTENSION_PROTOCOL];
        swarm.behaviour_mut().on_identified(peer, "rv/1", protocols);
    };
    node.with(identified).await;
}

/// How a listing at one point ended, from what the whole one gave.
pub(crate) fn cause_at(found: &Found, point: PeerId) -> Option<Cause> {
    let listed = found.points.iter().find(|listed| listed.point == point);
    listed.and_then(|listed| listed.cause.clone())
}
