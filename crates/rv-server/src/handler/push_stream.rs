//! One stream that is pushed to.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures::{AsyncRead as _, AsyncWrite as _};
use libp2p_swarm::Stream;
use rv_core::{Refusal, Rules, Subscription, read_inmem_request};
use rv_proto::{FrameError, REQUEST_BYTES_MAX, Time, UPDATE_BYTES_MAX, decode_frame};

use super::frame_stream::{StreamEnd, Wait, poll_write};
use super::inmem_feeds::{InmemBegun, InmemFeed, InmemFeeds};
use crate::StreamLimits;
use crate::desk::Point;
use crate::stats::{Load, add};
use crate::subscribers::{Party, Ticket};

/// A stream with one subscription of the extension, or any number of go's type.
///
/// At any time it keeps one frame that is not written. The next is made when that is gone, of what
/// is true then.
pub(super) struct PushStream {
    io: Stream,
    inbound: BytesMut,
    outbound: Bytes,
    /// Bytes of the whole frame, which are kept until the last of them is written.
    frame_bytes: usize,
    /// When the peer must have read the frame, sent the rest of a request, or asked for something.
    deadline: Option<Instant>,
    feeds: Feeds,
    state: State,
}

/// What is pushed.
enum Feeds {
    /// The peer sends nothing more.
    Updates(Subscription, Ticket),
    /// The peer may ask for more.
    Inmem(InmemFeeds),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The frame that is being written is the last.
    Ending,
    Closing,
}

/// What a stream needs to go on.
pub(super) struct Surroundings<'a> {
    pub(super) point: &'a Point,
    pub(super) party: Party,
    pub(super) limits: &'a StreamLimits,
    pub(super) rules: &'a Rules,
    /// By any clock that does not go back.
    pub(super) uptime: Time,
    /// Subscriptions that this connection may still begin.
    pub(super) room: usize,
    /// What it has begun of go's type, on all its streams.
    pub(super) inmem: &'a mut InmemBegun,
}

/// Frames of one stream before the task's others get their turn.
const FRAMES_PER_POLL_MAX: usize = 8;

/// What one read takes in at the most: several of go's requests, and nothing of others.
const READ_BYTES_MAX: usize = 512;

/// Reads before the other streams get their turn.
const READS_PER_POLL_MAX: usize = 32;

/// Room for what an update has beside its changes, and to spare.
const UPDATE_HEAD_BYTES: usize = 1_024;

/// The most bytes in an update while the point keeps more unread answers than it should.
const UPDATE_BYTES_UNDER_PRESSURE: usize = 2_048;

impl PushStream {
    /// A stream whose subscription was begun. `response` says so.
    pub(super) fn updates(
        io: Stream,
        inbound: BytesMut,
        response: Bytes,
        (subscription, ticket): (Subscription, Ticket),
        limits: &StreamLimits,
    ) -> Self {
        Self {
            frame_bytes: response.len(),
            deadline: Some(Instant::now() + limits.write_timeout),
            outbound: response,
            ..Self::new(io, inbound, Feeds::Updates(subscription, ticket))
        }
    }

    /// A stream of go's protocol, on which nothing was asked yet.
    pub(super) fn inmem(io: Stream, limits: &StreamLimits) -> Self {
        Self {
            deadline: Some(Instant::now() + limits.idle_timeout),
            ..Self::new(io, BytesMut::new(), Feeds::Inmem(InmemFeeds::default()))
        }
    }

    fn new(io: Stream, inbound: BytesMut, feeds: Feeds) -> Self {
        Self {
            io,
            inbound,
            outbound: Bytes::new(),
            frame_bytes: 0,
            deadline: None,
            feeds,
            state: State::Open,
        }
    }

    /// How many subscriptions it has.
    pub(super) fn len(&self) -> usize {
        match &self.feeds {
            Feeds::Updates(..) => 1,
            Feeds::Inmem(feeds) => feeds.len(),
        }
    }

    /// Goes on with what a stream that is gone was fed with, if it was asked for here as well.
    pub(super) fn take_over(&mut self, feed: &mut Option<InmemFeed>) {
        if let Feeds::Inmem(feeds) = &mut self.feeds
            && self.state == State::Open
        {
            feeds.take_over(feed);
        }
    }

    /// What it was fed with of go's type, for another stream.
    pub(super) fn into_feeds(self) -> impl Iterator<Item = InmemFeed> {
        let feeds = match self.feeds {
            Feeds::Inmem(feeds) => Some(feeds.into_feeds()),
            Feeds::Updates(..) => None,
        };
        feeds.into_iter().flatten()
    }

    /// What it keeps. The last frame is waited for when the point stops.
    pub(super) fn load(&self) -> Load {
        Load {
            in_work: usize::from(self.state == State::Ending),
            unread_bytes: self.frame_bytes,
        }
    }

    /// When to look at it, whatever else happens: its deadline, and the time of its next update.
    pub(super) fn wake_at(&self) -> (Option<Instant>, Option<Time>) {
        let is_ready = self.state == State::Open && self.frame_bytes == 0;
        let update = match &self.feeds {
            _ if !is_ready => None,
            Feeds::Updates(subscription, _) => Some(subscription.due_at()),
            Feeds::Inmem(feeds) => feeds.due_at(),
        };
        (self.deadline, update)
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        around: &mut Surroundings<'_>,
    ) -> Poll<StreamEnd> {
        for _ in 0..FRAMES_PER_POLL_MAX {
            // 1. What is under way. No more is made of what might soon be old.
            match self.poll_write(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(StreamEnd::Broken(error)),
                Poll::Pending => return self.poll_deadline(),
            }
            // 2. What the peer says, be it that it leaves.
            if let Poll::Ready(end) = self.poll_read(cx, around) {
                return Poll::Ready(end);
            }
            // 3. What is new.
            let Some(frame) = self.next_frame(cx.waker(), around) else {
                // The stream may have to be closed now.
                if self.state != State::Open
                    && let Poll::Ready(end) = self.poll_read(cx, around)
                {
                    return Poll::Ready(end);
                }
                return self.poll_deadline();
            };
            self.frame_bytes = frame.len();
            self.outbound = frame;
            self.deadline = Some(Instant::now() + around.limits.write_timeout);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_deadline(&self) -> Poll<StreamEnd> {
        if self.deadline.is_none_or(|at| at > Instant::now()) {
            return Poll::Pending;
        }
        let wait = if self.frame_bytes > 0 {
            Wait::ReadAnswer
        } else if self.state != State::Open {
            Wait::Close
        } else if self.inbound.is_empty() {
            Wait::Request
        } else {
            Wait::RestOfFrame
        };
        Poll::Ready(StreamEnd::TimedOut(wait))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.frame_bytes > 0 {
            ready!(poll_write(&mut self.io, &mut self.outbound, cx))?;
            self.outbound = Bytes::new();
            self.frame_bytes = 0;
            self.deadline = None;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the stream is over.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        around: &mut Surroundings<'_>,
    ) -> Poll<StreamEnd> {
        if self.state != State::Open {
            self.state = State::Closing;
            self.deadline
                .get_or_insert_with(|| Instant::now() + around.limits.write_timeout);
            return Pin::new(&mut self.io).poll_close(cx).map(closed);
        }
        for _ in 0..READS_PER_POLL_MAX {
            if let Err(end) = self.take_requests(around) {
                return Poll::Ready(end);
            }
            let mut chunk = [0; READ_BYTES_MAX];
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut chunk)) {
                Ok(0) if self.inbound.is_empty() => {
                    self.state = State::Closing;
                    self.deadline = Some(Instant::now() + around.limits.write_timeout);
                    return Pin::new(&mut self.io).poll_close(cx).map(closed);
                }
                Ok(0) => return Poll::Ready(StreamEnd::Undecodable(FrameError::Truncated)),
                Ok(count) => {
                    if self.inbound.is_empty() {
                        self.deadline = Some(Instant::now() + around.limits.frame_timeout);
                    }
                    self.inbound.extend_from_slice(&chunk[..count]);
                }
                Err(error) => return Poll::Ready(StreamEnd::Broken(error)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Begins what go's clients ask for. There is no answer to it, so what cannot be had ends the
    /// stream.
    fn take_requests(&mut self, around: &mut Surroundings<'_>) -> Result<(), StreamEnd> {
        let Feeds::Inmem(feeds) = &mut self.feeds else {
            return if self.inbound.is_empty() {
                Ok(())
            } else {
                Err(StreamEnd::Unwanted)
            };
        };
        while let Some(payload) =
            decode_frame(&mut self.inbound, REQUEST_BYTES_MAX).map_err(StreamEnd::Undecodable)?
        {
            self.deadline = None;
            let namespace = read_inmem_request(payload).ok_or(StreamEnd::Unwanted)?;
            let asked = feeds.ask(namespace, around);
            asked.map_err(StreamEnd::Refused)?;
        }
        Ok(())
    }

    /// Makes the next frame, if there is one to be written.
    fn next_frame(&mut self, waker: &Waker, around: &Surroundings<'_>) -> Option<Bytes> {
        if self.state != State::Open {
            return None;
        }
        let point = around.point;
        let pressed = point.counters.unread_bytes() >= around.limits.unread_bytes_total / 2;
        let bytes_max = if pressed {
            UPDATE_BYTES_UNDER_PRESSURE
        } else {
            UPDATE_BYTES_MAX - UPDATE_HEAD_BYTES
        };
        match &mut self.feeds {
            Feeds::Updates(subscription, ticket) => {
                if ticket.take_news(waker) {
                    subscription.handle_news();
                }
                if point.is_draining() {
                    self.state = State::Ending;
                    return Some(Subscription::last_update(&Refusal::Draining));
                }
                if subscription.due_at() > around.uptime {
                    return None;
                }
                let registry = point.registry();
                let update =
                    subscription.next_update(around.uptime, point.now(), &registry, bytes_max);
                add(&point.counters.updates, u64::from(update.is_some()));
                update
            }
            Feeds::Inmem(feeds) => {
                let records = feeds.next_records(waker, around, bytes_max);
                if point.is_draining() {
                    self.state = State::Closing;
                }
                records
            }
        }
    }
}

fn closed(closed: io::Result<()>) -> StreamEnd {
    match closed {
        Ok(()) => StreamEnd::Closed,
        Err(error) => StreamEnd::Broken(error),
    }
}
