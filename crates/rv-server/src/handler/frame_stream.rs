//! Frames in and frames out of one stream, one request at a time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf as _, Bytes, BytesMut};
use futures::{AsyncRead as _, AsyncWrite as _};
use libp2p_swarm::Stream;
use rv_core::Refusal;
use rv_proto::{FrameError, REQUEST_BYTES_MAX, decode_frame};

use crate::StreamLimits;
use crate::stats::{Counters, Load, add};

/// A stream between requests, in a request, or in an answer.
///
/// While a request is in work no more than one further chunk is read, to see whether the stream
/// ends there. So a peer that sends more than it lets us answer is held back by its own flow
/// control.
pub(super) struct FrameStream {
    io: Stream,
    inbound: BytesMut,
    /// The peer closed the stream for writing, behind what is in `inbound`.
    is_ended: bool,
    /// Whether that is to be told while a request is in work.
    awaits_end: bool,
    state: State,
}

enum State {
    Reading {
        deadline: Instant,
    },
    /// A request may have come, but is not read for now.
    HeldBack,
    Working,
    Writing {
        frame: Bytes,
        /// Bytes of the whole frame, which are kept until the last of them is written.
        frame_bytes: usize,
        deadline: Instant,
    },
    Closing {
        deadline: Instant,
    },
}

/// What a stream does next.
pub(super) enum StreamStep {
    /// The peer closed the stream for writing behind the request that is in work.
    Closed,
    /// A request, without its length, and whether the peer closed the stream for writing behind it.
    Frame(Bytes, bool),
    /// The stream is over.
    End(StreamEnd),
}

/// Why a stream is over.
pub(super) enum StreamEnd {
    /// The peer closed it in order.
    Closed,
    /// The transport broke, or the peer reset it.
    Broken(io::Error),
    /// Its bytes are no frame, or end within one.
    Undecodable(FrameError),
    /// It took too long.
    TimedOut(Wait),
    /// The peer sent what has no place on a stream that is pushed to.
    Unwanted,
    /// A rule says no, and the stream has no answer for it.
    Refused(Refusal),
}

impl StreamEnd {
    /// Counts an end that is the peer's fault.
    pub(super) fn count(&self, counters: &Counters) {
        match self {
            Self::Broken(_) | Self::Closed | Self::Refused(_) => {}
            Self::TimedOut(_) => add(&counters.streams_timed_out, 1),
            Self::Undecodable(_) | Self::Unwanted => add(&counters.undecodable, 1),
        }
    }
}

/// What a stream waits for the peer to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Send a request.
    Request,
    /// Send the rest of a request.
    RestOfFrame,
    /// Read the answer.
    ReadAnswer,
    /// Close.
    Close,
}

impl FrameStream {
    /// What one read takes in at the most: a usual request fits.
    const READ_BYTES_MAX: usize = 2_048;

    pub(super) fn new(io: Stream, now: Instant, limits: &StreamLimits) -> Self {
        let deadline = now + limits.idle_timeout;
        Self {
            io,
            inbound: BytesMut::new(),
            is_ended: false,
            awaits_end: false,
            state: State::Reading { deadline },
        }
    }

    /// The stream itself, with what was read of it and not taken yet.
    pub(super) fn into_parts(self) -> (Stream, BytesMut) {
        (self.io, self.inbound)
    }

    /// Tells, while the request is in work, when the peer closes the stream for writing.
    pub(super) fn await_end(&mut self) {
        self.awaits_end = true;
    }

    /// The request is done without an answer.
    pub(super) fn read_next(&mut self, now: Instant, limits: &StreamLimits) {
        self.awaits_end = false;
        let wait = if self.inbound.is_empty() {
            limits.idle_timeout
        } else {
            limits.frame_timeout
        };
        self.state = State::Reading {
            deadline: now + wait,
        };
    }

    /// What the stream keeps: requests in work, and bytes of answers that are not written.
    pub(super) fn load(&self) -> Load {
        match &self.state {
            State::Reading { .. } | State::HeldBack | State::Closing { .. } => Load::default(),
            State::Working => Load {
                in_work: 1,
                unread_bytes: 0,
            },
            State::Writing { frame_bytes, .. } => Load {
                in_work: 1,
                unread_bytes: *frame_bytes,
            },
        }
    }

    /// The request is answered with `frame`.
    pub(super) fn write(&mut self, frame: Bytes, now: Instant, limits: &StreamLimits) {
        self.state = State::Writing {
            frame_bytes: frame.len(),
            frame,
            deadline: now + limits.write_timeout,
        };
    }

    /// When the peer must have done what the stream waits for; `None` while it waits for us.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Reading { deadline, .. }
            | State::Writing { deadline, .. }
            | State::Closing { deadline } => Some(*deadline),
            State::HeldBack | State::Working => None,
        }
    }

    /// What the stream waits for.
    pub(super) fn wait(&self) -> Wait {
        match &self.state {
            State::Reading { .. } if self.inbound.is_empty() => Wait::Request,
            State::Reading { .. } => Wait::RestOfFrame,
            State::HeldBack | State::Working | State::Writing { .. } => Wait::ReadAnswer,
            State::Closing { .. } => Wait::Close,
        }
    }

    /// Lets the stream go on. A request is only read if `may_read`; if not, nobody wakes for one.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        limits: &StreamLimits,
        may_read: bool,
    ) -> Poll<StreamStep> {
        loop {
            let done = match &mut self.state {
                State::Reading { .. } | State::HeldBack if !may_read => {
                    self.state = State::HeldBack;
                    return Poll::Pending;
                }
                // It waited for us, so its own time begins only now.
                State::HeldBack => Ok(()),
                State::Reading { .. } => return self.poll_read(cx, limits),
                State::Working => return self.poll_end(cx),
                State::Writing { frame, .. } => ready!(poll_write(&mut self.io, frame, cx)),
                State::Closing { .. } => return self.poll_close(cx),
            };
            match done {
                Ok(()) => self.read_next(Instant::now(), limits),
                Err(error) => return Poll::Ready(StreamStep::End(StreamEnd::Broken(error))),
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, limits: &StreamLimits) -> Poll<StreamStep> {
        loop {
            match decode_frame(&mut self.inbound, REQUEST_BYTES_MAX) {
                Ok(Some(frame)) => {
                    self.state = State::Working;
                    let is_last = self.look_ahead(cx);
                    return Poll::Ready(StreamStep::Frame(frame, is_last));
                }
                Ok(None) => {}
                Err(error) => return end(StreamEnd::Undecodable(error)),
            }
            let mut chunk = [0; Self::READ_BYTES_MAX];
            let count = if self.is_ended {
                0
            } else {
                match ready!(Pin::new(&mut self.io).poll_read(cx, &mut chunk)) {
                    Ok(count) => count,
                    Err(error) => return end(StreamEnd::Broken(error)),
                }
            };
            if count == 0 && self.inbound.is_empty() {
                let deadline = Instant::now() + limits.write_timeout;
                self.state = State::Closing { deadline };
                return self.poll_close(cx);
            }
            if count == 0 {
                return end(StreamEnd::Undecodable(FrameError::Truncated));
            }
            if self.inbound.is_empty() {
                // A frame has begun: its rest must come soon, however slowly the peer drips.
                self.state = State::Reading {
                    deadline: Instant::now() + limits.frame_timeout,
                };
            }
            self.inbound.extend_from_slice(&chunk[..count]);
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<StreamStep> {
        if self.awaits_end && self.look_ahead(cx) {
            self.awaits_end = false;
            return Poll::Ready(StreamStep::Closed);
        }
        Poll::Pending
    }

    /// Whether the peer closed the stream for writing right behind what was read. A stream that
    /// broke shows it when it is used next.
    fn look_ahead(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.inbound.is_empty() || self.is_ended {
            return self.is_ended && self.inbound.is_empty();
        }
        let mut chunk = [0; Self::READ_BYTES_MAX];
        if let Poll::Ready(Ok(count)) = Pin::new(&mut self.io).poll_read(cx, &mut chunk) {
            self.is_ended = count == 0;
            self.inbound.extend_from_slice(&chunk[..count]);
        }
        self.is_ended
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<StreamStep> {
        match ready!(Pin::new(&mut self.io).poll_close(cx)) {
            Ok(()) => end(StreamEnd::Closed),
            Err(error) => end(StreamEnd::Broken(error)),
        }
    }
}

fn end(end: StreamEnd) -> Poll<StreamStep> {
    Poll::Ready(StreamStep::End(end))
}

pub(super) fn poll_write(
    io: &mut Stream,
    frame: &mut Bytes,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let mut io = Pin::new(io);
    while frame.has_remaining() {
        match ready!(io.as_mut().poll_write(cx, frame)) {
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => frame.advance(count),
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    io.poll_flush(cx)
}
