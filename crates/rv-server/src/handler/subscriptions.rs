//! The streams of one connection that are pushed to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use futures_timer::Delay;
use libp2p_swarm::Stream;
use rv_core::{Refusal, StreamId, Subscription};
use rv_proto::{Namespace, Scope, Time};

use super::frame_stream::StreamEnd;
use super::inmem_feeds::{InmemBegun, InmemFeed};
use super::push_stream::{PushStream, Surroundings};
use crate::Config;
use crate::committer::Open;
use crate::stats::Load;
use crate::subscribers::{Party, Ticket};

/// Streams with subscriptions, within bounds.
pub(super) struct Subscriptions {
    streams: BTreeMap<StreamId, PushStream>,
    inmem: InmemBegun,
    load: Load,
    timer: Delay,
    timer_at: Option<Instant>,
    /// When the connection's clock began, which is that of its session too.
    started: Instant,
    party: Party,
    config: Arc<Config>,
    open: Arc<Open>,
}

/// What happened to them.
pub(super) enum PushEvent {
    /// A subscription of go's type was begun, to this.
    Begun(Scope),
    /// A stream is over and gone.
    Ended(StreamId, StreamEnd),
}

impl Subscriptions {
    pub(super) fn new(party: Party, config: Arc<Config>, open: Arc<Open>) -> Self {
        Self {
            streams: BTreeMap::new(),
            inmem: InmemBegun::default(),
            load: Load::default(),
            timer: Delay::new(Duration::ZERO),
            timer_at: None,
            started: Instant::now(),
            party,
            config,
            open,
        }
    }

    /// How many streams there are.
    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    /// How many subscriptions this connection may still begin.
    fn room(&self) -> usize {
        let begun: usize = self.streams.values().map(PushStream::len).sum();
        let max = self.config.streams.subscriptions_per_connection;
        max.saturating_sub(begun)
    }

    /// Who subscribes on this connection.
    pub(super) fn party(&self) -> Party {
        self.party
    }

    /// Whether this connection may begin one more.
    pub(super) fn check_room(&self) -> Result<(), Refusal> {
        if self.room() == 0 {
            let limit = self.config.streams.subscriptions_per_connection;
            return Err(Refusal::SubscriptionsFull { limit });
        }
        Ok(())
    }

    /// Whether a subscription of go's type to this was begun.
    pub(super) fn has_inmem(&self, namespace: &Namespace) -> bool {
        self.inmem.has(namespace)
    }

    /// Takes in a stream whose subscription was begun, as `response` says.
    pub(super) fn push(
        &mut self,
        id: StreamId,
        (io, inbound): (Stream, BytesMut),
        response: Bytes,
        begun: (Subscription, Ticket),
    ) {
        let limits = &self.config.streams;
        let stream = PushStream::updates(io, inbound, response, begun, limits);
        self.insert(id, stream);
    }

    /// Takes in a stream of go's protocol.
    pub(super) fn accept_inmem(&mut self, id: StreamId, io: Stream) {
        self.insert(id, PushStream::inmem(io, &self.config.streams));
    }

    fn insert(&mut self, id: StreamId, stream: PushStream) {
        self.count(Load::default(), stream.load());
        self.streams.insert(id, stream);
    }

    /// The next thing that happens.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<PushEvent> {
        loop {
            let ids: Vec<_> = self.streams.keys().copied().collect();
            for id in ids {
                if let Some(scope) = self.inmem.next_report() {
                    return Poll::Ready(PushEvent::Begun(scope));
                }
                if let Poll::Ready(end) = self.poll_stream(cx, id) {
                    return Poll::Ready(PushEvent::Ended(id, end));
                }
            }
            if let Some(scope) = self.inmem.next_report() {
                return Poll::Ready(PushEvent::Begun(scope));
            }
            let Some(at) = self.next_at() else {
                self.timer_at = None;
                return Poll::Pending;
            };
            if self.timer_at != Some(at) {
                self.timer
                    .reset(at.saturating_duration_since(Instant::now()));
                self.timer_at = Some(at);
            }
            if self.timer.poll_unpin(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer_at = None;
        }
    }

    fn poll_stream(&mut self, cx: &mut Context<'_>, id: StreamId) -> Poll<StreamEnd> {
        let room = self.room();
        let uptime = self.uptime();
        let Some(stream) = self.streams.get_mut(&id) else {
            return Poll::Pending;
        };
        let mut around = Surroundings {
            point: &self.open.0,
            party: self.party,
            limits: &self.config.streams,
            rules: &self.config.rules,
            uptime,
            room,
            inmem: &mut self.inmem,
        };
        let before = stream.load();
        let polled = stream.poll(cx, &mut around);
        let after = stream.load();
        self.count(before, after);
        polled.map(|end| {
            self.count(after, Load::default());
            if let Some(stream) = self.streams.remove(&id) {
                stream.into_feeds().for_each(|feed| self.hand_over(feed));
            }
            end.count(&self.open.0.counters);
            end
        })
    }

    /// Gives what a stream was fed with to another that asked for the same, if there is one.
    fn hand_over(&mut self, feed: InmemFeed) {
        let mut left = Some(feed);
        for stream in self.streams.values_mut() {
            stream.take_over(&mut left);
        }
        if let Some(feed) = left {
            self.inmem.ended(&feed);
        }
    }

    /// The earliest time at which a stream must be looked at.
    fn next_at(&self) -> Option<Instant> {
        let times = self.streams.values().flat_map(|stream| {
            let (deadline, update) = stream.wake_at();
            let update = update.map(|at| self.started + Duration::from_millis(at.as_millis()));
            deadline.into_iter().chain(update)
        });
        times.min()
    }

    /// Since the connection's handler was made. It does not go back.
    pub(super) fn uptime(&self) -> Time {
        let millis = self.started.elapsed().as_millis();
        Time::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    fn count(&mut self, before: Load, after: Load) {
        if before != after {
            self.load = self.load + after - before;
            self.open.0.counters.change_load(before, after);
        }
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.count(self.load, Load::default());
    }
}
