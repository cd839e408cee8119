//! Limits, one by one.

use rv_core::{Limits, Refusal, Submitted, Verdict};
use rv_proto::{Scope, Time, Ttl};

use crate::desk::{Desk, one_of_each, refused, register};
use crate::pool::{self, Addresses, Kind};

#[test]
fn a_refresh_passes_every_limit_and_nothing_else_does() {
    let record_bytes = pool::sample(0, 0, Kind::Legacy, Addresses::Common)
        .records
        .bytes() as u64;
    let mut desk = Desk::new(Limits {
        record_bytes_total: record_bytes,
        ..one_of_each()
    });
    let first = desk.submit(0, register(0, 0, "a", Some(1)));
    assert!(matches!(first, Submitted::Pending(_)), "{first:?}");
    for in_flight in [true, false] {
        if !in_flight {
            while !desk.commit().is_empty() {}
        }
        let refresh = desk.submit(0, register(0, 1, "a", Some(1)));
        assert!(
            matches!(refresh, Submitted::Pending(_)),
            "in flight {in_flight}: {refresh:?}"
        );
        let second = desk.register(0, "b");
        assert_eq!(refused(&second), Some(&Refusal::PeerFull { limit: 1 }));
        let other = desk.register(1, "a");
        assert_eq!(refused(&other), Some(&Refusal::Full));
    }
    while !desk.commit().is_empty() {}
    assert_eq!(desk.registry.len(), 1);
}

#[test]
fn a_peer_that_leaves_makes_room_as_soon_as_it_is_judged() {
    let mut desk = Desk::new(one_of_each());
    desk.register_now(0, "a");
    let leaves = desk.unregister(0, Scope::All);
    let comes = desk.register(1, "a");
    let (Submitted::Pending(leaves), Submitted::Pending(comes)) = (&leaves, &comes) else {
        panic!("{leaves:?} {comes:?}");
    };
    let verdicts = desk.commit();
    let registered = Verdict::Registered { ttl: Ttl::DEFAULT };
    assert_eq!(
        verdicts,
        [
            (*leaves, Verdict::Unregistered { count: 1 }),
            (*comes, registered)
        ]
    );
    assert_eq!(desk.registry.len(), 1);
}

#[test]
fn a_failure_takes_back_the_room_that_was_made() {
    let mut desk = Desk::new(one_of_each());
    desk.register_now(0, "a");
    let leaves = desk.unregister(0, Scope::All);
    let comes = desk.register(1, "a");
    assert!(desk.writer.next_batch().is_some());
    let behind = desk.unregister(1, Scope::All);
    let tickets = [leaves, comes, behind].map(|submitted| match submitted {
        Submitted::Pending(ticket) => ticket,
        Submitted::Done(verdict) => panic!("{verdict:?}"),
    });
    assert_eq!(desk.writer.fail(), tickets);
    assert_eq!(
        (desk.writer.pending(), desk.writer.is_appending()),
        (0, false)
    );
    assert_eq!(refused(&desk.register(1, "a")), Some(&Refusal::Full));
    assert!(desk.writer.is_pressed(), "it is full");
    assert!(
        desk.writer
            .erase_due(desk.now, &mut desk.registry, 1)
            .is_empty()
    );
    assert!(!desk.writer.is_pressed(), "nothing is left to erase");
}

#[test]
fn the_origin_limit_counts_networks_and_exempts_those_without() {
    let mut desk = Desk::new(Limits {
        registrations_per_origin: 2,
        ..Limits::default()
    });
    for peer in 0..2 {
        assert!(matches!(
            desk.submit(peer, register(peer, 0, "a", Some(1))),
            Submitted::Pending(_)
        ));
    }
    let third = desk.submit(2, register(2, 0, "a", Some(1)));
    assert_eq!(refused(&third), Some(&Refusal::OriginFull { limit: 2 }));
    assert!(matches!(
        desk.submit(2, register(2, 0, "a", Some(2))),
        Submitted::Pending(_)
    ));
    assert!(matches!(
        desk.submit(3, register(3, 0, "a", None)),
        Submitted::Pending(_)
    ));
    desk.commit();
    let moved = desk.submit(2, register(2, 0, "a", Some(1)));
    assert!(
        matches!(moved, Submitted::Pending(_)),
        "a refresh from a full network: {moved:?}"
    );
    desk.commit();
    let other = desk.submit(1, register(1, 0, "b", Some(2)));
    assert!(matches!(other, Submitted::Pending(_)));
    desk.commit();
    let third = desk.submit(0, register(0, 0, "b", Some(2)));
    assert_eq!(
        refused(&third),
        Some(&Refusal::OriginFull { limit: 2 }),
        "the one that moved still counts where it was"
    );
}

#[test]
fn a_record_may_be_as_old_as_the_stored_one_but_not_older() {
    let mut desk = Desk::new(Limits::default());
    let at = |version| register(0, version, "a", None);
    assert!(matches!(desk.submit(0, at(1)), Submitted::Pending(_)));
    let stale = Refusal::StaleRecord {
        seq: 100,
        stored: 101,
    };
    assert_eq!(
        refused(&desk.submit(0, at(0))),
        Some(&stale),
        "judged on what is in flight"
    );
    desk.commit();
    assert_eq!(refused(&desk.submit(0, at(0))), Some(&stale));
    assert!(
        matches!(desk.submit(0, at(1)), Submitted::Pending(_)),
        "the same again"
    );
    assert!(matches!(
        desk.unregister(0, Scope::All),
        Submitted::Pending(_)
    ));
    assert!(
        matches!(desk.submit(0, at(0)), Submitted::Pending(_)),
        "nothing is stored"
    );
}

#[test]
fn a_record_is_not_compared_with_one_that_expired() {
    let mut desk = Desk::new(Limits::default());
    desk.submit(0, register(0, 2, "a", None));
    desk.commit();
    desk.now = desk.now.saturating_add(Ttl::DEFAULT.as_duration());
    assert!(matches!(
        desk.submit(0, register(0, 0, "a", None)),
        Submitted::Pending(_)
    ));
}

#[test]
fn too_many_writes_at_once_are_refused_as_busy() {
    let mut desk = Desk::new(Limits {
        pending_max: 2,
        ..Limits::default()
    });
    desk.register(0, "a");
    desk.register(0, "b");
    assert_eq!(refused(&desk.register(0, "c")), Some(&Refusal::Busy));
    assert!(
        matches!(desk.unregister(0, Scope::All), Submitted::Pending(_)),
        "it has no answer that could say busy"
    );
    desk.commit();
    assert!(matches!(desk.register(0, "c"), Submitted::Pending(_)));
}

#[test]
fn the_rate_counts_refreshes_and_recovers() {
    let mut desk = Desk::new(Limits {
        register_burst: 2,
        register_per_sec: 1,
        ..Limits::default()
    });
    assert!(matches!(desk.register(0, "a"), Submitted::Pending(_)));
    assert!(matches!(desk.register(0, "a"), Submitted::Pending(_)));
    assert_eq!(refused(&desk.register(0, "a")), Some(&Refusal::RateLimited));
    assert!(
        matches!(desk.unregister(0, Scope::All), Submitted::Pending(_)),
        "always possible"
    );
    desk.now = Time::from_millis(desk.now.as_millis() + 1_000);
    assert!(matches!(desk.register(0, "a"), Submitted::Pending(_)));
}

#[test]
fn a_clock_that_goes_back_locks_no_peer_out() {
    let mut desk = Desk::new(Limits::default());
    desk.register_now(0, "a");
    desk.now = Time::from_millis(desk.now.as_millis() - 3_600_000);
    let again = desk.register(0, "a");
    assert!(
        matches!(again, Submitted::Pending(_)),
        "one REGISTER an hour ago: {again:?}"
    );
}
