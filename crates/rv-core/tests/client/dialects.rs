//! Which dialect a point is registered at in.

use rv_core::client::{Cause, Event, Failure, Target, Wanted};
use rv_proto::{Dialect, EXTENSION_PROTOCOL, Status};

use crate::driver::{Driver, Sent};
use crate::samples::{granted, name, point, refused};

fn dialect_of(sent: &Sent) -> Dialect {
    match &sent.request {
        Wanted::Register { dialect, .. } => *dialect,
        Wanted::Discover { .. } | Wanted::Subscribe { .. } | Wanted::Unregister { .. } => {
            panic!("{sent:?}")
        }
    }
}

fn identified(agent: &str, protocols: &[&str]) -> Driver {
    let mut driver = Driver::new(1);
    driver
        .client
        .handle_identified(driver.now, point(1), agent, protocols);
    driver
}

#[test]
fn an_agent_that_is_known_is_spoken_to_in_its_dialect() {
    let cases = [
        ("rust-libp2p/0.47.0", Dialect::Legacy),
        ("py-libp2p/0.8.1", Dialect::Plain),
        ("github.com/libp2p/go-libp2p", Dialect::Plain),
        ("nim-libp2p", Dialect::Standard),
        ("js-libp2p/1.0 UserAgent=x", Dialect::Standard),
        ("somebody/1", Dialect::Standard),
    ];
    for (agent, dialect) in cases {
        let mut driver = identified(agent, &[]);
        driver.register(Target::Every);
        assert_eq!(dialect_of(&driver.request()), dialect, "{agent}");
    }
    let mut driver = identified("app/1", &["/rendezvous/sync/inmem/1.0.0"]);
    driver.register(Target::Every);
    assert_eq!(dialect_of(&driver.request()), Dialect::Plain);
}

#[test]
fn a_point_is_not_taken_for_one_in_go_by_the_form_of_its_agent() {
    for agent in ["example.org/my-point@v1.2.3", "my-point@24528bc0f"] {
        let mut driver = identified(agent, &[]);
        driver.register(Target::Every);
        assert_eq!(dialect_of(&driver.request()), Dialect::Standard, "{agent}");
    }
}

#[test]
fn standard_follows_101_where_plain_was_tried() {
    // A fork that keeps the name of what it forked, and wants signed records.
    let mut driver = identified("github.com/libp2p/go-libp2p", &[]);
    driver.register(Target::Every);
    let sent = driver.request();
    assert_eq!(dialect_of(&sent), Dialect::Plain);
    driver.answer(
        sent.id,
        refused(
            Status::INVALID_SIGNED_PEER_RECORD,
            "missing signed peer record",
        ),
    );
    let sent = driver.request();
    assert_eq!(dialect_of(&sent), Dialect::Standard);
    driver.answer(sent.id, granted(7_200));
    driver.outputs();
    driver.register_for(Target::Every, &name("other"), None);
    assert_eq!(dialect_of(&driver.request()), Dialect::Standard);
}

#[test]
fn of_plain_and_standard_each_is_tried_once() {
    let mut driver = Driver::new(1);
    driver.register(Target::Every);
    for dialect in [Dialect::Standard, Dialect::Plain] {
        let sent = driver.request();
        assert_eq!(dialect_of(&sent), dialect);
        let status = Status::INVALID_SIGNED_PEER_RECORD;
        driver.answer(sent.id, refused(status, "no"));
    }
    assert_eq!(driver.requests().len(), 0);
}

#[test]
fn an_announced_extension_gets_both_signed_dialects() {
    let mut driver = identified("rust-libp2p/0.47.0", &[EXTENSION_PROTOCOL]);
    driver.register(Target::Every);
    let sent = driver.request();
    assert!(matches!(
        sent.request,
        Wanted::Register {
            dialect: Dialect::Standard,
            counterpart: Some(Dialect::Legacy),
            ..
        }
    ));
    // It takes every dialect, so a refusal is about something else.
    driver.answer(sent.id, refused(Status::NOT_AUTHORIZED, "no"));
    let events = driver.events();
    assert!(
        matches!(
            &events[1],
            Event::RegistrationFailed {
                cause: Cause::Refused(Status::NOT_AUTHORIZED, _),
                ..
            }
        ),
        "{events:?}"
    );
}

#[test]
fn an_extension_that_is_announced_later_is_used_at_once() {
    let mut driver = Driver::new(1);
    driver.register(Target::Every);
    let sent = driver.request();
    driver.answer(sent.id, granted(7_200));
    driver.outputs();
    let now = driver.now;
    driver
        .client
        .handle_identified(now, point(1), "", &[EXTENSION_PROTOCOL]);
    assert!(matches!(
        driver.request().request,
        Wanted::Register {
            counterpart: Some(Dialect::Legacy),
            ..
        }
    ));
}

#[test]
fn plain_follows_101_and_200_and_legacy_an_end_of_stream() {
    for status in [Status::INVALID_SIGNED_PEER_RECORD, Status::NOT_AUTHORIZED] {
        let mut driver = Driver::new(1);
        driver.register(Target::Every);
        let sent = driver.request();
        driver.answer(sent.id, refused(status, "bad peer id"));
        let sent = driver.request();
        assert_eq!(dialect_of(&sent), Dialect::Plain);
        driver.answer(sent.id, granted(7_200));
        assert!(matches!(
            driver.events()[..],
            [
                Event::Registered(_),
                Event::RegisterDone { result: Ok(_), .. }
            ]
        ));
    }
    let mut driver = Driver::new(1);
    driver.register(Target::Every);
    let sent = driver.request();
    driver.fail(sent.id, Failure::EndOfStream);
    assert_eq!(dialect_of(&driver.request()), Dialect::Legacy);
}

#[test]
fn what_was_granted_is_remembered_for_every_namespace() {
    let mut driver = Driver::new(1);
    driver.register(Target::Every);
    let sent = driver.request();
    driver.fail(sent.id, Failure::EndOfStream);
    let sent = driver.request();
    driver.answer(sent.id, granted(7_200));
    driver.outputs();
    driver.register_for(Target::Every, &name("other"), None);
    assert_eq!(dialect_of(&driver.request()), Dialect::Legacy);
}

#[test]
fn what_was_granted_is_not_given_up_for_one_odd_answer() {
    let mut driver = Driver::new(1);
    driver.register(Target::Every);
    let sent = driver.request();
    driver.answer(sent.id, granted(7_200));
    for odd in 0..2 {
        let sent = driver.sleep_until_request();
        assert_eq!(dialect_of(&sent), Dialect::Standard, "{odd}");
        driver.fail(sent.id, Failure::EndOfStream);
    }
    let sent = driver.sleep_until_request();
    assert_eq!(
        dialect_of(&sent),
        Dialect::Legacy,
        "given up after the second"
    );
}

#[test]
fn when_no_dialect_is_taken_the_first_refusal_is_told() {
    let mut driver = Driver::new(1);
    let operation = driver.register(Target::Every);
    let sent = driver.request();
    driver.answer(sent.id, refused(Status::NOT_AUTHORIZED, "not you"));
    let sent = driver.request();
    driver.fail(sent.id, Failure::EndOfStream);
    let sent = driver.request();
    assert_eq!(dialect_of(&sent), Dialect::Legacy);
    driver.answer(
        sent.id,
        refused(Status::INVALID_SIGNED_PEER_RECORD, "what?"),
    );
    let cause = Cause::Refused(Status::NOT_AUTHORIZED, "not you".to_owned());
    let done = Event::RegisterDone {
        operation,
        result: Err(vec![(point(1), cause)]),
    };
    assert_eq!(driver.events()[0], done);
}

#[test]
fn a_stale_record_is_sealed_again_above_the_stored_seq() {
    let mut driver = Driver::new(1);
    driver.register(Target::Every);
    let sent = driver.request();
    let text = "stale record: seq 5 is below the stored seq 9";
    driver.answer(sent.id, refused(Status::INVALID_SIGNED_PEER_RECORD, text));
    let sent = driver.request();
    assert!(matches!(
        sent.request,
        Wanted::Register {
            seq_above: Some(9),
            dialect: Dialect::Standard,
            ..
        }
    ));
    driver.answer(sent.id, granted(7_200));
    let sent = driver.sleep_until_request();
    assert!(matches!(
        sent.request,
        Wanted::Register {
            seq_above: Some(9),
            ..
        }
    ));
}

#[test]
fn a_point_cannot_use_up_the_sequence_numbers() {
    let mut driver = Driver::new(1);
    driver.register(Target::Every);
    let sent = driver.request();
    let text = format!("stale record: seq 5 is below the stored seq {}", u64::MAX);
    driver.answer(sent.id, refused(Status::INVALID_SIGNED_PEER_RECORD, &text));
    assert!(matches!(
        driver.events()[1],
        Event::RegistrationFailed { .. }
    ));

    let mut driver = Driver::new(1);
    driver.register(Target::Every);
    for stored in 10..13 {
        let sent = driver.request();
        let text = format!("stale record: seq 5 is below the stored seq {stored}");
        driver.answer(sent.id, refused(Status::INVALID_SIGNED_PEER_RECORD, &text));
    }
    assert!(matches!(
        driver.events()[1],
        Event::RegistrationFailed { .. }
    ));
}
