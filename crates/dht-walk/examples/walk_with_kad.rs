//! An application with `kad` and `identify`, before and after: its `kad::Behaviour` is wrapped, and
//! its table is tended from then on.
//!
//! Ten nodes meet on loopback, each of which knows the first one alone. The last one sweeps the key
//! space, and then one of the others leaves.
//!
//! `cargo run -p dht-walk --features swarm --example walk_with_kad`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use dht_walk::swarm::{Behaviour, Config, Event, prepare};
use dht_walk::{AddressPolicy, Event as WalkEvent};
use futures::StreamExt as _;
use libp2p::kad::store::MemoryStore;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder};
use libp2p::{identify, kad, noise, tcp, yamux};

/// The DHT of this application alone.
const DHT: StreamProtocol = StreamProtocol::new("/my-app/kad/1.0.0");

#[derive(NetworkBehaviour)]
struct App {
    identify: identify::Behaviour,
    // Before: kad: kad::Behaviour<MemoryStore>,
    kad: Behaviour<MemoryStore>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tokio::time::timeout(Duration::from_secs(60), meet()).await?
}

async fn meet() -> Result<(), Box<dyn Error>> {
    let (first, address) = start(None).await?;
    let known = (*first.local_peer_id(), address);
    let mut others = vec![spawn(first)];
    for _ in 0..8 {
        others.push(spawn(start(Some(known.clone())).await?.0));
    }
    let (mut last, _) = start(Some(known)).await?;
    // Three lookups would do: 2 N / k of them hear of nearly all N peers.
    last.behaviour_mut().kad.sweep(3, Duration::from_secs(30))?;
    run_until(&mut last, |kad, _| kad.table().len() == 9).await;
    // A method of kad's own, which is there as before.
    let entries: usize = last
        .behaviour_mut()
        .kad
        .kbuckets()
        .map(|bucket| bucket.num_entries())
        .sum();
    println!("kad has {entries} entries, and each of them has answered");

    if let Some(leaver) = others.pop() {
        leaver.abort();
    }
    run_until(&mut last, |_, event| {
        if let WalkEvent::Evicted { reason, .. } = event {
            println!("an entry left: {reason:?}");
            return true;
        }
        false
    })
    .await;
    let messages = last.behaviour().kad.walk().spent().messages;
    println!("all that took {messages} messages");
    Ok(())
}

async fn start(
    known: Option<(PeerId, Multiaddr)>,
) -> Result<(Swarm<App>, Multiaddr), Box<dyn Error>> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(|key| {
            let peer = key.public().to_peer_id();
            let identify = identify::Config::new("/my-app/1.0.0".to_owned(), key.public());
            let mut kad_config = kad::Config::new(DHT);
            prepare(&mut kad_config);
            let store = MemoryStore::new(peer);
            let kad = kad::Behaviour::with_config(peer, store, kad_config);
            Ok(App {
                identify: identify::Behaviour::new(identify),
                kad: Behaviour::new(peer, kad, quick())?,
            })
        })?
        .build();
    swarm.behaviour_mut().kad.set_mode(Some(kad::Mode::Server));
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    if let Some((peer, address)) = known {
        let kad = &mut swarm.behaviour_mut().kad;
        kad.set_bootstrap([(peer, vec![address])]);
    }
    Ok((swarm, address))
}

/// Bounds for ten seconds on one machine. The defaults are for years on the Internet.
fn quick() -> Config {
    let mut config = Config::default();
    config.walk.addresses = AddressPolicy::Any;
    config.walk.checks.interval_min = Duration::from_secs(1);
    config.walk.checks.interval_max = Duration::from_secs(1);
    config.walk.checks.retry_pause = Duration::from_millis(200);
    config.walk.budget.messages_per_hour = 100_000;
    config.walk.budget.dials_per_hour = 100_000;
    config
}

fn spawn(mut swarm: Swarm<App>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { run_until(&mut swarm, |_, _| false).await })
}

/// Runs until the walk's table, or an event of it, is as wanted.
async fn run_until(
    swarm: &mut Swarm<App>,
    mut is_enough: impl FnMut(&Behaviour<MemoryStore>, &WalkEvent) -> bool,
) {
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(AppEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => {
                // Before: an `add_address` for each of them.
                let kad = &mut swarm.behaviour_mut().kad;
                kad.on_identified(peer_id, &info.protocols, &info.listen_addrs);
            }
            SwarmEvent::Behaviour(AppEvent::Kad(Event::Walk(event))) => {
                let is_over = is_enough(&swarm.behaviour().kad, &event);
                if is_over {
                    return;
                }
            }
            // Events of kad come as `Event::Kad`, and are handled as before.
            _ => {}
        }
    }
}
