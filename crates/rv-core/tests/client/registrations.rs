//! Made, refreshed, tried again, moved, taken out.

use std::time::Duration;

use rv_core::client::{
    Breach, Cause, ClientConfig, Event, Failure, Output, RegisterOptions, StartError, Target,
    Wanted,
};
use rv_proto::{Dialect, Status, Ttl};

use crate::driver::Driver;
use crate::samples::{address, chat, granted, name, point, refused, secs};

const HERE: Target = Target::Every;

#[test]
fn a_registration_is_one_request_and_then_a_grant() {
    let mut driver = Driver::new(1);
    let operation = driver.register(HERE);
    let sent = driver.request();
    assert_eq!(sent.point, point(1));
    assert_eq!(
        sent.request,
        Wanted::Register {
            namespace: chat(),
            ttl: Ttl::DEFAULT,
            dialect: Dialect::Standard,
            counterpart: None,
            seq_above: None,
            addresses: [address(4_001)].into(),
        }
    );

    driver.pass_secs(1);
    driver.answer(sent.id, granted(7_200));

    let refresh_at = driver.client.registrations()[0].next_at;
    let events = driver.events();
    let [Event::Registered(grant), done] = &events[..] else {
        panic!("{events:?}");
    };
    let until = secs(1_000 + 7_200);
    assert_eq!((grant.point, &grant.namespace), (point(1), &chat()));
    assert_eq!((grant.ttl, grant.until), (Ttl::DEFAULT, until));
    assert!(refresh_at.is_some() && grant.refresh_at == refresh_at);
    let expected = Event::RegisterDone {
        operation,
        result: Ok(vec![grant.clone()]),
    };
    assert_eq!(*done, expected);
}

#[test]
fn it_is_refreshed_from_the_granted_ttl_between_13_and_14_sixteenths() {
    for seed_of_time in 0..50 {
        let mut driver = Driver::new(1);
        driver.pass_secs(seed_of_time);
        driver.register_for(HERE, &chat(), Some(7_200));
        let sent = driver.request();
        driver.answer(sent.id, granted(1_600));
        driver.outputs();
        let slept = driver.sleep();
        assert!((1_300..=1_400).contains(&slept), "{slept}");
        let again = driver.request();
        assert!(matches!(again.request, Wanted::Register { .. }));
    }
}

#[test]
fn peers_that_registered_together_do_not_refresh_together() {
    let mut slept = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let mut client =
            rv_core::client::Client::new(ClientConfig::default(), crate::samples::local(), seed)
                .expect("valid");
        client.set_addresses(secs(0), [address(1)]);
        client.add_point(secs(0), point(1)).expect("room");
        let options = RegisterOptions::default();
        client
            .register(secs(0), HERE, chat(), options)
            .expect("registers");
        let Some(Output::Request { id, .. }) = client.poll_output() else {
            panic!("no request");
        };
        client.handle_response(secs(0), id, granted(7_200));
        slept.insert(client.poll_timeout().map(|(at, _)| at));
    }
    assert!(slept.len() > 15, "{slept:?}");
}

#[test]
fn a_short_ttl_is_refreshed_a_margin_before_its_deadline() {
    let mut driver = Driver::new(1);
    driver.register_for(HERE, &chat(), Some(20));
    let sent = driver.request();
    driver.answer(sent.id, granted(20));
    driver.outputs();
    assert!(driver.sleep() <= 15);
}

#[test]
fn a_register_is_waited_for_one_thirty_second_of_its_ttl_within_bounds() {
    for (ttl_secs, waited_secs) in [(20, 5), (120, 5), (320, 10), (640, 20), (7_200, 30)] {
        let mut driver = Driver::new(1);
        driver.register_for(HERE, &chat(), Some(ttl_secs));
        let sent = driver.request();
        assert_eq!(driver.sleep(), waited_secs);
        let id = sent.id;
        assert_eq!(driver.outputs().first(), Some(&Output::Cancel { id }));
    }
}

#[test]
fn a_shorter_ttl_that_may_be_granted_already_is_asked_for_again_soon() {
    let mut driver = Driver::new(1);
    driver.register_for(HERE, &chat(), Some(7_200));
    let sent = driver.request();
    driver.answer(sent.id, granted(7_200));
    driver.outputs();
    driver.register_for(HERE, &chat(), Some(128));
    let mut sent = driver.request();
    for _ in 0..10 {
        driver.fail(sent.id, Failure::TimedOut);
        let failed_at = driver.now;
        sent = driver.sleep_until_request();
        let paused = driver.now.saturating_since(failed_at);
        assert!(paused <= Duration::from_secs(128 / 32), "{paused:?}");
    }
}

#[test]
fn a_granted_ttl_of_0_breaks_the_protocol() {
    let mut driver = Driver::new(1);
    let operation = driver.register(HERE);
    let sent = driver.request();
    driver.answer(sent.id, granted(0));
    let cause = Cause::Failed(Failure::Broken(Breach::TtlZero));
    let events = driver.events();
    assert_eq!(
        events[0],
        Event::RegisterDone {
            operation,
            result: Err(vec![(point(1), cause.clone())])
        }
    );
    let [
        _,
        Event::RegistrationFailed {
            cause: told,
            retry_at,
            ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert!(*told == cause && retry_at.is_some());
}

#[test]
fn a_granted_ttl_above_72_h_is_read_as_the_one_that_was_asked_for() {
    for ttl_secs in [259_201, u64::MAX] {
        let mut driver = Driver::new(1);
        driver.register_for(HERE, &chat(), Some(3_600));
        let sent = driver.request();
        driver.answer(sent.id, granted(ttl_secs));
        let status = &driver.client.registrations()[0];
        assert_eq!(status.until, Some(secs(1_000 + 3_600)));
        assert!(status.next_at.expect("refreshed") < secs(1_000 + 3_600));
    }
}

#[test]
fn a_short_ttl_does_not_lapse_because_of_the_pauses() {
    let mut driver = Driver::new(1);
    driver.register_for(HERE, &chat(), Some(120));
    let sent = driver.request();
    driver.answer(sent.id, granted(120));
    driver.outputs();
    // The point is down from now on, and every dial fails after a second.
    let mut attempts_in_time = 0;
    loop {
        let sent = driver.sleep_until_request();
        driver.pass_secs(1);
        if driver.now >= secs(1_000 + 120) {
            break;
        }
        attempts_in_time += 1;
        driver.fail(sent.id, Failure::Unreachable);
    }
    assert!(attempts_in_time >= 3, "{attempts_in_time}");
}

#[test]
fn a_refusal_is_told_with_its_status_and_text_and_tried_again_later() {
    let mut driver = Driver::new(1);
    let operation = driver.register(HERE);
    let sent = driver.request();
    driver.answer(sent.id, refused(Status::UNAVAILABLE, "full\u{1b}[2J"));
    let cause = Cause::Refused(Status::UNAVAILABLE, "full [2J".to_owned());
    let retry_at = driver.client.registrations()[0].next_at;
    assert_eq!(
        driver.events(),
        [
            Event::RegisterDone {
                operation,
                result: Err(vec![(point(1), cause.clone())])
            },
            Event::RegistrationFailed {
                point: point(1),
                namespace: chat(),
                cause: cause.clone(),
                retry_at
            },
        ]
    );
    assert_eq!(
        driver.client.registrations()[0].last_failure,
        Some((secs(1_000), cause))
    );
    assert!(driver.sleep() <= 1);
    driver.request();
}

#[test]
fn without_an_address_it_waits_and_says_so() {
    let mut driver = Driver::new(1);
    driver.client.set_addresses(driver.now, []);
    driver.pass_secs(10);
    driver.client.handle_timeout(driver.now);
    let operation = driver.register(HERE);
    assert_eq!(
        driver.events(),
        [
            Event::RegisterDone {
                operation,
                result: Err(vec![(point(1), Cause::NoAddress)])
            },
            Event::RegistrationFailed {
                point: point(1),
                namespace: chat(),
                cause: Cause::NoAddress,
                retry_at: None
            },
        ]
    );
    driver.client.set_addresses(driver.now, [address(4_002)]);
    let sent = driver.request();
    assert!(
        matches!(sent.request, Wanted::Register { addresses, .. } if *addresses == [address(4_002)])
    );
}

#[test]
fn who_waits_for_an_address_is_told_of_the_grant() {
    let mut driver = Driver::new(1);
    driver.client.set_addresses(driver.now, []);
    let options = RegisterOptions {
        wait_for_address: true,
        ..RegisterOptions::default()
    };
    let operation = driver
        .client
        .register(driver.now, HERE, chat(), options)
        .expect("registers");
    assert_eq!(
        driver.events().len(),
        1,
        "the failure, and the call is not over"
    );
    driver.client.set_addresses(driver.now, [address(4_002)]);
    let sent = driver.request();
    driver.answer(sent.id, granted(7_200));
    let events = driver.events();
    let Event::RegisterDone {
        operation: id,
        result: Ok(grants),
    } = &events[1]
    else {
        panic!("{events:?}")
    };
    assert_eq!((*id, grants.len()), (operation, 1));
}

#[test]
fn changed_addresses_are_registered_once_after_they_settled() {
    let mut driver = Driver::new(1);
    driver.register(HERE);
    let sent = driver.request();
    driver.answer(sent.id, granted(7_200));
    driver.outputs();
    for port in [4_002, 4_003, 4_004] {
        let all = [address(4_001), address(port)];
        driver.client.set_addresses(driver.now, all);
    }
    assert_eq!(driver.outputs(), []);
    assert_eq!(driver.sleep(), 2);
    let sent = driver.request();
    let Wanted::Register { addresses, .. } = &sent.request else {
        panic!("{sent:?}");
    };
    assert_eq!(**addresses, [address(4_001), address(4_004)]);
    driver.answer(sent.id, granted(7_200));
    driver.outputs();
    // The same again is no change, in whatever order and with our own id at the end.
    let own = address(4_001)
        .with_p2p(crate::samples::local())
        .expect("none yet");
    driver
        .client
        .set_addresses(driver.now, [address(4_004), own]);
    assert!(driver.sleep() > 1_000);
}

#[test]
fn addresses_that_change_while_a_register_is_out_are_registered_after_it() {
    let mut driver = Driver::new(1);
    driver.register(HERE);
    let first = driver.request();
    driver.client.set_addresses(driver.now, [address(4_002)]);
    driver.sleep();
    driver.answer(first.id, granted(7_200));
    let second = driver.request();
    let Wanted::Register { addresses, .. } = second.request else {
        panic!("not a REGISTER")
    };
    assert_eq!(*addresses, [address(4_002)]);
}

#[test]
fn registering_at_several_points_succeeds_at_the_first() {
    let mut driver = Driver::new(3);
    let operation = driver.register(HERE);
    let sent = driver.requests();
    driver.fail(sent[0].id, Failure::Unreachable);
    driver.outputs();
    driver.answer(sent[1].id, granted(7_200));
    let events = driver.events();
    let [
        Event::Registered(grant),
        Event::RegisterDone {
            operation: id,
            result,
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((*id, result), (operation, &Ok(vec![grant.clone()])));
    driver.answer(sent[2].id, granted(7_200));
    assert!(matches!(driver.events()[..], [Event::Registered(_)]));
}

#[test]
fn registering_fails_when_every_point_failed_and_goes_on_trying() {
    let mut driver = Driver::new(2);
    let operation = driver.register(HERE);
    let sent = driver.requests();
    driver.fail(sent[0].id, Failure::Unreachable);
    driver.answer(sent[1].id, refused(Status::UNAVAILABLE, ""));
    let result = Err(vec![
        (sent[0].point, Cause::Failed(Failure::Unreachable)),
        (
            sent[1].point,
            Cause::Refused(Status::UNAVAILABLE, String::new()),
        ),
    ]);
    let done = Event::RegisterDone { operation, result };
    assert!(driver.events().contains(&done));
    driver.sleep_until_requests();
}

#[test]
fn without_refresh_it_lapses_and_is_forgotten() {
    let config = ClientConfig {
        refresh: false,
        ..ClientConfig::default()
    };
    let mut driver = Driver::with(config, 1);
    driver.register(HERE);
    let sent = driver.request();
    driver.answer(sent.id, granted(120));
    driver.outputs();
    assert_eq!(driver.sleep(), 120);
    let lapsed = Event::Lapsed {
        point: point(1),
        namespace: chat(),
    };
    assert_eq!(driver.events(), [lapsed]);
    assert_eq!(driver.client.registrations(), []);
}

#[test]
fn a_register_that_takes_too_long_is_cancelled() {
    let mut driver = Driver::new(1);
    driver.register(HERE);
    let sent = driver.request();
    assert_eq!(driver.sleep(), 30);
    let outputs = driver.outputs();
    assert_eq!(outputs[0], Output::Cancel { id: sent.id });
    // What comes then is nobody's.
    let before = driver.client.registrations();
    driver.answer(sent.id, granted(7_200));
    driver.fail(sent.id, Failure::EndOfStream);
    assert_eq!(driver.outputs(), []);
    assert_eq!(driver.client.registrations(), before);
}

#[test]
fn a_clock_that_is_set_back_delays_no_refresh() {
    let mut driver = Driver::new(1);
    driver.register(HERE);
    let sent = driver.request();
    driver.answer(sent.id, granted(1_600));
    driver.outputs();
    driver.now = secs(10);
    driver.client.handle_timeout(driver.now);
    let slept = driver.sleep();
    assert!((1_300..=1_400).contains(&slept), "{slept}");
    assert!(matches!(driver.request().request, Wanted::Register { .. }));
}

#[test]
fn what_is_registered_everywhere_starts_at_a_point_that_is_added_later() {
    let mut driver = Driver::new(1);
    driver.register(HERE);
    driver.outputs();
    driver.client.add_point(driver.now, point(2)).expect("room");
    assert_eq!(driver.request().point, point(2));
}

#[test]
fn there_are_as_many_registrations_as_there_may_be() {
    let config = ClientConfig {
        registrations_max: 2,
        ..ClientConfig::default()
    };
    let mut driver = Driver::with(config, 1);
    driver.register_for(HERE, &name("a"), None);
    driver.register_for(HERE, &name("b"), None);
    let third = driver
        .client
        .register(driver.now, HERE, name("c"), RegisterOptions::default());
    let what = "registrations";
    assert_eq!(third, Err(StartError::TooMany { what, max: 2 }));
    driver.register_for(HERE, &name("b"), None);
}

#[test]
fn a_later_call_with_another_ttl_is_done_with_its_own_grant() {
    let mut driver = Driver::new(1);
    driver.register_for(HERE, &chat(), Some(3_600));
    let first = driver.request();
    let second = driver.register_for(HERE, &chat(), Some(600));
    driver.answer(first.id, granted(3_600));
    let sent = driver.request();
    let Wanted::Register { ttl, .. } = sent.request else {
        panic!("not a REGISTER")
    };
    assert_eq!(ttl.as_duration(), Duration::from_secs(600));
    driver.answer(sent.id, granted(600));
    let events = driver.events();
    let is_second = |event: &Event| {
        let Event::RegisterDone {
            operation,
            result: Ok(grants),
        } = event
        else {
            return false;
        };
        *operation == second && grants[0].ttl.as_secs() == 600
    };
    assert!(events.iter().any(is_second), "{events:?}");
}
#[test]
fn pauses_of_a_point_suit_the_shortest_ttl_that_is_at_stake_there() {
    let mut driver = Driver::new(1);
    driver.register_for(HERE, &chat(), Some(640));
    for _ in 0..20 {
        let before = driver.now;
        let sent = driver.sleep_until_request();
        let paused = driver.now.saturating_since(before);
        assert!(paused <= Duration::from_secs(640 / 32), "{paused:?}");
        driver.fail(sent.id, Failure::Unreachable);
    }
}
