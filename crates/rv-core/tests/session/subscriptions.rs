//! DISCOVER_SUBSCRIBE: which type is chosen, and what is refused.

use bytes::Bytes;
use rv_core::{Output, Query, Reader, Refusal, Report, Rules, Session, read_inmem_request};
use rv_proto::{
    Dialect, DialectSet, NamespaceError, Request, Response, Scope, Status, SubscribeRequest,
    SubscribeResponse, encode_frame,
};

use crate::{STREAM, check, keypair, name, peer, respond, send, session, unregister};

fn request(types: &[&str]) -> SubscribeRequest {
    SubscribeRequest {
        supported_types: types.iter().map(|it| (*it).to_owned()).collect(),
        namespace: Some(Bytes::from_static(b"my-app")),
        ..SubscribeRequest::default()
    }
}

fn refused(code: u32, refusal: Refusal) -> [Output; 2] {
    let response = SubscribeResponse {
        status: Status::from_code(code),
        status_text: refusal.to_string(),
        ..SubscribeResponse::default()
    };
    let answer = respond(STREAM, &Response::Subscribe(response));
    [Output::Report(Report::SubscribeRefused { refusal }), answer]
}

fn with_inmem() -> Session {
    session().with_inmem(keypair(9).public().to_peer_id())
}

#[test]
fn a_type_that_is_not_offered_is_refused_in_the_words_of_gos_server() {
    let unknown = "subscription type not found";
    assert_eq!(Refusal::SubscriptionType.to_string(), unknown);
    for types in [&[][..], &["inmem"], &["emitter-io"], &["rv-updates/1"]] {
        let mut session = session();
        send(&mut session, STREAM, &Request::Subscribe(request(types)));
        check(&mut session, &refused(300, Refusal::SubscriptionType));
    }
}

#[test]
fn go_is_told_where_the_records_come_from() {
    let mut session = with_inmem();
    let types = ["emitter-io", "inmem"];
    send(&mut session, STREAM, &Request::Subscribe(request(&types)));
    let ask = Output::SubscribeInmem {
        stream: STREAM,
        namespace: name(),
    };
    check(&mut session, &[ask]);
    session.handle_inmem_room(STREAM, Ok(name()));
    let local = keypair(9).public().to_peer_id();
    let details = format!(r#"{{"PeerID":"{local}","ChannelName":"my-app"}}"#);
    let response = SubscribeResponse {
        subscription_type: Some(Bytes::from_static(b"inmem")),
        subscription_details: Some(details.into()),
        ..SubscribeResponse::default()
    };
    check(
        &mut session,
        &[respond(STREAM, &Response::Subscribe(response))],
    );
}

#[test]
fn go_is_told_that_a_name_is_none() {
    let mut session = with_inmem();
    let request = SubscribeRequest {
        namespace: None,
        ..request(&["inmem"])
    };
    send(&mut session, STREAM, &Request::Subscribe(request));
    let refusal = Refusal::Namespace(NamespaceError::Empty);
    check(&mut session, &refused(100, refusal));
}

#[test]
fn a_subscription_is_begun_and_its_stream_given_away() {
    let mut session = with_inmem();
    let request = SubscribeRequest {
        accepts: DialectSet::ALL,
        cookie: Some(Bytes::from_static(b"8 bytes.")),
        ..request(&["inmem", "rv-updates/1"])
    };
    send(&mut session, STREAM, &Request::Subscribe(request));
    let scope = Scope::Namespace(name());
    let query = Query {
        reader: Reader {
            accepts: DialectSet::ALL,
            ..Reader::unknown(peer(), Dialect::Legacy)
        },
        scope: scope.clone(),
        cookie: Some(Bytes::from_static(b"8 bytes.")),
        entries_max: Rules::default().page_entries_max,
        page_bytes_max: Rules::default().page_bytes_max,
    };
    check(
        &mut session,
        &[Output::Subscribe {
            stream: STREAM,
            query,
        }],
    );

    session.handle_subscription(STREAM, Ok(scope.clone()));
    let response = SubscribeResponse {
        subscription_type: Some(Bytes::from_static(b"rv-updates/1")),
        heartbeat_secs: Some(30),
        ..SubscribeResponse::default()
    };
    let frame = encode_frame(&Response::Subscribe(response).encode()).into();
    check(
        &mut session,
        &[
            Output::Report(Report::Subscribed { scope }),
            Output::Push {
                stream: STREAM,
                frame,
            },
        ],
    );
}

#[test]
fn a_subscription_that_there_is_no_room_for_is_refused_as_unavailable() {
    let mut session = session();
    let full = Refusal::SubscriptionsFull { limit: 64 };
    session.handle_subscription(STREAM, Err(full.clone()));
    check(&mut session, &refused(400, full.clone()));
    let mut session = with_inmem();
    session.handle_inmem_room(STREAM, Err(full.clone()));
    check(&mut session, &refused(400, full));
}

#[test]
fn everything_can_be_subscribed_to_unless_the_operator_forbids_it() {
    let request = || SubscribeRequest {
        namespace: None,
        accepts: DialectSet::ALL,
        ..request(&["rv-updates/1"])
    };
    let mut session = session();
    send(&mut session, STREAM, &Request::Subscribe(request()));
    assert!(matches!(
        session.poll_output(),
        Some(Output::Subscribe { query, .. }) if query.scope == Scope::All
    ));

    let rules = Rules {
        discover_all: false,
        ..Rules::default()
    };
    let mut session = Session::new(peer(), None, rules);
    send(&mut session, STREAM, &Request::Subscribe(request()));
    check(&mut session, &refused(100, Refusal::DiscoverAll));
}

#[test]
fn on_a_stream_of_go_only_subscriptions_are_read() {
    let subscribe = Request::Subscribe(request(&[]));
    assert_eq!(read_inmem_request(subscribe.encode().into()), Some(name()));
    let nameless = Request::Subscribe(SubscribeRequest::default());
    for bad in [nameless.encode(), unregister(b"my-app").encode(), vec![7]] {
        assert_eq!(read_inmem_request(bad.into()), None);
    }
}
