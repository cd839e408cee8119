//! The order of one connection's requests: a peer reads its own writes.

use rv_core::{Operation, Output, Query, Reader, Refusal, Registry, Report, StreamId, Verdict};
use rv_proto::{Dialect, Epoch, Record, RecordError, Request, Scope, Time, Ttl};

use crate::{
    STREAM, check, discover, granted, keypair, name, outputs, peer, plain, register,
    register_refused, send, session, unregister,
};

const OTHER: StreamId = StreamId(2);
const THIRD: StreamId = StreamId(3);

fn asks(stream: StreamId) -> Output {
    let query = Query {
        reader: Reader::unknown(peer(), Dialect::Legacy),
        scope: Scope::Namespace(name()),
        cookie: None,
        entries_max: 1_000,
        page_bytes_max: 1_000_000,
    };
    Output::Discover { stream, query }
}

/// As [`asks`], behind a REGISTER with a plain record.
fn asks_as_shown(stream: StreamId) -> Output {
    let Output::Discover { stream, mut query } = asks(stream) else {
        unreachable!("it asks");
    };
    query.reader.shape = Some(Dialect::Plain);
    Output::Discover { stream, query }
}

fn removes(stream: StreamId) -> Output {
    let operation = Operation::Unregister {
        scope: Scope::Namespace(name()),
    };
    Output::Submit { stream, operation }
}

fn removed(stream: StreamId) -> [Output; 2] {
    let report = Report::Unregistered {
        scope: Scope::Namespace(name()),
        count: 1,
    };
    [Output::Report(report), Output::Next { stream }]
}

const REMOVED: Verdict = Verdict::Unregistered { count: 1 };

#[test]
fn a_discover_waits_for_an_unregister_on_another_stream() {
    let mut session = session();
    send(&mut session, STREAM, &unregister(b"my-app"));
    send(&mut session, OTHER, &Request::Discover(discover()));
    check(&mut session, &[removes(STREAM)]);
    assert!(session.has_writes());
    session.handle_verdict(STREAM, REMOVED);
    check(
        &mut session,
        &[removed(STREAM).as_slice(), &[asks(OTHER)]].concat(),
    );
    assert!(!session.has_writes());
}

#[test]
fn a_discover_does_not_wait_for_what_comes_after_it() {
    let mut session = session();
    send(&mut session, OTHER, &Request::Discover(discover()));
    send(&mut session, STREAM, &unregister(b"my-app"));
    check(&mut session, &[asks(OTHER), removes(STREAM)]);

    send(&mut session, THIRD, &Request::Discover(discover()));
    send(&mut session, StreamId(4), &unregister(b"my-app"));
    check(&mut session, &[removes(StreamId(4))]);
    session.handle_verdict(STREAM, REMOVED);
    check(
        &mut session,
        &[removed(STREAM).as_slice(), &[asks(THIRD)]].concat(),
    );
}

#[test]
fn a_discover_waits_for_all_writes_before_it_whatever_the_order_of_verdicts() {
    for (first, last) in [(STREAM, OTHER), (OTHER, STREAM)] {
        let mut session = session();
        send(&mut session, STREAM, &unregister(b"my-app"));
        send(&mut session, OTHER, &unregister(b"my-app"));
        send(&mut session, THIRD, &Request::Discover(discover()));
        check(&mut session, &[removes(STREAM), removes(OTHER)]);
        session.handle_verdict(first, REMOVED);
        check(&mut session, &removed(first));
        session.handle_verdict(last, REMOVED);
        check(
            &mut session,
            &[removed(last).as_slice(), &[asks(THIRD)]].concat(),
        );
    }
}

#[test]
fn a_refused_write_lets_the_discover_behind_it_go_on() {
    let mut session = session();
    send(&mut session, STREAM, &Request::Register(register()));
    session.handle_verified(STREAM, Ok(vec![plain()]));
    assert_eq!(outputs(&mut session).len(), 2, "verify, submit");
    send(&mut session, OTHER, &Request::Discover(discover()));
    check(&mut session, &[]);
    session.handle_verdict(STREAM, Verdict::Refused(Refusal::Full));
    let refused = register_refused(STREAM, 400, &Refusal::Full);
    check(
        &mut session,
        &[refused.as_slice(), &[asks_as_shown(OTHER)]].concat(),
    );
}

#[test]
fn a_discover_behind_a_register_that_is_not_verified_yet_waits_for_it() {
    let mut session = session();
    send(&mut session, STREAM, &Request::Register(register()));
    send(&mut session, OTHER, &Request::Discover(discover()));
    let first = outputs(&mut session);
    assert!(
        matches!(first.as_slice(), [Output::Verify { .. }]),
        "asked too early: {first:?}"
    );
    session.handle_verified(STREAM, Ok(vec![plain()]));
    let submitted = outputs(&mut session);
    assert!(
        matches!(submitted.as_slice(), [Output::Submit { .. }]),
        "{submitted:?}"
    );
    session.handle_verdict(STREAM, Verdict::Registered { ttl: Ttl::DEFAULT });
    check(
        &mut session,
        &[
            granted(STREAM, Ttl::DEFAULT).as_slice(),
            &[asks_as_shown(OTHER)],
        ]
        .concat(),
    );
}

#[test]
fn an_unregister_behind_a_register_that_is_not_verified_yet_is_submitted_after_it() {
    let mut session = session();
    send(&mut session, STREAM, &Request::Register(register()));
    send(&mut session, OTHER, &unregister(b"my-app"));
    let mut submitted = outputs(&mut session);
    session.handle_verified(STREAM, Ok(vec![plain()]));
    submitted.extend(outputs(&mut session));
    let streams: Vec<_> = submitted
        .iter()
        .filter_map(|output| match output {
            Output::Submit { stream, .. } => Some(*stream),
            Output::Discover { .. }
            | Output::Next { .. }
            | Output::Report(_)
            | Output::Reset { .. }
            | Output::Respond { .. }
            | Output::AwaitClose { .. }
            | Output::Read { .. }
            | Output::Push { .. }
            | Output::Subscribe { .. }
            | Output::SubscribeInmem { .. }
            | Output::Verify { .. } => None,
        })
        .collect();
    assert_eq!(
        streams,
        [STREAM, OTHER],
        "in the order in which they were read"
    );
}

#[test]
fn a_discover_on_a_closed_stream_is_not_asked() {
    let mut session = session();
    send(&mut session, STREAM, &unregister(b"my-app"));
    send(&mut session, OTHER, &Request::Discover(discover()));
    send(&mut session, THIRD, &Request::Discover(discover()));
    check(&mut session, &[removes(STREAM)]);
    session.handle_stream_closed(OTHER);
    session.handle_verdict(STREAM, REMOVED);
    check(
        &mut session,
        &[removed(STREAM).as_slice(), &[asks(THIRD)]].concat(),
    );
}

#[test]
fn a_page_for_a_closed_stream_is_dropped() {
    let mut session = session();
    send(&mut session, STREAM, &Request::Discover(discover()));
    let Some(Output::Discover { query, .. }) = session.poll_output() else {
        panic!("no query")
    };
    session.handle_stream_closed(STREAM);
    let page = Registry::new(Epoch::from_bits(1)).discover(Time::ZERO, &query);
    session.handle_page(STREAM, page);
    check(&mut session, &[]);
}

#[test]
fn a_register_on_a_stream_that_closed_before_it_was_verified_is_dropped() {
    let mut session = session();
    send(&mut session, STREAM, &Request::Register(register()));
    assert_eq!(outputs(&mut session).len(), 1);
    session.handle_stream_closed(STREAM);
    session.handle_verified(STREAM, Ok(vec![plain()]));
    check(&mut session, &[]);
    assert!(!session.has_writes());
}

#[test]
fn a_write_outlives_its_stream_and_still_holds_up_what_is_behind_it() {
    let mut session = session();
    send(&mut session, STREAM, &unregister(b"my-app"));
    check(&mut session, &[removes(STREAM)]);
    session.handle_stream_closed(STREAM);
    assert!(session.has_writes());
    send(&mut session, OTHER, &Request::Discover(discover()));
    check(&mut session, &[]);
    session.handle_verdict(STREAM, REMOVED);
    let left = outputs(&mut session);
    assert!(left.contains(&asks(OTHER)), "{left:?}");
    assert!(left.contains(&removed(STREAM)[0]), "{left:?}");
    assert!(!session.has_writes());
}

#[test]
fn streams_are_independent() {
    let mut session = session();
    send(&mut session, STREAM, &Request::Register(register()));
    send(&mut session, OTHER, &Request::Register(register()));
    assert_eq!(outputs(&mut session).len(), 2);
    session.handle_verified(OTHER, Ok(vec![plain()]));
    session.handle_verified(STREAM, Err(RecordError::Forged.into()));
    let expected = register_refused(STREAM, 101, &Refusal::Record(RecordError::Forged));
    let all = outputs(&mut session);
    let [refused @ .., submitted] = &all[..] else {
        panic!("{all:?}")
    };
    assert_eq!(refused, expected);
    assert!(
        matches!(submitted, Output::Submit { stream: OTHER, .. }),
        "{all:?}"
    );
    session.handle_verdict(OTHER, Verdict::Registered { ttl: Ttl::DEFAULT });
    check(&mut session, &granted(OTHER, Ttl::DEFAULT));
}

#[test]
fn what_nobody_asked_for_changes_nothing() {
    let mut session = session();
    session.handle_verdict(STREAM, REMOVED);
    session.handle_verified(STREAM, Ok(vec![plain()]));
    session.handle_stream_closed(STREAM);
    check(&mut session, &[]);
    assert!(!session.has_writes());
}

#[test]
fn records_of_two_peers_never_become_a_write() {
    let mut session = session();
    send(&mut session, STREAM, &Request::Register(register()));
    assert_eq!(outputs(&mut session).len(), 1);
    let other = keypair(2).public().to_peer_id();
    let two = vec![plain(), Record::plain(&other, &[crate::address(1)])];
    session.handle_verified(STREAM, Ok(two));
    check(
        &mut session,
        &register_refused(STREAM, 101, &Refusal::RecordsDiffer),
    );
}
