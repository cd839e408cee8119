//! The crawl as a stream.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use dht_walk::driver::Crawler;
use dht_walk::libp2p_identity::PeerId;
use dht_walk::{Contact, CrawlConfig, CrawlEnd, CrawlEvent, CrawlState, Fate as Became, Seed};
use futures::{FutureExt as _, StreamExt as _};

use crate::stage::{Clock, Fate, Net, Stage, by_hand, net, secs};

type Crawl = Crawler<Net, Clock>;

fn resumed(peers: usize, state: &CrawlState) -> (Stage, Net, Crawl) {
    let (local, net, clock) = net(peers);
    let config = CrawlConfig::default();
    let seed = Seed::from_bytes([3; 32]);
    let crawl = Crawler::with_timer(local, net.clone(), config, state, clock.clone(), seed);
    let mut crawl = crawl.expect("the bounds make sense");
    crawl.add_seeds(net.lock().contacts.first().cloned());
    let mut stage = Stage::new(0, by_hand());
    stage.clock = clock;
    (stage, net, crawl)
}

fn crawl(peers: usize) -> (Stage, Net, Crawl) {
    resumed(peers, &CrawlState::default())
}

/// All that it tells, and itself.
async fn finish(mut crawl: Crawl) -> (Vec<CrawlEvent>, Crawl) {
    let mut events = Vec::new();
    while let Some(event) = crawl.next().await {
        events.push(event);
    }
    (events, crawl)
}

fn of(events: &[CrawlEvent], wanted: Became) -> BTreeSet<PeerId> {
    let settled = events.iter().filter_map(|event| match event {
        CrawlEvent::Settled(contact, fate) if *fate == wanted => Some(contact.peer.id()),
        _ => None,
    });
    settled.collect()
}

fn ids<'a>(contacts: impl IntoIterator<Item = &'a Contact>) -> BTreeSet<PeerId> {
    contacts.into_iter().map(|it| it.peer.id()).collect()
}

#[test]
fn a_crawl_tells_what_became_of_each_peer_and_ends() {
    let (mut stage, net, mut crawl) = crawl(60);
    let all = net.lock().contacts.clone();
    for (at, fate) in [Fate::Hangs, Fate::Fails, Fate::Panics, Fate::Refuses]
        .into_iter()
        .enumerate()
    {
        net.set(&all[10 + at].peer, fate);
    }
    crawl.add_seeds(all.clone());
    let (events, crawl) = stage.wait(secs(600), finish(crawl));
    assert_eq!(events.last(), Some(&CrawlEvent::Ended(CrawlEnd::Complete)));
    assert_eq!(events.len(), 61);
    assert_eq!(of(&events, Became::Silent), ids(&all[10..13]));
    assert_eq!(of(&events, Became::NotServing), ids(&all[13..14]));
    assert_eq!(
        of(&events, Became::Answered),
        ids(all[..10].iter().chain(&all[14..]))
    );
    let counts = crawl.counts();
    assert_eq!((counts.known, counts.waiting()), (60, 0));
    assert_eq!(counts.messages, net.lock().asked.len() as u64);
    assert_eq!(crawl.end(), Some(CrawlEnd::Complete));
    assert_eq!(crawl.refusals().total(), 0);
}

#[test]
fn a_crawl_works_while_it_is_polled_and_drops_its_requests_when_it_is_dropped() {
    let (mut stage, net, mut crawl) = crawl(60);
    net.set_all(Fate::Hangs);
    stage.run(secs(60));
    assert_eq!(net.lock().asked.len(), 0);
    assert_eq!(crawl.next().now_or_never(), None);
    let sent_and_open = || {
        let peers = net.lock();
        (peers.asked.len(), peers.open.load(Ordering::SeqCst))
    };
    assert_eq!(sent_and_open(), (1, 1));
    drop(crawl);
    assert_eq!(net.lock().open.load(Ordering::SeqCst), 0);
}

#[test]
fn a_stop_ends_the_stream_at_once_and_its_state_goes_on() {
    let (mut stage, net, mut crawl) = crawl(60);
    let call = async move {
        let mut settled = Vec::new();
        while settled.len() < 20 {
            settled.extend(crawl.next().await);
        }
        crawl.stop();
        let (rest, crawl) = finish(crawl).await;
        settled.extend(rest);
        (settled, crawl)
    };
    let (events, first) = stage.wait(secs(600), call);
    assert_eq!(events.last(), Some(&CrawlEvent::Ended(CrawlEnd::Stopped)));
    assert_eq!(net.lock().open.load(Ordering::SeqCst), 0);
    let state = first
        .state()
        .to_string()
        .parse()
        .expect("it was written by us");
    let (mut stage, net, crawl) = resumed(60, &state);
    let (more, crawl) = stage.wait(secs(600), finish(crawl));
    let (before, after) = (of(&events, Became::Answered), of(&more, Became::Answered));
    assert_eq!(before.intersection(&after).count(), 0);
    let both: BTreeSet<PeerId> = before.union(&after).copied().collect();
    assert_eq!(both, ids(&net.lock().contacts));
    assert_eq!(crawl.counts().answered, 60);
}

#[test]
fn requests_go_out_at_the_rate_and_not_before() {
    let (mut stage, net, crawl) = crawl(60);
    stage.wait(secs(600), finish(crawl));
    let asked = net.lock().asked.clone();
    for (at, (sent_at, _)) in asked.iter().enumerate() {
        let ends_at = sent_at.saturating_add(secs(1));
        let within = asked[at..].iter().take_while(|(it, _)| *it < ends_at);
        assert!(within.count() <= 100);
    }
    assert!(asked.len() > 100, "{}", asked.len());
}

#[test]
fn a_bound_that_makes_no_sense_is_refused() {
    let (local, net, clock) = net(1);
    let config = CrawlConfig {
        in_flight_max: 0,
        ..CrawlConfig::default()
    };
    let seed = Seed::from_bytes([3; 32]);
    let state = CrawlState::default();
    let error = Crawler::with_timer(local, net.clone(), config.clone(), &state, clock, seed);
    let error = error.expect_err("zero");
    assert_eq!(error.to_string(), "the bounds make no sense");
    assert!(Crawler::new(local, net, config).is_err());
}
