//! Every other row of the table of refusals, at its edges.

use bytes::Bytes;
use rv_core::{
    Operation, Output, Query, Reader, Refusal, Registry, Report, Rules, Session, Verdict,
};
use rv_proto::{
    CookieError, DecodeError, Dialect, DiscoverRequest, DiscoverResponse, Epoch, REQUEST_BYTES_MAX,
    RegisterResponse, Request, Response, Scope, SubscribeResponse, Time, Ttl, UnregisterRequest,
};

use crate::{
    STREAM, check, discover, discover_refused, keypair, name, outputs, peer, send, session,
    unregister,
};

#[test]
fn a_limit_beyond_the_pages_is_the_pages() {
    let rows = [
        (None, 1_000),
        (Some(0), 1_000),
        (Some(1), 1),
        (Some(999), 999),
        (Some(1_000), 1_000),
        (Some(1_001), 1_000),
        (Some(u64::MAX), 1_000),
    ];
    for (limit, entries_max) in rows {
        let mut session = session();
        send(
            &mut session,
            STREAM,
            &Request::Discover(DiscoverRequest {
                limit,
                ..discover()
            }),
        );
        let query = Query {
            entries_max,
            ..query()
        };
        check(
            &mut session,
            &[Output::Discover {
                stream: STREAM,
                query,
            }],
        );
    }
}

fn query() -> Query {
    Query {
        reader: Reader::unknown(peer(), Dialect::Legacy),
        scope: Scope::Namespace(name()),
        cookie: None,
        entries_max: 1_000,
        page_bytes_max: 1_000_000,
    }
}

#[test]
fn a_discover_without_a_namespace_asks_for_all_unless_forbidden() {
    for namespace in [None, Some(Bytes::new())] {
        let request = Request::Discover(DiscoverRequest {
            namespace,
            ..DiscoverRequest::default()
        });
        let mut open = session();
        send(&mut open, STREAM, &request);
        let query = Query {
            scope: Scope::All,
            ..query()
        };
        check(
            &mut open,
            &[Output::Discover {
                stream: STREAM,
                query,
            }],
        );

        let rules = Rules {
            discover_all: false,
            ..Rules::default()
        };
        let mut closed = Session::new(peer(), None, rules);
        send(&mut closed, STREAM, &request);
        check(
            &mut closed,
            &discover_refused(STREAM, 100, &Refusal::DiscoverAll),
        );
    }
}

#[test]
fn a_cookie_is_judged_by_the_registry_and_answered() {
    let registry = Registry::new(Epoch::from_bits(9));
    let foreign = [
        vec![0xff; 8],
        b"\x00\x00\x00\x00\x00\x00\x00\x01my-app".to_vec(),
    ];
    let rows = [(Vec::new(), false), (vec![1; 7], true)];
    for (cookie, short) in rows
        .into_iter()
        .chain(foreign.map(|cookie| (cookie, false)))
    {
        let mut session = session();
        let request = DiscoverRequest {
            cookie: Some(cookie.clone().into()),
            ..discover()
        };
        send(&mut session, STREAM, &Request::Discover(request));
        let query = Query {
            cookie: Some(cookie.into()),
            ..query()
        };
        let answer = registry.discover(Time::ZERO, &query);
        check(
            &mut session,
            &[Output::Discover {
                stream: STREAM,
                query,
            }],
        );
        session.handle_page(STREAM, answer.clone());
        if short {
            let refusal = Refusal::Cookie(CookieError::Short);
            check(&mut session, &discover_refused(STREAM, 103, &refusal));
            continue;
        }
        let frame = answer.expect("a full listing").to_frame().into();
        let report = Report::Discovered {
            scope: Scope::Namespace(name()),
            count: 0,
        };
        let expected = [
            Output::Report(report),
            Output::Respond {
                stream: STREAM,
                frame,
            },
        ];
        check(&mut session, &expected);
    }
}

#[test]
fn an_unregister_is_submitted_only_for_the_peer_itself() {
    let own = Bytes::from(peer().to_bytes());
    let other = Bytes::from(keypair(2).public().to_peer_id().to_bytes());
    let garbage = Bytes::from_static(&[7; 500]);
    let text = |name: &'static str| Some(Bytes::from_static(name.as_bytes()));
    let one = || Some(Scope::Namespace(name()));
    let rows = [
        (text("my-app"), None, one()),
        (text("my-app"), Some(Bytes::new()), one()),
        (text("my-app"), Some(own.clone()), one()),
        (text("my-app"), Some(other.clone()), None),
        (text("my-app"), Some(garbage), None),
        (text(""), None, Some(Scope::All)),
        (None, None, Some(Scope::All)),
        (None, Some(own), Some(Scope::All)),
        (text(""), Some(other), None),
        (Some(vec![b'a'; 256].into()), None, None),
        (Some(vec![0xff].into()), None, None),
    ];
    for (namespace, id, scope) in rows {
        let mut session = session();
        let request = Request::Unregister(UnregisterRequest {
            namespace,
            peer: id,
        });
        send(&mut session, STREAM, &request);
        let Some(scope) = scope else {
            check(&mut session, &[Output::Next { stream: STREAM }]);
            assert!(!session.has_writes());
            continue;
        };
        let operation = Operation::Unregister {
            scope: scope.clone(),
        };
        check(
            &mut session,
            &[Output::Submit {
                stream: STREAM,
                operation,
            }],
        );
        session.handle_verdict(STREAM, Verdict::Unregistered { count: 2 });
        let report = Report::Unregistered { scope, count: 2 };
        check(
            &mut session,
            &[Output::Report(report), Output::Next { stream: STREAM }],
        );
    }
}

#[test]
fn a_lost_unregister_is_reported_and_not_answered() {
    let mut session = session();
    send(&mut session, STREAM, &unregister(b"my-app"));
    assert_eq!(outputs(&mut session).len(), 1);
    session.handle_verdict(STREAM, Verdict::Refused(Refusal::Store));
    let report = Report::UnregisterLost {
        refusal: Refusal::Store,
    };
    check(
        &mut session,
        &[Output::Report(report), Output::Next { stream: STREAM }],
    );
}

#[test]
fn bytes_that_are_no_request_reset_the_stream() {
    let ok = RegisterResponse::ok(Ttl::DEFAULT);
    let responses = [
        (Response::Register(ok).encode(), 1),
        (Response::Discover(DiscoverResponse::default()).encode(), 4),
        (
            Response::Subscribe(SubscribeResponse::default()).encode(),
            101,
        ),
        (vec![0x08, 57], 57),
    ];
    for (payload, number) in responses {
        let mut session = session();
        session.handle_frame(STREAM, payload.into(), false);
        let error = DecodeError::UnexpectedType(number);
        check(
            &mut session,
            &[Output::Reset {
                stream: STREAM,
                error,
            }],
        );
    }
    for payload in [
        vec![0xff; 5],
        vec![0x12, 0x05, 1],
        vec![0xff; REQUEST_BYTES_MAX],
    ] {
        let mut session = session();
        session.handle_frame(STREAM, payload.into(), false);
        let outputs = outputs(&mut session);
        assert!(
            matches!(outputs.as_slice(), [Output::Reset { stream: STREAM, .. }]),
            "{outputs:?}"
        );
    }
}
