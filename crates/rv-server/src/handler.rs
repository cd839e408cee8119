//! One connection: its streams, its session, its waits.

mod frame_stream;
mod inmem_feeds;
mod pool;
mod push_stream;
mod subscriptions;
mod upgrade;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use futures_timer::Delay;
use libp2p_core::upgrade::DeniedUpgrade;
use libp2p_identity::PeerId;
use libp2p_swarm::handler::{ConnectionEvent, FullyNegotiatedInbound};
use libp2p_swarm::{ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol};
use rv_core::{
    Output, Page, Query, Reading, Refusal, Report, Session, Source, StreamId, Subscription, Verdict,
};
use rv_proto::{Dialect, DialectSet, Namespace, Origin, Record, Scope, Time, UnverifiedRecord};

use crate::Config;
use crate::committer::Open;
use crate::desk::{Answer, Point};
use crate::stats::add;
use crate::subscribers::{Party, Ticket};
use frame_stream::StreamEnd;
use pool::{PoolEvent, StreamPool};
use subscriptions::{PushEvent, Subscriptions};
use upgrade::{Inbound, Protocols};

/// Serves one connection, in that connection's own task.
pub struct Handler {
    peer: PeerId,
    config: Arc<Config>,
    open: Arc<Open>,
    session: Session,
    streams: StreamPool,
    subscriptions: Subscriptions,
    /// Subscriptions whose streams are still the pool's.
    begun: BTreeMap<StreamId, (Subscription, Ticket)>,
    verdicts: FuturesUnordered<BoxFuture<'static, (StreamId, Verdict)>>,
    /// The record of each dialect whose signature was checked last: a peer registers the same one
    /// in many places.
    verified: [Option<Bytes>; 3],
    reports: VecDeque<Report>,
    /// Runs while requests wait for identify, to the time that is with it.
    wait: Option<(Time, Delay)>,
    /// How the last DISCOVER was read, to tell only what is new.
    told: Option<(DialectSet, Source)>,
}

/// What a peer says about itself in identify, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    /// The name of its program.
    pub(crate) agent: Arc<str>,
    /// The dialect of its signed record, if it sent one.
    pub(crate) record: Option<Dialect>,
}

/// Requests of one connection before the task's others get their turn.
const FRAMES_PER_POLL_MAX: usize = 32;

/// The most bytes in a page while the point keeps more unread answers than it should, so that even
/// very many peers who do not read cost little each.
const PAGE_BYTES_UNDER_PRESSURE: usize = 65_536;

impl Handler {
    pub(crate) fn new(
        peer: PeerId,
        origin: Option<Origin>,
        config: Arc<Config>,
        open: Arc<Open>,
    ) -> Self {
        let session = Session::new(peer, origin, config.rules.clone());
        let session = match config.inmem_peer() {
            Some(local) => session.with_inmem(local),
            None => session,
        };
        Self {
            peer,
            session,
            streams: StreamPool::new(Arc::clone(&config), Arc::clone(&open)),
            subscriptions: Subscriptions::new(
                Party { peer, origin },
                Arc::clone(&config),
                Arc::clone(&open),
            ),
            begun: BTreeMap::new(),
            config,
            open,
            verdicts: FuturesUnordered::new(),
            verified: [const { None }; 3],
            reports: VecDeque::new(),
            wait: None,
            told: None,
        }
    }

    /// Takes what identify says.
    pub(crate) fn identified(&mut self, Identified { agent, record }: &Identified) {
        self.session.handle_identified(agent, *record);
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
            if frames > 0
                && let Poll::Ready(event) = self.streams.poll_next(cx)
            {
                frames -= 1;
                self.handle_stream(event);
                continue;
            }
            // 5. What is new for subscribers.
            if let Poll::Ready(event) = self.subscriptions.poll(cx) {
                self.handle_subscriptions(event);
                continue;
            }
            // 6. Streams that take too long.
            if let Poll::Ready(event) = self.streams.poll_overdue(cx) {
                self.handle_stream(event);
                continue;
            }
            // 7. Requests that waited for identify long enough.
            if self.poll_wait(cx).is_ready() {
                continue;
            }
            if frames == 0 {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
    }

    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(until) = self.session.poll_timeout() else {
            self.wait = None;
            return Poll::Pending;
        };
        let now = self.subscriptions.uptime();
        if until <= now {
            self.session.handle_timeout(now);
            return Poll::Ready(());
        }
        let (_, delay) = match &mut self.wait {
            Some(wait) if wait.0 == until => wait,
            wait => wait.insert((until, Delay::new(until.saturating_since(now)))),
        };
        // It may fire a moment early by the session's clock: then it is set again.
        delay.poll_unpin(cx).map(|()| self.wait = None)
    }

    fn handle_stream(&mut self, event: PoolEvent) {
        match event {
            PoolEvent::Closed(stream) => self.session.handle_closed(stream),
            PoolEvent::Frame(stream, payload, is_last) => {
                self.session.handle_frame(stream, payload, is_last);
            }
            PoolEvent::Ended(stream, end) => {
                self.session.handle_stream_closed(stream);
                self.log_end(stream, &end);
            }
        }
    }

    fn handle_subscriptions(&mut self, event: PushEvent) {
        match event {
            PushEvent::Begun(scope) => self.report(Report::Subscribed { scope }),
            PushEvent::Ended(stream, end) => {
                self.log_end(stream, &end);
                if let StreamEnd::Refused(refusal) = end {
                    self.report(Report::SubscribeRefused { refusal });
                }
            }
        }
    }

    fn log_end(&self, StreamId(stream): StreamId, end: &StreamEnd) {
        let peer = self.peer;
        match end {
            StreamEnd::Closed => {}
            StreamEnd::Broken(error) => {
                tracing::debug!(%peer, stream, %error, "stream broke");
            }
            StreamEnd::TimedOut(wait) => {
                tracing::debug!(%peer, stream, ?wait, "stream timed out");
            }
            StreamEnd::Undecodable(error) => {
                tracing::debug!(%peer, stream, %error, "stream reset");
            }
            StreamEnd::Unwanted => {
                tracing::debug!(%peer, stream, "stream reset: this is not read on it");
            }
            StreamEnd::Refused(refusal) => {
                tracing::debug!(%peer, stream, %refusal, "stream reset");
            }
        }
    }

    /// Begins a subscription: its stream comes with [`Output::Push`].
    fn begin(&mut self, stream: StreamId, query: &Query) -> Result<Scope, Refusal> {
        self.subscriptions.check_room()?;
        let point = self.point();
        let subscription = Subscription::new(&point.registry(), query, &self.config.rules)?;
        let ticket = point.subscribe(self.subscriptions.party(), subscription.scope())?;
        let scope = subscription.scope().clone();
        self.begun.insert(stream, (subscription, ticket));
        Ok(scope)
    }

    /// Whether a subscription of go's type could be begun. One that this connection has already
    /// takes no place.
    fn check_inmem_room(&self, namespace: Namespace) -> Result<Namespace, Refusal> {
        if self.point().is_draining() {
            return Err(Refusal::Draining);
        }
        if !self.subscriptions.has_inmem(&namespace) {
            self.subscriptions.check_room()?;
            self.point()
                .subscribers
                .check_room(self.subscriptions.party())?;
        }
        Ok(namespace)
    }

    fn push(&mut self, stream: StreamId, response: Bytes) {
        let begun = self.begun.remove(&stream);
        if let (Some(begun), Some(parts)) = (begun, self.streams.take(stream)) {
            self.subscriptions.push(stream, parts, response, begun);
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::AwaitClose { stream } => {
                add(&self.point().counters.discovers_held, 1);
                self.streams.await_end(stream);
            }
            Output::Discover { stream, query } => {
                let page = self.discover(query);
                self.session.handle_page(stream, page);
            }
            Output::Next { stream } => self.streams.read_next(stream),
            Output::Push { stream, frame } => self.push(stream, frame),
            Output::Read { stream, query } => {
                let reading = self.point().registry().reading(&query);
                let now = self.subscriptions.uptime();
                self.session.handle_reading(now, stream, reading);
            }
            Output::Report(report) => self.report(report),
            Output::Reset { stream, error } => {
                add(&self.point().counters.undecodable, 1);
                tracing::debug!(peer = %self.peer, %error, "stream reset");
                self.session.handle_stream_closed(stream);
                self.streams.reset(stream);
            }
            Output::Respond { stream, frame } => self.streams.write(stream, frame),
            Output::Submit { stream, operation } => {
                match self.point().submit(self.peer, operation) {
                    Answer::Now(verdict) => self.session.handle_verdict(stream, verdict),
                    Answer::Later(verdict) => self.verdicts.push(wait(stream, verdict)),
                }
            }
            Output::Subscribe { stream, query } => {
                let begun = self.begin(stream, &query);
                self.session.handle_subscription(stream, begun);
            }
            Output::SubscribeInmem { stream, namespace } => {
                let room = self.check_inmem_room(namespace);
                self.session.handle_inmem_room(stream, room);
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

    fn discover(&mut self, mut query: Query) -> Result<Page, Refusal> {
        let point = self.point();
        let is_pressed =
            point.counters.unread_bytes() >= self.config.streams.unread_bytes_total / 2;
        if is_pressed {
            query.page_bytes_max = query.page_bytes_max.min(PAGE_BYTES_UNDER_PRESSURE);
        }
        let page = point.registry().discover(point.now(), &query)?;
        // No answer is better than one that would be believed: the reader asks again.
        if is_pressed && page.is_taken_for_all() {
            return Err(Refusal::Busy);
        }
        let (scope, reading) = (&query.scope, page.reading());
        tracing::trace!(peer = %self.peer, ?scope, ?reading, "discover");
        self.note_reading(reading);
        Ok(page)
    }

    fn note_reading(
        &mut self,
        Reading {
            dialects, source, ..
        }: Reading,
    ) {
        self.point().counters.count_source(source);
        if self.told != Some((dialects, source)) {
            self.told = Some((dialects, source));
            let source = source.name();
            tracing::debug!(peer = %self.peer, ?dialects, source, "dialect decided");
        }
    }

    /// Checks signatures, but not of a record that was checked before, and not for a peer that
    /// registers faster than it may.
    fn verify(
        &mut self,
        namespace: &Namespace,
        records: Vec<UnverifiedRecord>,
    ) -> Result<Vec<Record>, Refusal> {
        let known: Vec<_> = records
            .iter()
            .map(|record| self.is_verified(namespace, record))
            .collect();
        if known.contains(&false) && self.point().is_rate_limited(self.peer) {
            return Err(Refusal::RateLimited);
        }
        let mut verified = Vec::with_capacity(records.len());
        for (record, known) in records.into_iter().zip(known) {
            let dialect = record.dialect();
            let record = if known {
                Ok(record.trust())
            } else {
                record.verify()
            };
            let record = record.inspect_err(|_| self.point().charge(self.peer))?;
            self.verified[dialect.index()] = Some(record.bytes().clone());
            verified.push(record);
        }
        Ok(verified)
    }

    fn is_verified(&self, namespace: &Namespace, record: &UnverifiedRecord) -> bool {
        let dialect = record.dialect();
        let last = self.verified[dialect.index()].as_ref();
        if last.is_some_and(|bytes| record.is_copy_of(bytes)) {
            return true;
        }
        let registry = self.point().registry();
        let held = registry.registration(self.peer, namespace);
        let bytes = held.and_then(|held| held.record(dialect));
        bytes.is_some_and(|bytes| record.is_copy_of(bytes))
    }

    fn report(&mut self, report: Report) {
        self.point().counters.count(&report);
        tracing::debug!(peer = %self.peer, ?report, "served");
        if self.config.events {
            self.reports.push_back(report);
        }
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
    type FromBehaviour = Identified;
    type ToBehaviour = Report;
    type InboundProtocol = Protocols;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Protocols> {
        SubstreamProtocol::new(Protocols::new(Arc::clone(&self.config)), ())
    }

    fn connection_keep_alive(&self) -> bool {
        !self.streams.is_empty() || self.subscriptions.len() > 0 || self.session.has_writes()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, (), Report>> {
        self.poll_report(cx)
            .map(ConnectionHandlerEvent::NotifyBehaviour)
    }

    fn on_behaviour_event(&mut self, event: Identified) {
        self.identified(&event);
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Protocols, DeniedUpgrade>) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
            protocol, ..
        }) = event
        {
            let Some(id) = self.streams.admit(self.subscriptions.len()) else {
                tracing::debug!(peer = %self.peer, "too many streams");
                return;
            };
            match protocol {
                Inbound::Requests(stream) => self.streams.accept(id, stream),
                Inbound::Inmem(stream) => self.subscriptions.accept_inmem(id, stream),
            }
        }
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
