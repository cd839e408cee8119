//! One connection's requests: what is asked, in which order, and what is answered.

mod request;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use libp2p_identity::PeerId;
use rv_proto::{
    DecodeError, DiscoverResponse, Namespace, Origin, Record, Records, RegisterResponse, Request,
    Response, Scope, SubscribeResponse, Ttl, UnverifiedRecord, encode_frame,
};

use crate::registry::{Page, Query};
use crate::{Operation, Refusal, Rules, Verdict};

/// A stream of the connection, numbered by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// What the shell does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Ask the registry, then call [`Session::handle_page`].
    Discover {
        /// The stream that waits.
        stream: StreamId,
        /// The question.
        query: Query,
    },
    /// Nothing is answered: read the stream's next frame.
    Next {
        /// The stream that may go on.
        stream: StreamId,
    },
    /// Something that an operator or the embedding application may want to know.
    Report(Report),
    /// Reset the stream: its bytes are no request.
    Reset {
        /// The stream.
        stream: StreamId,
        /// What is wrong with them.
        error: DecodeError,
    },
    /// Write the frame, then read the stream's next.
    Respond {
        /// The stream that waited.
        stream: StreamId,
        /// The answer, length prefix included.
        frame: Bytes,
    },
    /// Give the operation to the [`Writer`](crate::Writer), in the order of these outputs, then
    /// call [`Session::handle_verdict`].
    Submit {
        /// The stream that waits.
        stream: StreamId,
        /// What is to be changed.
        operation: Operation,
    },
    /// Check the records' signatures, or find them equal to verified ones, then call
    /// [`Session::handle_verified`].
    Verify {
        /// The stream that waits.
        stream: StreamId,
        /// Where the peer registers, which is where an equal record may be held already.
        namespace: Namespace,
        /// One record, or two that say the same in two dialects.
        records: Vec<UnverifiedRecord>,
    },
}

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A REGISTER was granted.
    Registered {
        /// Where.
        namespace: Namespace,
        /// For how long.
        ttl: Ttl,
    },
    /// A REGISTER was refused.
    RegisterRefused {
        /// Why.
        refusal: Refusal,
    },
    /// An UNREGISTER was acted on.
    Unregistered {
        /// Which registrations.
        scope: Scope,
        /// How many there were.
        count: usize,
    },
    /// An UNREGISTER could not be kept, or is not known to be. The protocol has no answer to it.
    UnregisterLost {
        /// Why.
        refusal: Refusal,
    },
    /// A DISCOVER was answered.
    Discovered {
        /// What was listed.
        scope: Scope,
        /// How many entries the answer has.
        count: usize,
    },
    /// A DISCOVER was refused.
    DiscoverRefused {
        /// Why.
        refusal: Refusal,
    },
    /// A subscription was refused.
    SubscribeRefused,
}

/// The requests of one connection.
///
/// # Contract
///
/// - One frame of a stream at a time: the next is handed in after [`Output::Respond`] or
///   [`Output::Next`] of the one before.
/// - Writes are submitted in the order in which they were read, on whatever stream. A DISCOVER
///   waits for the writes that were read before it, so that a peer always reads its own writes.
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
            rules,
            writes: VecDeque::new(),
            writes_read: 0,
            waiting: VecDeque::new(),
            asked: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes one frame's payload.
    pub fn handle_frame(&mut self, stream: StreamId, payload: Bytes) {
        match Request::decode(payload) {
            Ok(Request::Register(request)) => {
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
            Ok(Request::Unregister(request)) => {
                match request::read_unregister(&request, &self.peer) {
                    Some(scope) => {
                        self.enqueue(stream, Stage::Ready(Operation::Unregister { scope }));
                        self.submit_ready();
                    }
                    None => self.outputs.push_back(Output::Next { stream }),
                }
            }
            Ok(Request::Discover(request)) => {
                match request::read_discover(request, self.peer, &self.rules) {
                    Ok(query) => self.ask(stream, query),
                    Err(refusal) => self.refuse_discover(stream, refusal),
                }
            }
            Ok(Request::Subscribe(_)) => self.refuse_subscribe(stream),
            Err(error) => self.outputs.push_back(Output::Reset { stream, error }),
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
            self.outputs.push_back(Output::Discover { stream, query });
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
                self.outputs.push_back(Output::Discover { stream, query });
            }
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

    fn refuse_subscribe(&mut self, stream: StreamId) {
        let refusal = Refusal::SubscriptionType;
        let response = SubscribeResponse::refused(refusal.status(), refusal.to_string());
        self.outputs
            .push_back(Output::Report(Report::SubscribeRefused));
        self.respond(stream, Response::Subscribe(response));
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
