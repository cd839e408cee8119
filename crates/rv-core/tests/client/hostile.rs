//! Points that lie, each with the exact error, while the others go on serving.

use rv_core::client::{
    Breach, Cause, ClientConfig, DiscoverOptions, Event, Failure, Output, Target,
};
use rv_proto::{
    DecodeError, DiscoverResponse, FrameError, RegisterResponse, Response, Status,
    SubscribeResponse,
};

use crate::driver::Driver;
use crate::samples::{chat, entry, granted, in_chat, page, refused, refused_page};

fn broken(breach: Breach) -> Cause {
    Cause::Failed(Failure::Broken(breach))
}

/// What a REGISTER comes to that is answered so.
fn registered(response: Response) -> Option<Cause> {
    let mut driver = Driver::new(1);
    driver.register(Target::Every);
    let sent = driver.request();
    driver.answer(sent.id, response);
    driver.events().into_iter().find_map(|event| match event {
        Event::RegistrationFailed { cause, .. } => Some(cause),
        _ => None,
    })
}

/// What a DISCOVER comes to that is answered with these, one after the other.
fn discovered(responses: impl IntoIterator<Item = Response>) -> Option<Cause> {
    let mut driver = Driver::new(1);
    let options = DiscoverOptions::default();
    driver
        .client
        .discover(driver.now, Target::Every, &in_chat(), options)
        .expect("starts");
    for response in responses {
        let sent = driver.request();
        driver.answer(sent.id, response);
        if driver.client.requests_out() == 0 {
            break;
        }
    }
    driver.events().into_iter().find_map(|event| match event {
        Event::DiscoverDone { points, .. } => points[0].cause.clone(),
        _ => None,
    })
}

#[test]
fn a_response_of_another_type_breaks_the_protocol() {
    let wrong = Some(broken(Breach::WrongResponse));
    let subscribe = || Response::Subscribe(SubscribeResponse::default());
    assert_eq!(registered(page(vec![], "c")), wrong);
    assert_eq!(registered(subscribe()), wrong);
    assert_eq!(discovered([granted(7_200)]), wrong);
    assert_eq!(discovered([subscribe()]), wrong);
}

#[test]
fn an_unknown_status_is_a_refusal() {
    let status = Status::from_code(7);
    let cause = Cause::Refused(status, "what".to_owned());
    assert_eq!(registered(refused(status, "what")), Some(cause.clone()));
    assert_eq!(cause.to_string(), "refused with unknown status 7: what");
    let cause = Cause::Refused(status, "no".to_owned());
    assert_eq!(discovered([refused_page(status)]), Some(cause));
}

#[test]
fn missing_fields_are_what_proto3_leaves_out() {
    assert_eq!(
        registered(Response::Register(RegisterResponse::default())),
        None
    );
    let mut driver = Driver::new(1);
    driver
        .client
        .discover(
            driver.now,
            Target::Every,
            &in_chat(),
            DiscoverOptions::default(),
        )
        .expect("starts");
    let sent = driver.request();
    driver.answer(sent.id, Response::Discover(DiscoverResponse::default()));
    let events = driver.events();
    assert!(
        matches!(&events[1], Event::DiscoverDone { points, .. } if points[0].cause.is_none()),
        "{events:?}"
    );
}

#[test]
fn what_the_shell_could_not_read_is_told_as_it_is() {
    let breaches = [
        Breach::Frame(FrameError::TooLong {
            bytes: 20_000_000,
            bytes_max: 1_000_000,
        }),
        Breach::Frame(FrameError::Truncated),
        Breach::Message(DecodeError::UnexpectedType(3)),
    ];
    for breach in breaches {
        let mut driver = Driver::new(1);
        driver.register(Target::Every);
        let sent = driver.request();
        driver.fail(sent.id, Failure::Broken(breach.clone()));
        let last = driver.client.registrations()[0].last_failure.clone();
        assert_eq!(last, Some((driver.now, broken(breach))));
    }
    let text = broken(Breach::Frame(FrameError::TooLong {
        bytes: 20_000_000,
        bytes_max: 1_000_000,
    }))
    .to_string();
    assert_eq!(
        text,
        "the point broke the protocol: message of 20000000 bytes, at most 1000000 are taken"
    );
}

#[test]
fn silence_and_a_byte_a_second_end_with_the_time_of_a_request() {
    let mut driver = Driver::new(2);
    driver.register(Target::Every);
    let sent = driver.requests();
    driver.answer(sent[1].id, granted(7_200));
    driver.outputs();
    assert_eq!(driver.sleep(), 30);
    let outputs = driver.outputs();
    assert_eq!(outputs[0], Output::Cancel { id: sent[0].id });
    let Output::Event(Event::PointDown { point, failure, .. }) = &outputs[1] else {
        panic!("{outputs:?}")
    };
    assert_eq!((point, failure), (&sent[0].point, &Failure::TimedOut));
    let standing = driver.client.registration(&sent[1].point, &chat());
    assert!(standing.expect("known").until.is_some());
}

#[test]
fn a_cookie_that_never_changes_ends_the_listing() {
    let same = || page(vec![entry(2, 100), entry(3, 100)], "c");
    let cause = discovered(std::iter::repeat_with(same).take(10));
    assert_eq!(cause, Some(broken(Breach::CookieUnchanged)));
}

#[test]
fn the_same_page_for_ever_ends_the_listing() {
    let cookies = ["a", "b", "c", "d", "e", "f"];
    let pages = cookies.map(|cookie| page(vec![entry(2, 100), entry(3, 100)], cookie));
    assert_eq!(discovered(pages), Some(broken(Breach::RepeatedPage)));
}

#[test]
fn a_long_cookie_ends_the_listing() {
    let cookie: &'static str = String::leak("c".repeat(1_025));
    let cause = discovered([page(vec![entry(2, 100)], cookie)]);
    assert_eq!(cause, Some(broken(Breach::CookieTooLong { bytes: 1_025 })));
}

#[test]
fn a_listing_without_end_takes_bounded_memory_and_no_place_of_the_others() {
    let config = ClientConfig {
        listing_entries_max: 40,
        cache: rv_core::client::CacheLimits {
            peers_per_namespace: 20,
            peers_total: 30,
            ..rv_core::client::CacheLimits::default()
        },
        ..ClientConfig::default()
    };
    let mut driver = Driver::with(config, 2);
    driver.client.watch(driver.now, &in_chat()).expect("room");
    let sent = driver.requests();
    // An honest point with three peers, and one with two hundred.
    let (honest, hostile) = (&sent[0], &sent[1]);
    let three = (2..5).map(|number| entry(number, 100)).collect();
    driver.answer(honest.id, page(three, ""));
    let mut id = hostile.id;
    for round in 0..20_u8 {
        let many = (10..20).map(|number| entry(round * 10 + number, 259_200));
        let cookie: &'static str = String::leak(round.to_string());
        driver.answer(id, page(many.collect(), cookie));
        match driver.requests().first() {
            Some(sent) => id = sent.id,
            None => break,
        }
    }
    assert_eq!(driver.client.peers_cached(), 20);
    let peers = driver.client.peers(driver.now, &in_chat(), None);
    let kept = (2..5).filter(|number| {
        let peer = crate::samples::peer(*number);
        peers.iter().any(|found| found.peer() == peer)
    });
    assert_eq!(kept.count(), 3, "the honest point's peers are still there");
    let of_hostile = driver.client.watches();
    let failed = of_hostile
        .iter()
        .filter(|watch| watch.last_failure.is_some());
    assert_eq!(failed.count(), 1);
}

#[test]
fn answers_to_nothing_are_ignored() {
    let mut driver = Driver::new(1);
    driver.register(Target::Every);
    let sent = driver.request();
    driver.answer(sent.id, granted(7_200));
    driver.outputs();
    let before = driver.client.registrations();
    driver.answer(sent.id, granted(1));
    driver.answer(sent.id, page(vec![], "c"));
    driver.fail(sent.id, Failure::TimedOut);
    driver.client.handle_written(driver.now, sent.id);
    assert_eq!(driver.outputs(), []);
    assert_eq!(driver.client.registrations(), before);
}

#[test]
fn a_register_is_not_done_by_being_written() {
    let mut driver = Driver::new(1);
    driver.register(Target::Every);
    let sent = driver.request();
    driver.client.handle_written(driver.now, sent.id);
    assert_eq!(driver.outputs(), []);
    assert_eq!(driver.client.requests_out(), 1);
}
