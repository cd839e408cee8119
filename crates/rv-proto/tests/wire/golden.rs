//! The bytes of other implementations, in both directions.

use bytes::Bytes;
use rv_proto::{
    DialectSet, DiscoverRequest, DiscoverResponse, RegisterRequest, RegisterResponse, Request,
    Response, Status, SubscribeRequest, UnregisterRequest, encode_discover_page_frame,
    encode_frame,
};

use crate::common::{golden_record, unframe, vector};

fn namespace() -> Option<Bytes> {
    Some(Bytes::from_static(b"my-app"))
}

fn register(record: &str) -> Request {
    Request::Register(RegisterRequest {
        namespace: namespace(),
        record: Some(vector(record).into()),
        counterpart: None,
        ttl_secs: Some(7_200),
    })
}

#[track_caller]
fn reads_as(frame: &str, request: &Request) {
    assert_eq!(
        Request::decode(unframe(&vector(frame))).as_ref(),
        Ok(request)
    );
}

#[track_caller]
fn writes_as(request: &Request, frame: &str) {
    assert_eq!(encode_frame(&request.encode()), vector(frame));
}

#[test]
fn rust_and_nim_register_with_a_type() {
    for dialect in ["legacy", "standard"] {
        let request = register(&format!("{dialect}-envelope"));
        reads_as(&format!("{dialect}-register-frame"), &request);
        writes_as(&request, &format!("{dialect}-register-frame"));
    }
}

#[test]
fn go_and_py_register_without_a_type() {
    let request = register("plain-record");
    reads_as("plain-register-frame", &request);
    reads_as("py-register-frame", &request);

    let payload = unframe(&vector("plain-register-frame"));
    assert_eq!(
        request.encode(),
        [&[0x08, 0x00], &payload[..]].concat(),
        "ours says the type"
    );
}

#[test]
fn py_discovers() {
    let request = Request::Discover(DiscoverRequest {
        namespace: namespace(),
        limit: Some(100),
        cookie: None,
        accepts: DialectSet::EMPTY,
    });
    reads_as("py-discover-frame", &request);
    writes_as(&request, "py-discover-frame");
}

#[test]
fn py_unregisters_with_its_id() {
    let peer = Some(vector("peer-id").into());
    let request = Request::Unregister(UnregisterRequest {
        namespace: namespace(),
        peer,
    });
    reads_as("py-unregister-frame", &request);
    writes_as(&request, "py-unregister-frame");
}

#[test]
fn go_subscribes() {
    let request = Request::Subscribe(SubscribeRequest {
        supported_types: vec!["inmem".to_owned()],
        namespace: namespace(),
        ..SubscribeRequest::default()
    });
    reads_as("subscribe-frame", &request);
    writes_as(&request, "subscribe-frame");
}

#[test]
fn py_answers_ok_without_a_status() {
    let response = Response::decode(unframe(&vector("py-register-response-frame")));
    let wanted = RegisterResponse {
        status: Status::OK,
        status_text: "OK".to_owned(),
        ttl_secs: Some(7_200),
    };
    assert_eq!(response, Ok(Response::Register(wanted)));

    let response = Response::decode(unframe(&vector("py-discover-response-frame")));
    let wanted = DiscoverResponse {
        status_text: "OK".to_owned(),
        ..Default::default()
    };
    assert_eq!(response, Ok(Response::Discover(wanted)));
}

#[test]
fn rust_answers_with_a_cookie_and_a_status() {
    let cookie = *b"\x01\x02\x03\x04\x05\x06\x07\x08a";
    let response = Response::Discover(DiscoverResponse {
        cookie: Some(Bytes::copy_from_slice(&cookie)),
        ..Default::default()
    });
    let frame = vector("rust-discover-response-frame");
    assert_eq!(Response::decode(unframe(&frame)).as_ref(), Ok(&response));
    assert_eq!(encode_frame(&response.encode()), frame);
    assert_eq!(encode_discover_page_frame(&[], &cookie), frame);
}

#[test]
fn rust_refuses_a_cookie() {
    let response = Response::Discover(DiscoverResponse {
        status: Status::INVALID_COOKIE,
        ..Default::default()
    });
    let frame = vector("rust-cookie-refused-frame");
    assert_eq!(Response::decode(unframe(&frame)).as_ref(), Ok(&response));
    assert_eq!(encode_frame(&response.encode()), frame);
}

#[test]
fn what_strict_readers_ask_for_is_always_written() {
    let refused = Response::Register(RegisterResponse {
        status: Status::UNAVAILABLE,
        ..Default::default()
    });
    // type 1, then in field 3: status 400, ttl 0.
    assert_eq!(refused.encode(), [8, 1, 0x1a, 5, 8, 0x90, 3, 0x18, 0]);

    let entry = rv_proto::Entry::default();
    let page = Response::Discover(DiscoverResponse {
        entries: vec![entry],
        ..Default::default()
    });
    // type 4, then in field 6: an entry with ns and ttl, a cookie, status 0.
    assert_eq!(
        page.encode(),
        [8, 4, 0x32, 10, 0x0a, 4, 0x0a, 0, 0x18, 0, 0x12, 0, 0x18, 0]
    );
}

#[test]
fn the_record_of_the_vectors_is_ours() {
    let record = golden_record();
    assert_eq!(record.encode(), vector("peer-record"));
    assert_eq!(record.peer.to_bytes(), vector("peer-id"));
    assert_eq!(record.addresses[0].to_vec(), vector("multiaddr"));
}
