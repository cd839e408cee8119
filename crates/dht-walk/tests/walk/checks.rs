//! Entries are asked whether they live, and leave when they do not.

use std::time::Duration;

use dht_walk::{
    BudgetLimits, CheckConfig, Config, Contact, EvictReason, Lookups, Output, Peer, Target,
};

use crate::world::{Conduct, World, by_hand, secs};

fn entry_peers(world: &World) -> Vec<Peer> {
    world.entries().into_iter().collect()
}

#[test]
fn dead_and_client_peers_leave_within_one_probe_cycle() {
    let mut world = World::grown(300, Config::default());
    let peers = entry_peers(&world);
    let (dead, clients) = (&peers[..10], &peers[10..15]);
    dead.iter()
        .for_each(|peer| world.set(peer, Conduct::Silent));
    clients
        .iter()
        .for_each(|peer| world.set(peer, Conduct::Client));
    // A cycle, its retries included: the interval between two checks of an entry, then three
    // requests with their pauses.
    let interval = 2.0 * 0.01 / world.walk.loss_per_hour(world.now) * 3_600.0;
    let cycle = Duration::from_secs_f64(1.5 * interval) + secs(3 * 5 + 3 + 6 + 5);
    world.run(cycle);
    assert_eq!(world.stale(), 0);
    let gone = |reason| world.evicted.iter().filter(|it| it.1 == reason).count();
    assert_eq!(
        (gone(EvictReason::Dead), gone(EvictReason::NotServing)),
        (10, 5)
    );
}

#[test]
fn one_failure_is_no_death() {
    let mut world = World::grown(300, Config::default());
    let peer = entry_peers(&world)[0].clone();
    world.set(&peer, Conduct::Unreachable);
    world.run_to(secs(3_600), |world| {
        world
            .walk
            .table()
            .entry(&peer)
            .is_some_and(|entry| entry.strikes() == 1)
    });
    let is_kept = |world: &World| {
        let snapshot = world.walk.snapshot();
        snapshot.contacts().iter().any(|it| it.peer == peer)
    };
    assert!(!is_kept(&world), "a snapshot is of those that answer");
    world.set(&peer, Conduct::Live);
    world.run(secs(60));
    assert!(is_kept(&world));
    let entry = world.walk.table().entry(&peer).expect("it is still there");
    assert_eq!(entry.strikes(), 0);
    assert!(world.evicted.is_empty());
}

#[test]
fn whatever_shows_that_a_peer_lives_postpones_its_check() {
    let mut world = World::grown(100, Config::default());
    let peer = entry_peers(&world)[0].clone();
    world.asked.clear();
    for _ in 0..60 {
        world.run(secs(30));
        world.walk.handle_alive(world.now, &peer);
    }
    let is_check = |asked: &&(_, Contact, _)| asked.1.peer == peer;
    let lookups: u32 = world
        .reports
        .iter()
        .map(|it| u32::try_from(it.requests()).unwrap())
        .sum();
    let checks = world.asked.iter().filter(is_check).count();
    let others = world.asked.len();
    assert!(
        checks < 12,
        "{checks} of {others}, {lookups} of them in lookups"
    );
}

#[test]
fn an_entry_is_checked_with_a_question_that_brings_contacts_of_its_bucket() {
    let mut world = World::grown(1_000, Config::default());
    world.asked.clear();
    world.run(secs(900));
    let (local, table) = (world.local(), world.walk.table());
    let mut checked = 0;
    for (_, contact, target) in &world.asked {
        let cpl = local.cpl(&contact.peer).expect("it is not ourselves");
        let is_near = table.rank(&contact.peer) < 40;
        if !is_near && *target.as_peer() != local {
            checked += usize::from(local.cpl(target.as_peer()) == Some(cpl));
        }
    }
    assert!(checked > 50, "{checked}");
}

#[test]
fn no_eviction_during_outage() {
    let mut world = World::grown(300, Config::default());
    let before = world.entries();
    world.is_cut = true;
    world.asked.clear();
    world.run(secs(3_600));
    assert!(world.walk.is_outage());
    assert_eq!(world.entries(), before);
    assert!(world.evicted.is_empty());
    assert!(
        world.asked.len() < 300,
        "it tries seldom: {}",
        world.asked.len()
    );

    world.is_cut = false;
    world.run(secs(120));
    assert!(!world.walk.is_outage());
    assert!(
        world.evicted.is_empty(),
        "nor does the time of the outage count after it"
    );
}

#[test]
fn after_an_outage_the_neighbours_are_looked_up_first() {
    let mut world = World::grown(300, Config::default());
    world.is_cut = true;
    world.run(secs(1_800));
    world.is_cut = false;
    world.lookups.clear();
    world.run_to(secs(120), |world| !world.lookups.is_empty());
    assert_eq!(world.lookups[0].purpose, dht_walk::Purpose::Itself);
}

#[test]
fn peers_that_died_during_an_outage_leave_after_it() {
    let mut world = World::grown(300, Config::default());
    world.is_cut = true;
    world.run(secs(1_800));
    let dead: Vec<Peer> = entry_peers(&world).into_iter().step_by(2).collect();
    dead.iter()
        .for_each(|peer| world.set(peer, Conduct::Unreachable));
    world.is_cut = false;
    world.run(secs(900));
    assert_eq!(world.stale(), 0);
    assert!(world.fill() > 0.95);
}

#[test]
fn a_host_that_knows_of_the_outage_is_believed_and_its_end_is_seen_by_answers() {
    let mut world = World::grown(100, Config::default());
    world.is_cut = true;
    world.walk.handle_connectivity(world.now, false);
    assert!(world.walk.is_outage());
    world.run(secs(600));
    world.walk.handle_connectivity(world.now, true);
    assert!(world.walk.is_outage(), "nobody has answered yet");
    world.is_cut = false;
    world.run(secs(2));
    assert!(!world.walk.is_outage());
}

#[test]
fn half_of_the_network_gone_at_once_is_no_outage() {
    let mut world = World::grown(600, Config::default());
    let peers: Vec<Peer> = world.peers.keys().cloned().collect();
    for peer in peers.iter().step_by(2) {
        world.set(peer, Conduct::Unreachable);
    }
    world.run(secs(1_800));
    assert_eq!(world.stale(), 0);
    assert!(world.fill() > 0.95);
}

#[test]
fn a_lone_dead_peer_beside_a_live_one_leaves() {
    let mut world = World::grown(2, Config::default());
    let [dead, live] = entry_peers(&world).try_into().expect("two peers");
    world.set(&dead, Conduct::Silent);
    world.run(secs(7_200));
    assert_eq!(entry_peers(&world), [live]);
}

#[test]
fn budget_never_exceeded() {
    for per_hour in [100, 1_000, 3_600] {
        let budget = BudgetLimits {
            messages_per_hour: per_hour,
            messages_burst: per_hour / 4,
            dials_per_hour: per_hour,
            dials_burst: per_hour / 4,
            ..BudgetLimits::default()
        };
        let checks = CheckConfig {
            stale_share: 0.000_1,
            ..CheckConfig::default()
        };
        let mut world = World::new(
            500,
            Config {
                budget,
                checks,
                ..Config::default()
            },
        );
        world.know(3);
        for hours in 1..=3 {
            world.run(secs(3_600));
            let allowed = (per_hour / 4 + hours * per_hour) as usize;
            assert!(
                world.asked.len() <= allowed,
                "{} of {allowed}",
                world.asked.len()
            );
            assert_eq!(world.walk.spent().messages, world.asked.len() as u64);
        }
        let used = world.asked.len();
        assert!(used > per_hour as usize * 2, "it uses what it may: {used}");
    }
}

#[test]
fn messages_to_connected_peers_cost_no_dial() {
    let budget = BudgetLimits {
        dials_burst: 1,
        dials_per_hour: 1,
        ..BudgetLimits::default()
    };
    let mut world = World::new(
        30,
        Config {
            budget,
            ..by_hand()
        },
    );
    world.hold(30);
    let peers = entry_peers(&world);
    peers
        .iter()
        .for_each(|peer| world.walk.handle_connection(world.now, peer, true));
    world.walk.walks(world.now, 1).expect("nothing waits");
    world.run_to(secs(60), |world| !world.reports.is_empty());
    let spent = world.walk.spent();
    assert_eq!((spent.dials, spent.messages >= 20), (0, true));

    peers
        .iter()
        .for_each(|peer| world.walk.handle_connection(world.now, peer, false));
    world.walk.walks(world.now, 1).expect("nothing waits");
    world.run(secs(60));
    assert_eq!(world.walk.spent().dials, 1, "the one that is allowed");
}

#[test]
fn checks_follow_the_rate_at_which_peers_leave() {
    let mut calm = World::grown(200, Config::default());
    calm.run(secs(7_200));
    let calm_rate = calm.walk.loss_per_hour(calm.now);
    let mut stormy = World::grown(200, Config::default());
    for round in 0..24 {
        let peers: Vec<Peer> = stormy.peers.keys().cloned().collect();
        for (at, peer) in peers.iter().enumerate() {
            let is_gone = (at + round) % 8 < 2;
            let conduct = if is_gone {
                Conduct::Unreachable
            } else {
                Conduct::Live
            };
            stormy.set(peer, conduct);
        }
        stormy.run(secs(300));
    }
    let stormy_rate = stormy.walk.loss_per_hour(stormy.now);
    assert!(calm_rate < 0.02, "{calm_rate}");
    assert!(stormy_rate > 0.5, "{stormy_rate}");
}

#[test]
fn a_network_without_departures_is_checked_seldom() {
    let mut world = World::grown(200, Config::default());
    world.run(secs(4 * 3_600));
    world.asked.clear();
    let checks = world.walk.counters().checks;
    world.run(secs(3_600));
    let checks = world.walk.counters().checks - checks;
    let entries = world.walk.table().len() as u64;
    assert!(
        checks <= entries * 2,
        "{checks} checks of {entries} entries in an hour"
    );
}

#[test]
fn disabled_auto_refresh_uses_no_cpu() {
    let mut world = World::new(30, by_hand());
    world.hold(30);
    world.know(3);
    assert_eq!(world.walk.poll_timeout(), None);
    world.run(secs(24 * 3_600));
    assert!(world.asked.is_empty() && world.wakes.is_empty());
}

#[test]
fn a_walk_at_rest_wakes_no_more_often_than_it_has_work() {
    let mut world = World::grown(300, Config::default());
    world.run(secs(3_600));
    world.wakes.clear();
    world.asked.clear();
    world.run(secs(3_600));
    let (wakes, asked) = (world.wakes.len(), world.asked.len());
    assert!(
        wakes < 4 * asked + 100,
        "{wakes} wake-ups for {asked} messages"
    );
}

#[test]
fn an_entry_that_near_peers_do_not_name_is_checked_more_often_and_four_times_at_most() {
    // The nearest are asked every half a minute, as much as a walk can be made to ask them.
    let mut config = Config::default();
    config.refresh.interval_max = secs(30);
    (
        config.budget.messages_per_hour,
        config.budget.dials_per_hour,
    ) = (100_000, 100_000);
    let checks_in_an_hour = |liars: usize| {
        let mut world = World::grown(300, config.clone());
        world.run(secs(2 * 3_600));
        let all = world.nearest(&Target::peer(world.local()), 300);
        for liar in &all[..liars] {
            // As if there were nobody between the nearest 20 and these.
            world.set(&liar.peer, Conduct::Tells(all[40..60].to_vec()));
        }
        world.asked.clear();
        world.run(secs(3_600));
        assert!(world.evicted.is_empty());
        let is_left_out = |it: &Contact| all[20..40].contains(it);
        let asked = world.asked.iter();
        asked.filter(|(_, it, _)| is_left_out(it)).count()
    };
    let (honest, lied_to) = (checks_in_an_hour(0), checks_in_an_hour(15));
    assert!(lied_to > honest, "{honest} {lied_to}");
    assert!(lied_to <= 5 * honest.max(20), "{honest} {lied_to}");
}

/// A walk that wants to check each entry once a minute, and may send 300 messages an hour.
fn scarce() -> Config {
    let mut config = Config::default();
    config.checks.interval_max = secs(60);
    config.budget.messages_per_hour = 300;
    config
}

#[test]
fn what_no_lookup_wants_is_spent_on_checks() {
    let mut world = World::grown(300, scarce());
    world.run(secs(3 * 3_600));
    world.asked.clear();
    world.run(secs(2 * 3_600));
    assert!(
        (590..=601).contains(&world.asked.len()),
        "{}",
        world.asked.len()
    );
}

#[test]
fn checks_leave_enough_for_lookups_of_the_hosts() {
    let mut config = scarce();
    config.lookups = Lookups::Delegated;
    let mut world = World::new(300, config);
    world.hold(100);
    world.run(secs(3_600));
    world.other.clear();
    world.run(secs(3 * 3_600));
    let is_lookup = |it: &&Output| matches!(it, Output::Lookup { .. });
    let lookups = world.other.iter().filter(is_lookup).count();
    assert!(lookups >= 6, "{lookups}");
}
