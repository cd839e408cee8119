//! A hostile peer at each transport, which sends what nobody reads.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::poll_fn;
use futures::{AsyncRead, AsyncWrite, FutureExt as _, StreamExt as _};
use libp2p::core::muxing::{StreamMuxer as _, StreamMuxerBox, StreamMuxerExt as _};
use libp2p::core::transport::{DialOpts, ListenerId, PortUse, TransportEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade as _, UpgradeInfo as _};
use libp2p::core::{Endpoint, Transport};
use libp2p::{Multiaddr, identity::Keypair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// A connection whose other end is the test.
#[derive(Clone, Debug, Default)]
struct Wire(Arc<Mutex<Ends>>);

#[derive(Debug, Default)]
struct Ends {
    inbound: VecDeque<u8>,
    outbound: Vec<u8>,
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match io::Read::read(&mut self.0.lock().expect("one thread").inbound, buffer) {
            Ok(0) => Poll::Pending,
            done => Poll::Ready(done),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut ends = self.0.lock().expect("one thread");
        ends.outbound.extend_from_slice(buffer);
        Poll::Ready(Ok(buffer.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The kinds of yamux frame, and the flags that the test needs.
const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 1;
const PING: u8 = 2;
const SYN: u8 = 1;
const ACK: u8 = 2;

const FRAME_HEADER_BYTES: usize = 12;
const STREAM_BYTES: u32 = 256 << 10;

impl Wire {
    /// Sends a frame. `len` is its length, its value or its credit.
    fn send(&self, kind: u8, flags: u8, stream: u32, len: u32, body: &[u8]) {
        let mut ends = self.0.lock().expect("one thread");
        ends.inbound.extend([0, kind, 0, flags]);
        ends.inbound.extend(stream.to_be_bytes());
        ends.inbound.extend(len.to_be_bytes());
        ends.inbound.extend(body);
    }

    /// The frames without a body that came: kind, stream, and value.
    fn received(&self) -> Vec<(u8, u32, u32)> {
        let bytes = std::mem::take(&mut self.0.lock().expect("one thread").outbound);
        let word = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("4 bytes"));
        bytes
            .chunks_exact(FRAME_HEADER_BYTES)
            .map(|frame| (frame[1], word(&frame[4..8]), word(&frame[8..12])))
            .collect()
    }
}

#[test]
fn a_peer_cannot_make_the_window_of_a_stream_grow() {
    let wire = Wire::default();
    let config = yamux();
    let name = config.protocol_info().next().expect("a name");
    let muxer = config
        .upgrade_inbound(wire.clone(), name)
        .now_or_never()
        .expect("needs no message")
        .expect("a muxer");
    let mut muxer = Box::pin(muxer);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(muxer.as_mut().poll(&mut cx).is_pending());
    let pings: Vec<_> = wire.received();
    let [(PING, 0, ping)] = pings[..] else {
        panic!("not one ping: {pings:?}")
    };

    // 16 MiB take longer to come in than 256 KiB take to be read, so the late pong is believed.
    let body = vec![7; STREAM_BYTES as usize];
    for stream in (1..128).step_by(2) {
        wire.send(DATA, SYN, stream, STREAM_BYTES, &body);
    }
    let Poll::Ready(Ok(mut stream)) = muxer.as_mut().poll_inbound(&mut cx) else {
        panic!("no stream")
    };
    while !wire.0.lock().expect("one thread").inbound.is_empty() {
        assert!(muxer.as_mut().poll(&mut cx).is_pending());
    }
    wire.send(PING, ACK, 0, ping, &[]);
    assert!(muxer.as_mut().poll(&mut cx).is_pending());

    let mut read = 0;
    let mut buffer = vec![0; STREAM_BYTES as usize];
    while let Poll::Ready(got) = Pin::new(&mut stream).poll_read(&mut cx, &mut buffer) {
        read += got.expect("open");
    }
    assert_eq!(read, STREAM_BYTES as usize);
    assert!(muxer.as_mut().poll(&mut cx).is_pending());
    let credit: u32 = wire
        .received()
        .iter()
        .filter(|(kind, stream, _)| (*kind, *stream) == (WINDOW_UPDATE, 1))
        .map(|(_, _, credit)| credit)
        .sum();
    assert!(credit > 0, "what was read is given back");
    assert!(credit <= STREAM_BYTES, "{credit} bytes for {read} read");
}

/// The first event of a listener that `pick` knows.
async fn event<T: Transport + Unpin, U>(
    transport: &mut T,
    mut pick: impl FnMut(TransportEvent<T::ListenerUpgrade, T::Error>) -> Option<U>,
) -> U {
    let next = poll_fn(|cx| Pin::new(&mut *transport).poll(cx));
    let mut events = std::pin::pin!(futures::stream::unfold(next, |mut next| async {
        Some(((&mut next).await, next))
    }));
    loop {
        if let Some(picked) = events.next().await.and_then(&mut pick) {
            return picked;
        }
    }
}

async fn listen<T: Transport + Unpin>(transport: &mut T, address: &str) -> Multiaddr {
    let address = address.parse().expect("a multiaddr");
    assert!(transport.listen_on(ListenerId::next(), address).is_ok());
    event(transport, |event| event.into_new_address()).await
}

#[tokio::test]
async fn a_peer_over_quic_sends_no_more_than_is_read() {
    const SERVED: usize = 2;
    let key = Keypair::generate_ed25519();
    let mut point = quic::tokio::Transport::new(quic(quic::Config::new(&key), SERVED));
    let address = listen(&mut point, "/ip4/127.0.0.1/udp/0/quic-v1").await;
    let mut peer = quic::tokio::Transport::new(quic::Config::new(&Keypair::generate_ed25519()));
    let options = DialOpts {
        role: Endpoint::Dialer,
        port_use: PortUse::New,
    };
    let dialing = peer.dial(address, options).expect("dials");
    let accepting = async {
        let upgrade = event(&mut point, |event| event.into_incoming()).await.0;
        let accepted = upgrade.await.expect("accepted");
        // The listener's socket is the connection's.
        (accepted, point)
    };
    let both = futures::future::join(dialing, accepting);
    let (dialed, _accepted) = tokio::time::timeout(PATIENCE, both).await.expect("in time");
    let mut muxer = StreamMuxerBox::new(dialed.expect("dialed").1);

    let mut cx = Context::from_waker(Waker::noop());
    let mut streams = Vec::new();
    while let Poll::Ready(stream) = muxer.poll_outbound_unpin(&mut cx) {
        streams.push(stream.expect("open"));
    }
    assert_eq!(streams.len(), SERVED + OTHER_STREAMS_MAX);

    let chunk = [7; 1 << 10];
    let mut sent = 0;
    while let Poll::Ready(wrote) = Pin::new(&mut streams[0]).poll_write(&mut cx, &chunk) {
        sent += wrote.expect("open");
    }
    assert_eq!(sent, QUIC_STREAM_BYTES_MAX as usize);
}

#[tokio::test]
async fn a_websocket_message_that_is_too_large_is_refused_at_its_length() {
    let mut point = websocket().boxed();
    let address = listen(&mut point, "/ip4/127.0.0.1/tcp/0/ws").await;
    let port = address.iter().find_map(|part| match part {
        multiaddr::Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    let reading = async {
        let (upgrade, _) = event(&mut point, |event| event.into_incoming()).await;
        let mut stream = upgrade.await.expect("a websocket");
        let mut buffer = [0; 16];
        poll_fn(|cx| Pin::new(&mut stream).poll_read(cx, &mut buffer)).await
    };
    let sending = async {
        let address = ("127.0.0.1", port.expect("a port"));
        let mut tcp = tokio::net::TcpStream::connect(address).await?;
        let hello = "GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n";
        tcp.write_all(hello.as_bytes()).await?;
        tcp.read_u8().await?;
        // A last binary message of 64-bit length, masked with zeros. Its bytes never come.
        let mut header = vec![0x82, 0xff];
        header.extend((WEBSOCKET_MESSAGE_BYTES_MAX as u64 + 1).to_be_bytes());
        header.extend([0; 4]);
        tcp.write_all(&header).await?;
        io::Result::Ok(tcp)
    };
    let both = futures::future::join(reading, sending);
    let (read, tcp) = tokio::time::timeout(PATIENCE, both)
        .await
        .expect("refused without waiting for what never comes");
    tcp.expect("the connection stood");
    read.expect_err("too large");
}
