//! One request and its answer on a stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use futures::{AsyncRead as _, AsyncWrite as _, FutureExt as _};
use futures_timer::Delay;
use libp2p_swarm::Stream;
use rv_core::client::{Breach, Failure, Wanted};
use rv_proto::{FrameError, Response, decode_frame};

use super::Message;
use crate::Config;

/// One request on its way. Who drops it resets the stream.
pub(super) struct Exchange {
    io: Option<Stream>,
    pub(super) message: Message,
    /// Whether the stream was opened for this request.
    pub(super) is_fresh: bool,
    /// Whether the stream is under the extension's name.
    pub(super) is_extended: bool,
    state: State,
    inbound: BytesMut,
}

enum State {
    Writing {
        rest: Bytes,
    },
    Reading,
    /// An UNREGISTER is written: our side is being closed.
    Closing,
    /// Our side is closed, the point's not yet.
    Lingering {
        until: Delay,
    },
}

/// How it ended.
pub(super) enum End {
    Answered {
        response: Box<Response>,
        /// The stream, if another request may follow.
        stream: Option<Stream>,
    },
    Failed(Failure),
    /// The stream ended before a byte of an answer.
    Silent,
    /// Written, and there is no answer to it.
    Written,
}

/// What one read takes in at the most: a usual page fits.
const READ_BYTES_MAX: usize = 16_384;

impl Exchange {
    /// A request on a stream that had others before.
    pub(super) fn new(io: Stream, message: Message, is_extended: bool) -> Self {
        let extended = message.extended.as_ref().filter(|_| is_extended);
        let rest = extended.unwrap_or(&message.frame).clone();
        Self {
            io: Some(io),
            message,
            is_fresh: false,
            is_extended,
            state: State::Writing { rest },
            inbound: BytesMut::new(),
        }
    }

    /// The stream was opened for this request.
    pub(super) fn on_fresh(self) -> Self {
        Self {
            is_fresh: true,
            ..self
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>, config: &Config) -> Poll<End> {
        let Some(io) = &mut self.io else {
            return Poll::Pending;
        };
        loop {
            match &mut self.state {
                State::Writing { rest } => {
                    if ready!(poll_write(io, rest, cx)).is_err() {
                        return Poll::Ready(End::Silent);
                    }
                    self.state = match self.message.wanted {
                        Wanted::Unregister { .. } => State::Closing,
                        Wanted::Discover { .. }
                        | Wanted::Register { .. }
                        | Wanted::Subscribe { .. } => State::Reading,
                    };
                }
                State::Reading => return self.poll_read(cx, config.response_bytes_max),
                State::Closing => {
                    if ready!(Pin::new(&mut *io).poll_close(cx)).is_err() {
                        return Poll::Ready(End::Written);
                    }
                    let until = Delay::new(config.unregister_linger);
                    self.state = State::Lingering { until };
                }
                State::Lingering { until } => {
                    let mut chunk = [0; 64];
                    if until.poll_unpin(cx).is_pending() {
                        let _ = ready!(Pin::new(&mut *io).poll_read(cx, &mut chunk));
                    }
                    return Poll::Ready(End::Written);
                }
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, bytes_max: usize) -> Poll<End> {
        let Some(io) = &mut self.io else {
            return Poll::Pending;
        };
        Poll::Ready(
            match ready!(poll_frame(io, &mut self.inbound, bytes_max, cx)) {
                Ok(Some(payload)) => self.answered(payload),
                Ok(None) => End::Silent,
                Err(error) => End::Failed(Breach::Frame(error).into()),
            },
        )
    }

    fn answered(&mut self, payload: Bytes) -> End {
        // Bytes after the answer belong to nothing that was asked.
        let stream = self.io.take().filter(|_| self.inbound.is_empty());
        match Response::decode(payload) {
            Ok(response) => End::Answered {
                response: Box::new(response),
                stream,
            },
            Err(error) => End::Failed(Breach::Message(error).into()),
        }
    }
}

/// The next frame, without its length, or `None` where the stream ends or breaks before one.
pub(super) fn poll_frame(
    io: &mut Stream,
    inbound: &mut BytesMut,
    bytes_max: usize,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Bytes>, FrameError>> {
    let mut chunk = [0; READ_BYTES_MAX];
    loop {
        if let Some(payload) = decode_frame(inbound, bytes_max)? {
            return Poll::Ready(Ok(Some(payload)));
        }
        match ready!(Pin::new(&mut *io).poll_read(cx, &mut chunk)).unwrap_or(0) {
            0 if inbound.is_empty() => return Poll::Ready(Ok(None)),
            0 => return Poll::Ready(Err(FrameError::Truncated)),
            count => inbound.extend_from_slice(&chunk[..count]),
        }
    }
}

/// Writes what is left of a frame and flushes it; to be called until it is ready, also where
/// nothing is left.
pub(super) fn poll_write(
    io: &mut Stream,
    rest: &mut Bytes,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let mut io = Pin::new(io);
    while rest.has_remaining() {
        match ready!(io.as_mut().poll_write(cx, rest)) {
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => rest.advance(count),
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    io.poll_flush(cx)
}
