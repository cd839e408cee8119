//! A client without a swarm: one connection, one stream, and frames on it.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt as _, SubstreamBox};
use libp2p::core::transport::{DialOpts, PortUse};
use libp2p::core::upgrade::Version;
use libp2p::core::{Endpoint, Transport as _};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId, noise, tcp, yamux};
use rv_proto::{
    Dialect, DialectSet, DiscoverRequest, DiscoverResponse, PeerRecord, RESPONSE_BYTES_MAX,
    RegisterRequest, RegisterResponse, Request, Response, Status, UnregisterRequest,
    UnverifiedRecord, decode_frame, encode_frame,
};
use tokio::task::JoinHandle;

use super::{Address, within};

/// What a stream to a rendezvous point begins with, in both directions.
const NEGOTIATION: &[u8] = b"\x13/multistream/1.0.0\n\x12/rendezvous/1.0.0\n";

/// One stream to a point. Requests may be sent ahead of their answers.
pub(crate) struct RawClient {
    point: Address,
    key: Keypair,
    stream: SubstreamBox,
    inbound: BytesMut,
    driver: JoinHandle<()>,
}

impl RawClient {
    /// Connects over TCP.
    pub(crate) async fn connect(point: &Address, key: &Keypair) -> io::Result<Self> {
        within("connect", Self::connect_now(point, key)).await
    }

    async fn connect_now(point: &Address, key: &Keypair) -> io::Result<Self> {
        let mut transport = tcp::tokio::Transport::new(tcp::Config::default())
            .upgrade(Version::V1Lazy)
            .authenticate(noise::Config::new(key).map_err(io::Error::other)?)
            .multiplex(yamux::Config::default())
            .boxed();
        let options = DialOpts {
            role: Endpoint::Dialer,
            port_use: PortUse::New,
        };
        let dial = transport
            .dial(point.address.clone(), options)
            .map_err(io::Error::other)?;
        let (peer, mut muxer) = dial.await?;
        assert_eq!(peer, point.peer);
        let stream = poll_fn(|cx| muxer.poll_outbound_unpin(cx))
            .await
            .map_err(io::Error::other)?;
        let driver = tokio::spawn(drive(muxer));
        let mut client = Self {
            point: point.clone(),
            key: key.clone(),
            stream,
            inbound: BytesMut::new(),
            driver,
        };
        client.stream.write_all(NEGOTIATION).await?;
        client.stream.flush().await?;
        let mut answer = vec![0; NEGOTIATION.len()];
        client.stream.read_exact(&mut answer).await?;
        assert_eq!(answer, NEGOTIATION);
        Ok(client)
    }

    /// The point that it is connected to.
    pub(crate) const fn point(&self) -> &Address {
        &self.point
    }

    /// Sends a request and waits for nothing.
    pub(crate) async fn send(&mut self, request: &Request) -> io::Result<()> {
        within("send", async {
            self.stream
                .write_all(&encode_frame(&request.encode()))
                .await?;
            self.stream.flush().await
        })
        .await
    }

    /// The next answer; none at the end of the stream.
    ///
    /// # Panics
    ///
    /// If the stream ends within an answer, or what came is no answer.
    pub(crate) async fn receive(&mut self) -> io::Result<Option<Response>> {
        within("receive", self.receive_now()).await
    }

    async fn receive_now(&mut self) -> io::Result<Option<Response>> {
        loop {
            let payload = decode_frame(&mut self.inbound, RESPONSE_BYTES_MAX).expect("a frame");
            if let Some(payload) = payload {
                return Ok(Some(Response::decode(payload).expect("a response")));
            }
            let mut chunk = [0; 4096];
            let read = self.stream.read(&mut chunk).await?;
            if read == 0 {
                assert!(self.inbound.is_empty(), "half an answer");
                return Ok(None);
            }
            self.inbound.extend_from_slice(&chunk[..read]);
        }
    }

    /// Registers under `namespace` with a record of this `seq`.
    pub(crate) async fn register(
        &mut self,
        namespace: &str,
        seq: u64,
    ) -> io::Result<RegisterResponse> {
        let request = register_request(&self.key, namespace, seq, 1);
        self.send(&request).await?;
        match self.receive().await?.ok_or(io::ErrorKind::UnexpectedEof)? {
            Response::Register(response) => Ok(response),
            other => panic!("not the answer to REGISTER: {other:?}"),
        }
    }

    /// UNREGISTER, which has no answer.
    pub(crate) async fn unregister(&mut self, namespace: &str) -> io::Result<()> {
        let namespace = Some(Bytes::copy_from_slice(namespace.as_bytes()));
        self.send(&Request::Unregister(UnregisterRequest {
            namespace,
            peer: None,
        }))
        .await
    }

    /// Everything under `namespace` that came after `cookie`.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub(crate) async fn discover(
        &mut self,
        namespace: &str,
        cookie: Option<Bytes>,
    ) -> io::Result<Discovered> {
        self.send(&discover_request(namespace, cookie)).await?;
        match self.receive().await?.ok_or(io::ErrorKind::UnexpectedEof)? {
            Response::Discover(response) => Ok(Discovered::from(response)),
            other => panic!("not the answer to DISCOVER: {other:?}"),
        }
    }
}

impl Drop for RawClient {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Moves the connection for as long as it lasts. Streams that the point opens (identify, ping) are
/// dropped.
async fn drive(mut muxer: StreamMuxerBox) {
    poll_fn(|cx| {
        loop {
            match muxer.poll_inbound_unpin(cx) {
                Poll::Ready(Ok(_)) => continue,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            match muxer.poll_unpin(cx) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

/// A REGISTER of the owner of `key`, with so many addresses in its record.
pub(crate) fn register_request(
    key: &Keypair,
    namespace: &str,
    seq: u64,
    addresses: u16,
) -> Request {
    let addresses = (1..=addresses).map(|port| -> Multiaddr {
        format!("/ip4/192.0.2.7/tcp/{port}")
            .parse()
            .expect("a multiaddr")
    });
    let peer = key.public().to_peer_id();
    let record = PeerRecord {
        peer,
        seq,
        addresses: addresses.collect(),
    };
    let record = record
        .seal(Dialect::Legacy, key)
        .expect("an ed25519 key signs");
    Request::Register(RegisterRequest {
        namespace: Some(Bytes::copy_from_slice(namespace.as_bytes())),
        record: Some(record),
        counterpart: None,
        ttl_secs: None,
    })
}

/// A DISCOVER; of everything if the namespace is empty.
pub(crate) fn discover_request(namespace: &str, cookie: Option<Bytes>) -> Request {
    Request::Discover(DiscoverRequest {
        namespace: Some(Bytes::copy_from_slice(namespace.as_bytes())),
        limit: None,
        cookie,
        accepts: DialectSet::EMPTY,
    })
}

/// What a DISCOVER found.
#[derive(Debug)]
pub(crate) struct Discovered {
    /// Each peer with its record's `seq`.
    pub(crate) peers: Vec<(PeerId, u64)>,
    pub(crate) namespaces: Vec<String>,
    pub(crate) cookie: Bytes,
}

impl From<DiscoverResponse> for Discovered {
    fn from(response: DiscoverResponse) -> Self {
        assert_eq!(response.status, Status::OK, "{}", response.status_text);
        let read = |record: Option<Bytes>| {
            let record = UnverifiedRecord::parse(record.expect("a record")).expect("parses");
            let record = record.verify().expect("is signed");
            (*record.peer(), record.seq().expect("has a seq"))
        };
        let name = |namespace: &Option<Bytes>| {
            let namespace = namespace.as_deref().expect("an entry has a namespace");
            String::from_utf8_lossy(namespace).into_owned()
        };
        let namespaces = response
            .entries
            .iter()
            .map(|entry| name(&entry.namespace))
            .collect();
        let peers = response
            .entries
            .into_iter()
            .map(|entry| read(entry.record))
            .collect();
        Self {
            peers,
            namespaces,
            cookie: response.cookie.expect("an answer has a cookie"),
        }
    }
}
