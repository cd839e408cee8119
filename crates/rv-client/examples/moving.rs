//! A program of `libp2p-rendezvous` after the move: the same loop over the swarm's events.
//!
//! `docs/MOVING.md` shows each call before and after. `cargo run -p rv-client --example moving`
//! starts a point of its own, with a peer to find. To use another, give its address:
//! `cargo run -p rv-client --example moving -- ADDRESS`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{PeerId, Swarm, SwarmBuilder, identify, noise, tcp, yamux};
use rv_client::{
    Behaviour, Config, DiscoverOptions, Event, Namespace, RegisterOptions, Scope, Target,
};

#[path = "common/others.rs"]
mod others;
#[path = "common/point.rs"]
mod point;

#[derive(NetworkBehaviour)]
struct App {
    identify: identify::Behaviour,
    // Before: `libp2p::rendezvous::client::Behaviour`.
    rendezvous: Behaviour,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (point, address) = point::given_or_own().await?;
    let namespace = Namespace::new("my-app")?;
    if std::env::args().len() == 1 {
        others::register(point, &address, namespace.clone()).await?;
    }
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(|key| {
            let identify = identify::Config::new("/my-app/1.0.0".to_owned(), key.public());
            Ok(App {
                identify: identify::Behaviour::new(identify),
                rendezvous: Behaviour::new(key.clone(), Config::default())?,
            })
        })?
        .build();
    swarm.add_external_address("/ip4/203.0.113.7/tcp/4001".parse()?);

    // Before: `swarm.dial(address)`, and `register` once the connection stood. The client dials
    // by itself, and again when the connection is lost.
    let rendezvous = &mut swarm.behaviour_mut().rendezvous;
    rendezvous.add_point(point, [address])?;
    let options = RegisterOptions::default();
    rendezvous.register(Target::Point(point), namespace.clone(), options)?;

    let done = run(&mut swarm, point, &namespace);
    tokio::time::timeout(Duration::from_secs(30), done).await?
}

async fn run(
    swarm: &mut Swarm<App>,
    point: PeerId,
    namespace: &Namespace,
) -> Result<(), Box<dyn Error>> {
    loop {
        let event = match swarm.select_next_some().await {
            SwarmEvent::Behaviour(AppEvent::Rendezvous(event)) => event,
            SwarmEvent::Behaviour(AppEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => {
                let rendezvous = &mut swarm.behaviour_mut().rendezvous;
                rendezvous.on_identified(peer_id, &info.agent_version, info.protocols);
                continue;
            }
            _ => continue,
        };
        let rendezvous = &mut swarm.behaviour_mut().rendezvous;
        match event {
            // Comes again with every refresh, of which no program has to think any more.
            Event::Registered(grant) => {
                println!("registered in {} for {}", grant.namespace, grant.ttl);
            }
            // The call of `register` is over.
            Event::RegisterDone { result, .. } => {
                result.map_err(|failures| format!("not registered: {failures:?}"))?;
                let scope = Scope::Namespace(namespace.clone());
                let options = DiscoverOptions::default();
                rendezvous.discover(Target::Point(point), &scope, options)?;
            }
            // A page. The next one is asked for by itself.
            Event::Found { peers, .. } => {
                for found in peers {
                    println!("found {} at {:?}", found.peer(), found.addresses());
                }
            }
            Event::DiscoverDone { points, .. } => {
                for listed in points {
                    if let Some(cause) = listed.cause {
                        return Err(cause.into());
                    }
                    println!("listed {} in {} pages", listed.entries, listed.pages);
                }
                rendezvous.unregister(Target::Point(point), namespace)?;
            }
            Event::UnregisterDone { failures, .. } if failures.is_empty() => {
                println!("unregistered");
                return Ok(());
            }
            Event::UnregisterDone { failures, .. } => {
                return Err(format!("not unregistered: {failures:?}").into());
            }
            other => println!("{other:?}"),
        }
    }
}
