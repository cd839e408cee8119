//! Messages come back as they went.

use proptest::collection::vec;
use proptest::prelude::*;
use rv_proto::{
    DialectSet, DiscoverRequest, DiscoverResponse, Entry, RegisterRequest, RegisterResponse,
    Request, Response, Status, SubscribeRequest, SubscribeResponse, UnregisterRequest,
};

use crate::common::{any_bytes, maybe_bytes};

fn any_request() -> impl Strategy<Value = Request> {
    let register = (
        maybe_bytes(),
        maybe_bytes(),
        maybe_bytes(),
        any::<Option<u64>>(),
    )
        .prop_map(|(namespace, record, counterpart, ttl_secs)| {
            Request::Register(RegisterRequest {
                namespace,
                record,
                counterpart,
                ttl_secs,
            })
        });
    let unregister = (maybe_bytes(), maybe_bytes())
        .prop_map(|(namespace, peer)| Request::Unregister(UnregisterRequest { namespace, peer }));
    let discover = (
        maybe_bytes(),
        any::<Option<u64>>(),
        maybe_bytes(),
        any::<u8>(),
    )
        .prop_map(|(namespace, limit, cookie, bits)| {
            let accepts = DialectSet::from_bits(bits);
            Request::Discover(DiscoverRequest {
                namespace,
                limit,
                cookie,
                accepts,
            })
        });
    let subscribe = (
        vec(any::<String>(), 0..5),
        maybe_bytes(),
        any::<u8>(),
        maybe_bytes(),
    )
        .prop_map(|(supported_types, namespace, bits, cookie)| {
            Request::Subscribe(SubscribeRequest {
                supported_types,
                namespace,
                accepts: DialectSet::from_bits(bits),
                cookie,
            })
        });
    prop_oneof![register, unregister, discover, subscribe]
}

fn any_status() -> impl Strategy<Value = Status> {
    prop_oneof![Just(0), Just(103), any::<u32>()].prop_map(Status::from_code)
}

fn any_entry() -> impl Strategy<Value = Entry> {
    (
        any_bytes(),
        maybe_bytes(),
        any::<u64>(),
        any::<Option<bool>>(),
    )
        .prop_map(|(namespace, record, ttl_secs, verified)| Entry {
            namespace: Some(namespace),
            record,
            ttl_secs: Some(ttl_secs),
            verified,
        })
}

/// Responses in which everything is there that goes out anyway.
fn any_response() -> impl Strategy<Value = Response> {
    let register = (any_status(), any::<String>(), any::<u64>()).prop_map(
        |(status, status_text, ttl_secs)| {
            Response::Register(RegisterResponse {
                status,
                status_text,
                ttl_secs: Some(ttl_secs),
            })
        },
    );
    let discover = (
        vec(any_entry(), 0..5),
        any_bytes(),
        any_status(),
        any::<String>(),
    )
        .prop_map(|(entries, cookie, status, status_text)| {
            let cookie = Some(cookie);
            Response::Discover(DiscoverResponse {
                entries,
                cookie,
                status,
                status_text,
            })
        });
    let subscribe = (
        any_status(),
        any::<String>(),
        maybe_bytes(),
        maybe_bytes(),
        any::<Option<u64>>(),
    )
        .prop_map(
            |(status, status_text, subscription_type, subscription_details, heartbeat_secs)| {
                Response::Subscribe(SubscribeResponse {
                    status,
                    status_text,
                    subscription_type,
                    subscription_details,
                    heartbeat_secs,
                })
            },
        );
    prop_oneof![register, discover, subscribe]
}

proptest! {
    #[test]
    fn a_request_comes_back_as_it_went(request in any_request()) {
        prop_assert_eq!(Request::decode(request.encode().into()), Ok(request));
    }

    #[test]
    fn a_response_comes_back_as_it_went(response in any_response()) {
        prop_assert_eq!(Response::decode(response.encode().into()), Ok(response));
    }

    #[test]
    fn a_request_is_no_response_and_a_response_no_request(
        request in any_request(),
        response in any_response(),
    ) {
        prop_assert!(Response::decode(request.encode().into()).is_err());
        prop_assert!(Request::decode(response.encode().into()).is_err());
    }
}
