//! A point made of the real machines, with the manners of one of several implementations.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use libp2p_identity::PeerId;
use rv_core::{
    Limits, Output, Registry, Rules, Session, StreamId, Submitted, Subscription, Ticket, Writer,
};
use rv_proto::{
    Dialect, DiscoverResponse, EXTENSION_PROTOCOL, Epoch, Fact, Namespace, RESPONSE_BYTES_MAX,
    Record, RecordError, RegisterResponse, Request, Response, Seq, Status, SubscriptionUpdate,
    Time, UnverifiedRecord, classify, decode_frame,
};

/// Whose manners a point has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ours: every dialect, the extension, a store.
    Ours,
    /// The stock rust server: legacy records only, the stream ends on any other; no store, and a
    /// cookie of a former life is refused.
    StockRust,
    /// The stock go server: unsigned records only, any other is refused with 101.
    StockGo,
}

/// What a point does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Response(Box<Response>),
    /// The answer, and what follows on its stream.
    Subscribed(Box<(Response, Subscription)>),
    /// It was read, and has no answer.
    Read,
    EndOfStream,
}

/// A point.
#[derive(Debug)]
pub struct Point {
    /// Whose manners it has.
    pub kind: Kind,
    pub(crate) is_up: bool,
    /// How far its wall clock is ahead of the true time, which it reads at its start.
    pub(crate) wall_ahead_millis: i64,
    /// How far its own time is ahead while it runs.
    pub(crate) ahead_millis: i64,
    registry: Registry,
    writer: Writer,
    sessions: BTreeMap<PeerId, Session>,
    store: BTreeMap<(PeerId, Namespace), (Seq, Fact)>,
    cookies: BTreeSet<Bytes>,
    verified: Vec<(UnverifiedRecord, Result<Record, RecordError>)>,
    rules: Rules,
    streams: u64,
    epochs: u32,
}

impl Point {
    /// An entry or two, so that snapshots have several updates.
    const UPDATE_BYTES: usize = 300;

    /// A point without registrations.
    pub fn new(kind: Kind, page_entries_max: usize) -> Self {
        let dialect_default = match kind {
            Kind::Ours | Kind::StockRust => Dialect::Legacy,
            Kind::StockGo => Dialect::Plain,
        };
        Self {
            kind,
            is_up: true,
            wall_ahead_millis: 0,
            ahead_millis: 0,
            registry: Registry::new(Epoch::from_bits(1)),
            writer: Writer::new(Limits::default()),
            sessions: BTreeMap::new(),
            store: BTreeMap::new(),
            cookies: BTreeSet::new(),
            verified: Vec::new(),
            rules: Rules {
                page_entries_max,
                dialect_default,
                // Who asks is answered at once: a call of this point is over when it returns.
                identify_wait: Duration::ZERO,
                ..Rules::default()
            },
            streams: 0,
            epochs: 1,
        }
    }

    /// What it says in identify: agent and protocols.
    pub(crate) const fn identify(&self) -> (&'static str, &'static [&'static str]) {
        match self.kind {
            Kind::Ours => ("rv/0.1.0", &[EXTENSION_PROTOCOL]),
            Kind::StockRust => ("rust-libp2p/0.57.0", &[]),
            Kind::StockGo => ("go-libp2p-rendezvous", &[]),
        }
    }

    /// Its own time at a true time.
    pub(crate) fn clock(&self, now: Time) -> Time {
        shifted(now, self.ahead_millis)
    }

    /// Starts again, and returns how much longer than before its registrations last, in
    /// milliseconds.
    pub(crate) fn restart(&mut self, keeps_store: bool) -> i64 {
        let before = std::mem::replace(&mut self.ahead_millis, self.wall_ahead_millis);
        self.sessions.clear();
        self.cookies.clear();
        self.writer = Writer::new(Limits::default());
        if keeps_store && self.kind != Kind::StockRust {
            let mut replay = Registry::replay();
            for (seq, fact) in self.store.values() {
                replay.restore(*seq, fact.clone());
            }
            self.registry = replay.finish(self.registry.epoch(), self.registry.head());
        } else {
            self.epochs += 1;
            self.store.clear();
            self.registry = Registry::new(Epoch::from_bits(self.epochs));
        }
        before - self.ahead_millis
    }

    /// Puts facts in, as if they had been written.
    ///
    /// # Panics
    ///
    /// If the log is full.
    pub fn fill(&mut self, facts: impl IntoIterator<Item = Fact>) {
        for fact in facts {
            let seq = self.registry.applied().next().expect("a short log");
            self.registry.apply(seq, fact);
        }
    }

    /// The addresses under which a peer is registered at a true time, and until when, in the
    /// point's own time.
    pub fn held(&self, now: Time, peer: PeerId, namespace: &Namespace) -> Option<Held> {
        let held = self.registry.registration(peer, namespace)?;
        let dialects = [Dialect::Standard, Dialect::Legacy, Dialect::Plain];
        let bytes = dialects.iter().find_map(|dialect| held.record(*dialect));
        let left = held.expires_at().saturating_since(self.clock(now));
        (!left.is_zero()).then(|| Held {
            until: now.saturating_add(left),
            record: Bytes::copy_from_slice(bytes.unwrap_or_default()),
        })
    }

    /// The answer to a request at a true time, if it has one.
    pub fn respond(&mut self, now: Time, peer: PeerId, request: &Request) -> Option<Response> {
        match self.ask(now, peer, request) {
            Reply::Response(response) => Some(*response),
            Reply::Subscribed(begun) => Some(begun.0),
            Reply::Read | Reply::EndOfStream => None,
        }
    }

    pub(crate) fn ask(&mut self, now: Time, peer: PeerId, request: &Request) -> Reply {
        if let Some(reply) = self.manners(request) {
            return reply;
        }
        let reply = self.answer(self.clock(now), peer, request);
        if let Reply::Response(response) = &reply
            && let Response::Discover(DiscoverResponse { cookie, .. }) = &**response
        {
            self.cookies.extend(cookie.clone());
        }
        reply
    }

    /// The next update of a subscription, if there is one at a true time.
    pub(crate) fn next_update(
        &self,
        now: Time,
        subscription: &mut Subscription,
    ) -> Option<SubscriptionUpdate> {
        let clock = self.clock(now);
        // Whatever happened in the network may be news.
        subscription.handle_news();
        let frame = subscription.next_update(now, clock, &self.registry, Self::UPDATE_BYTES)?;
        let update = SubscriptionUpdate::decode(payload(&frame));
        Some(update.expect("our update"))
    }

    /// What another implementation does and ours does not.
    fn manners(&self, request: &Request) -> Option<Reply> {
        let refused = |response| Some(Reply::Response(Box::new(response)));
        match (self.kind, request) {
            (Kind::Ours, _) | (_, Request::Unregister(_) | Request::Subscribe(_)) => None,
            (Kind::StockRust, Request::Register(request)) => (dialect_of(request.record.as_ref())
                != Some(Dialect::Legacy))
            .then_some(Reply::EndOfStream),
            (Kind::StockGo, Request::Register(request)) => {
                if dialect_of(request.record.as_ref()) == Some(Dialect::Plain) {
                    return None;
                }
                let status = Status::INVALID_SIGNED_PEER_RECORD;
                let text = "bad peer record".to_owned();
                refused(Response::Register(RegisterResponse::refused(status, text)))
            }
            (Kind::StockRust, Request::Discover(request)) => {
                let cookie = request.cookie.as_ref()?;
                if self.cookies.contains(cookie) {
                    return None;
                }
                let status = Status::INVALID_COOKIE;
                let response = DiscoverResponse::refused(status, String::new());
                refused(Response::Discover(response))
            }
            (Kind::StockGo, Request::Discover(_)) => None,
        }
    }

    fn answer(&mut self, now: Time, peer: PeerId, request: &Request) -> Reply {
        self.streams += 1;
        let stream = StreamId(self.streams);
        let rules = self.rules.clone();
        let new = || Session::new(peer, None, rules);
        let session = self.sessions.entry(peer).or_insert_with(new);
        session.handle_frame(stream, request.encode().into(), false);
        let mut tickets: BTreeMap<Ticket, StreamId> = BTreeMap::new();
        let mut subscription = None;
        let mut reply = Reply::Read;
        loop {
            while let Some(output) = session.poll_output() {
                match output {
                    Output::Verify { records, .. } => {
                        let verified = &mut self.verified;
                        let records = records.into_iter().map(|it| verify(verified, it));
                        let records: Result<Vec<_>, _> = records.collect();
                        session.handle_verified(stream, records.map_err(Into::into));
                    }
                    Output::Submit { operation, .. } => {
                        match self.writer.submit(now, &self.registry, peer, operation) {
                            Submitted::Pending(ticket) => {
                                tickets.insert(ticket, stream);
                            }
                            Submitted::Done(verdict) => session.handle_verdict(stream, verdict),
                        }
                    }
                    Output::Discover { query, .. } => {
                        session.handle_page(stream, self.registry.discover(now, &query));
                    }
                    Output::Respond { frame, .. } => {
                        reply = Reply::Response(Box::new(read(&frame)));
                    }
                    Output::Reset { .. } => reply = Reply::EndOfStream,
                    Output::AwaitClose { .. } | Output::Read { .. } => {
                        unreachable!("nobody is kept waiting for identify")
                    }
                    Output::Subscribe { query, .. } => {
                        let begun = Subscription::new(&self.registry, &query, &self.rules);
                        let scope = begun.as_ref().map(|it| it.scope().clone());
                        session.handle_subscription(stream, scope.map_err(Clone::clone));
                        subscription = begun.ok();
                    }
                    Output::Push { frame, .. } => {
                        let begun = subscription.take().expect("it was begun before");
                        reply = Reply::Subscribed(Box::new((read(&frame), begun)));
                    }
                    Output::SubscribeInmem { .. } => {
                        unreachable!("the simulated clients know our updates")
                    }
                    Output::Next { .. } | Output::Report(_) => {}
                }
            }
            let Some(facts) = self.writer.next_batch() else {
                return reply;
            };
            for fact in facts {
                let seq = self.registry.applied().next().expect("a short log");
                let key = (*fact.peer(), fact.namespace().clone());
                self.store.insert(key, (seq, fact));
                for (ticket, verdict) in self.writer.apply(&mut self.registry, &[seq]) {
                    if let Some(stream) = tickets.remove(&ticket) {
                        session.handle_verdict(stream, verdict);
                    }
                }
            }
        }
    }
}

/// A registration as readers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Until when, in true time.
    pub until: Time,
    /// One of its records.
    pub record: Bytes,
}

/// The same record is verified once: signatures cost more than all the rest of a run.
fn verify(
    known: &mut Vec<(UnverifiedRecord, Result<Record, RecordError>)>,
    record: UnverifiedRecord,
) -> Result<Record, RecordError> {
    if let Some((_, outcome)) = known.iter().find(|(it, _)| *it == record) {
        return outcome.clone();
    }
    let outcome = record.clone().verify();
    known.push((record, outcome.clone()));
    outcome
}

fn dialect_of(record: Option<&Bytes>) -> Option<Dialect> {
    classify(record?).ok()
}

fn read(frame: &Bytes) -> Response {
    Response::decode(payload(frame)).expect("our response")
}

fn payload(frame: &Bytes) -> Bytes {
    let mut buffer = BytesMut::from(frame.as_ref());
    let payload = decode_frame(&mut buffer, RESPONSE_BYTES_MAX);
    payload.expect("our frame").expect("a whole one")
}

/// A time that is so much later, or earlier.
pub(crate) fn shifted(time: Time, by_millis: i64) -> Time {
    Time::from_millis(time.as_millis().saturating_add_signed(by_millis))
}
