//! One connection: its streams, its session, its waits.

mod frame_stream;
mod upgrade;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use futures_timer::Delay;
use libp2p_core::upgrade::DeniedUpgrade;
use libp2p_identity::PeerId;
use libp2p_swarm::handler::{ConnectionEvent, FullyNegotiatedInbound};
use libp2p_swarm::{ConnectionHandler, ConnectionHandlerEvent, Stream, SubstreamProtocol};
use rv_core::{Output, Refusal, Report, Session, StreamId, Verdict};
use rv_proto::{Namespace, Origin, Record, RecordError, UnverifiedRecord};

use crate::Config;
use crate::committer::Open;
use crate::desk::{Answer, Point};
use frame_stream::{FrameStream, StreamEnd, StreamStep};
use upgrade::Protocols;

/// Serves one connection, in that connection's own task.
pub struct Handler {
    peer: PeerId,
    config: Arc<Config>,
    open: Arc<Open>,
    session: Session,
    streams: BTreeMap<StreamId, FrameStream>,
    streams_opened: u64,
    verdicts: FuturesUnordered<BoxFuture<'static, (StreamId, Verdict)>>,
    /// The record whose signature was checked last: a peer registers the same one in many places.
    verified: Option<Bytes>,
    reports: VecDeque<Report>,
    timer: Delay,
    timer_at: Option<Instant>,
    /// Requests that were read and whose answers are not written, as counted in the point's sum.
    in_work: usize,
}

/// Frames of one connection before the task's others get their turn: about a millisecond.
const FRAMES_PER_POLL_MAX: usize = 32;

impl Handler {
    pub(crate) fn new(
        peer: PeerId,
        origin: Option<Origin>,
        config: Arc<Config>,
        open: Arc<Open>,
    ) -> Self {
        Self {
            peer,
            session: Session::new(peer, origin, config.rules.clone()),
            config,
            open,
            streams: BTreeMap::new(),
            streams_opened: 0,
            verdicts: FuturesUnordered::new(),
            verified: None,
            reports: VecDeque::new(),
            timer: Delay::new(std::time::Duration::ZERO),
            timer_at: None,
            in_work: 0,
        }
    }

    fn point(&self) -> &Point {
        &self.open.0
    }

    fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Report> {
        let mut frames = FRAMES_PER_POLL_MAX;
        loop {
            // 1. What the session decided, at once: it is short.
            if let Some(output) = self.session.poll_output() {
                self.perform(output);
                continue;
            }
            // 2. Reports, before more work makes more of them.
            if let Some(report) = self.reports.pop_front() {
                return Poll::Ready(report);
            }
            // 3. Verdicts: somebody waits for them.
            if let Poll::Ready(Some((stream, verdict))) = self.verdicts.poll_next_unpin(cx) {
                self.session.handle_verdict(stream, verdict);
                continue;
            }
            // 4. The streams, as long as others need not wait for us.
            if frames == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.poll_streams(cx, &mut frames) {
                continue;
            }
            // 5. Streams that take too long.
            if !self.poll_deadlines(cx) {
                return Poll::Pending;
            }
        }
    }

    /// Keeps the point's sum of requests in work, which a stopping daemon waits for.
    fn count_in_work(&mut self) {
        let in_work = self
            .streams
            .values()
            .filter(|stream| stream.is_in_work())
            .count();
        self.point().counters.change_in_work(self.in_work, in_work);
        self.in_work = in_work;
    }

    fn accept(&mut self, io: Stream) {
        if self.streams.len() >= self.config.streams.streams_per_connection {
            self.point()
                .counters
                .streams_refused
                .fetch_add(1, Ordering::Relaxed);
            tracing::debug!(peer = %self.peer, "too many streams");
            return;
        }
        self.streams_opened += 1;
        let stream = FrameStream::new(io, Instant::now(), &self.config.streams);
        self.streams.insert(StreamId(self.streams_opened), stream);
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Discover { stream, query } => {
                let point = self.point();
                let page = point.registry().discover(point.now(), &query);
                if let Ok(page) = &page {
                    let (scope, reading) = (&query.scope, page.reading());
                    tracing::trace!(peer = %self.peer, ?scope, ?reading, "discover");
                }
                self.session.handle_page(stream, page);
            }
            Output::Next { stream } => {
                if let Some(io) = self.streams.get_mut(&stream) {
                    io.read_next(Instant::now(), &self.config.streams);
                }
            }
            Output::Report(report) => self.report(report),
            Output::Reset { stream, error } => {
                self.point()
                    .counters
                    .undecodable
                    .fetch_add(1, Ordering::Relaxed);
                tracing::debug!(peer = %self.peer, %error, "stream reset");
                self.close(stream);
            }
            Output::Respond { stream, frame } => {
                if let Some(io) = self.streams.get_mut(&stream) {
                    io.write(frame, Instant::now(), &self.config.streams);
                }
            }
            Output::Submit { stream, operation } => {
                match self.point().submit(self.peer, operation) {
                    Answer::Now(verdict) => self.session.handle_verdict(stream, verdict),
                    Answer::Later(verdict) => self.verdicts.push(wait(stream, verdict)),
                }
            }
            Output::Verify {
                stream,
                namespace,
                records,
            } => {
                let verified = self.verify(&namespace, records);
                self.session.handle_verified(stream, verified);
            }
        }
    }

    /// Checks signatures, but not of a record that was checked before.
    fn verify(
        &mut self,
        namespace: &Namespace,
        records: Vec<UnverifiedRecord>,
    ) -> Result<Vec<Record>, RecordError> {
        let known = |record: &UnverifiedRecord| {
            let copied = self
                .verified
                .as_ref()
                .is_some_and(|bytes| record.is_copy_of(bytes));
            copied || {
                let registry = self.point().registry();
                let held = registry.registration(self.peer, namespace);
                let bytes = held.and_then(|held| held.record(record.dialect()));
                bytes.is_some_and(|bytes| record.is_copy_of(bytes))
            }
        };
        let known: Vec<_> = records.iter().map(known).collect();
        let mut verified = Vec::with_capacity(records.len());
        for (record, known) in records.into_iter().zip(known) {
            let record = if known {
                record.trust()
            } else {
                record.verify()?
            };
            self.verified = Some(record.bytes().clone());
            verified.push(record);
        }
        Ok(verified)
    }

    fn report(&mut self, report: Report) {
        self.point().counters.count(&report);
        tracing::debug!(peer = %self.peer, ?report, "served");
        if self.config.events {
            self.reports.push_back(report);
        }
    }

    fn close(&mut self, stream: StreamId) {
        self.session.handle_stream_closed(stream);
        self.streams.remove(&stream);
    }

    /// Lets every stream go on; true if any did.
    fn poll_streams(&mut self, cx: &mut Context<'_>, frames: &mut usize) -> bool {
        let mut stepped = false;
        let mut ended = Vec::new();
        for (id, stream) in &mut self.streams {
            if *frames == 0 {
                break;
            }
            match stream.poll(cx, &self.config.streams) {
                Poll::Pending => {}
                Poll::Ready(StreamStep::Frame(payload)) => {
                    stepped = true;
                    *frames -= 1;
                    // Counted at once: a stopping daemon must not find nothing in work while a
                    // write is about to be handed in.
                    self.open.0.counters.change_in_work(0, 1);
                    self.in_work += 1;
                    self.session.handle_frame(*id, payload);
                }
                Poll::Ready(StreamStep::End(end)) => {
                    stepped = true;
                    ended.push((*id, end));
                }
            }
        }
        for (id, end) in ended {
            self.note_end(&end);
            self.close(id);
        }
        stepped
    }

    fn note_end(&self, end: &StreamEnd) {
        let counters = &self.point().counters;
        match end {
            StreamEnd::Closed => {}
            StreamEnd::Broken(error) => tracing::debug!(peer = %self.peer, %error, "stream broke"),
            StreamEnd::Undecodable(error) => {
                counters.undecodable.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(peer = %self.peer, %error, "stream reset");
            }
            StreamEnd::TimedOut(wait) => {
                counters.streams_timed_out.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(peer = %self.peer, ?wait, "stream timed out");
            }
        }
    }

    /// Keeps the one timer at the earliest deadline, and says whether one has passed.
    ///
    /// The timer is moved only forward in time when it fires, so that serving costs no timer calls.
    fn poll_deadlines(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(earliest) = self
            .streams
            .values()
            .filter_map(FrameStream::deadline)
            .min()
        else {
            self.timer_at = None;
            return false;
        };
        if self.timer_at.is_none_or(|at| earliest < at) {
            self.timer
                .reset(earliest.saturating_duration_since(Instant::now()));
            self.timer_at = Some(earliest);
        }
        if self.timer.poll_unpin(cx).is_pending() {
            return false;
        }
        self.timer_at = None;
        let now = Instant::now();
        let overdue = |stream: &FrameStream| stream.deadline().is_some_and(|at| at <= now);
        let ids: Vec<_> = self
            .streams
            .iter()
            .filter(|(_, stream)| overdue(stream))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            if let Some(stream) = self.streams.get(&id) {
                self.note_end(&StreamEnd::TimedOut(stream.wait()));
            }
            self.close(id);
        }
        true
    }
}

/// Waits for a verdict. If nobody gives one any more, the write was not kept.
fn wait(
    stream: StreamId,
    verdict: oneshot::Receiver<Verdict>,
) -> BoxFuture<'static, (StreamId, Verdict)> {
    async move {
        (
            stream,
            verdict.await.unwrap_or(Verdict::Refused(Refusal::Store)),
        )
    }
    .boxed()
}

impl ConnectionHandler for Handler {
    type FromBehaviour = std::convert::Infallible;
    type ToBehaviour = Report;
    type InboundProtocol = Protocols;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Protocols> {
        SubstreamProtocol::new(Protocols::new(Arc::clone(&self.config)), ())
    }

    fn connection_keep_alive(&self) -> bool {
        !self.streams.is_empty() || self.session.has_writes()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, (), Report>> {
        let report = self.poll_report(cx);
        self.count_in_work();
        report.map(ConnectionHandlerEvent::NotifyBehaviour)
    }

    fn on_behaviour_event(&mut self, event: std::convert::Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Protocols, DeniedUpgrade>) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
            protocol, ..
        }) = event
        {
            self.accept(protocol);
        }
    }
}

impl Drop for Handler {
    /// Requests that were in work when the connection broke are no longer.
    fn drop(&mut self) {
        self.streams.clear();
        self.count_in_work();
    }
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handler")
            .field("peer", &self.peer)
            .field("streams", &self.streams.len())
            .finish_non_exhaustive()
    }
}
