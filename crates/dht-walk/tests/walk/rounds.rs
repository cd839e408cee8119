//! Refreshes, walks and sweeps.

use dht_walk::{
    BudgetLimits, Busy, Config, Contact, Cpl, Event, Found, LookupEnd, LookupReport, Lookups,
    Output, Peer, Purpose, RefreshConfig, Report, RoundEnd, RoundKind, Target,
};

use crate::world::{Conduct, World, by_hand, contact, random, secs};

fn purposes(report: &Report) -> Vec<Purpose> {
    report.lookups.iter().map(|lookup| lookup.purpose).collect()
}

fn last(world: &World) -> &Report {
    world.reports.last().expect("a round ended")
}

/// A network whose every peer is in the host's table, and a walk that does nothing by itself.
fn at_hand(peers: usize, config: Config) -> World {
    let mut world = World::new(
        peers,
        Config {
            auto: false,
            ..config
        },
    );
    world.hold(peers);
    world
}

#[test]
fn never_refreshed_cpl_is_due_at_once() {
    let mut world = World::new(500, Config::default());
    world.know(3);
    world.run_to(secs(30), |world| world.lookups.len() > 4);
    let first: Vec<Purpose> = world.lookups.iter().map(|lookup| lookup.purpose).collect();
    assert_eq!(first[0], Purpose::Itself);
    assert!(first.contains(&Purpose::Bucket(Cpl::new(0))), "{first:?}");
}

/// zikade's `TestExploreProgress`, go's `TestRefresh`.
#[test]
fn a_forced_refresh_looks_up_ourselves_then_every_bucket_that_can_be_filled() {
    let mut world = World::grown(1_000, Config::default());
    let id = world.walk.refresh(world.now, true).expect("nothing waits");
    world.run_to(secs(120), |world| {
        world.reports.iter().any(|it| it.id == id)
    });
    let report = last(&world);
    assert_eq!(report.end, RoundEnd::Done);
    let depth = world.walk.health(world.now).depth().bits();
    assert!((5..=6).contains(&depth), "buckets of 1,000 peers: {depth}");
    let mut expected = vec![Purpose::Itself];
    expected.extend((0..=depth).map(|cpl| Purpose::Bucket(Cpl::new(cpl))));
    let mut all = purposes(report);
    all.sort();
    assert_eq!(all, expected);
    for lookup in &report.lookups {
        let Purpose::Bucket(cpl) = lookup.purpose else {
            continue;
        };
        let target = Peer::new(lookup.target);
        assert_eq!(world.local().cpl(&target), Some(cpl));
    }
}

#[test]
fn a_report_says_what_changed_in_each_bucket() {
    let mut world = World::new(200, by_hand());
    world.hold(5);
    world.walk.refresh(world.now, true).expect("nothing waits");
    world.run_to(secs(120), |world| !world.reports.is_empty());
    let report = last(&world);
    assert_eq!(report.buckets.iter().map(|it| it.before).sum::<usize>(), 5);
    let after: usize = report.buckets.iter().map(|it| it.after).sum();
    assert_eq!(after, world.walk.table().len());
    assert_eq!(report.admitted as usize, after - 5);
    for bucket in &report.buckets {
        let entered = bucket.before + bucket.admitted as usize;
        assert_eq!(entered - bucket.evicted as usize, bucket.after);
        let aimed = |it: &&LookupReport| it.purpose == Purpose::Bucket(bucket.cpl);
        let aimed = report.lookups.iter().find(aimed);
        assert_eq!(bucket.end, aimed.map(|it| it.end));
        assert_eq!(bucket.requests, aimed.map_or(0, |it| it.requests));
    }
    let found: usize = report.buckets.iter().map(|it| it.found).sum();
    assert_eq!(found, report.found.len());
    assert_eq!(report.requests(), world.asked.len() as u64);
    assert!(report.found.len() > 60, "{}", report.found.len());
    let found: Vec<&Peer> = report.found.iter().map(|contact| &contact.peer).collect();
    assert!(found.is_sorted(), "nobody twice");
    assert!(found.iter().all(|peer| world.peers.contains_key(peer)));
}

#[test]
fn self_lookup_timeout_still_refreshes_buckets() {
    let mut world = at_hand(60, Config::default());
    // The neighbours are silent, so the lookup of ourselves runs into its deadline.
    let itself = Target::peer(world.local());
    for contact in world.nearest(&itself, 45) {
        world.set(&contact.peer, Conduct::Silent);
    }
    world.walk.refresh(world.now, true).expect("nothing waits");
    world.run_to(secs(400), |world| !world.reports.is_empty());
    let report = last(&world);
    assert_eq!(report.lookups[0].purpose, Purpose::Itself);
    assert_ne!(report.lookups[0].end, LookupEnd::Converged);
    assert!(purposes(report).contains(&Purpose::Bucket(Cpl::new(0))));
}

#[test]
fn partial_results_survive_total_timeout() {
    let refresh = RefreshConfig {
        deadline: secs(2),
        ..RefreshConfig::default()
    };
    let mut world = at_hand(
        60,
        Config {
            refresh,
            ..Config::default()
        },
    );
    for contact in world.contacts().iter().step_by(2) {
        world.set(&contact.peer, Conduct::Silent);
    }
    world.walk.walks(world.now, 10).expect("nothing waits");
    world.run_to(secs(60), |world| !world.reports.is_empty());
    let report = last(&world);
    assert_eq!(report.end, RoundEnd::Deadline);
    assert_eq!(report.ended_at.saturating_since(report.started_at), secs(2));
    assert!(report.found.len() >= 20, "{}", report.found.len());
    assert!(
        report
            .lookups
            .iter()
            .any(|it| it.end == LookupEnd::Deadline)
    );
    let planned = report.lookups.len() + report.lookups_left_out as usize;
    assert_eq!(planned, 10, "those that did not run are counted");
}

/// A table whose bucket `gap` is empty, refreshed in a network where nobody could fill it.
fn refresh_with_gap(gap: u8) -> (Report, u8) {
    let refresh = RefreshConfig {
        lookups_max: 1,
        ..RefreshConfig::default()
    };
    let mut world = World::new(
        0,
        Config {
            refresh,
            ..by_hand()
        },
    );
    let (local, mut random) = (world.local(), random(20));
    let mut at = 0;
    // Neighbours so near that the network must be large, and eleven buckets or more worth it.
    for cpl in (0..=17).filter(|cpl| *cpl != gap) {
        for _ in 0..3 {
            let target = random
                .in_bucket(local.key(), Cpl::new(cpl))
                .expect("not too deep");
            let contact = contact(target.as_peer(), at);
            world
                .peers
                .insert(contact.peer.clone(), (contact.clone(), Conduct::Live));
            world.walk.handle_entry_added(world.now, &contact);
            at += 1;
        }
    }
    let depth = world.walk.health(world.now).depth().bits();
    world.walk.refresh(world.now, true).expect("nothing waits");
    world.run_to(secs(200), |world| !world.reports.is_empty());
    (last(&world).clone(), depth)
}

/// go-libp2p-kad-dht's `TestSkipRefreshOnGapCpls`: a gap at 2 ends the refresh at 6, one at 6 is
/// too deep to end it.
#[test]
fn gap_path_still_signals_done() {
    for (gap, limit) in [(2, 6), (6, 14)] {
        let (report, depth) = refresh_with_gap(gap);
        assert_eq!(report.end, RoundEnd::Done);
        assert!((10..=13).contains(&depth), "{depth}");
        let mut expected = vec![Purpose::Itself];
        let looked_up = 0..=depth.min(limit);
        expected.extend(looked_up.map(|cpl| Purpose::Bucket(Cpl::new(cpl))));
        assert_eq!(purposes(&report), expected);
        let left_out = depth.saturating_sub(limit);
        assert_eq!(report.lookups_left_out, left_out.into());
    }
}

/// kad's lookups end in nothing when they run into their timeout; see also the driver's test.
#[test]
fn what_a_hosts_lookup_told_counts_at_the_total_deadline() {
    let config = Config {
        lookups: Lookups::Delegated,
        ..by_hand()
    };
    let refresh = RefreshConfig {
        deadline: secs(5),
        ..config.refresh
    };
    let mut world = World::new(100, Config { refresh, ..config });
    world.walk.walks(world.now, 3).expect("nothing waits");
    world.run(secs(5));
    let cancelled = world.other.iter().filter_map(|output| match output {
        Output::CancelLookup(id) => Some(*id),
        _ => None,
    });
    let cancelled: Vec<_> = cancelled.collect();
    assert_eq!((cancelled.len(), world.reports.len()), (3, 0));
    let found = Found {
        closest: world.contacts()[..7].to_vec(),
        ..Found::default()
    };
    world.run(secs(1) / 2);
    world
        .walk
        .handle_lookup_ended(world.now, cancelled[0], found);
    let nobody = Found::default();
    world
        .walk
        .handle_lookup_ended(world.now, cancelled[1], nobody);
    world.run(secs(1));
    let report = last(&world);
    assert_eq!((report.end, report.found.len()), (RoundEnd::Deadline, 7));
    assert_eq!(report.ended_at.as_millis(), 6_000, "the third has a second");
    let ends: Vec<LookupEnd> = report.lookups.iter().map(|it| it.end).collect();
    assert_eq!(ends, [LookupEnd::Deadline; 3]);
}

#[test]
fn more_walks_than_a_sweep_has_slices_are_not_planned() {
    let mut world = at_hand(3, Config::default());
    world
        .walk
        .walks(world.now, u32::MAX)
        .expect("nothing waits");
    world.walk.stop(world.now);
    world.take();
    let report = last(&world);
    let planned = report.lookups.len() + report.lookups_left_out as usize;
    assert_eq!(planned, dht_walk::Targets::SLICES_MAX);
}

#[test]
fn uniform_lookups_end_where_there_are_enough_entries() {
    let uniform = |uniform_below, peers| {
        let refresh = RefreshConfig {
            uniform: 3,
            uniform_below,
            ..RefreshConfig::default()
        };
        let config = Config {
            refresh,
            ..by_hand()
        };
        let mut world = at_hand(peers, config);
        world.walk.refresh(world.now, true).expect("nothing waits");
        world.run_to(secs(60), |world| !world.reports.is_empty());
        let all = purposes(last(&world)).into_iter();
        all.filter(|it| *it == Purpose::Uniform).count()
    };
    assert_eq!((uniform(None, 30), uniform(Some(30), 30)), (3, 0));
    assert_eq!(uniform(Some(30), 29), 3);
}

/// go's `TestRefreshMultiple`: whoever asks while one runs gets the next, together.
#[test]
fn waiter_gets_refresh_started_after_its_call() {
    let mut world = at_hand(60, Config::default());
    let first = world.walk.refresh(world.now, true).expect("nothing waits");
    world.run(secs(0));
    let asked_at = world.now;
    let second = world.walk.refresh(world.now, true).expect("nothing waits");
    let third = world.walk.refresh(world.now, true).expect("one waits");
    assert!(second > first);
    assert_eq!(third, second);
    world.run_to(secs(120), |world| world.reports.len() == 2);
    let [one, two] = world.reports.as_slice() else {
        panic!("two rounds")
    };
    assert_eq!((one.id, two.id), (first, second));
    assert!(two.started_at >= one.ended_at && two.started_at > asked_at);
}

#[test]
fn a_refresh_that_is_not_forced_is_skipped_while_none_is_due() {
    let mut world = World::grown(100, Config::default());
    let asked = world.asked.len();
    let id = world.walk.refresh(world.now, false).expect("nothing waits");
    world.take();
    assert_eq!((last(&world).id, last(&world).end), (id, RoundEnd::Skipped));
    assert_eq!((world.asked.len(), last(&world).lookups.len()), (asked, 0));
}

#[test]
fn no_more_rounds_wait_than_may() {
    let mut world = at_hand(60, Config::default());
    let waits: Vec<_> = (0..10).map(|_| world.walk.walks(world.now, 1)).collect();
    // One of them runs.
    assert_eq!(waits.iter().filter(|it| it.is_ok()).count(), 9);
    assert_eq!(waits.last(), Some(&Err(Busy)));
    world.run_to(secs(600), |world| world.reports.len() == 9);
}

#[test]
fn stop_is_prompt_and_start_again_runs_one_loop() {
    let mut world = World::grown(200, Config::default());
    world.walk.refresh(world.now, true).expect("nothing waits");
    world.walk.walks(world.now, 3).expect("little waits");
    world.run(std::time::Duration::from_millis(75));
    world.reports.clear();
    world.walk.stop(world.now);
    assert!(!world.walk.is_running());
    assert_eq!(world.walk.poll_timeout(), None);
    world.take();
    let ends: Vec<RoundEnd> = world.reports.iter().map(|report| report.end).collect();
    assert_eq!(ends, [RoundEnd::Stopped; 2], "whoever waits is told");
    assert!(!world.reports[0].found.is_empty(), "with what was found");
    world.asked.clear();
    world.run(secs(3_600));
    assert!(world.asked.is_empty());

    world.walk.start(world.now);
    world.walk.start(world.now);
    world.run(secs(600));
    let one_by_one = |pair: &[Report]| pair[1].started_at >= pair[0].ended_at;
    assert!(
        world.reports.windows(2).all(one_by_one),
        "none runs beside another"
    );
    assert!(world.fill() > 0.95);
}

#[test]
fn a_refresh_of_a_stopped_walk_ends_as_stopped() {
    let mut world = at_hand(10, Config::default());
    world.walk.stop(world.now);
    let id = world.walk.refresh(world.now, true).expect("nothing waits");
    world.take();
    assert_eq!((last(&world).id, last(&world).end), (id, RoundEnd::Stopped));
}

#[test]
fn refreshes_follow_each_other_while_the_table_grows_and_slow_down_when_it_is_whole() {
    let mut world = World::new(500, Config::default());
    world.know(2);
    world.run(secs(24 * 600));
    let starts: Vec<_> = world
        .reports
        .iter()
        .map(|report| report.started_at)
        .collect();
    let pauses: Vec<u64> = starts
        .windows(2)
        .map(|it| it[1].saturating_since(it[0]).as_secs())
        .collect();
    assert!(pauses[0] < 60, "{pauses:?}");
    let late = &pauses[pauses.len() - 5..];
    assert!(
        late.iter().all(|pause| (480..=730).contains(pause)),
        "{late:?}"
    );
    assert!(
        late.windows(2).any(|it| it[0] != it[1]),
        "no two nodes keep step: {late:?}"
    );
}

/// go's `TestSelfWalkOnAddressChange`.
#[test]
fn new_addresses_of_ours_bring_a_lookup_of_ourselves() {
    let mut world = World::grown(200, Config::default());
    world.run(secs(3_600));
    world.lookups.clear();
    world.walk.handle_local_addresses(world.now);
    world.run(secs(10));
    assert_eq!(world.lookups[0].purpose, Purpose::Itself);
}

/// go's `TestPeriodicRefresh`, rust's `given_periodic_bootstrap..`.
#[test]
fn a_refresh_by_hand_puts_off_the_next_one_by_itself() {
    let mut world = World::grown(200, Config::default());
    world.run(secs(7_200));
    let id = world.walk.refresh(world.now, true).expect("nothing waits");
    world.run_to(secs(60), |world| world.reports.iter().any(|it| it.id == id));
    let count = world.reports.len();
    world.run(secs(400));
    assert_eq!(world.reports.len(), count);
}

#[test]
fn equal_seeds_give_equal_runs() {
    let run = || {
        let mut world = World::grown(200, Config::default());
        world.run(secs(1_200));
        world.asked
    };
    assert_eq!(run(), run());
}

#[test]
fn stratified_sweeps_see_more_than_uniform_walks_for_the_same_lookups() {
    let plenty = BudgetLimits {
        messages_burst: 1_000_000,
        dials_burst: 1_000_000,
        ..BudgetLimits::default()
    };
    let seen = |is_sweep: bool| {
        let mut world = World::new(
            1_000,
            Config {
                budget: plenty,
                ..by_hand()
            },
        );
        world.hold(40);
        let lookups = 2 * 1_000 / 20;
        if is_sweep {
            world
                .walk
                .sweep(world.now, lookups, secs(600))
                .expect("nothing waits");
        } else {
            world.walk.walks(world.now, lookups).expect("nothing waits");
        }
        world.run_to(secs(601), |world| !world.reports.is_empty());
        let report = last(&world);
        assert_eq!(
            (report.end, report.lookups.len()),
            (RoundEnd::Done, lookups as usize)
        );
        let converged = report
            .lookups
            .iter()
            .filter(|it| it.end == LookupEnd::Converged)
            .count();
        assert_eq!(converged, lookups as usize);
        // What the lookups end with, not what was told on the way.
        let ends = report.lookups.iter().flat_map(|lookup| &lookup.closest);
        ends.collect::<std::collections::BTreeSet<_>>().len()
    };
    let (sweep, uniform) = (seen(true), seen(false));
    assert!(sweep >= 975, "of 1,000: {sweep}");
    assert!((780..=900).contains(&uniform), "of 1,000: {uniform}");
}

#[test]
fn a_host_may_run_the_lookups() {
    let config = Config {
        lookups: Lookups::Delegated,
        ..by_hand()
    };
    let mut world = World::new(100, config);
    let id = world.walk.walks(world.now, 2).expect("nothing waits");
    world.take();
    let lookups: Vec<_> = std::mem::take(&mut world.other);
    assert_eq!(lookups.len(), 2);
    for output in lookups {
        let Output::Lookup { id, target } = output else {
            panic!("{output:?}")
        };
        let found = Found {
            closest: world.nearest(&target, 20),
            heard: world.nearest(&target, 30),
            requests: Some(25),
            is_complete: true,
            ..Found::default()
        };
        world.walk.handle_lookup_ended(world.now, id, found.clone());
        // Twice is once.
        world.walk.handle_lookup_ended(world.now, id, found);
    }
    world.take();
    let report = last(&world);
    assert_eq!((report.id, report.end), (id, RoundEnd::Done));
    assert_eq!(report.kind, RoundKind::Walks { count: 2 });
    assert!(
        report
            .lookups
            .iter()
            .all(|it| it.end == LookupEnd::Converged)
    );
    assert_eq!(world.walk.spent().messages, 50);
    assert_eq!(world.walk.refusals().count(dht_walk::Refusal::Unasked), 2);
    assert!(world.walk.table().len() >= 20, "who answered is an entry");
    assert!(
        world
            .events
            .iter()
            .any(|it| matches!(it, Event::Admitted(_)))
    );
}

#[test]
fn a_round_sees_no_more_than_it_may_name() {
    let refresh = RefreshConfig {
        found_max: 30,
        ..RefreshConfig::default()
    };
    let mut world = at_hand(
        200,
        Config {
            refresh,
            ..Config::default()
        },
    );
    world.walk.walks(world.now, 5).expect("nothing waits");
    world.run_to(secs(60), |world| !world.reports.is_empty());
    assert_eq!(last(&world).found.len(), 30);
    assert!(last(&world).found_more > 0);
}

#[test]
fn nothing_new_is_begun_while_outputs_wait() {
    let mut world = World::new(2_000, by_hand());
    let contacts: Vec<Contact> = world.contacts();
    contacts
        .iter()
        .for_each(|it| world.walk.handle_entry_added(world.now, it));
    for _ in 0..5_000 {
        world
            .walk
            .refresh(world.now, false)
            .expect("those that are due run at once");
    }
    let outputs = std::iter::from_fn(|| world.walk.poll_output()).count();
    assert!(outputs < 3 * dht_walk::Walk::OUTPUTS_MAX, "{outputs}");
}
