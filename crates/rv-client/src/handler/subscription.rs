//! One subscription on a stream of its own.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use libp2p_identity::PeerId;
use libp2p_swarm::Stream;
use rv_core::client::{Breach, Failure, Pushed, Wanted};
use rv_proto::{Response, SubscriptionUpdate};

use super::Message;
use super::exchange::{poll_frame, poll_write};
use crate::Config;

/// A subscription. Who drops it resets the stream.
pub(super) struct Subscription {
    io: Stream,
    wanted: Wanted,
    /// What is still to be written of the request; `None` once it is on its way.
    rest: Option<Bytes>,
    inbound: BytesMut,
    is_begun: bool,
}

impl Subscription {
    pub(super) fn new(io: Stream, message: Message) -> Self {
        Self {
            io,
            wanted: message.wanted,
            rest: Some(message.frame),
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
        if let Some(rest) = &mut self.rest {
            if ready!(poll_write(&mut self.io, rest, cx)).is_err() {
                return Poll::Ready(Err(Failure::EndOfStream));
            }
            self.rest = None;
        }
        let bytes_max = config.update_bytes_max;
        let frame = ready!(poll_frame(&mut self.io, &mut self.inbound, bytes_max, cx));
        Poll::Ready(match frame {
            Ok(Some(payload)) => self.read(payload, unwanted),
            Ok(None) => Err(Failure::EndOfStream),
            Err(error) => Err(Breach::Frame(error).into()),
        })
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
