//! One subscription on a stream of its own.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures::AsyncRead as _;
use libp2p_identity::PeerId;
use libp2p_swarm::Stream;
use rv_core::client::{Breach, Failure, Pushed, Wanted};
use rv_proto::{FrameError, Response, SubscriptionUpdate, decode_frame};

use super::Message;
use super::exchange::poll_write;
use crate::Config;

/// A subscription. Who drops it resets the stream.
pub(super) struct Subscription {
    io: Stream,
    wanted: Wanted,
    /// What is still to be written of the request.
    rest: Bytes,
    inbound: BytesMut,
    is_begun: bool,
}

impl Subscription {
    const READ_BYTES_MAX: usize = 16_384;

    pub(super) fn new(io: Stream, message: Message) -> Self {
        Self {
            io,
            wanted: message.wanted,
            rest: message.frame,
            inbound: BytesMut::new(),
            is_begun: false,
        }
    }

    /// The next that came, or why nothing more will.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        config: &Config,
        unwanted: Option<&PeerId>,
    ) -> Poll<Result<Pushed, Failure>> {
        if !self.rest.is_empty() && ready!(poll_write(&mut self.io, &mut self.rest, cx)).is_err() {
            return Poll::Ready(Err(Failure::EndOfStream));
        }
        loop {
            match decode_frame(&mut self.inbound, config.update_bytes_max) {
                Ok(Some(payload)) => return Poll::Ready(self.read(payload, unwanted)),
                Ok(None) => {}
                Err(error) => return broken(Breach::Frame(error)),
            }
            let mut chunk = [0; Self::READ_BYTES_MAX];
            let read = ready!(Pin::new(&mut self.io).poll_read(cx, &mut chunk));
            match read.unwrap_or(0) {
                0 if self.inbound.is_empty() => {
                    return Poll::Ready(Err(Failure::EndOfStream));
                }
                0 => return broken(Breach::Frame(FrameError::Truncated)),
                count => self.inbound.extend_from_slice(&chunk[..count]),
            }
        }
    }

    fn read(&mut self, payload: Bytes, unwanted: Option<&PeerId>) -> Result<Pushed, Failure> {
        if self.is_begun {
            let update = SubscriptionUpdate::decode(payload).map_err(Breach::Message)?;
            return Ok(Pushed::update(unwanted, &self.wanted, update));
        }
        self.is_begun = true;
        let response = Response::decode(payload).map_err(Breach::Message)?;
        Ok(Pushed::response(response))
    }
}

fn broken(breach: Breach) -> Poll<Result<Pushed, Failure>> {
    Poll::Ready(Err(breach.into()))
}
