//! The limit to approach: a server that does nothing but answer with as many bytes as it is asked
//! for, on TCP, noise and yamux, without a swarm.

use std::{future::poll_fn, task::Poll};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use libp2p::{
    Transport as _,
    core::{
        muxing::{StreamMuxerBox, StreamMuxerExt as _, SubstreamBox},
        transport::{ListenerId, TransportEvent},
    },
    identity::Keypair,
};
use rv_proto::{REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, encode_frame};

use super::{print_listening, stdin_ended};
use crate::client::{FrameStream, PROTOCOL, multistream, transport};

/// A request begins with the length of its answer, big-endian.
const LENGTH_BYTES: usize = 4;

/// A request frame of about `request_bytes` that asks for an answer of `answer_bytes`.
pub(crate) fn request(request_bytes: usize, answer_bytes: usize) -> Result<Vec<u8>> {
    let mut payload = u32::try_from(answer_bytes)?.to_be_bytes().to_vec();
    payload.resize(request_bytes.max(LENGTH_BYTES), 0);
    Ok(encode_frame(&payload))
}

fn answer(request: &[u8]) -> Result<Vec<u8>> {
    let length = request
        .first_chunk()
        .context("a request without a length")?;
    let length = usize::try_from(u32::from_be_bytes(*length))?;
    Ok(encode_frame(&vec![0x55; length.min(RESPONSE_BYTES_MAX)]))
}

/// Serves on a free port of loopback until stdin ends.
#[tokio::main]
pub(crate) async fn run() -> Result<()> {
    let key = Keypair::generate_ed25519();
    let mut transport = transport(&key)?;
    transport.listen_on(ListenerId::next(), "/ip4/127.0.0.1/tcp/0".parse()?)?;
    let ended = stdin_ended();
    tokio::pin!(ended);
    loop {
        let event = tokio::select! {
            event = transport.select_next_some() => event,
            () = &mut ended => return Ok(()),
        };
        match event {
            TransportEvent::NewAddress { listen_addr, .. } => {
                print_listening(&listen_addr, key.public().to_peer_id())?;
            }
            TransportEvent::Incoming { upgrade, .. } => {
                tokio::spawn(async move {
                    if let Ok((_, muxer)) = upgrade.await {
                        serve_connection(muxer).await;
                    }
                });
            }
            TransportEvent::AddressExpired { .. }
            | TransportEvent::ListenerClosed { .. }
            | TransportEvent::ListenerError { .. } => {}
        }
    }
}

async fn serve_connection(mut muxer: StreamMuxerBox) {
    // Ends with the connection.
    poll_fn(move |cx| {
        loop {
            match muxer.poll_inbound_unpin(cx) {
                Poll::Ready(Ok(stream)) => {
                    // A stream that breaks is the client's to report.
                    tokio::spawn(async move { serve_stream(stream).await.ok() });
                    continue;
                }
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

async fn serve_stream(mut stream: SubstreamBox) -> Result<()> {
    multistream::accept(&mut stream, PROTOCOL).await?;
    let mut stream = FrameStream::new(stream);
    while let Some(request) = stream.receive(REQUEST_BYTES_MAX).await? {
        stream.send(&answer(&request)?).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use rv_proto::decode_frame;

    use super::*;

    #[test]
    fn an_answer_has_the_length_that_the_request_names() {
        for (asked, answered) in [(0, 0), (9, 9), (22_000, 22_000), (9_000_000, 1_000_000)] {
            let mut frame = BytesMut::from(&request(300, asked).expect("fits")[..]);
            let request = decode_frame(&mut frame, REQUEST_BYTES_MAX).expect("whole");
            let request = request.expect("whole");
            assert_eq!(request.len(), 300);
            let mut frame = BytesMut::from(&answer(&request).expect("has a length")[..]);
            let answer = decode_frame(&mut frame, RESPONSE_BYTES_MAX).expect("whole");
            assert_eq!(answer.expect("whole").len(), answered);
        }
        assert!(answer(&[1, 2, 3]).is_err());
    }
}
