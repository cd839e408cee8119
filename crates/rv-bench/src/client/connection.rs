//! A connection without a swarm: TCP, noise and yamux, and the streams opened on it.
//!
//! A swarm a peer would cost the load generator more than a server spends on the request.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use bytes::{Bytes, BytesMut};
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::{
    Multiaddr, PeerId, Transport as _,
    core::{
        Endpoint,
        muxing::{StreamMuxerBox, StreamMuxerExt as _, SubstreamBox},
        transport::{Boxed, DialOpts, PortUse},
        upgrade::Version,
    },
    identity::Keypair,
    noise, tcp, yamux,
};
use rv_proto::{RESPONSE_BYTES_MAX, decode_frame};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::multistream;

/// Streams that may wait to be opened on one connection; each worker waits for its own.
const OPENINGS_WAITING_MAX: usize = 64;

/// A connection or a request that takes longer is counted as failed: far above anything that a
/// loaded server on loopback needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is read from a stream at once, in bytes.
const READ_BYTES: usize = 16 * 1024;

type Opening = oneshot::Sender<io::Result<SubstreamBox>>;

/// TCP, noise and yamux under the identity `key`, as every stock rust-libp2p has them.
pub(crate) fn transport(key: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>> {
    let noise = noise::Config::new(key).context("noise keys")?;
    Ok(tcp::tokio::Transport::new(tcp::Config::default())
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .boxed())
}

/// An authenticated connection to a server. It ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    openings: mpsc::Sender<Opening>,
}

impl Connection {
    /// Connects to `server` as the owner of `key`.
    pub(crate) async fn dial(server: &Server, key: &Keypair) -> Result<Self> {
        let options = DialOpts {
            role: Endpoint::Dialer,
            port_use: PortUse::New,
        };
        let dial = transport(key)?.dial(server.address.clone(), options)?;
        let (peer, muxer) = timeout(PATIENCE, dial).await.context("dial timed out")??;
        if peer != server.peer {
            bail!("dialed {} and reached {peer}", server.peer);
        }
        let (openings, receiver) = mpsc::channel(OPENINGS_WAITING_MAX);
        tokio::spawn(Driver {
            muxer,
            openings: receiver,
            opening: None,
        });
        Ok(Self { openings })
    }

    /// Opens a stream and negotiates `protocol` on it.
    pub(crate) async fn open(&self, protocol: &str) -> Result<FrameStream> {
        timeout(PATIENCE, self.open_now(protocol))
            .await
            .context("opening a stream timed out")?
    }

    async fn open_now(&self, protocol: &str) -> Result<FrameStream> {
        let (sender, receiver) = oneshot::channel();
        self.openings
            .send(sender)
            .await
            .context("the connection is closed")?;
        let mut stream = receiver.await.context("the connection closed")??;
        multistream::propose(&mut stream, protocol).await?;
        Ok(FrameStream::new(stream))
    }
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// The address, without the peer id.
    pub(crate) address: Multiaddr,
    pub(crate) peer: PeerId,
}

/// Moves the muxer. Streams that the server opens (identify, ping) are dropped: all servers
/// under test are treated alike.
struct Driver {
    muxer: StreamMuxerBox,
    openings: mpsc::Receiver<Opening>,
    opening: Option<Opening>,
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // Ends: each round consumes an event of the connection or of a worker.
        loop {
            if let Poll::Ready(inbound) = this.muxer.poll_inbound_unpin(cx) {
                if inbound.is_err() {
                    return Poll::Ready(());
                }
                continue;
            }
            if this.opening.is_none()
                && let Poll::Ready(opening) = this.openings.poll_recv(cx)
            {
                let Some(opening) = opening else {
                    return Poll::Ready(());
                };
                this.opening = Some(opening);
            }
            if this.opening.is_some()
                && let Poll::Ready(opened) = this.muxer.poll_outbound_unpin(cx)
            {
                if let Some(opening) = this.opening.take() {
                    // A worker that no longer waits has timed out and counted the failure.
                    let _ = opening.send(opened.map_err(io::Error::other));
                }
                continue;
            }
            match this.muxer.poll_unpin(cx) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// A negotiated stream that carries length-prefixed frames.
pub(crate) struct FrameStream {
    stream: SubstreamBox,
    inbox: BytesMut,
    chunk: Box<[u8]>,
}

impl FrameStream {
    /// Wraps a stream whose protocol is already negotiated.
    pub(crate) fn new(stream: SubstreamBox) -> Self {
        Self {
            stream,
            inbox: BytesMut::new(),
            chunk: vec![0; READ_BYTES].into(),
        }
    }

    /// Sends a request, a whole frame, and waits for the answer's payload.
    pub(crate) async fn request(&mut self, frame: &[u8]) -> Result<Bytes> {
        timeout(PATIENCE, self.request_now(frame, false))
            .await
            .context("request timed out")?
    }

    /// Does the same and closes the stream for writing behind the request, as rust-libp2p does.
    pub(crate) async fn last_request(&mut self, frame: &[u8]) -> Result<Bytes> {
        timeout(PATIENCE, self.request_now(frame, true))
            .await
            .context("request timed out")?
    }

    async fn request_now(&mut self, frame: &[u8], close: bool) -> Result<Bytes> {
        self.send(frame).await?;
        if close {
            self.stream.close().await?;
        }
        match self.receive(RESPONSE_BYTES_MAX).await? {
            Some(payload) => Ok(payload),
            None => bail!("the server ended the stream without an answer"),
        }
    }

    /// Writes a whole frame.
    pub(crate) async fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.stream.write_all(frame).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// Reads the next frame's payload; `None` at the end of the stream.
    pub(crate) async fn receive(&mut self, bytes_max: usize) -> Result<Option<Bytes>> {
        loop {
            if let Some(payload) = decode_frame(&mut self.inbox, bytes_max)? {
                return Ok(Some(payload));
            }
            let read = self.stream.read(&mut self.chunk).await?;
            if read == 0 {
                return Ok(None);
            }
            self.inbox.extend_from_slice(&self.chunk[..read]);
        }
    }
}
