//! A point on loopback that keeps what one client sends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::mpsc;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::swarm::{NetworkBehaviour, Stream, StreamProtocol, SwarmEvent};
use libp2p::{Multiaddr, PeerId, identify};
use tokio::sync::watch;

use crate::listener::Listener;
use crate::swarm::listen;
use crate::{Exchange, Identity, Machine, Recording, Task, Via, eventually, new_swarm, wire};

/// Takes streams, and asks who is there.
#[derive(NetworkBehaviour)]
struct Recorded {
    identify: identify::Behaviour,
    listener: Listener,
}

/// Serves one client by a [`Machine`], and keeps each exchange.
#[derive(Debug)]
pub struct Recorder {
    address: Multiaddr,
    kept: Arc<Mutex<Kept>>,
    _serving: Task,
}

/// What is known of the client.
#[derive(Debug)]
struct Kept {
    namespace: String,
    recording: Option<(Machine, Recording)>,
    origin: String,
    closes: bool,
}

impl Recorder {
    const STREAMS_MAX: usize = 64;

    /// Listens for a client of this `origin`. `is_named` says that it answers to identify: its
    /// requests wait until it has. `closes` says that it closes a stream for writing behind its
    /// request.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    pub async fn start(origin: &str, namespace: &str, is_named: bool, closes: bool) -> Self {
        let identity = Identity::new();
        let (opened, mut streams) = mpsc::channel(Self::STREAMS_MAX);
        let names = [
            "/rendezvous/ext/1.0.0",
            "/rendezvous/1.0.0",
            "/canvas/rendezvous/1.0.0",
        ];
        let config = identify::Config::new("/test/1".to_owned(), identity.key().public());
        let behaviour = Recorded {
            identify: identify::Behaviour::new(config),
            listener: Listener::new(names.map(StreamProtocol::new).to_vec(), opened),
        };
        let mut swarm = new_swarm(identity.key(), behaviour);
        let address = listen(&mut swarm, Via::Tcp).await;
        let kept = Arc::new(Mutex::new(Kept {
            namespace: namespace.to_owned(),
            recording: None,
            origin: origin.to_owned(),
            closes,
        }));
        let (named, agent) = watch::channel((!is_named).then_some(None));
        let serving = Task::spawn({
            let kept = Arc::clone(&kept);
            async move {
                let mut tasks = Vec::new();
                loop {
                    tokio::select! {
                        event = swarm.select_next_some() => {
                            if let SwarmEvent::Behaviour(RecordedEvent::Identify(
                                identify::Event::Received { info, .. },
                            )) = event
                            {
                                named.send_replace(Some(Some(info.agent_version)));
                            }
                        }
                        Some((peer, stream)) = streams.next() => {
                            let (kept, agent) = (Arc::clone(&kept), agent.clone());
                            tasks.push(Task::spawn(serve(stream, peer, agent, kept)));
                        }
                    }
                }
            }
        });
        Self {
            address,
            kept,
            _serving: serving,
        }
    }

    /// Where it listens, its id included.
    pub fn address(&self) -> &Multiaddr {
        &self.address
    }

    /// What it kept, once there is an UNREGISTER in it.
    pub async fn recorded(self) -> Recording {
        eventually("the last request", async || {
            let kept = lock(&self.kept);
            let recording = kept.recording.as_ref().map(|(_, recording)| recording);
            let has_left = |it: &&Recording| it.exchanges.iter().any(Exchange::is_unanswered);
            recording.filter(has_left).cloned()
        })
        .await
    }
}

impl Kept {
    /// The answer to a request, which is kept.
    fn answer(&mut self, peer: PeerId, agent: Option<&str>, request: Vec<u8>) -> Option<Vec<u8>> {
        let (machine, recording) = self.recording.get_or_insert_with(|| {
            let recording = Recording {
                origin: self.origin.clone(),
                peer,
                agent: agent.map(str::to_owned),
                closes: self.closes,
                exchanges: Vec::new(),
            };
            (Machine::new(&self.namespace, peer, agent), recording)
        });
        assert_eq!(peer, recording.peer, "one client");
        let answer = machine.ask(&request, recording.closes);
        let exchange = Exchange::new(request, answer.as_deref());
        recording.exchanges.push(exchange);
        answer
    }
}

type Agent = watch::Receiver<Option<Option<String>>>;

/// Answers what comes on a stream to its end.
async fn serve(mut stream: Stream, peer: PeerId, mut agent: Agent, kept: Arc<Mutex<Kept>>) {
    let told = agent.wait_for(Option::is_some).await;
    let Ok(agent) = told.map(|agent| agent.clone().flatten()) else {
        return;
    };
    let mut inbound = Vec::new();
    let mut chunk = [0; 16_384];
    while let Ok(count @ 1..) = stream.read(&mut chunk).await {
        inbound.extend_from_slice(&chunk[..count]);
        while let Some((_, used)) = wire::split_frame(&inbound) {
            let request = inbound.drain(..used).collect();
            let answer = lock(&kept).answer(peer, agent.as_deref(), request);
            let Some(answer) = answer else { continue };
            // A client that went away is asked no more.
            let _ = stream.write_all(&answer).await;
            let _ = stream.flush().await;
        }
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
