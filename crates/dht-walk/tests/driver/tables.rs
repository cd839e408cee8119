//! The host's table: kept the same as the walk's, whatever it does.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use dht_walk::driver::{Notice, RefreshEvent, RefreshOptions, TableCall};
use dht_walk::libp2p_identity::PeerId;

use crate::stage::{Fate, Stage, by_hand, events, secs};

fn failures(happened: &[RefreshEvent]) -> Vec<(PeerId, TableCall, String)> {
    let failures = happened.iter().filter_map(|it| match it {
        RefreshEvent::TableFailed { peer, call, error } => Some((*peer, *call, error.to_string())),
        _ => None,
    });
    failures.collect()
}

/// (py: test_rt_refresh_manager_error_handling)
#[test]
fn one_add_error_does_not_stop_the_loop() {
    for (fate, said) in [
        (Fate::Fails, "the host is broken"),
        (Fate::Panics, "the call panicked"),
        (Fate::Hangs, "the call did not end in time"),
    ] {
        let mut stage = Stage::new(300, RefreshOptions::default());
        stage.rows.lock().adds_once = vec![fate; 3];
        let mut happened = stage.manager.subscribe();
        let bootstrap = stage.contacts()[..3].to_vec();
        stage.manager.set_bootstrap(bootstrap).expect("good ones");
        stage.start();
        stage.run(secs(1));
        let early = events(&mut happened);
        stage.run(secs(20));
        let failed = failures(&[early, events(&mut happened)].concat());
        stage.run(secs(300));
        assert_eq!(failed.len(), 3, "{fate:?}");
        let is_told = |it: &(PeerId, TableCall, String)| it.1 == TableCall::AddPeer && it.2 == said;
        assert!(failed.iter().all(is_told), "{failed:?}");
        assert_eq!(stage.ended(), 0);
        assert!(stage.rows.peers().len() > 80, "{fate:?}");
        let health = stage.manager.health();
        let entries: usize = health.buckets().iter().map(|it| it.entries).sum();
        assert_eq!(entries, stage.rows.peers().len(), "both hold the same");
    }
}

#[test]
fn a_table_that_wants_nobody_gets_nobody() {
    let mut stage = Stage::new(100, RefreshOptions::default());
    stage.rows.lock().adds = Fate::Refuses;
    let bootstrap = stage.contacts()[..3].to_vec();
    stage.manager.set_bootstrap(bootstrap).expect("good ones");
    stage.start();
    stage.run(secs(3_600));
    assert!(stage.rows.peers().is_empty());
    assert!(stage.manager.snapshot().contacts().is_empty());
    let calls = stage.rows.lock().added.len();
    assert!(calls < 1_000, "{calls} calls in an hour");
}

#[test]
fn a_table_that_hangs_holds_up_no_requests() {
    let mut stage = Stage::filled(300, 100, RefreshOptions::default());
    stage.rows.lock().adds = Fate::Hangs;
    stage.start();
    let refresh = stage.manager.refresh(true);
    let report = stage.wait(secs(60), refresh).expect("it works");
    assert!(report.found.len() > 100);
}

#[test]
fn dead_and_client_peers_leave_the_table() {
    let mut stage = Stage::grown(300, RefreshOptions::default());
    let held: Vec<_> = stage.contacts();
    let rows = stage.rows.peers();
    let mut held = held.iter().filter(|it| rows.contains(&it.peer.id()));
    let (dead, client) = (held.next().expect("many"), held.next().expect("many"));
    stage.net.set(&dead.peer, Fate::Hangs);
    stage.net.set(&client.peer, Fate::Refuses);
    stage.run(secs(3_600));
    let gone: BTreeSet<PeerId> = [dead.peer.id(), client.peer.id()].into();
    assert!(stage.rows.peers().is_disjoint(&gone));
    assert!(gone.iter().all(|it| stage.rows.lock().removed.contains(it)));
}

#[test]
fn a_removal_that_fails_is_tried_again() {
    let mut stage = Stage::grown(300, RefreshOptions::default());
    let peer = *stage.rows.peers().first().expect("many");
    stage.rows.lock().removes = Fate::Fails;
    let mut happened = stage.manager.subscribe();
    stage.manager.notify(Notice::NotServing(peer));
    stage.settle();
    let failed = failures(&events(&mut happened));
    let expected = (peer, TableCall::RemovePeer, "the host is broken".to_owned());
    assert_eq!(failed, [expected]);
    assert!(stage.rows.peers().contains(&peer));
    stage.rows.lock().removes = Fate::Works;
    let refresh = stage.manager.refresh(true);
    stage.wait(secs(60), refresh).expect("it works");
    assert!(!stage.rows.peers().contains(&peer));
}

#[test]
fn what_the_table_does_by_itself_is_seen_at_the_next_refresh() {
    let mut stage = Stage::grown(300, RefreshOptions::default());
    let rows = stage.rows.peers();
    let gone = *rows.first().expect("many");
    let new = stage.contacts();
    let new = new.iter().find(|it| !rows.contains(&it.peer.id()));
    let new = new.expect("there are more than fit").clone();
    let silent = stage.contacts()[9].clone();
    stage.rows.lock().rows.remove(&gone);
    stage.rows.lock().rows.insert(new.peer.id(), new.clone());
    stage.net.set(&new.peer, Fate::Refuses);
    assert_ne!(silent.peer, new.peer);
    let refresh = stage.manager.refresh(true);
    stage.wait(secs(60), refresh).expect("it works");
    stage.run(secs(60));
    let asked = |id: PeerId| stage.net.lock().asked.iter().any(|it| it.1 == id);
    assert!(asked(new.peer.id()), "it is checked");
    let health = stage.manager.health();
    let entries: usize = health.buckets().iter().map(|it| it.entries).sum();
    let rows = stage.rows.peers();
    assert!(entries == rows.len() || entries + 1 == rows.len());
}

#[test]
fn a_refresh_begins_from_what_the_table_has_when_it_is_asked_for() {
    let mut stage = Stage::new(60, by_hand());
    stage.start();
    stage.settle();
    let rows = stage.contacts().into_iter().take(5);
    stage.rows.lock().rows = rows.map(|it| (it.peer.id(), it)).collect();
    let refresh = stage.manager.refresh(true);
    let report = stage.wait(secs(60), refresh).expect("there is somebody");
    assert!(report.admitted > 20);
}

#[test]
fn entries_of_the_table_are_known_from_the_start() {
    let mut stage = Stage::filled(60, 30, by_hand());
    stage.start();
    stage.settle();
    let health = stage.manager.health();
    let entries: usize = health.buckets().iter().map(|it| it.entries).sum();
    assert_eq!(entries, 30);
    assert!(stage.rows.lock().added.is_empty(), "the table has them");
}

#[test]
fn a_table_that_cannot_be_read_is_told_about() {
    let mut stage = Stage::filled(60, 30, by_hand());
    stage.rows.lock().contacts = Fate::Panics;
    let mut happened = stage.manager.subscribe();
    stage.start();
    stage.settle();
    let failed = failures(&events(&mut happened));
    let said = "the call panicked".to_owned();
    assert_eq!(failed, [(stage.local, TableCall::Contacts, said)]);
    assert_eq!(stage.ended(), 0);
    stage.rows.lock().contacts = Fate::Works;
    stage.manager.stop();
    stage.start();
    let refresh = stage.manager.refresh(true);
    assert!(stage.wait(secs(60), refresh).is_ok());
}

#[test]
fn what_the_host_tells_is_heeded() {
    let mut stage = Stage::grown(12, RefreshOptions::default());
    let contact = stage.contacts()[5].clone();
    let peer = contact.peer.id();
    assert!(stage.rows.peers().contains(&peer));
    stage.manager.notify(Notice::NotServing(peer));
    stage.settle();
    assert!(!stage.rows.peers().contains(&peer));
    stage.manager.notify(Notice::Serving(peer));
    stage.manager.notify(Notice::Inbound(contact.clone()));
    stage.run(secs(1));
    assert!(stage.rows.peers().contains(&peer), "it serves again");

    stage.rows.lock().rows.remove(&peer);
    stage.manager.notify(Notice::Removed(peer));
    stage.manager.notify(Notice::Added(contact));
    stage.manager.notify(Notice::Connected(peer));
    stage.manager.notify(Notice::Alive(peer));
    stage.manager.notify(Notice::Disconnected(peer));
    stage.manager.notify(Notice::LocalAddresses);
    stage.run(secs(1));
    let open = stage.net.lock().open.load(Ordering::SeqCst);
    assert_eq!(open, 0);

    let mut happened = stage.manager.subscribe();
    stage.manager.notify(Notice::Connectivity(false));
    stage.settle();
    let is_outage =
        |it: &RefreshEvent| matches!(it, RefreshEvent::Walk(dht_walk::Event::OutageBegan));
    assert!(events(&mut happened).iter().any(is_outage));
}

#[test]
fn a_snapshot_brings_the_table_back_without_bootstrap_peers() {
    let stage = Stage::grown(100, RefreshOptions::default());
    let snapshot = stage.manager.snapshot();
    assert!(snapshot.contacts().len() > 40);
    let mut later = Stage::new(100, RefreshOptions::default());
    later.manager.restore(&snapshot);
    later.start();
    later.settle();
    assert!(later.rows.peers().is_empty(), "none answered yet");
    later.run(secs(120));
    assert!(later.rows.peers().len() > 40);
}
