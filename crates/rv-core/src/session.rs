//! One connection's requests: what is asked, in which order, and what is answered.

mod known;
mod output;
mod request;
mod subscribe;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use libp2p_identity::PeerId;
use rv_proto::{
    Dialect, DiscoverRequest, DiscoverResponse, Namespace, Origin, Record, Records,
    RegisterRequest, RegisterResponse, Request, Response, Scope, Time, Ttl, encode_frame,
};

use crate::registry::{Page, Query, Reading};
use crate::{Operation, Refusal, Rules, Verdict};
pub use output::{Output, Report, StreamId};
pub use subscribe::read_inmem_request;

use known::Known;

/// The requests of one connection.
///
/// # Contract
///
/// - One frame of a stream at a time: the next is handed in after [`Output::Respond`] or
///   [`Output::Next`] of the one before.
/// - Writes are submitted in the order in which they were read, on whatever stream. A DISCOVER
///   waits for the writes that were read before it, so that a peer always reads its own writes.
/// - The first DISCOVER of a reader of whom nothing is known may wait for what identify says, for
///   [`Rules::identify_wait`] at the most.
/// - Every request that can be decoded gets one answer of its own type, UNREGISTER apart, which has
///   none.
///
/// # Bounds
///
/// State is kept per stream only while a request of it is in work; the shell bounds the streams.
#[derive(Debug)]
pub struct Session {
    peer: PeerId,
    origin: Option<Origin>,
    rules: Rules,
    /// Writes without a verdict, in the order in which they were read.
    writes: VecDeque<Write>,
    writes_read: u64,
    /// DISCOVERs behind writes, in the order in which they were read.
    waiting: VecDeque<WaitingQuery>,
    asked: BTreeMap<StreamId, Scope>,
    /// DISCOVERs that wait to learn who asks.
    held: BTreeMap<StreamId, Query>,
    known: Known,
    /// Who sends the records of type `inmem`, if that is offered: this point itself.
    inmem: Option<PeerId>,
    outputs: VecDeque<Output>,
}

/// A write without a verdict. Once it is submitted it outlives its stream.
#[derive(Debug)]
struct Write {
    number: u64,
    stream: StreamId,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// A REGISTER whose signatures are being checked.
    Verifying { namespace: Namespace, ttl: Ttl },
    /// Waits for the writes before it to be submitted.
    Ready(Operation),
    /// Waits for the verdict.
    Registering(Namespace),
    /// Waits for the verdict.
    Unregistering(Scope),
}

/// A DISCOVER behind the write with this number.
#[derive(Debug)]
struct WaitingQuery {
    after_write: u64,
    stream: StreamId,
    query: Query,
}

impl Session {
    /// A session of an authenticated connection. `origin` is the network it comes from.
    pub fn new(peer: PeerId, origin: Option<Origin>, rules: Rules) -> Self {
        Self {
            peer,
            origin,
            known: Known::new(&rules),
            rules,
            writes: VecDeque::new(),
            writes_read: 0,
            waiting: VecDeque::new(),
            asked: BTreeMap::new(),
            held: BTreeMap::new(),
            inmem: None,
            outputs: VecDeque::new(),
        }
    }

    /// Takes one frame's payload. `is_last` says that the peer closed the stream for writing right
    /// behind it.
    pub fn handle_frame(&mut self, stream: StreamId, payload: Bytes, is_last: bool) {
        match Request::decode(payload) {
            Ok(Request::Register(request)) => self.register(stream, request),
            Ok(Request::Unregister(request)) => {
                self.known.unregisters(&request);
                match request::read_unregister(&request, &self.peer) {
                    Some(scope) => {
                        self.enqueue(stream, Stage::Ready(Operation::Unregister { scope }));
                        self.submit_ready();
                    }
                    None => self.outputs.push_back(Output::Next { stream }),
                }
            }
            Ok(Request::Discover(request)) => self.discover(stream, request, is_last),
            Ok(Request::Subscribe(request)) => self.subscribe(stream, request),
            Err(error) => self.outputs.push_back(Output::Reset { stream, error }),
        }
    }

    fn register(&mut self, stream: StreamId, request: RegisterRequest) {
        self.known.registers(&request);
        match request::read_register(request, &self.peer, &self.rules) {
            Ok(request::WantedRegistration {
                namespace,
                ttl,
                records,
            }) => {
                let stage = Stage::Verifying {
                    namespace: namespace.clone(),
                    ttl,
                };
                self.enqueue(stream, stage);
                self.outputs.push_back(Output::Verify {
                    stream,
                    namespace,
                    records,
                });
            }
            Err(refusal) => self.refuse_register(stream, refusal),
        }
    }

    fn discover(&mut self, stream: StreamId, request: DiscoverRequest, is_last: bool) {
        if is_last {
            self.known.closed();
        }
        let reader = self.known.reader(self.peer, request.accepts, &self.rules);
        match request::read_discover(request, reader, &self.rules) {
            Ok(query) => self.ask(stream, query),
            Err(refusal) => self.refuse_discover(stream, refusal),
        }
    }

    /// Takes the answer to [`Output::Read`]. `now` is by any clock that does not go back, the same
    /// for all calls.
    pub fn handle_reading(
        &mut self,
        now: Time,
        stream: StreamId,
        reading: Result<Reading, Refusal>,
    ) {
        let Some(query) = self.held.remove(&stream) else {
            return;
        };
        let is_open = reading.is_ok_and(Reading::hangs_on_identify);
        if is_open && self.known.waits(now, &self.rules) {
            self.held.insert(stream, query);
            self.outputs.push_back(Output::AwaitClose { stream });
        } else {
            self.outputs.push_back(Output::Discover { stream, query });
        }
    }

    /// Takes note that the peer closed a stream for writing behind a request that is in work.
    pub fn handle_closed(&mut self, stream: StreamId) {
        if self.held.contains_key(&stream) {
            self.known.closed();
            self.answer_held();
        }
    }

    /// Takes what the peer says about itself in identify: its agent, and the dialect of its signed
    /// record if it sent one.
    pub fn handle_identified(&mut self, agent: &str, record: Option<Dialect>) {
        self.known.identified(&self.rules.agents, agent, record);
        self.answer_held();
    }

    /// When to call [`handle_timeout`](Self::handle_timeout). Any other call may change it.
    pub fn poll_timeout(&self) -> Option<Time> {
        let until = self.known.wait_until();
        until.filter(|_| !self.held.is_empty())
    }

    /// Ends what lasted until `now`. It may be called at any time.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.known.wait_until().is_some() && !self.known.waits(now, &self.rules) {
            self.answer_held();
        }
    }

    /// Nobody waits any longer: what is not known now is guessed.
    fn answer_held(&mut self) {
        for (stream, query) in std::mem::take(&mut self.held) {
            let query = self.with_what_is_known(query);
            self.outputs.push_back(Output::Discover { stream, query });
        }
    }

    /// More may be known by now than when the request came.
    fn with_what_is_known(&self, query: Query) -> Query {
        let accepts = query.reader.accepts;
        let reader = self.known.reader(self.peer, accepts, &self.rules);
        Query {
            page_bytes_max: reader.page_bytes_max(&self.rules),
            reader,
            ..query
        }
    }

    /// Takes the outcome of [`Output::Verify`].
    pub fn handle_verified(&mut self, stream: StreamId, records: Result<Vec<Record>, Refusal>) {
        let verifying = |write: &Write| {
            write.stream == stream && matches!(write.stage, Stage::Verifying { .. })
        };
        let Some(index) = self.writes.iter().position(verifying) else {
            return;
        };
        let Some(write) = self.writes.get_mut(index) else {
            return;
        };
        let records = records.and_then(|all| Records::new(all).ok_or(Refusal::RecordsDiffer));
        match (records, &write.stage) {
            (Ok(records), Stage::Verifying { namespace, ttl }) => {
                let (namespace, ttl, origin) = (namespace.clone(), *ttl, self.origin);
                write.stage = Stage::Ready(Operation::Register {
                    namespace,
                    records,
                    ttl,
                    origin,
                });
            }
            (Ok(_), Stage::Ready(_) | Stage::Registering(_) | Stage::Unregistering(_)) => {}
            (Err(refusal), _) => {
                self.writes.remove(index);
                self.refuse_register(stream, refusal);
            }
        }
        self.submit_ready();
        self.ask_what_waited();
    }

    /// Takes the verdict on [`Output::Submit`].
    ///
    /// Verdicts may come in any order.
    pub fn handle_verdict(&mut self, stream: StreamId, verdict: Verdict) {
        let submitted = |write: &Write| write.stream == stream && write.stage.is_submitted();
        let Some(index) = self.writes.iter().position(submitted) else {
            return;
        };
        let Some(write) = self.writes.remove(index) else {
            return;
        };
        match (write.stage, verdict) {
            (Stage::Registering(namespace), Verdict::Registered { ttl }) => {
                self.outputs
                    .push_back(Output::Report(Report::Registered { namespace, ttl }));
                self.respond_register(stream, Ok(ttl));
            }
            (Stage::Registering(_), Verdict::Refused(refusal)) => {
                self.refuse_register(stream, refusal);
            }
            (Stage::Unregistering(scope), Verdict::Unregistered { count }) => {
                self.outputs
                    .push_back(Output::Report(Report::Unregistered { scope, count }));
                self.outputs.push_back(Output::Next { stream });
            }
            (Stage::Unregistering(_), Verdict::Refused(refusal)) => {
                self.outputs
                    .push_back(Output::Report(Report::UnregisterLost { refusal }));
                self.outputs.push_back(Output::Next { stream });
            }
            (_, Verdict::Registered { .. } | Verdict::Unregistered { .. })
            | (Stage::Verifying { .. } | Stage::Ready(_), Verdict::Refused(_)) => {
                debug_assert!(false, "a verdict is of its operation's kind");
                self.outputs.push_back(Output::Next { stream });
            }
        }
        self.ask_what_waited();
    }

    /// Takes the answer to [`Output::Discover`].
    pub fn handle_page(&mut self, stream: StreamId, page: Result<Page, Refusal>) {
        let Some(scope) = self.asked.remove(&stream) else {
            return;
        };
        match page {
            Ok(page) => {
                let count = page.len();
                self.outputs
                    .push_back(Output::Report(Report::Discovered { scope, count }));
                let frame = page.to_frame().into();
                self.outputs.push_back(Output::Respond { stream, frame });
            }
            Err(refusal) => self.refuse_discover(stream, refusal),
        }
    }

    /// Takes note that a stream is gone. A write of it goes on, unless its signatures are not
    /// checked yet.
    pub fn handle_stream_closed(&mut self, stream: StreamId) {
        self.asked.remove(&stream);
        self.held.remove(&stream);
        self.waiting.retain(|waiting| waiting.stream != stream);
        let is_unverified = |write: &Write| matches!(write.stage, Stage::Verifying { .. });
        self.writes
            .retain(|write| write.stream != stream || !is_unverified(write));
        self.submit_ready();
        self.ask_what_waited();
    }

    /// The next effect, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether a write of this connection waits for its verdict.
    pub fn has_writes(&self) -> bool {
        !self.writes.is_empty()
    }

    fn enqueue(&mut self, stream: StreamId, stage: Stage) {
        self.writes_read += 1;
        self.writes.push_back(Write {
            number: self.writes_read,
            stream,
            stage,
        });
    }

    /// Submits what is ready, but nothing before a write that was read earlier.
    fn submit_ready(&mut self) {
        for write in &mut self.writes {
            let stream = write.stream;
            let submitted = match &write.stage {
                Stage::Verifying { .. } => return,
                Stage::Registering(_) | Stage::Unregistering(_) => continue,
                Stage::Ready(Operation::Register { namespace, .. }) => {
                    Stage::Registering(namespace.clone())
                }
                Stage::Ready(Operation::Unregister { scope }) => {
                    Stage::Unregistering(scope.clone())
                }
            };
            if let Stage::Ready(operation) = std::mem::replace(&mut write.stage, submitted) {
                self.outputs.push_back(Output::Submit { stream, operation });
            }
        }
    }

    fn ask(&mut self, stream: StreamId, query: Query) {
        self.asked.insert(stream, query.scope.clone());
        if self.writes.is_empty() {
            self.read(stream, query);
        } else {
            let after_write = self.writes_read;
            self.waiting.push_back(WaitingQuery {
                after_write,
                stream,
                query,
            });
        }
    }

    fn ask_what_waited(&mut self) {
        let oldest_write = self.writes.front().map(|write| write.number);
        while let Some(waiting) = self.waiting.front() {
            if oldest_write.is_some_and(|number| number <= waiting.after_write) {
                return;
            }
            if let Some(WaitingQuery { stream, query, .. }) = self.waiting.pop_front() {
                self.read(stream, query);
            }
        }
    }

    fn read(&mut self, stream: StreamId, query: Query) {
        let query = self.with_what_is_known(query);
        if self.known.may_wait(query.reader.accepts) {
            self.held.insert(stream, query.clone());
            self.outputs.push_back(Output::Read { stream, query });
        } else {
            self.outputs.push_back(Output::Discover { stream, query });
        }
    }

    fn refuse_register(&mut self, stream: StreamId, refusal: Refusal) {
        let report = Report::RegisterRefused {
            refusal: refusal.clone(),
        };
        self.outputs.push_back(Output::Report(report));
        self.respond_register(stream, Err(refusal));
    }

    fn respond_register(&mut self, stream: StreamId, granted: Result<Ttl, Refusal>) {
        let response = match granted {
            Ok(ttl) => RegisterResponse::ok(ttl),
            Err(refusal) => RegisterResponse::refused(refusal.status(), refusal.to_string()),
        };
        self.respond(stream, Response::Register(response));
    }

    fn refuse_discover(&mut self, stream: StreamId, refusal: Refusal) {
        let response = DiscoverResponse::refused(refusal.status(), refusal.to_string());
        self.outputs
            .push_back(Output::Report(Report::DiscoverRefused { refusal }));
        self.respond(stream, Response::Discover(response));
    }

    fn respond(&mut self, stream: StreamId, response: Response) {
        let frame = encode_frame(&response.encode()).into();
        self.outputs.push_back(Output::Respond { stream, frame });
    }
}

impl Stage {
    fn is_submitted(&self) -> bool {
        match self {
            Self::Registering(_) | Self::Unregistering(_) => true,
            Self::Ready(_) | Self::Verifying { .. } => false,
        }
    }
}
