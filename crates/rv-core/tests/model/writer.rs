//! Batches, failures and erasing, one by one.

use libp2p_identity::PeerId;
use rv_core::{Limits, Refusal, Submitted, Verdict, Writer};
use rv_proto::{Fact, Namespace, Registered, Scope, Time, Ttl};

use crate::desk::{Desk, one_of_each, refused, seq};
use crate::pool::{self, Addresses, Kind};

#[test]
fn a_draining_writer_finishes_what_it_took() {
    let mut desk = Desk::new(Limits::default());
    desk.register(0, "a");
    desk.writer.drain();
    assert_eq!(refused(&desk.register(0, "a")), Some(&Refusal::Draining));
    assert_eq!(
        refused(&desk.unregister(0, Scope::All)),
        Some(&Refusal::Draining)
    );
    assert_eq!(desk.commit().len(), 1);
    assert_eq!(desk.registry.len(), 1);
}

#[test]
fn batches_are_bounded_and_a_write_is_never_torn() {
    let mut desk = Desk::new(Limits::default());
    for number in 0..300 {
        desk.register(0, &format!("n{number}"));
    }
    let first = desk.writer.next_batch().expect("a batch");
    assert_eq!(first.len(), Writer::BATCH_FACTS_MAX);
    assert!(desk.writer.next_batch().is_none(), "one at a time");
    let seqs: Vec<_> = (1..=256).map(seq).collect();
    assert_eq!(desk.writer.apply(&mut desk.registry, &seqs).len(), 256);
    assert_eq!(desk.commit().len(), 44);

    desk.register(1, "other");
    let Submitted::Pending(all) = desk.unregister(0, Scope::All) else {
        panic!("300 to remove")
    };
    assert_eq!(
        desk.writer.next_batch().expect("the first").len(),
        1,
        "they do not fit together"
    );
    let next = seq(desk.registry.applied().get() + 1);
    assert_eq!(desk.writer.apply(&mut desk.registry, &[next]).len(), 1);
    let verdicts = desk.commit();
    assert_eq!(
        verdicts,
        [(all, Verdict::Unregistered { count: 300 })],
        "all of it, as one"
    );
    assert_eq!(desk.registry.len(), 1);
}

#[test]
fn ten_thousand_refreshes_leave_one_registration() {
    let generous = Limits {
        register_burst: 20_000,
        ..Limits::default()
    };
    let mut desk = Desk::new(generous);
    for number in 0..10_000 {
        assert!(
            matches!(desk.register(0, "a"), Submitted::Pending(_)),
            "refresh {number}"
        );
        desk.now = Time::from_millis(desk.now.as_millis() + 1);
        let facts = desk.writer.next_batch().expect("a fact");
        assert_eq!(facts.len(), 1);
        desk.writer.apply(&mut desk.registry, &[seq(number + 1)]);
        assert_eq!(desk.registry.len(), 1);
    }
    desk.registry.check_invariants();
    let last = desk.registry.next_expiry().expect("one deadline");
    assert_eq!(
        desk.registry
            .due(Time::from_millis(last.as_millis() - 1))
            .count(),
        0
    );
    assert_eq!(desk.registry.due(last).count(), 1);
}

#[test]
fn a_stall_with_nothing_in_flight_does_not_last() {
    let mut desk = Desk::new(Limits::default());
    let (unknown, failed) = desk.writer.stall(&desk.registry);
    assert_eq!((unknown.len(), failed.len()), (0, 0));
    assert!(desk.writer.next_batch().is_none());
    desk.writer.apply(&mut desk.registry, &[]);
    let submitted = desk.register(0, "a");
    assert!(
        matches!(submitted, Submitted::Pending(_)),
        "no append can end it: {submitted:?}"
    );
}

#[test]
fn a_stall_ends_with_either_outcome() {
    for durable in [true, false] {
        let mut desk = Desk::new(one_of_each());
        let Submitted::Pending(first) = desk.register(0, "a") else {
            panic!("refused")
        };
        assert!(desk.writer.next_batch().is_some());
        let Submitted::Pending(second) = desk.register(0, "a") else {
            panic!("refused")
        };
        assert_eq!(
            desk.writer.stall(&desk.registry),
            (vec![first], vec![second])
        );
        assert_eq!(refused(&desk.register(0, "a")), Some(&Refusal::Store));
        assert_eq!(
            refused(&desk.unregister(0, Scope::All)),
            Some(&Refusal::Store)
        );
        if durable {
            let verdicts = desk.writer.apply(&mut desk.registry, &[seq(9)]);
            assert_eq!(
                verdicts,
                [(first, Verdict::Registered { ttl: Ttl::DEFAULT })]
            );
            assert_eq!(refused(&desk.register(1, "a")), Some(&Refusal::Full));
        } else {
            assert_eq!(desk.writer.fail(), [first]);
            assert!(matches!(desk.register(1, "a"), Submitted::Pending(_)));
        }
        assert_eq!(desk.registry.len(), usize::from(durable));
    }
}

#[test]
fn what_another_point_wrote_meanwhile_leaves_the_sums_right() {
    let two = Limits {
        registrations_total: 2,
        ..Limits::default()
    };
    let mut desk = Desk::new(two);
    assert!(matches!(desk.register(0, "a"), Submitted::Pending(_)));
    let facts = desk.writer.next_batch().expect("a fact");
    // The same name comes first out of the shared log, by way of another point.
    desk.registry.apply(seq(1), facts[0].clone());
    assert_eq!(desk.writer.apply(&mut desk.registry, &[seq(2)]).len(), 1);
    desk.registry.check_invariants();
    assert_eq!(desk.registry.len(), 1);
    assert!(
        matches!(desk.register(1, "a"), Submitted::Pending(_)),
        "room for one"
    );
    assert_eq!(
        refused(&desk.register(2, "a")),
        Some(&Refusal::Full),
        "and not for two"
    );
}

#[test]
fn what_is_being_replaced_is_not_erased() {
    let mut desk = Desk::new(one_of_each());
    desk.register_now(0, "a");
    desk.now = desk.now.saturating_add(Ttl::DEFAULT.as_duration());
    assert!(
        matches!(desk.register(0, "a"), Submitted::Pending(_)),
        "expired, yet a refresh"
    );
    assert_eq!(
        desk.writer
            .erase_due(desk.now, &mut desk.registry, 10)
            .len(),
        0
    );
    assert!(desk.writer.next_batch().is_some());
    assert_eq!(desk.writer.fail().len(), 1);
    let erased = desk.writer.erase_due(desk.now, &mut desk.registry, 10);
    assert_eq!(erased.len(), 1);
    assert!(desk.registry.is_empty());
    assert!(!desk.registry.erase(&erased[0]), "it is gone");
}

#[test]
fn erasing_an_older_registration_leaves_its_successor() {
    let mut desk = Desk::new(Limits::default());
    desk.register_now(0, "a");
    let old = desk
        .registry
        .due(Time::from_millis(u64::MAX))
        .next()
        .cloned()
        .expect("held");
    desk.register_now(0, "a");
    assert!(!desk.registry.erase(&old));
    assert_eq!(desk.registry.len(), 1);
}

#[test]
fn registrations_of_one_peer_are_not_those_of_another() {
    let mut desk = Desk::new(Limits::default());
    for (peer, name) in [(0, "\0"), (0, "z"), (1, "\0"), (1, "\u{10ffff}"), (2, "a")] {
        desk.register_now(peer, name);
    }
    let names = |peer: PeerId| -> Vec<_> {
        desk.registry
            .registrations_of(peer)
            .map(|held| held.namespace().to_string())
            .collect()
    };
    assert_eq!(names(pool::peer(0)), ["\0", "z"]);
    assert_eq!(names(pool::peer(1)), ["\0", "\u{10ffff}"]);
    assert!(names(pool::outsider()).is_empty());
}

#[test]
fn facts_behind_the_applied_one_are_ignored() {
    let mut desk = Desk::new(Limits::default());
    desk.register_now(0, "a");
    let fact = Fact::Registered(Registered {
        namespace: Namespace::new("b").expect("a name"),
        peer: pool::peer(1),
        records: pool::sample(1, 0, Kind::Plain, Addresses::Common)
            .records
            .clone(),
        granted: Ttl::DEFAULT,
        expires_at: Time::from_millis(u64::MAX),
        origin: None,
    });
    assert!(desk.registry.apply(seq(1), fact.clone()).is_none());
    assert_eq!(desk.registry.len(), 1);
    assert!(
        desk.registry.apply(seq(2), fact).is_none(),
        "it replaces nothing"
    );
    assert_eq!(desk.registry.len(), 2);
}

#[test]
fn a_batch_without_facts_ends_as_every_batch_and_fails_nobody() {
    for is_durable in [true, false] {
        let mut desk = Desk::new(Limits::default());
        assert!(desk.writer.begin_without_facts());
        assert!(!desk.writer.begin_without_facts(), "one at a time");
        assert!(matches!(desk.register(0, "a"), Submitted::Pending(_)));
        assert!(desk.writer.next_batch().is_none());
        if is_durable {
            assert!(desk.writer.apply(&mut desk.registry, &[]).is_empty());
        } else {
            assert!(desk.writer.fail().is_empty(), "nothing was judged on it");
        }
        assert_eq!(desk.commit().len(), 1);
    }
}

#[test]
fn a_stall_without_facts_refuses_writes_until_it_ends() {
    for is_durable in [true, false] {
        let mut desk = Desk::new(Limits::default());
        assert!(desk.writer.begin_without_facts());
        let Submitted::Pending(waiting) = desk.register(0, "a") else {
            panic!("refused")
        };
        assert_eq!(desk.writer.stall(&desk.registry), (vec![], vec![waiting]));
        assert_eq!(refused(&desk.register(0, "a")), Some(&Refusal::Store));
        if is_durable {
            desk.writer.apply(&mut desk.registry, &[]);
        } else {
            desk.writer.fail();
        }
        assert!(matches!(desk.register(0, "a"), Submitted::Pending(_)));
    }
}

#[test]
fn what_is_hidden_is_in_nobodys_way_and_can_come_back() {
    let mut desk = Desk::new(Limits {
        registrations_per_peer: 1,
        ..Limits::default()
    });
    desk.register_now(0, "a");
    assert_eq!(desk.writer.hide_due(desk.now, &mut desk.registry, 9), 0);
    desk.now = desk.now.saturating_add(Ttl::DEFAULT.as_duration());
    assert_eq!(desk.writer.hide_due(desk.now, &mut desk.registry, 9), 1);
    assert_eq!(
        desk.writer.hide_due(desk.now, &mut desk.registry, 9),
        0,
        "once"
    );
    desk.registry.check_invariants();
    assert_eq!(desk.registry.len(), 1, "kept");
    assert_eq!(desk.registry.namespace_count(), 0, "out of every listing");

    desk.register_now(0, "b");
    desk.registry.check_invariants();
    assert_eq!(
        refused(&desk.register(0, "a")),
        Some(&Refusal::PeerFull { limit: 1 }),
        "one that comes back into sight takes a place again"
    );
    desk.unregister(0, Scope::Namespace(Namespace::new("b").expect("a name")));
    desk.commit();
    desk.register_now(0, "a");
    desk.registry.check_invariants();
    assert_eq!(
        (desk.registry.len(), desk.registry.namespace_count()),
        (1, 1)
    );
}

#[test]
fn what_is_being_replaced_is_not_hidden() {
    let mut desk = Desk::new(one_of_each());
    desk.register_now(0, "a");
    desk.now = desk.now.saturating_add(Ttl::DEFAULT.as_duration());
    assert!(matches!(desk.register(0, "a"), Submitted::Pending(_)));
    assert_eq!(desk.writer.hide_due(desk.now, &mut desk.registry, 9), 0);
    desk.commit();
    desk.registry.check_invariants();
    assert_eq!(desk.registry.namespace_count(), 1);
}
