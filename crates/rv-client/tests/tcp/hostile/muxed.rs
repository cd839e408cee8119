//! A point below the swarm: connections that are secured and multiplexed, and streams on which
//! nothing was negotiated yet.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt as _, SubstreamBox};
use libp2p::core::transport::{Boxed, ListenerId, TransportEvent};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId, Transport as _, noise, tcp, yamux};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::support::{loopback, within};

/// The lines of a negotiation, each behind its length.
const HEADER: &[u8] = b"\x13/multistream/1.0.0\n";
const NAME: &[u8] = b"\x12/rendezvous/1.0.0\n";
const NOT_AVAILABLE: &[u8] = b"\x03na\n";

/// A point in a task, which ends when this is dropped.
pub(crate) struct MuxedPoint {
    pub(crate) at: (PeerId, Multiaddr),
    connections: mpsc::Receiver<MuxedConnection>,
    task: JoinHandle<()>,
}

/// A connection in a task. It is cut when this is dropped.
pub(crate) struct MuxedConnection {
    streams: mpsc::Receiver<SubstreamBox>,
    task: JoinHandle<()>,
}

/// A stream without a protocol.
pub(crate) struct MuxedStream(SubstreamBox);

type Transport = Boxed<(PeerId, StreamMuxerBox)>;

impl MuxedPoint {
    pub(crate) async fn start() -> Self {
        let key = Keypair::generate_ed25519();
        let noise = noise::Config::new(&key).expect("noise takes the key");
        let mut transport = tcp::tokio::Transport::default()
            .upgrade(Version::V1)
            .authenticate(noise)
            .multiplex(yamux::Config::default())
            .boxed();
        let listening = transport.listen_on(ListenerId::next(), loopback());
        listening.expect("TCP is there");
        let address = within("address", async {
            loop {
                let event = poll_fn(|cx| Pin::new(&mut transport).poll(cx)).await;
                if let TransportEvent::NewAddress { listen_addr, .. } = event {
                    return listen_addr;
                }
            }
        })
        .await;
        let (sender, connections) = mpsc::channel(16);
        let task = tokio::spawn(listen(transport, sender));
        Self {
            at: (key.public().to_peer_id(), address),
            connections,
            task,
        }
    }

    /// The next connection, however long it takes.
    pub(crate) async fn accept(&mut self) -> MuxedConnection {
        self.connections.recv().await.expect("the point runs")
    }
}

async fn listen(mut transport: Transport, connections: mpsc::Sender<MuxedConnection>) {
    loop {
        let event = poll_fn(|cx| Pin::new(&mut transport).poll(cx)).await;
        if let TransportEvent::Incoming { upgrade, .. } = event
            && let Ok((_, muxer)) = upgrade.await
        {
            let (sender, streams) = mpsc::channel(16);
            let task = tokio::spawn(run(muxer, sender));
            let connection = MuxedConnection { streams, task };
            if connections.send(connection).await.is_err() {
                return;
            }
        }
    }
}

async fn run(mut muxer: StreamMuxerBox, streams: mpsc::Sender<SubstreamBox>) {
    poll_fn(|cx| {
        if let Poll::Ready(Err(_)) = muxer.poll_unpin(cx) {
            return Poll::Ready(());
        }
        loop {
            match muxer.poll_inbound_unpin(cx) {
                Poll::Ready(Ok(stream)) => {
                    assert!(streams.try_send(stream).is_ok(), "too many streams");
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

impl MuxedConnection {
    /// The next stream, however long it takes; `None` once the connection is gone.
    pub(crate) async fn accept(&mut self) -> Option<MuxedStream> {
        self.streams.recv().await.map(MuxedStream)
    }

    /// Cuts the connection.
    pub(crate) async fn cut(mut self) {
        self.task.abort();
        // It may have ended before.
        let _ = within("end of the connection", &mut self.task).await;
    }
}

impl MuxedStream {
    /// Reads what a client sends first: a header and a name.
    pub(crate) async fn read_proposal(&mut self) -> Vec<u8> {
        assert_eq!(self.read_frame().await, HEADER);
        self.read_frame().await
    }

    /// Goes on after that as a point that has no name but the specification's.
    pub(crate) async fn negotiate(&mut self, mut proposal: Vec<u8>) {
        self.write(HEADER).await;
        while proposal != NAME {
            self.write(NOT_AVAILABLE).await;
            proposal = self.read_frame().await;
        }
        self.write(NAME).await;
    }

    /// Has none of the names that are proposed. Returns them, in their order.
    pub(crate) async fn refuse_all(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        let mut proposal = self.read_proposal().await;
        self.write(HEADER).await;
        while let [_, name @ .., b'\n'] = &proposal[..] {
            names.push(String::from_utf8_lossy(name).into_owned());
            self.write(NOT_AVAILABLE).await;
            proposal = self.try_read_frame().await.unwrap_or_default();
        }
        names
    }

    /// Reads what stands behind its length, if that is below 128, length included.
    pub(crate) async fn read_frame(&mut self) -> Vec<u8> {
        self.try_read_frame().await.expect("an open stream")
    }

    /// The same; `None` if the stream ends instead.
    async fn try_read_frame(&mut self) -> Option<Vec<u8>> {
        let mut frame = vec![0];
        let read = within("length", self.0.read_exact(&mut frame)).await;
        read.ok()?;
        frame.resize(1 + usize::from(frame[0]), 0);
        let read = within("frame", self.0.read_exact(&mut frame[1..])).await;
        read.ok()?;
        Some(frame)
    }

    /// Writes as long as the client takes it.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
        let _ = self.0.flush().await;
    }

    /// Ends the point's side.
    pub(crate) async fn close(&mut self) {
        let _ = self.0.close().await;
    }
}

impl Drop for MuxedPoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Drop for MuxedConnection {
    fn drop(&mut self) {
        self.task.abort();
    }
}
