//! Addresses that change again and again.

use std::time::Duration;

use rv_core::client::{ClientConfig, Target, Wanted};
use rv_proto::Status;

use crate::driver::{Driver, Sent};
use crate::samples::{address, granted, refused};

/// Changes the address every so often for so long. Returns after how many seconds which address was
/// registered.
fn move_every(
    driver: &mut Driver,
    secs: u64,
    until: u64,
    mut answer: impl FnMut(&mut Driver, &Sent),
) -> Vec<(u64, u16)> {
    let start = driver.now;
    let mut registered = Vec::new();
    for second in 1..=until {
        driver.pass_secs(1);
        driver.client.handle_timeout(driver.now);
        if second % secs == 0 {
            let port = u16::try_from(5_000 + second).expect("few");
            driver.client.set_addresses(driver.now, [address(port)]);
        }
        for sent in driver.requests() {
            let Wanted::Register { addresses, .. } = &sent.request else {
                panic!("{sent:?}");
            };
            let port = (5_000..=6_000).find(|port| addresses[..] == [address(*port)]);
            let after = driver.now.saturating_since(start).as_secs();
            registered.push((after, port.expect("one of ours")));
            answer(driver, &sent);
        }
    }
    registered
}

fn registered() -> Driver {
    let mut driver = Driver::new(1);
    driver.register(Target::Every);
    let sent = driver.request();
    driver.answer(sent.id, granted(7_200));
    driver.outputs();
    driver
}

#[test]
fn a_point_that_refuses_is_left_its_pauses() {
    let mut driver = registered();
    let mut waits_until = driver.now;
    let all = move_every(&mut driver, 3, 300, |driver, sent| {
        assert!(driver.now >= waits_until, "{:?}", driver.now);
        driver.answer(sent.id, refused(Status::UNAVAILABLE, "no"));
        let next_at = driver.client.registrations()[0].next_at;
        waits_until = next_at.expect("a pause");
    });
    // The first is for the address, and then there is one after each pause.
    let mut pauses = all.windows(2).map(|it| it[1].0 - it[0].0);
    let (mut least, mut most) = (0, 2);
    assert!(all.len() <= 9, "{all:?}");
    assert!(pauses.all(|pause| {
        let is_pause = (least..=most).contains(&pause);
        (least, most) = (most / 2, most * 2);
        is_pause
    }));
}

#[test]
fn the_pause_before_changed_addresses_are_registered_doubles_while_they_change() {
    let mut driver = registered();
    let all = move_every(&mut driver, 3, 300, |driver, sent| {
        driver.answer(sent.id, granted(7_200));
    });
    assert_eq!(
        all,
        [
            (5, 5_003),
            (10, 5_009),
            (20, 5_018),
            (37, 5_036),
            (71, 5_069),
            (136, 5_135),
            (258, 5_255)
        ]
    );
    // Once they rest, the last is registered, and the next change counts as the first did.
    let max = ClientConfig::default().address_debounce_max;
    assert_eq!(max, Duration::from_secs(120));
    let rest = |driver: &mut Driver| {
        driver.pass_secs(121);
        driver.client.handle_timeout(driver.now);
        driver.requests()
    };
    let last = rest(&mut driver);
    assert_eq!(last.len(), 1, "{last:?}");
    driver.answer(last[0].id, granted(7_200));
    assert_eq!(rest(&mut driver).len(), 0);
    let all = move_every(&mut driver, 10, 12, |_, _| {});
    assert_eq!(all, [(12, 5_010)]);
}

#[test]
fn to_have_no_address_for_a_moment_is_no_way_round_the_pause() {
    let mut driver = registered();
    let mut count = 0;
    for number in 0..100 {
        driver.client.set_addresses(driver.now, []);
        driver.pass_secs(1);
        driver.client.handle_timeout(driver.now);
        let moved = address(6_000 + number);
        driver.client.set_addresses(driver.now, [moved]);
        driver.pass_secs(1);
        driver.client.handle_timeout(driver.now);
        for sent in driver.requests() {
            count += 1;
            driver.answer(sent.id, granted(7_200));
        }
    }
    assert!(count <= 7, "{count}");
}
