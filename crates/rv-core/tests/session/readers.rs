//! What is known of a reader, and how long a DISCOVER waits to know more.

use std::slice::from_ref;
use std::time::Duration;

use rv_core::{
    Output, Paging, Query, Reader, Reading, Refusal, Registry, Rules, Session, Source, StreamId,
};
use rv_proto::{CookieError, UnregisterRequest};
use rv_proto::{
    Dialect, DialectSet, DiscoverRequest, Epoch, Request, Scope, Seq, SubscribeRequest, Time,
};

use crate::{
    STREAM, check, discover, keypair, name, outputs, peer, register, send, session, unregister,
};

const OTHER: StreamId = StreamId(2);
const NOW: Time = Time::from_millis(1_000);
const WAIT: Duration = Duration::from_millis(300);

fn waiting() -> Session {
    let rules = Rules {
        identify_wait: WAIT,
        ..Rules::default()
    };
    Session::new(peer(), None, rules)
}

fn unknown() -> Reader {
    Reader::unknown(peer(), Dialect::Legacy)
}

fn query(reader: Reader) -> Query {
    Query {
        reader,
        scope: Scope::Namespace(name()),
        cookie: None,
        entries_max: 1_000,
        page_bytes_max: 1_000_000,
    }
}

fn asks(stream: StreamId, reader: Reader) -> Output {
    let query = query(reader);
    Output::Discover { stream, query }
}

fn reads(stream: StreamId) -> Output {
    let query = query(unknown());
    Output::Read { stream, query }
}

/// Sends a DISCOVER of an unknown reader, which is held.
fn hold(session: &mut Session, now: Time, stream: StreamId) {
    send(session, stream, &Request::Discover(discover()));
    check(session, &[reads(stream)]);
    let registry = Registry::new(Epoch::from_bits(1));
    session.handle_reading(now, stream, registry.reading(&query(unknown())));
    check(session, &[Output::AwaitClose { stream }]);
}

fn after(wait: Duration) -> Time {
    NOW.saturating_add(wait)
}

#[test]
fn nobody_waits_unless_the_rules_say_so() {
    let mut session = session();
    send(&mut session, STREAM, &Request::Discover(discover()));
    check(&mut session, &[asks(STREAM, unknown())]);
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn an_unknown_reader_waits_once_and_then_gets_the_default() {
    let mut session = waiting();
    hold(&mut session, NOW, STREAM);
    // A later one waits no longer than the first.
    hold(&mut session, after(WAIT / 2), OTHER);
    assert_eq!(session.poll_timeout(), Some(after(WAIT)));
    session.handle_timeout(after(WAIT - Duration::from_millis(1)));
    check(&mut session, &[]);
    session.handle_timeout(after(WAIT));
    let asked = [STREAM, OTHER].map(|stream| asks(stream, unknown()));
    check(&mut session, &asked);
    assert_eq!(session.poll_timeout(), None);

    send(&mut session, STREAM, &Request::Discover(discover()));
    check(&mut session, &[asks(STREAM, unknown())]);
}

#[test]
fn identify_ends_the_wait_whatever_it_says() {
    for (agent, record, known) in [
        ("go-libp2p", None, Some(Dialect::Plain)),
        ("nobody/1", Some(Dialect::Standard), None),
        ("nobody/1", None, None),
    ] {
        let mut session = waiting();
        hold(&mut session, NOW, STREAM);
        session.handle_identified(agent, record);
        let reader = Reader {
            agent: known,
            record,
            ..unknown()
        };
        check(&mut session, &[asks(STREAM, reader.clone())]);
        send(&mut session, STREAM, &Request::Discover(discover()));
        check(&mut session, &[asks(STREAM, reader)]);
    }
}

#[test]
fn a_reader_of_py_is_told_from_one_of_go_before_it_is_answered() {
    let registered = Reading {
        dialects: Dialect::Plain.into(),
        source: Source::Registrations,
        after: Seq::ZERO,
    };
    let py = Reader {
        agent: Some(Dialect::Plain),
        paging: Paging::Restarts,
        ..unknown()
    };
    let asked = Output::Discover {
        stream: STREAM,
        query: Query {
            page_bytes_max: 4_000_000,
            ..query(py)
        },
    };
    let mut session = waiting();
    send(&mut session, STREAM, &Request::Discover(discover()));
    check(&mut session, &[reads(STREAM)]);
    session.handle_reading(NOW, STREAM, Ok(registered));
    check(&mut session, &[Output::AwaitClose { stream: STREAM }]);
    session.handle_identified("py-libp2p/0.8.1", None);
    check(&mut session, from_ref(&asked));
    send(&mut session, STREAM, &Request::Discover(discover()));
    check(&mut session, &[asked]);
}

#[test]
fn who_was_identified_before_never_waits() {
    let mut session = waiting();
    session.handle_identified("go-libp2p", Some(Dialect::Standard));
    check(&mut session, &[]);
    send(&mut session, STREAM, &Request::Discover(discover()));
    let reader = Reader {
        agent: Some(Dialect::Plain),
        record: Some(Dialect::Standard),
        ..unknown()
    };
    check(&mut session, &[asks(STREAM, reader)]);
}

#[test]
fn a_stream_that_is_closed_behind_its_discover_tells_at_once_and_for_all_later_ones() {
    let closed = Reader {
        has_closed: true,
        ..unknown()
    };
    let mut session = waiting();
    hold(&mut session, NOW, STREAM);
    session.handle_closed(OTHER);
    check(&mut session, &[]);
    session.handle_closed(STREAM);
    check(&mut session, &[asks(STREAM, closed.clone())]);
    send(&mut session, OTHER, &Request::Discover(discover()));
    check(&mut session, &[asks(OTHER, closed.clone())]);

    let mut session = waiting();
    let request = Request::Discover(discover()).encode();
    session.handle_frame(STREAM, request.into(), true);
    check(&mut session, &[asks(STREAM, closed)]);
}

#[test]
fn a_stream_that_is_closed_behind_another_request_tells_nothing() {
    let mut session = session();
    session.handle_frame(STREAM, unregister(b"").encode().into(), true);
    assert!(matches!(outputs(&mut session)[..], [Output::Submit { .. }]));
    session.handle_verdict(STREAM, rv_core::Verdict::Unregistered { count: 0 });
    outputs(&mut session);
    send(&mut session, OTHER, &Request::Discover(discover()));
    check(&mut session, &[asks(OTHER, unknown())]);
}

#[test]
fn who_is_known_to_the_registry_or_says_what_it_accepts_does_not_wait() {
    let mut session = waiting();
    send(&mut session, STREAM, &Request::Discover(discover()));
    check(&mut session, &[reads(STREAM)]);
    let mut known = query(unknown());
    known.reader.agent = Some(Dialect::Standard);
    let reading = Registry::new(Epoch::from_bits(1)).reading(&known);
    assert_eq!(reading.as_ref().map(|it| it.source), Ok(Source::Agent));
    session.handle_reading(NOW, STREAM, reading);
    check(&mut session, &[asks(STREAM, unknown())]);

    let accepts = DialectSet::ALL;
    let request = DiscoverRequest {
        accepts,
        ..discover()
    };
    send(&mut session, STREAM, &Request::Discover(request));
    let reader = Reader {
        accepts,
        ..unknown()
    };
    check(&mut session, &[asks(STREAM, reader)]);
}

#[test]
fn a_cookie_that_is_refused_is_refused_at_once() {
    let mut session = waiting();
    send(&mut session, STREAM, &Request::Discover(discover()));
    check(&mut session, &[reads(STREAM)]);
    session.handle_reading(NOW, STREAM, Err(Refusal::Cookie(CookieError::Short)));
    check(&mut session, &[asks(STREAM, unknown())]);
}

#[test]
fn a_stream_that_ends_waits_for_nothing() {
    let mut session = waiting();
    hold(&mut session, NOW, STREAM);
    session.handle_stream_closed(STREAM);
    assert_eq!(session.poll_timeout(), None);
    session.handle_identified("rust-libp2p/0.47.0", None);
    session.handle_timeout(after(WAIT));
    check(&mut session, &[]);
}

#[test]
fn requests_that_only_some_make_are_a_sign() {
    let own_id = UnregisterRequest {
        namespace: Some("elsewhere".into()),
        peer: Some(peer().to_bytes().into()),
    };
    let foreign_id = UnregisterRequest {
        peer: Some(keypair(2).public().to_peer_id().to_bytes().into()),
        ..own_id.clone()
    };
    // Refused for its ttl, and a sign all the same.
    let refused = rv_proto::RegisterRequest {
        ttl_secs: Some(1),
        ..register()
    };
    for (request, shape) in [
        (Request::Unregister(own_id), Some(Dialect::Plain)),
        (Request::Unregister(foreign_id), Some(Dialect::Plain)),
        (unregister(b"elsewhere"), None),
        (
            Request::Subscribe(SubscribeRequest::default()),
            Some(Dialect::Plain),
        ),
        (Request::Register(refused), Some(Dialect::Plain)),
    ] {
        let mut session = session();
        send(&mut session, OTHER, &request);
        if let [Output::Submit { .. }] = outputs(&mut session)[..] {
            session.handle_verdict(OTHER, rv_core::Verdict::Unregistered { count: 0 });
            outputs(&mut session);
        }
        send(&mut session, STREAM, &Request::Discover(discover()));
        let reader = Reader { shape, ..unknown() };
        check(&mut session, &[asks(STREAM, reader)]);
    }
}
