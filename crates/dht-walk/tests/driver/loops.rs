//! Starting, working and stopping. The names in brackets are py-libp2p's tests of the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dht_walk::driver::{RefreshEvent, RefreshOptions, SystemTimer, Timer as _};
use dht_walk::{Config, RoundEnd, RoundKind, RoutingTableRefreshError, RtRefreshManager};
use futures::executor::block_on;

use crate::stage::{Fate, Net, Rows, Stage, by_hand, events, net, secs};

fn refreshes(stage: &Stage) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    stage.manager.add_refresh_done_callback(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    count
}

fn count(of: &Arc<AtomicUsize>) -> usize {
    of.load(Ordering::SeqCst)
}

/// (test_rt_refresh_manager_initialization)
#[test]
fn the_defaults_are_those_of_the_python_package() {
    let options = RefreshOptions::default();
    assert!(options.enable_auto_refresh);
    assert_eq!(options.refresh_interval, secs(300));
    assert_eq!(options.random_walks, 3);
    assert_eq!(options.min_refresh_threshold, None);
    let mut stage = Stage::new(10, options);
    assert!(!stage.manager.is_running());
    stage.run(secs(3_600));
    assert!(stage.net.lock().asked.is_empty());
    assert_eq!(stage.clock.timers_set(), 0, "it waits for start");
}

#[test]
fn the_work_may_move_between_threads() {
    fn is_send(_: &(impl Send + 'static)) {}
    let stage = Stage::new(0, by_hand());
    is_send(&stage.manager);
    is_send(&stage.manager.refresh(true));
    is_send(&stage.manager.start());
}

/// (test_rt_refresh_manager_start_method)
#[test]
fn once_started_it_fills_the_table_from_one_peer() {
    let mut stage = Stage::grown(300, RefreshOptions::default());
    assert!(stage.manager.is_running());
    assert!(stage.rows.peers().len() > 80, "{:?}", stage.rows.peers());
    let estimate = stage.manager.estimate().expect("it has seen enough");
    assert!((200.0..=400.0).contains(&estimate.peers), "{estimate:?}");
    assert!(stage.manager.health().fill() > 0.9);
    assert!(stage.manager.counters().admitted > 80);
    stage.manager.stop();
    stage.settle();
    assert_eq!(stage.ended(), 1);
}

/// (test_rt_refresh_manager_main_loop_with_auto_refresh, test_periodic_refresh_task; go's
/// TestPeriodicRefresh)
#[test]
fn a_healthy_table_is_refreshed_every_five_minutes_or_so() {
    let mut stage = Stage::grown(300, RefreshOptions::default());
    stage.run(secs(3_600));
    let mut happened = stage.manager.subscribe();
    let done = refreshes(&stage);
    stage.run(secs(6_000));
    assert!((16..=25).contains(&count(&done)), "{}", count(&done));
    let starts = events(&mut happened).into_iter().filter_map(|it| match it {
        RefreshEvent::Finished(report) => Some(report.started_at),
        _ => None,
    });
    let starts: Vec<_> = starts.collect();
    let pauses = starts
        .windows(2)
        .map(|it| it[1].saturating_since(it[0]).as_secs());
    let pauses: Vec<u64> = pauses.collect();
    assert!(
        pauses.iter().all(|pause| (240..=370).contains(pause)),
        "{pauses:?}"
    );
    assert!(pauses.windows(2).any(|it| it[0] != it[1]), "with jitter");
}

/// (test_rt_refresh_manager_main_loop_without_auto_refresh)
#[test]
fn disabled_auto_refresh_uses_no_cpu() {
    let mut stage = Stage::filled(50, 50, by_hand());
    stage.start();
    stage.settle();
    let polls = stage.polls();
    stage.run(secs(24 * 3_600));
    assert_eq!(stage.polls(), polls, "it is not woken");
    assert_eq!(stage.clock.timers_set(), 0, "and asks for no wake-up");
    assert!(stage.net.lock().asked.is_empty());

    let refresh = stage.manager.refresh(true);
    let report = stage.wait(secs(60), refresh).expect("it is told to");
    assert_eq!(report.end, RoundEnd::Done);
    let polls = stage.polls();
    stage.run(secs(24 * 3_600));
    assert!(stage.polls() <= polls + 1, "nothing is left over");
}

/// (test_rt_refresh_manager_main_loop_initial_refresh_exception)
#[test]
fn a_first_refresh_that_fails_does_not_stop_the_loop() {
    let mut stage = Stage::new(100, RefreshOptions::default());
    stage.net.set_all(Fate::Panics);
    let bootstrap = stage.contacts()[..3].to_vec();
    stage.manager.set_bootstrap(bootstrap).expect("good ones");
    stage.start();
    let refresh = stage.manager.refresh(true);
    let error = stage.wait(secs(300), refresh).expect_err("nobody answers");
    assert!(matches!(error, RoutingTableRefreshError::RandomWalk(_)));
    assert_eq!(stage.ended(), 0);
    stage.net.lock().fates.clear();
    stage.run(secs(900));
    assert!(stage.rows.peers().len() > 40);
}

/// (test_stop_when_not_running)
#[test]
fn stop_before_start_does_nothing() {
    let mut stage = Stage::grown(20, RefreshOptions::default());
    stage.manager.stop();
    stage.manager.stop();
    stage.settle();
    assert_eq!(stage.ended(), 1);
    let fresh = Stage::new(0, by_hand());
    fresh.manager.stop();
    assert!(!fresh.manager.is_running());
}

#[test]
fn stop_is_prompt_and_start_again_runs_one_loop() {
    let mut stage = Stage::grown(300, RefreshOptions::default());
    let asked = stage.manager.refresh(true);
    let outcome = stage.watch(asked);
    stage.settle();
    let open = Arc::clone(&stage.net.lock().open);
    assert!(open.load(Ordering::SeqCst) > 0, "requests are under way");
    let stopped_at = stage.clock.now();

    stage.manager.stop();
    assert!(!stage.manager.is_running());
    stage.settle();
    assert_eq!(stage.ended(), 1);
    assert_eq!(open.load(Ordering::SeqCst), 0, "they are dropped");
    let outcome = outcome.lock().expect("no panic").take();
    let Some(Err(RoutingTableRefreshError::Stopped(report))) = outcome else {
        panic!("whoever waits is told: {outcome:?}");
    };
    assert_eq!(
        (report.end, report.ended_at),
        (RoundEnd::Stopped, stopped_at)
    );
    let messages = stage.net.lock().asked.len();
    stage.run(secs(3_600));
    assert_eq!(stage.net.lock().asked.len(), messages);

    stage.start();
    stage.start();
    stage.settle();
    assert_eq!(stage.ended(), 2, "the second one ends at once");
    let mut happened = stage.manager.subscribe();
    stage.run(secs(3_600));
    assert_eq!(stage.ended(), 2);
    let ran: Vec<_> = events(&mut happened)
        .into_iter()
        .filter_map(|it| match it {
            RefreshEvent::Finished(report) => Some((report.started_at, report.ended_at)),
            _ => None,
        })
        .collect();
    assert!(ran.len() > 5);
    assert!(ran.windows(2).all(|it| it[1].0 >= it[0].1), "{ran:?}");
}

#[test]
fn start_while_the_stopped_loop_was_not_polled_yet_runs_one_loop() {
    let mut stage = Stage::grown(100, RefreshOptions::default());
    stage.manager.stop();
    stage.start();
    stage.run(secs(600));
    assert_eq!(stage.ended(), 1, "the old one, and not the new one");
    assert!(stage.manager.is_running());
    let refresh = stage.manager.refresh(true);
    assert!(stage.wait(secs(60), refresh).is_ok());
}

#[test]
fn to_drop_the_work_is_to_stop() {
    let mut stage = Stage::filled(50, 50, by_hand());
    let work = stage.manager.start();
    assert!(stage.manager.is_running(), "before it is polled");
    let refresh = stage.manager.refresh(true);
    let outcome = stage.watch(refresh);
    drop(work);
    assert!(!stage.manager.is_running());
    stage.settle();
    let outcome = outcome.lock().expect("no panic").take();
    assert!(
        matches!(outcome, Some(Err(RoutingTableRefreshError::Stopped(_)))),
        "{outcome:?}"
    );
    let refresh = stage.manager.refresh(true);
    let error = stage.wait(secs(1), refresh).expect_err("nobody drives it");
    assert!(matches!(error, RoutingTableRefreshError::NotRunning));
}

#[test]
fn a_callback_may_stop_the_manager() {
    let mut stage = Stage::filled(50, 50, by_hand());
    let manager = stage.manager.clone();
    stage
        .manager
        .add_refresh_done_callback(move |_| manager.stop());
    stage.start();
    let refresh = stage.manager.refresh(true);
    let report = stage.wait(secs(60), refresh).expect("it was done before");
    assert_eq!(report.end, RoundEnd::Done);
    stage.settle();
    assert_eq!(stage.ended(), 1);
}

#[test]
fn events_tell_what_happens_in_order() {
    let mut stage = Stage::filled(200, 5, by_hand());
    let mut happened = stage.manager.subscribe();
    stage.start();
    let refresh = stage.manager.refresh(true);
    let report = stage.wait(secs(60), refresh).expect("it works");
    let happened = events(&mut happened);
    let Some(RefreshEvent::Walk(dht_walk::Event::LookupBegan { round, .. })) = happened.first()
    else {
        panic!("{happened:?}");
    };
    assert_eq!(*round, report.id);
    let is_admitted =
        |it: &&RefreshEvent| matches!(it, RefreshEvent::Walk(dht_walk::Event::Admitted(_)));
    let admitted = happened.iter().filter(is_admitted).count();
    assert_eq!(admitted, report.admitted as usize);
    let Some(RefreshEvent::Finished(last)) = happened.last() else {
        panic!("{happened:?}");
    };
    assert_eq!(*last, report);
    assert_eq!(last.kind, RoundKind::Refresh { is_forced: true });
}

#[test]
fn who_does_not_read_events_is_told_how_many_were_missed() {
    let options = RefreshOptions {
        refresh_interval: secs(20),
        ..RefreshOptions::default()
    };
    let mut stage = Stage::new(300, options);
    let (mut read, mut unread) = (stage.manager.subscribe(), stage.manager.subscribe());
    drop(stage.manager.subscribe());
    let bootstrap = stage.contacts()[..1].to_vec();
    stage.manager.set_bootstrap(bootstrap).expect("a good one");
    stage.start();
    let mut all = 0;
    for _ in 0..5_000 {
        stage.run(secs(1));
        all += events(&mut read).len();
    }
    assert!(all > 600, "{all}");
    let kept = events(&mut unread).len();
    assert!((256..=257).contains(&kept), "{kept}");
    stage.run(secs(600));
    let later = events(&mut unread);
    let Some(RefreshEvent::Missed(missed)) = later.first() else {
        panic!("{later:?}");
    };
    assert_eq!(kept as u64 + missed, all as u64);
}

#[test]
fn a_subscription_ends_with_the_manager() {
    use futures::StreamExt as _;
    let stage = Stage::new(0, by_hand());
    let mut happened = stage.manager.subscribe();
    drop(stage);
    assert!(block_on(happened.next()).is_none());
}

#[test]
fn the_usual_manager_has_a_clock_and_a_secret_of_its_own() {
    let (local, net, _) = net(0);
    let new = || RtRefreshManager::new(local, net.clone(), Rows::default(), by_hand());
    let manager: RtRefreshManager<Net, Rows> = new().expect("the system has randomness");
    let work = manager.start();
    manager.stop();
    block_on(work);
    let timer = SystemTimer::default();
    let at = timer
        .now()
        .saturating_add(std::time::Duration::from_millis(2));
    block_on(timer.sleep_until(at));
    assert!(timer.now() >= at);
    let walk = dht_walk::RandomWalk::new(local, net.clone(), Config::default());
    let other = dht_walk::RandomWalk::new(local, net.clone(), Config::default());
    let id = |it: Result<dht_walk::RandomWalk<Net>, _>| {
        it.expect("the system has randomness")
            .generate_random_peer_id()
    };
    assert_ne!(id(walk), id(other));
}
