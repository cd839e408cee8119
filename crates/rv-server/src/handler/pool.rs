//! The streams of one connection: whose turn it is, what they hold, and how long they may take.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use futures_timer::Delay;
use libp2p_swarm::Stream;
use rv_core::StreamId;

use super::frame_stream::{FrameStream, StreamEnd, StreamStep};
use crate::Config;
use crate::committer::Open;
use crate::stats::{Counters, Load, add};

/// Streams in turn, within bounds.
///
/// While the bytes of answers that the peer has not read exceed a bound, no further request of it
/// is read: what a peer can make a point keep is bounded, and only its own reading gets it further.
pub(super) struct StreamPool {
    streams: BTreeMap<StreamId, FrameStream>,
    opened: u64,
    next_turn: StreamId,
    load: Load,
    timer: Delay,
    timer_at: Option<Instant>,
    config: Arc<Config>,
    open: Arc<Open>,
}

/// What a stream has for the session.
pub(super) enum PoolEvent {
    /// The peer closed the stream for writing behind the request that is in work.
    Closed(StreamId),
    /// A request, and whether the peer closed the stream for writing right behind it.
    Frame(StreamId, Bytes, bool),
    /// The stream is over and gone.
    Ended(StreamId, StreamEnd),
}

impl StreamPool {
    pub(super) fn new(config: Arc<Config>, open: Arc<Open>) -> Self {
        Self {
            streams: BTreeMap::new(),
            opened: 0,
            next_turn: StreamId(0),
            load: Load::default(),
            timer: Delay::new(Duration::ZERO),
            timer_at: None,
            config,
            open,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// A number for a new stream, if there is room for one besides so many `others`. If not, it is
    /// to be reset.
    pub(super) fn admit(&mut self, others: usize) -> Option<StreamId> {
        if self.streams.len() + others >= self.config.streams.streams_per_connection {
            add(&self.counters().streams_refused, 1);
            return None;
        }
        self.opened += 1;
        Some(StreamId(self.opened))
    }

    /// Takes in a new stream.
    pub(super) fn accept(&mut self, id: StreamId, io: Stream) {
        let stream = FrameStream::new(io, Instant::now(), &self.config.streams);
        self.streams.insert(id, stream);
    }

    /// Gives a stream away, with what was read of it and not taken yet.
    pub(super) fn take(&mut self, id: StreamId) -> Option<(Stream, BytesMut)> {
        let stream = self.streams.remove(&id)?;
        self.count(stream.load(), Load::default());
        Some(stream.into_parts())
    }

    /// The request of a stream waits to learn whether it is the last.
    pub(super) fn await_end(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.await_end();
        }
    }

    /// The request of a stream is done without an answer.
    pub(super) fn read_next(&mut self, id: StreamId) {
        self.change(id, |stream, config| {
            stream.read_next(Instant::now(), &config.streams)
        });
    }

    /// The request of a stream is answered.
    pub(super) fn write(&mut self, id: StreamId, frame: Bytes) {
        self.change(id, |stream, config| {
            stream.write(frame, Instant::now(), &config.streams)
        });
    }

    /// Drops a stream, which resets it where the transport knows resets.
    pub(super) fn reset(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.remove(&id) {
            self.count(stream.load(), Load::default());
        }
    }

    /// The next request or end of a stream; every stream has its turn before one has its second.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<PoolEvent> {
        loop {
            let mut is_held_back = false;
            let mut turn = self.next_turn;
            for _ in 0..self.streams.len() {
                let Some(id) = self.next_from(turn) else {
                    break;
                };
                turn = StreamId(id.0 + 1);
                let may_read = self.may_read();
                is_held_back |= !may_read;
                let step = self.change(id, |stream, config| {
                    stream.poll(cx, &config.streams, may_read)
                });
                let Some(Poll::Ready(step)) = step else {
                    continue;
                };
                self.next_turn = turn;
                return Poll::Ready(match step {
                    StreamStep::Closed => PoolEvent::Closed(id),
                    StreamStep::Frame(payload, is_last) => PoolEvent::Frame(id, payload, is_last),
                    StreamStep::End(end) => self.end(id, end),
                });
            }
            // A stream that was held back is woken by nobody else.
            if !is_held_back || !self.may_read() {
                return Poll::Pending;
            }
        }
    }

    /// The next stream whose deadline has passed.
    ///
    /// One timer stands at the earliest deadline. It is moved to an earlier one at once and to a
    /// later one only when it fires, so that serving costs no timer calls.
    pub(super) fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<PoolEvent> {
        loop {
            let deadlines = self
                .streams
                .iter()
                .filter_map(|(id, io)| Some((io.deadline()?, *id)));
            let Some((earliest, id)) = deadlines.min() else {
                self.timer_at = None;
                return Poll::Pending;
            };
            if self.timer_at.is_none_or(|at| earliest < at) {
                self.timer
                    .reset(earliest.saturating_duration_since(Instant::now()));
                self.timer_at = Some(earliest);
            }
            if self.timer.poll_unpin(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer_at = None;
            if earliest <= Instant::now() {
                let wait = self.streams.get(&id).map(FrameStream::wait);
                if let Some(wait) = wait {
                    return Poll::Ready(self.end(id, StreamEnd::TimedOut(wait)));
                }
            }
        }
    }

    /// The stream whose turn comes at `turn`: behind the last it is the first one's again.
    fn next_from(&self, turn: StreamId) -> Option<StreamId> {
        let behind = self.streams.range(turn..).next();
        behind
            .or_else(|| self.streams.first_key_value())
            .map(|(id, _)| *id)
    }

    fn end(&mut self, id: StreamId, end: StreamEnd) -> PoolEvent {
        end.count(self.counters());
        self.reset(id);
        PoolEvent::Ended(id, end)
    }

    /// Whether another answer may be made for this connection.
    fn may_read(&self) -> bool {
        let (unread, limits) = (self.load.unread_bytes, &self.config.streams);
        let of_all = self.counters().unread_bytes();
        unread == 0
            || (unread < limits.unread_bytes_per_connection && of_all < limits.unread_bytes_total)
    }

    fn change<T>(
        &mut self,
        id: StreamId,
        change: impl FnOnce(&mut FrameStream, &Config) -> T,
    ) -> Option<T> {
        let stream = self.streams.get_mut(&id)?;
        let before = stream.load();
        let changed = change(stream, &self.config);
        let after = stream.load();
        self.count(before, after);
        Some(changed)
    }

    fn count(&mut self, before: Load, after: Load) {
        if before != after {
            self.load = self.load + after - before;
            self.open.0.counters.change_load(before, after);
        }
    }

    fn counters(&self) -> &Counters {
        &self.open.0.counters
    }
}

impl Drop for StreamPool {
    fn drop(&mut self) {
        self.count(self.load, Load::default());
    }
}
