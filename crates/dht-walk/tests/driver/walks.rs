//! Random walks without a table. The names in brackets are py-libp2p's tests of the same.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::future::Future as _;
use std::sync::Arc;

use dht_walk::driver::Timer as _;
use dht_walk::{
    Addresses, Config, Contact, Peer, RandomWalk, RandomWalkError, RefreshConfig, Refusal, Seed,
    SeedSource, Targets,
};

use crate::stage::{Clock, Fate, Net, Stage, by_hand, net, secs};

type Walk = Arc<RandomWalk<Net, Clock>>;

fn walk_with(peers: usize, config: Config) -> (Stage, Net, Walk) {
    let (local, net, clock) = net(peers);
    let walk = RandomWalk::with_timer(
        local,
        net.clone(),
        config,
        clock.clone(),
        Seed::from_bytes([3; 32]),
    );
    let mut stage = Stage::new(0, by_hand());
    stage.clock = clock;
    (stage, net, Arc::new(walk.expect("the bounds make sense")))
}

fn walk(peers: usize) -> (Stage, Net, Walk) {
    walk_with(peers, Config::default())
}

fn run(
    stage: &mut Stage,
    walk: &Walk,
    count: u32,
    size: usize,
) -> Result<Vec<Contact>, RandomWalkError> {
    let walk = Arc::clone(walk);
    let call = async move { walk.run_concurrent_random_walks(count, size).await };
    stage.wait(secs(3_600), call)
}

/// (test_random_walk_initialization)
#[test]
fn a_walk_that_was_made_asks_nobody_yet() {
    let (mut stage, net, walk) = walk(10);
    stage.run(secs(3_600));
    assert!(net.lock().looked_up.is_empty());
    assert_eq!(stage.clock.timers_set(), 0);
    assert_eq!(RandomWalk::<Net, Clock>::COUNT, 3);
    assert!(format!("{walk:?}").starts_with("RandomWalk"));
}

/// (test_generate_random_peer_id)
#[test]
fn a_random_peer_id_is_a_peer_id_and_never_the_same() {
    let (_, _, walk) = walk(0);
    let ids: BTreeSet<_> = (0..100).map(|_| walk.generate_random_peer_id()).collect();
    assert_eq!(ids.len(), 100);
    assert!(ids.iter().all(|id| id.to_bytes().len() == 34));
}

/// (test_perform_random_walk_running)
#[test]
fn one_walk_is_one_lookup_whose_peers_are_validated() {
    let (mut stage, net, walk) = walk(50);
    let own = Contact::new(local(), ["/ip4/9.9.9.9/tcp/1".parse().expect("an address")]);
    let good = net.lock().contacts[..2].to_vec();
    let bare = Contact {
        peer: net.lock().contacts[2].peer.clone(),
        addresses: Addresses::none(),
    };
    net.lock().finds = Some(vec![own, good[0].clone(), bare, good[1].clone()]);
    let call = Arc::clone(&walk);
    let found = stage.wait(secs(60), async move { call.perform_random_walk().await });
    let found: BTreeSet<_> = found
        .expect("it worked")
        .iter()
        .map(|it| it.peer.id())
        .collect();
    assert_eq!(found, good.iter().map(|it| it.peer.id()).collect());
    assert_eq!(net.lock().looked_up.len(), 1);
}

fn local() -> Peer {
    Peer::new(net(0).0)
}

/// (test_perform_random_walk_no_peers_found)
#[test]
fn a_walk_that_finds_nobody_is_no_error() {
    let (mut stage, _, walk) = walk(0);
    assert_eq!(run(&mut stage, &walk, 1, 100).expect("it worked"), []);
}

/// (test_run_concurrent_random_walks)
#[test]
fn several_walks_run_side_by_side_and_name_each_peer_once() {
    let (mut stage, net, walk) = walk(300);
    let found = run(&mut stage, &walk, 10, 100).expect("it worked");
    let (targets, open_max) = {
        let peers = net.lock();
        let targets = peers.looked_up.iter().map(|it| it.1.to_bytes());
        (targets.collect::<BTreeSet<_>>(), peers.lookups_open_max)
    };
    assert_eq!((targets.len(), open_max), (10, 3));
    let distinct: BTreeSet<_> = found.iter().map(|it| it.peer.id()).collect();
    assert_eq!(distinct.len(), found.len());
    assert!(found.len() > 100, "{}", found.len());
}

#[test]
fn no_walks_ask_nobody() {
    let (mut stage, net, walk) = walk(10);
    assert_eq!(run(&mut stage, &walk, 0, 100).expect("it worked"), []);
    assert!(net.lock().looked_up.is_empty());
}

#[test]
fn known_peers_are_joined_while_the_table_is_small() {
    let (mut stage, net, walk) = walk(300);
    let known = net.lock().contacts[7].clone();
    let private = "/ip4/10.0.0.1/tcp/1".parse().expect("an address");
    let unfit = Contact::new(net.lock().contacts[8].peer.clone(), [private]);
    let seeds = vec![known.clone(), unfit];
    net.lock().seeds.insert(SeedSource::Known, seeds);
    net.lock().finds = Some(Vec::new());
    assert_eq!(run(&mut stage, &walk, 3, 10).expect("it worked"), []);
    assert!(net.lock().seeds_asked.is_empty());
    let found = run(&mut stage, &walk, 3, 9).expect("it worked");
    assert_eq!(found, [known], "and those that cannot be used are not");
}

#[test]
fn walks_that_all_fail_are_an_error_with_its_source() {
    let (mut stage, net, walk) = walk(50);
    net.lock().lookups = vec![Fate::Fails];
    let error = run(&mut stage, &walk, 3, 100).expect_err("all failed");
    assert_eq!(error.to_string(), "every query failed");
    let source = error.source().expect("the host's error");
    assert_eq!(source.to_string(), "the host is broken");
}

#[test]
fn a_lookup_that_panics_is_a_failed_one() {
    let (mut stage, net, walk) = walk(50);
    net.lock().lookups = vec![Fate::Panics, Fate::Works];
    assert!(run(&mut stage, &walk, 2, 100).expect("one worked").len() >= 20);
    net.lock().lookups = vec![Fate::Panics];
    let error = run(&mut stage, &walk, 1, 100).expect_err("it panicked");
    let source = error.source().expect("the host's error");
    assert_eq!(source.to_string(), "the call panicked");
}

#[test]
fn partial_results_survive_total_timeout() {
    let refresh = RefreshConfig {
        deadline: secs(10),
        lookups_max: 10,
        ..RefreshConfig::default()
    };
    let config = Config {
        refresh,
        ..Config::default()
    };
    let (mut stage, net, walk) = walk_with(300, config);
    let way = net.lock().contacts[299].clone();
    net.lock().on_the_way = vec![way.clone()];
    net.lock().lookups = [vec![Fate::Works; 9], vec![Fate::Hangs]].concat();
    let began_at = stage.clock.now();
    let found = run(&mut stage, &walk, 10, 100).expect("nine worked");
    assert_eq!(stage.clock.now().saturating_since(began_at), secs(10));
    assert!(found.len() > 100, "{}", found.len());
    assert_eq!(net.lock().open.load(std::sync::atomic::Ordering::SeqCst), 0);

    net.lock().lookups = vec![Fate::Hangs];
    let found = run(&mut stage, &walk, 10, 100).expect("what was told counts");
    assert_eq!(found, [way], "even of a lookup that was cut off");
}

#[test]
fn timeout_fires_without_other_wakeups() {
    let (mut stage, net, walk) = walk(50);
    net.lock().lookups = vec![Fate::Hangs];
    assert_eq!(run(&mut stage, &walk, 1, 100).expect("no error"), []);
    assert_eq!(stage.clock.now().as_millis(), 30_000);
}

#[test]
fn a_call_that_is_dropped_leaves_nothing_behind() {
    let (mut stage, net, walk) = walk(100);
    net.lock().lookups = vec![Fate::Hangs; 3];
    {
        let mut call = Box::pin(walk.run_concurrent_random_walks(3, 100));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_pending());
        assert_eq!(net.lock().looked_up.len(), 3);
    }
    let open = Arc::clone(&net.lock().open);
    assert_eq!(open.load(std::sync::atomic::Ordering::SeqCst), 0);
    net.lock().lookups = vec![Fate::Works];
    let began_at = stage.clock.now();
    let found = run(&mut stage, &walk, 3, 100).expect("it worked");
    assert!(found.len() >= 20, "{}", found.len());
    assert_eq!(stage.clock.now().saturating_since(began_at), secs(1) / 20);
}

#[test]
fn a_peer_that_cannot_be_used_is_refused_with_the_reason() {
    let (_, net, walk) = walk(1);
    let peer = net.lock().contacts[0].peer.clone();
    let with = |addresses: &[&str]| {
        let addresses = addresses.iter().map(|it| it.parse().expect("an address"));
        walk.validate_peer(&Contact::new(peer.clone(), addresses))
    };
    let refusal = |addresses: &[&str]| with(addresses).expect_err("it is of no use").refusal;
    assert_eq!(refusal(&[]), Refusal::NoAddress);
    assert_eq!(refusal(&["/ip4/10.0.0.1/tcp/1"]), Refusal::PrivateAddress);
    assert_eq!(refusal(&["/ip4/9.9.9.9/tcp/0"]), Refusal::Undialable);
    let other = Targets::new(Seed::from_bytes([9; 32])).uniform().peer_id();
    let of_other = format!("/ip4/9.9.9.9/tcp/1/p2p/{other}");
    assert_eq!(refusal(&[&of_other]), Refusal::OtherPeer);
    let both = with(&["/ip4/10.0.0.1/tcp/1", "/ip4/9.9.9.9/tcp/1"]).expect("one is good");
    assert_eq!(both.addresses.as_slice().len(), 1);
    let own = Contact::new(local(), []);
    let error = walk.validate_peer(&own).expect_err("that is us");
    assert_eq!((error.peer, error.refusal), (own.peer.id(), Refusal::OwnId));
}

#[test]
fn bounds_that_make_no_sense_are_named() {
    let (local, net, clock) = net(0);
    let config = Config {
        bucket_size: 0,
        ..Config::default()
    };
    let seed = Seed::from_bytes([0; 32]);
    let error = RandomWalk::with_timer(local, net, config, clock, seed).expect_err("no peers");
    let source = error.source().expect("which one");
    assert_eq!(source.to_string(), "bucket_size is zero: set at least 1");
}
