//! Refreshes, and who waits for them. The names in brackets are the tests of others of the same.

use std::error::Error as _;
use std::sync::{Arc, Mutex};

use dht_walk::driver::{RefreshEvent, RefreshOptions, Timer as _};
use dht_walk::{
    Config, Contact, Cpl, Lookups, Peer, Purpose, RefreshConfig, Report, RoundEnd,
    RoutingTableRefreshError, SeedSource,
};

use crate::stage::{Fate, Stage, by_hand, events, secs};

type Outcome = Result<Arc<Report>, RoutingTableRefreshError>;

fn refresh(stage: &mut Stage, force: bool) -> Outcome {
    let refresh = stage.manager.refresh(force);
    stage.wait(secs(600), refresh)
}

fn purposes(report: &Report) -> Vec<Purpose> {
    report.lookups.iter().map(|lookup| lookup.purpose).collect()
}

fn uniform(report: &Report) -> usize {
    let all = purposes(report);
    all.iter().filter(|it| **it == Purpose::Uniform).count()
}

/// The reports of all refreshes from now on.
fn reports(stage: &Stage) -> Arc<Mutex<Vec<Report>>> {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&reports);
    stage.manager.add_refresh_done_callback(move |report| {
        kept.lock().expect("no panic").push(report.clone());
    });
    reports
}

fn ends(reports: &Arc<Mutex<Vec<Report>>>) -> Vec<RoundEnd> {
    let reports = reports.lock().expect("no panic");
    reports.iter().map(|report| report.end).collect()
}

/// (py: test_do_refresh_force_refresh, test_rt_refresh_manager_refresh_logic; go: TestRefresh)
#[test]
fn a_forced_refresh_reports_every_bucket() {
    let mut stage = Stage::grown(300, RefreshOptions::default());
    let report = refresh(&mut stage, true).expect("it works");
    assert_eq!(report.end, RoundEnd::Done);
    let all = purposes(&report);
    assert_eq!(all[0], Purpose::Itself);
    for cpl in 0..=3 {
        assert!(all.contains(&Purpose::Bucket(Cpl::new(cpl))), "{all:?}");
    }
    let after: usize = report.buckets.iter().map(|it| it.after).sum();
    assert_eq!(after, stage.rows.peers().len());
    assert!(report.buckets.len() > 3);
}

/// (py: test_do_refresh_skip_due_to_interval)
#[test]
fn a_refresh_that_is_not_due_is_skipped() {
    let mut stage = Stage::grown(300, RefreshOptions::default());
    let done = reports(&stage);
    let report = refresh(&mut stage, false).expect("that is no error");
    assert_eq!((report.end, report.lookups.len()), (RoundEnd::Skipped, 0));
    assert_eq!(ends(&done), [], "nothing was refreshed");
}

/// (py: test_rt_refresh_manager_random_walk_integration)
#[test]
fn a_refresh_has_as_many_random_walks_as_wanted() {
    for random_walks in [0, 3, 5] {
        let options = RefreshOptions {
            random_walks,
            ..by_hand()
        };
        let mut stage = Stage::filled(100, 30, options);
        stage.start();
        let report = refresh(&mut stage, true).expect("it works");
        assert_eq!(uniform(&report), random_walks);
    }
}

/// (go: TestRefreshBelowMinRTThreshold)
#[test]
fn from_the_threshold_on_there_are_no_random_walks_but_all_else_goes_on() {
    let options = RefreshOptions {
        min_refresh_threshold: Some(4),
        ..RefreshOptions::default()
    };
    let walks = |rows| {
        let options = RefreshOptions {
            enable_auto_refresh: false,
            ..options.clone()
        };
        let mut stage = Stage::filled(rows, rows, options);
        stage.start();
        let report = refresh(&mut stage, true).expect("it works");
        assert_eq!(purposes(&report)[0], Purpose::Itself);
        uniform(&report)
    };
    assert_eq!((walks(3), walks(4)), (3, 0));

    let mut stage = Stage::grown(300, options);
    let dead = stage.contacts().into_iter().step_by(3);
    dead.for_each(|it| stage.net.set(&it.peer, Fate::Hangs));
    let done = reports(&stage);
    stage.run(secs(7_200));
    assert!(
        ends(&done).len() > 10,
        "it goes on with four peers and more"
    );
    let removed = stage.rows.lock().removed.len();
    assert!(removed > 20, "and entries are checked: {removed}");
}

/// (go: TestRefreshMultiple)
#[test]
fn waiter_gets_refresh_started_after_its_call() {
    let mut stage = Stage::filled(60, 60, by_hand());
    stage.start();
    let first = stage.manager.refresh(true);
    let first = stage.watch(first);
    stage.run(secs(1) / 20);
    let called_at = stage.clock.now();
    let waiting = [(); 5].map(|()| stage.watch(stage.manager.refresh(true)));
    stage.run(secs(60));
    let take = |it: &Arc<Mutex<Option<Outcome>>>| {
        let outcome = it.lock().expect("no panic").take();
        outcome.expect("it ended").expect("it works")
    };
    let first = take(&first);
    for waiting in &waiting {
        let report = take(waiting);
        assert!(report.id > first.id && report.started_at >= called_at);
        assert!(report.started_at >= first.ended_at);
    }
}

#[test]
fn to_drop_who_waits_ends_nothing() {
    let mut stage = Stage::filled(60, 60, by_hand());
    stage.start();
    let done = reports(&stage);
    drop(stage.manager.refresh(true));
    stage.run(secs(60));
    assert_eq!(ends(&done), [RoundEnd::Done]);
}

#[test]
fn no_more_refreshes_wait_than_may() {
    let walk = Config {
        refresh: RefreshConfig {
            waiting_max: 1,
            ..RefreshConfig::default()
        },
        ..Config::default()
    };
    let mut stage = Stage::filled(60, 60, RefreshOptions { walk, ..by_hand() });
    stage.start();
    let asked = [true, true, false].map(|force| stage.watch(stage.manager.refresh(force)));
    stage.settle();
    let refused = asked[2].lock().expect("no panic").take();
    let Some(Err(error)) = refused else {
        panic!("{refused:?}");
    };
    assert!(matches!(error, RoutingTableRefreshError::Busy(_)));
    assert!(error.source().is_some());
    stage.run(secs(60));
    assert!(
        asked[..2]
            .iter()
            .all(|it| it.lock().expect("no panic").is_some())
    );
}

/// (py: test_refresh_done_callbacks)
#[test]
fn callbacks_are_called_until_removed_and_one_that_panics_stops_nothing() {
    let mut stage = Stage::filled(60, 60, by_hand());
    let mut happened = stage.manager.subscribe();
    let broken = stage
        .manager
        .add_refresh_done_callback(|_| panic!("a callback that panics"));
    let done = reports(&stage);
    let removed = Arc::new(Mutex::new(0));
    let count = Arc::clone(&removed);
    let id = stage.manager.add_refresh_done_callback(move |_| {
        *count.lock().expect("no panic") += 1;
    });
    stage.start();
    for _ in 0..2 {
        refresh(&mut stage, true).expect("it works");
    }
    assert!(stage.manager.remove_refresh_done_callback(id));
    assert!(!stage.manager.remove_refresh_done_callback(id));
    refresh(&mut stage, true).expect("it works");
    assert_eq!(ends(&done), [RoundEnd::Done; 3]);
    assert_eq!(*removed.lock().expect("no panic"), 2);
    let panicked = events(&mut happened).into_iter();
    let panicked = panicked.filter(|it| match it {
        RefreshEvent::CallbackPanicked(id) => *id == broken,
        _ => false,
    });
    assert_eq!(panicked.count(), 3, "it is called again, and told about");
}

#[test]
fn a_callback_is_told_of_refreshes_that_fail() {
    let mut stage = Stage::new(10, by_hand());
    let done = reports(&stage);
    stage.start();
    let error = refresh(&mut stage, true).expect_err("nobody is known");
    assert_eq!(error.to_string(), "the refresh reached nobody");
    let source = error.source().expect("why");
    assert!(source.to_string().starts_with("there is nobody to ask"));
    assert_eq!(ends(&done), [RoundEnd::NobodyToAsk]);
}

/// (go: TestBootStrapWhenRTIsEmpty, TestBootstrapPeersFunc)
#[test]
fn a_refresh_that_is_asked_for_at_the_start_waits_for_the_first_seeds() {
    let mut stage = Stage::new(100, RefreshOptions::default());
    let bootstrap = stage.contacts()[..1].to_vec();
    stage.manager.set_bootstrap(bootstrap).expect("a good one");
    stage.start();
    let report = refresh(&mut stage, true).expect("the bootstrap peer answers");
    assert_eq!(report.end, RoundEnd::Done);
    assert!(stage.rows.peers().len() > 20);
    let order = [SeedSource::Known, SeedSource::Connected];
    assert_eq!(stage.net.lock().seeds_asked[..2], order);
}

/// (go: TestPreconnectedNodes, TestFixLowPeers)
#[test]
fn the_host_is_asked_for_seeds_where_few_are_known() {
    let mut stage = Stage::new(100, RefreshOptions::default());
    let contact = stage.contacts()[4].clone();
    let seeds = (SeedSource::Connected, vec![contact]);
    stage.net.lock().seeds.extend([seeds]);
    stage.start();
    stage.run(secs(120));
    assert!(stage.rows.peers().len() > 40);
}

fn delegated(options: RefreshOptions) -> RefreshOptions {
    let walk = Config {
        lookups: Lookups::Delegated,
        ..options.walk
    };
    RefreshOptions { walk, ..options }
}

#[test]
fn the_host_may_run_the_lookups() {
    let mut stage = Stage::filled(100, 5, delegated(by_hand()));
    stage.start();
    let report = refresh(&mut stage, true).expect("it works");
    assert_eq!(stage.net.lock().looked_up.len(), report.lookups.len());
    assert!(stage.net.lock().asked.is_empty());
    assert!(stage.rows.peers().len() > 20, "who answered is an entry");
}

#[test]
fn partial_results_survive_total_timeout() {
    let mut options = delegated(by_hand());
    options.walk.refresh.deadline = secs(10);
    let mut stage = Stage::filled(300, 5, options);
    let way = stage.contacts()[299].clone();
    stage.net.lock().on_the_way = vec![way.clone()];
    stage.net.lock().lookups = vec![Fate::Works, Fate::Works, Fate::Hangs];
    stage.start();
    let report = refresh(&mut stage, true).expect("a deadline is no error");
    assert_eq!(report.end, RoundEnd::Deadline);
    assert_eq!(report.ended_at.as_millis(), 10_000);
    assert!(report.found.len() >= 20, "{}", report.found.len());
    let found = |contact: &Contact| report.found.iter().any(|it| it.peer == contact.peer);
    assert!(found(&way), "also of the lookup that was cut off");
    assert!(report.lookups_left_out > 0);
}

#[test]
fn lookups_of_the_hosts_that_all_fail_are_an_error_with_its_source() {
    let mut stage = Stage::filled(50, 50, delegated(by_hand()));
    stage.net.lock().lookups = vec![Fate::Fails];
    stage.start();
    let error = refresh(&mut stage, true).expect_err("all failed");
    let source = error.source().expect("a failed walk");
    let source = source.source().expect("the host's error");
    assert_eq!(source.to_string(), "the host is broken");
    stage.net.lock().lookups = vec![Fate::Fails, Fate::Works];
    assert!(refresh(&mut stage, true).is_ok(), "and the next one works");
}

#[test]
fn requests_that_nobody_answers_are_dropped() {
    let mut stage = Stage::filled(60, 60, by_hand());
    stage.net.set_all(Fate::Hangs);
    stage.start();
    let report = refresh(&mut stage, true).expect("it ends by time");
    assert!(report.found.is_empty());
    let open = Arc::clone(&stage.net.lock().open);
    stage.settle();
    assert_eq!(open.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[test]
fn a_bootstrap_peer_that_cannot_be_used_is_refused() {
    let stage = Stage::new(3, by_hand());
    let good = stage.contacts()[0].clone();
    let own = Contact::new(
        Peer::new(stage.local),
        good.addresses.as_slice().iter().cloned(),
    );
    let error = stage.manager.set_bootstrap(vec![good.clone(), own]);
    let error = error.expect_err("we are no bootstrap peer of ours");
    assert!(matches!(error, RoutingTableRefreshError::PeerValidation(_)));
    let source = error.source().expect("who, and why");
    let said = format!("{} is of no use: own_id", stage.local);
    assert_eq!(source.to_string(), said);
    let at_home = "/ip4/192.168.1.7/tcp/4001".parse().expect("an address");
    let at_home = Contact::new(good.peer, [at_home]);
    assert!(stage.manager.set_bootstrap(vec![at_home]).is_ok());
}
