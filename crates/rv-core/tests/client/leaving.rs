//! Taken out, whatever is still under way.

use rv_core::client::{
    Cause, ClientConfig, DiscoverOptions, Event, Failure, Output, StartError, Target, Wanted,
};

use crate::driver::Driver;
use crate::samples::{chat, granted, in_chat, page, point, secs};

const HERE: Target = Target::Every;

#[test]
fn unregister_ends_the_refresh_and_is_done_when_it_is_written() {
    let mut driver = Driver::new(1);
    driver.register(HERE);
    let sent = driver.request();
    driver.answer(sent.id, granted(7_200));
    driver.outputs();

    let operation = driver.unregister(HERE);
    let sent = driver.request();
    assert_eq!(sent.request, Wanted::Unregister { namespace: chat() });
    driver.client.handle_written(driver.now, sent.id);

    let done = Event::UnregisterDone {
        operation,
        failures: Vec::new(),
    };
    assert_eq!(driver.events(), [done]);
    assert_eq!(driver.client.registrations(), []);
    assert_eq!(driver.client.poll_timeout(), None);
}

#[test]
fn a_register_that_is_granted_after_unregister_is_taken_out_again() {
    let mut driver = Driver::new(1);
    let registering = driver.register(HERE);
    let register = driver.request();
    let leaving = driver.unregister(HERE);
    let outputs = driver.outputs();
    let withdrawn = vec![(point(1), Cause::Withdrawn)];
    assert_eq!(
        outputs[0],
        Output::Event(Event::RegisterDone {
            operation: registering,
            result: Err(withdrawn)
        })
    );
    let [_, Output::Request { id: first, .. }] = outputs[..] else {
        panic!("{outputs:?}");
    };
    driver.client.handle_written(driver.now, first);
    assert_eq!(driver.outputs(), [], "the REGISTER is still out");

    driver.answer(register.id, granted(7_200));
    let again = driver.request();
    assert_eq!(again.request, Wanted::Unregister { namespace: chat() });
    driver.client.handle_written(driver.now, again.id);
    let done = Event::UnregisterDone {
        operation: leaving,
        failures: Vec::new(),
    };
    assert_eq!(driver.events(), [done]);
    assert_eq!(driver.client.registrations(), []);
}

#[test]
fn each_of_several_registers_that_come_late_is_taken_out_again() {
    let mut driver = Driver::new(1);
    let mut registers = Vec::new();
    for _ in 0..2 {
        driver.register(HERE);
        registers.push(driver.request());
        driver.unregister(HERE);
        let leave = driver.request();
        driver.client.handle_written(driver.now, leave.id);
    }
    driver.outputs();
    for register in registers.iter().rev() {
        driver.answer(register.id, granted(7_200));
        let again = driver.request();
        assert_eq!(again.request, Wanted::Unregister { namespace: chat() });
        driver.client.handle_written(driver.now, again.id);
    }
    driver.outputs();
    assert_eq!(driver.client.registrations(), []);
}

#[test]
fn a_register_that_is_lost_after_unregister_is_taken_out_again() {
    let mut driver = Driver::new(1);
    driver.register(HERE);
    driver.outputs();
    driver.unregister(HERE);
    let first = driver.request();
    driver.client.handle_written(driver.now, first.id);
    driver.sleep();
    let again = driver.sleep_until_request();
    assert_eq!(again.request, Wanted::Unregister { namespace: chat() });
}

#[test]
fn a_register_whose_connection_is_lost_after_unregister_is_taken_out_again() {
    let mut driver = Driver::new(1);
    driver.register(HERE);
    let register = driver.request();
    driver.unregister(HERE);
    let first = driver.request();
    driver.client.handle_written(driver.now, first.id);
    driver.outputs();
    driver.fail(register.id, Failure::ConnectionLost);
    let again = driver.sleep_until_request();
    assert_eq!(again.request, Wanted::Unregister { namespace: chat() });
    driver.client.handle_written(driver.now, again.id);
    driver.outputs();
    assert_eq!(driver.client.registrations(), []);
}

#[test]
fn unregister_after_a_register_whose_connection_was_lost_is_written() {
    let mut driver = Driver::new(1);
    driver.register(HERE);
    let register = driver.request();
    driver.fail(register.id, Failure::ConnectionLost);
    driver.outputs();
    let leaving = driver.unregister(HERE);
    let first = driver.request();
    assert_eq!(first.request, Wanted::Unregister { namespace: chat() });
    driver.client.handle_written(driver.now, first.id);
    let done = Event::UnregisterDone {
        operation: leaving,
        failures: Vec::new(),
    };
    assert!(driver.events().contains(&done));
    assert_eq!(driver.client.registrations(), []);
}

#[test]
fn a_register_that_was_never_sent_needs_no_second_unregister() {
    let mut driver = Driver::new(1);
    driver.register(HERE);
    let register = driver.request();
    driver.unregister(HERE);
    let first = driver.request();
    driver.client.handle_written(driver.now, first.id);
    driver.outputs();
    driver.fail(register.id, Failure::Unreachable);
    assert_eq!(driver.requests().len(), 0);
    assert_eq!(driver.client.registrations(), []);
}

#[test]
fn register_after_unregister_waits_until_that_is_written() {
    let mut driver = Driver::new(1);
    driver.register(HERE);
    let sent = driver.request();
    driver.answer(sent.id, granted(7_200));
    driver.outputs();
    let leaving = driver.unregister(HERE);
    let unregister = driver.request();
    driver.register(HERE);
    let withdrawn = Event::UnregisterDone {
        operation: leaving,
        failures: vec![(point(1), Cause::Withdrawn)],
    };
    assert_eq!(driver.events(), [withdrawn]);
    driver.client.handle_written(driver.now, unregister.id);
    let register = driver.request();
    driver.answer(register.id, granted(7_200));
    assert_eq!(
        driver.client.registrations()[0].until,
        Some(secs(1_000 + 7_200))
    );
}

#[test]
fn unregister_tells_when_it_cannot_be_written_and_is_tried_three_times() {
    let mut driver = Driver::new(1);
    let operation = driver.unregister(HERE);
    let mut sent = driver.request();
    driver.fail(sent.id, Failure::Unreachable);
    let cause = Cause::Failed(Failure::Unreachable);
    let done = Event::UnregisterDone {
        operation,
        failures: vec![(point(1), cause)],
    };
    assert!(driver.events().contains(&done));
    for _ in 1..ClientConfig::UNREGISTER_ATTEMPTS_MAX {
        sent = driver.sleep_until_request();
        driver.fail(sent.id, Failure::Unreachable);
    }
    assert_eq!(driver.client.registrations(), []);
}

#[test]
fn closing_cancels_and_ends_what_is_under_way_and_unregisters_nothing() {
    let mut driver = Driver::new(1);
    let operation = driver.register(HERE);
    let sent = driver.request();
    driver.client.close(driver.now);
    assert_eq!(
        driver.outputs(),
        [
            Output::Cancel { id: sent.id },
            Output::Event(Event::RegisterDone {
                operation,
                result: Err(vec![(point(1), Cause::Closed)])
            })
        ]
    );
    assert_eq!(driver.client.poll_timeout(), None);
    let again = driver.client.unregister(driver.now, Target::Every, &chat());
    assert_eq!(again, Err(StartError::Closed));
}

#[test]
fn a_cancelled_discovery_ends_its_requests_and_is_not_told_of_again() {
    let config = ClientConfig {
        requests_per_point_max: 1,
        ..ClientConfig::default()
    };
    let mut driver = Driver::with(config, 1);
    let options = DiscoverOptions::default();
    let now = driver.now;
    let mut discover = |options| {
        let client = &mut driver.client;
        let started = client.discover(now, Target::Every, &in_chat(), options);
        started.expect("starts")
    };
    let first = discover(options.clone());
    let second = discover(options.clone());
    let third = discover(options);
    let sent = driver.request();
    driver.client.cancel(now, second);
    assert_eq!(driver.outputs(), [], "it waited for its turn");
    driver.client.cancel(now, first);
    let outputs = driver.outputs();
    let [Output::Cancel { id }, Output::Request { id: next, .. }] = outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(id, sent.id);
    driver.answer(sent.id, page(vec![], ""));
    assert_eq!(driver.outputs(), []);
    driver.client.cancel(now, third);
    assert_eq!(driver.outputs(), [Output::Cancel { id: next }]);
    assert_eq!(driver.client.poll_timeout(), None, "nothing is left");
}

#[test]
fn a_registration_goes_on_though_nobody_waits_for_it() {
    let mut driver = Driver::new(1);
    let operation = driver.register(HERE);
    let sent = driver.request();
    driver.client.cancel(driver.now, operation);
    assert_eq!(driver.outputs(), []);
    driver.answer(sent.id, granted(7_200));
    assert!(matches!(driver.events()[..], [Event::Registered(_)]));
}
