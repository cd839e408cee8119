//! A peer that writes whatever it likes.

use std::io;
use std::sync::Arc;

use futures::channel::{mpsc, oneshot};
use futures::{AsyncReadExt as _, AsyncWriteExt as _, SinkExt as _, StreamExt as _};
use libp2p::swarm::{NetworkBehaviour, Stream, StreamProtocol, Swarm};
use libp2p::{Multiaddr, PeerId, identify};

use crate::opener::{Opener, Opening};
use crate::swarm::peer_of;
use crate::wire::{self, Register, RegisterReply, Reply};
use crate::{Identity, Point, Task, Via, connect, eventually, new_swarm, within};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/rendezvous/1.0.0");

/// Opens streams, and says who it is.
#[derive(NetworkBehaviour)]
struct Named {
    identify: identify::Behaviour,
    opener: Opener,
}

/// A connection to a point on which streams are opened by hand.
#[derive(Debug)]
pub struct RawClient {
    identity: Identity,
    openings: mpsc::Sender<Opening>,
    task: Arc<Task>,
}

impl RawClient {
    /// Connects over TCP as somebody new.
    pub async fn connect(point: &Point) -> Self {
        Self::connect_as(point, Identity::new(), Via::Tcp).await
    }

    /// Connects as `identity`.
    pub async fn connect_as(point: &Point, identity: Identity, via: Via) -> Self {
        Self::dial(point.address(via), identity).await
    }

    /// Connects to whoever is at an address.
    pub async fn dial(address: &Multiaddr, identity: Identity) -> Self {
        let (openings, wanted) = mpsc::channel(16);
        let swarm = new_swarm(identity.key(), Opener::new(peer_of(address), wanted));
        Self::start(swarm, address, identity, openings).await
    }

    /// Connects to whoever is at an address, and tells in identify that its program is `agent`.
    pub async fn dial_named(address: &Multiaddr, identity: Identity, agent: &str) -> Self {
        let (openings, wanted) = mpsc::channel(16);
        let config = identify::Config::new("/test/1".to_owned(), identity.key().public());
        let named = Named {
            identify: identify::Behaviour::new(config.with_agent_version(agent.to_owned())),
            opener: Opener::new(peer_of(address), wanted),
        };
        let swarm = new_swarm(identity.key(), named);
        Self::start(swarm, address, identity, openings).await
    }

    async fn start<B>(
        mut swarm: Swarm<B>,
        address: &Multiaddr,
        identity: Identity,
        openings: mpsc::Sender<Opening>,
    ) -> Self
    where
        B: NetworkBehaviour<ToSwarm: Send> + Send,
    {
        connect(&mut swarm, address).await;
        let task = Task::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        Self {
            identity,
            openings,
            task: Arc::new(task),
        }
    }

    /// Who this is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The id of who this is.
    pub fn peer(&self) -> PeerId {
        self.identity.peer()
    }

    /// A new stream.
    ///
    /// # Panics
    ///
    /// If the point takes none.
    pub async fn open(&self) -> RawStream {
        self.open_as(PROTOCOL)
            .await
            .expect("the point speaks the protocol")
    }

    /// A new stream with the protocol's name chosen.
    ///
    /// # Errors
    ///
    /// If the point refuses the protocol, or is gone.
    ///
    /// # Panics
    ///
    /// If nothing happens at all.
    pub async fn open_as(&self, protocol: StreamProtocol) -> Result<RawStream, String> {
        let (reply, stream) = oneshot::channel();
        let opening = Opening { protocol, reply };
        self.openings
            .clone()
            .send(opening)
            .await
            .map_err(|error| error.to_string())?;
        let stream = within("stream", stream)
            .await
            .map_err(|error| error.to_string())??;
        Ok(RawStream {
            io: stream,
            inbound: Vec::new(),
            _client: Arc::clone(&self.task),
        })
    }

    /// One request on a stream of its own.
    pub async fn ask(&self, payload: &[u8]) -> Reply {
        self.open().await.ask(payload).await
    }

    /// Registers with a legacy record, and wants that to be granted.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn register(&self, namespace: &str) -> RegisterReply {
        let request = Register::new(namespace, self.identity.legacy());
        self.open().await.register_ok(&request).await
    }
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order.
    Closed,
    /// By a reset.
    Reset,
}

/// A stream, byte by byte.
#[derive(Debug)]
pub struct RawStream {
    io: Stream,
    inbound: Vec<u8>,
    /// The connection lives as long as any of its streams.
    _client: Arc<Task>,
}

impl RawStream {
    /// Writes bytes as they are.
    ///
    /// # Errors
    ///
    /// If the stream has ended.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        within("room on the stream", async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        })
        .await
    }

    /// Writes one frame.
    ///
    /// # Panics
    ///
    /// If the stream has ended.
    pub async fn send(&mut self, payload: &[u8]) {
        self.send_bytes(&wire::frame(payload))
            .await
            .expect("the stream is open");
    }

    /// Says that no more requests come.
    pub async fn close_write(&mut self) {
        // The point may have ended the stream already.
        let _ = within("close", self.io.close()).await;
    }

    /// The next frame's payload.
    ///
    /// # Errors
    ///
    /// How the stream ended, if it did so at the end of a frame.
    ///
    /// # Panics
    ///
    /// If the stream ends within a frame.
    pub async fn receive(&mut self) -> Result<Vec<u8>, End> {
        loop {
            if let Some((payload, used)) = wire::split_frame(&self.inbound) {
                self.inbound.drain(..used);
                return Ok(payload);
            }
            let mut chunk = [0; 16_384];
            let end = match within("answer", self.io.read(&mut chunk)).await {
                Ok(0) => End::Closed,
                Ok(count) => {
                    self.inbound.extend_from_slice(&chunk[..count]);
                    continue;
                }
                Err(_) => End::Reset,
            };
            assert!(
                self.inbound.is_empty(),
                "{end:?} after {} bytes",
                self.inbound.len()
            );
            return Err(end);
        }
    }

    /// The next reply.
    ///
    /// # Panics
    ///
    /// If there is none, or it is not as every reader needs it.
    pub async fn reply(&mut self) -> Reply {
        let payload = self.receive().await.expect("a reply");
        Reply::decode(&payload)
    }

    /// Sends a request and reads the reply.
    pub async fn ask(&mut self, payload: &[u8]) -> Reply {
        self.send(payload).await;
        self.reply().await
    }

    /// Sends a REGISTER and reads its reply.
    pub async fn register(&mut self, request: &Register) -> RegisterReply {
        self.ask(&request.payload()).await.into_register()
    }

    /// Sends a REGISTER that must be granted.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn register_ok(&mut self, request: &Register) -> RegisterReply {
        let reply = self.register(request).await;
        assert_eq!(reply.status, 0, "{}", reply.text);
        reply
    }

    /// Sends a REGISTER that must be refused with `status` and a text that holds all of `hints`,
    /// after which nothing else comes and the stream goes on.
    ///
    /// # Panics
    ///
    /// If it is otherwise.
    pub async fn refuse(&mut self, request: &Register, status: u64, hints: &[&str]) {
        let reply = self.register(request).await;
        assert_eq!((reply.status, reply.ttl), (status, 0), "{}", reply.text);
        for hint in hints {
            assert!(
                reply.text.contains(hint),
                "{:?} does not say {hint:?}",
                reply.text
            );
        }
        let next = self.discover(&wire::Discover::new("nobody's")).await;
        assert_eq!(
            (next.status, next.entries.len()),
            (0, 0),
            "the stream goes on"
        );
    }

    /// Sends a DISCOVER and reads its reply.
    ///
    /// # Panics
    ///
    /// If a reader that does not know the extension is sent some of it.
    pub async fn discover(&mut self, request: &wire::Discover) -> wire::DiscoverReply {
        let reply = self.ask(&request.payload()).await.into_discover();
        if request.accepts.is_empty() {
            assert!(reply.entries.iter().all(|entry| entry.verified.is_none()));
        }
        reply
    }

    /// The peers that a DISCOVER without a cookie lists, in their order.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn peers(&mut self, namespace: &str) -> Vec<PeerId> {
        let reply = self.discover(&wire::Discover::new(namespace)).await;
        assert_eq!(reply.status, 0, "{}", reply.text);
        reply.peers()
    }

    /// Waits for the end of the stream without a byte, and until nothing can be written either.
    /// `after` says what ended it.
    pub async fn reset(&mut self, after: &str) {
        self.end(after).await;
        eventually("end of the other direction", async || {
            self.send_bytes(&[0]).await.is_err().then_some(())
        })
        .await;
    }

    /// Waits for the end of the stream. `after` says what ends it.
    ///
    /// # Panics
    ///
    /// If anything else comes.
    pub async fn end(&mut self, after: &str) -> End {
        match self.receive().await {
            Ok(payload) => panic!("{} bytes after {after}, which ends a stream", payload.len()),
            Err(end) => end,
        }
    }
}
