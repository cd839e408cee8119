//! One lookup, whom it asks and how it ends.

use std::collections::BTreeSet;
use std::time::Duration;

use dht_walk::{Contact, Lookup, LookupConfig, LookupEnd, Peer, Step, Target, Time};
use proptest::prelude::*;

use crate::world::{Conduct, World, by_hand, contact, random, secs};

fn network(count: usize) -> Vec<Contact> {
    let mut random = random(7);
    (0..count)
        .map(|at| contact(random.uniform().as_peer(), at))
        .collect()
}

fn lookup(config: LookupConfig, target: &Target, known: &[Contact]) -> Lookup {
    let local = random(8).uniform().as_peer().clone();
    Lookup::new(
        Time::default(),
        config,
        local,
        target.clone(),
        20,
        known.to_vec(),
    )
}

fn nearest(network: &[Contact], target: &Target, count: usize) -> Vec<Contact> {
    let mut all = network.to_vec();
    all.sort_by_key(|it| it.peer.distance(target.key()));
    all.truncate(count);
    all
}

fn ask(lookup: &mut Lookup, now: Time) -> Option<Contact> {
    match lookup.poll(now) {
        Step::Ask(contact) => {
            lookup.asked(now, &contact.peer);
            Some(contact)
        }
        Step::Done(_) | Step::Wait(_) => None,
    }
}

#[test]
fn a_lookup_without_anybody_ends_at_once() {
    let mut lookup = lookup(LookupConfig::default(), &random(1).uniform(), &[]);
    assert_eq!(
        lookup.poll(Time::default()),
        Step::Done(LookupEnd::NobodyToAsk)
    );
    assert_eq!(lookup.closest().count(), 0);
}

#[test]
fn a_lookup_asks_three_at_a_time_nearest_first() {
    let (network, target) = (network(50), random(1).uniform());
    let mut lookup = lookup(LookupConfig::default(), &target, &network);
    let now = Time::default();
    let asked: Vec<Contact> = std::iter::from_fn(|| ask(&mut lookup, now)).collect();
    assert_eq!(asked, nearest(&network, &target, 3));
    assert_eq!(lookup.poll(now), Step::Wait(Time::from_millis(1_000)));
}

#[test]
fn a_request_that_stalls_holds_up_nobody() {
    let (network, target) = (network(50), random(1).uniform());
    let mut lookup = lookup(LookupConfig::default(), &target, &network);
    while ask(&mut lookup, Time::default()).is_some() {}
    let later = Time::from_millis(1_000);
    let asked: Vec<Contact> = std::iter::from_fn(|| ask(&mut lookup, later)).collect();
    assert_eq!(asked, nearest(&network, &target, 6)[3..]);
}

#[test]
fn timeout_fires_without_other_wakeups() {
    let (network, target) = (network(5), random(1).uniform());
    let mut lookup = lookup(LookupConfig::default(), &target, &network);
    let mut now = Time::default();
    for _ in 0..100 {
        match lookup.poll(now) {
            Step::Ask(contact) => lookup.asked(now, &contact.peer),
            Step::Done(end) => {
                assert_eq!((end, now), (LookupEnd::Deadline, Time::from_millis(30_000)));
                return;
            }
            Step::Wait(until) => {
                assert!(until > now, "it would spin");
                now = until;
            }
        }
    }
    panic!("it never ended");
}

#[test]
fn a_lookup_ends_after_as_many_requests_as_it_may_send() {
    let (network, target) = (network(50), random(1).uniform());
    let config = LookupConfig {
        requests_max: 7,
        ..LookupConfig::default()
    };
    let mut lookup = lookup(config, &target, &network);
    while let Some(contact) = ask(&mut lookup, Time::default()) {
        lookup.handle_answer(&contact.peer, []);
    }
    assert_eq!(lookup.poll(Time::default()), Step::Done(LookupEnd::Spent));
    assert_eq!((lookup.requests(), lookup.closest().count()), (7, 7));
}

#[test]
fn partial_results_survive_a_stop() {
    let (network, target) = (network(50), random(1).uniform());
    let mut lookup = lookup(LookupConfig::default(), &target, &network);
    let contact = ask(&mut lookup, Time::default()).expect("somebody to ask");
    lookup.handle_answer(&contact.peer, []);
    lookup.stop();
    assert_eq!(lookup.poll(Time::default()), Step::Done(LookupEnd::Stopped));
    assert_eq!(lookup.closest().collect::<Vec<_>>(), [&contact]);
}

#[test]
fn answers_of_strangers_and_of_peers_not_asked_change_nothing() {
    let (network, target) = (network(50), random(1).uniform());
    let mut lookup = lookup(LookupConfig::default(), &target, &network[..25]);
    lookup.handle_failure(&network[3].peer);
    lookup.handle_answer(&network[40].peer, network.clone());
    assert_eq!((lookup.failures(), lookup.closest().count()), (0, 0));
    assert_eq!(lookup.told_by(&network[45].peer), None);
}

#[test]
fn get_closest_peers_should_return_up_to_k_peers() {
    let mut world = World::grown(300, dht_walk::Config::default());
    world.walk.walks(world.now, 5).expect("nothing else waits");
    world.run_to(secs(60), |world| {
        world.reports.iter().any(|it| it.lookups.len() == 5)
    });
    let report = world
        .reports
        .iter()
        .rfind(|it| it.lookups.len() == 5)
        .expect("it was seen");
    for lookup in &report.lookups {
        assert_eq!(lookup.end, LookupEnd::Converged);
        let target = Target::peer(Peer::new(lookup.target));
        let nearest: Vec<_> = world
            .nearest(&target, 20)
            .iter()
            .map(|contact| contact.peer.id())
            .collect();
        assert_eq!(lookup.closest, nearest, "exactly the nearest, in order");
    }
}

#[test]
fn dead_peers_on_the_way_are_replaced_by_the_next_nearest() {
    let mut world = World::new(200, by_hand());
    let peers: Vec<Peer> = world.peers.keys().cloned().collect();
    for peer in peers.iter().step_by(3) {
        world.set(peer, Conduct::Silent);
    }
    world.hold(60);
    world.walk.walks(world.now, 1).expect("nothing else waits");
    world.run_to(secs(60), |world| !world.reports.is_empty());
    let lookup = &world.reports[0].lookups[0];
    assert_eq!(
        (lookup.end, lookup.closest.len()),
        (LookupEnd::Converged, 20)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However answers, failures and silence are mixed: it ends, asks nobody twice, keeps within
    /// its bounds, and names nobody who did not answer.
    #[test]
    fn every_lookup_ends_within_its_bounds(
        size in 0_usize..80,
        known in 1_usize..20,
        fates in prop::collection::vec(0_u8..4, 200),
    ) {
        let (network, target) = (network(size), random(2).uniform());
        let config = LookupConfig { requests_max: 40, ..LookupConfig::default() };
        let mut lookup = lookup(config, &target, &network[..known.min(size)]);
        let (mut asked, mut answered) = (BTreeSet::new(), BTreeSet::new());
        let mut now = Time::default();
        let mut fates = fates.into_iter();
        let end = loop {
            match lookup.poll(now) {
                Step::Ask(contact) => {
                    prop_assert!(asked.insert(contact.peer.clone()), "asked twice");
                    lookup.asked(now, &contact.peer);
                    match fates.next() {
                        Some(0) => lookup.handle_failure(&contact.peer),
                        Some(1) => {}
                        Some(_) | None => {
                            lookup.handle_answer(&contact.peer, nearest(&network, &target, 20));
                            answered.insert(contact.peer);
                        }
                    }
                }
                Step::Done(end) => break end,
                Step::Wait(until) => {
                    prop_assert!(until > now, "it would spin");
                    now = until;
                }
            }
            prop_assert!(asked.len() <= 40);
        };
        prop_assert!(now <= Time::default().saturating_add(Duration::from_secs(30)));
        let closest: Vec<&Peer> = lookup.closest().map(|contact| &contact.peer).collect();
        prop_assert!(closest.iter().all(|peer| answered.contains(*peer)));
        prop_assert!(closest.is_sorted_by_key(|peer| peer.distance(target.key())));
        if end == LookupEnd::Converged {
            prop_assert_eq!(closest.len(), 20);
        }
    }
}
