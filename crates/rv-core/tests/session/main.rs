//! A session as a machine: what goes in, and exactly what comes out, nothing more.

mod order;
mod readers;
mod refusals;
mod registers;
mod subscriptions;

use bytes::Bytes;
use libp2p_identity::{Keypair, PeerId};
use rv_core::{Output, Refusal, Report, Rules, Session, StreamId};
use rv_proto::multiaddr::Multiaddr;
use rv_proto::{
    DiscoverRequest, DiscoverResponse, Namespace, Record, RegisterRequest, RegisterResponse,
    Request, Response, Status, Ttl, UnregisterRequest, encode_frame,
};

/// The stream that most tests use.
const STREAM: StreamId = StreamId(1);

fn keypair(number: u8) -> Keypair {
    Keypair::ed25519_from_bytes([number; 32]).expect("32 bytes")
}

/// The peer of the session.
fn peer() -> PeerId {
    keypair(1).public().to_peer_id()
}

fn address(port: usize) -> Multiaddr {
    format!("/ip4/203.0.113.9/tcp/{port}")
        .parse()
        .expect("an address")
}

fn session() -> Session {
    Session::new(peer(), None, Rules::default())
}

/// A plain record of the session's peer.
fn plain() -> Record {
    Record::plain(&peer(), &[address(4001)])
}

fn name() -> Namespace {
    Namespace::new("my-app").expect("a name")
}

/// A REGISTER with nothing wrong in it.
fn register() -> RegisterRequest {
    RegisterRequest {
        namespace: Some(Bytes::from_static(b"my-app")),
        record: Some(plain().bytes().clone()),
        counterpart: None,
        ttl_secs: Some(7_200),
    }
}

fn unregister(namespace: &'static [u8]) -> Request {
    Request::Unregister(UnregisterRequest {
        namespace: Some(Bytes::from_static(namespace)),
        peer: None,
    })
}

fn discover() -> DiscoverRequest {
    DiscoverRequest {
        namespace: Some(Bytes::from_static(b"my-app")),
        ..DiscoverRequest::default()
    }
}

fn send(session: &mut Session, stream: StreamId, request: &Request) {
    session.handle_frame(stream, request.encode().into(), false);
}

fn outputs(session: &mut Session) -> Vec<Output> {
    std::iter::from_fn(|| session.poll_output()).collect()
}

/// These outputs come, and no more.
fn check(session: &mut Session, expected: &[Output]) {
    assert_eq!(outputs(session), expected);
    assert_eq!(session.poll_output(), None);
}

fn respond(stream: StreamId, response: &Response) -> Output {
    Output::Respond {
        stream,
        frame: encode_frame(&response.encode()).into(),
    }
}

fn granted(stream: StreamId, ttl: Ttl) -> [Output; 2] {
    let report = Output::Report(Report::Registered {
        namespace: name(),
        ttl,
    });
    let response = RegisterResponse {
        status: Status::OK,
        status_text: String::new(),
        ttl_secs: Some(u64::from(ttl.as_secs())),
    };
    [report, respond(stream, &Response::Register(response))]
}

/// A refused REGISTER: the status is spelled out by each test, the text is the refusal's.
fn register_refused(stream: StreamId, code: u32, refusal: &Refusal) -> [Output; 2] {
    let response = RegisterResponse {
        status: Status::from_code(code),
        status_text: refusal.to_string(),
        ttl_secs: None,
    };
    let report = Report::RegisterRefused {
        refusal: refusal.clone(),
    };
    [
        Output::Report(report),
        respond(stream, &Response::Register(response)),
    ]
}

fn discover_refused(stream: StreamId, code: u32, refusal: &Refusal) -> [Output; 2] {
    let response = DiscoverResponse {
        entries: Vec::new(),
        cookie: None,
        status: Status::from_code(code),
        status_text: refusal.to_string(),
    };
    let report = Report::DiscoverRefused {
        refusal: refusal.clone(),
    };
    [
        Output::Report(report),
        respond(stream, &Response::Discover(response)),
    ]
}
