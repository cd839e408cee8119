//! Who is listed, and what it costs.

use std::collections::BTreeSet;

use dht_walk::{AddressPolicy, Contact, CrawlConfig, CrawlEnd, Fate, Peer, Refusal};

use crate::network::{Conduct, Network, Run, contact, local, secs};

#[test]
fn two_hundred_nodes_are_listed_with_five_messages_each() {
    let mut network = Network::new(200);
    let run = Run::new(&network, CrawlConfig::default()).finish(&mut network);
    assert_eq!(run.ended, Some(CrawlEnd::Complete));
    assert_eq!(run.of(Fate::Answered), network.peers());
    let counts = run.crawl.counts();
    assert_eq!(
        (counts.known, counts.answered, counts.waiting()),
        (200, 200, 0)
    );
    assert_eq!(counts.messages, run.asked.len() as u64);
    assert_eq!(counts.messages, 1_000);
    assert_eq!(run.crawl.refusals().total(), 0);
}

#[test]
fn a_peer_is_asked_for_its_buckets_one_after_the_other_and_no_deeper_than_it_has_any() {
    let mut network = Network::new(200);
    let run = Run::new(&network, CrawlConfig::default()).finish(&mut network);
    for peer in network.peers() {
        let asked = run.asked.iter().filter(|(_, it, _)| it.peer == peer);
        let cpls = asked.map(|(_, _, target)| peer.cpl(target.as_peer()));
        let cpls: Vec<_> = cpls.map(|cpl| cpl.expect("another one").bits()).collect();
        let wanted: Vec<u8> = (0..).take(cpls.len()).collect();
        assert_eq!(cpls, wanted);
        assert!((4..=6).contains(&cpls.len()), "{cpls:?}");
    }
}

#[test]
fn a_network_of_few_is_listed_with_a_message_or_two_each() {
    let mut network = Network::new(10);
    let run = Run::new(&network, CrawlConfig::default()).finish(&mut network);
    assert_eq!(run.of(Fate::Answered), network.peers());
    assert!(run.asked.len() <= 20, "{}", run.asked.len());
}

#[test]
fn dead_peers_are_silent_after_a_second_try_when_all_others_were_asked() {
    let mut network = Network::new(200);
    let (hung, gone) = (network.some(20, 15), network.some(60, 25));
    network.set(&hung, &Conduct::Hung);
    network.set(&gone, &Conduct::Unreachable);
    let run = Run::new(&network, CrawlConfig::default()).finish(&mut network);
    let dead: BTreeSet<Peer> = [hung, gone]
        .concat()
        .into_iter()
        .map(|it| it.peer)
        .collect();
    assert_eq!(run.of(Fate::Silent), dead);
    let live: BTreeSet<Peer> = network.peers().difference(&dead).cloned().collect();
    assert_eq!(run.of(Fate::Answered), live);
    assert!(dead.iter().all(|peer| run.times_asked(peer) == 2));
    assert_eq!(run.cancelled, 30, "each try of a hung one");
    let first_of = |peer: &Peer| run.asked.iter().position(|(_, it, _)| it.peer == *peer);
    let last_of = |peer: &Peer| run.asked.iter().rposition(|(_, it, _)| it.peer == *peer);
    let first_retry = dead.iter().filter_map(last_of).min();
    assert!(live.iter().all(|peer| first_of(peer) < first_retry));
    let counts = run.crawl.counts();
    assert_eq!((counts.answered, counts.silent), (160, 40));
}

#[test]
fn who_serves_no_dht_is_asked_once() {
    let mut network = Network::new(100);
    let clients = network.some(50, 10);
    network.set(&clients, &Conduct::Client);
    let run = Run::new(&network, CrawlConfig::default()).finish(&mut network);
    let clients: BTreeSet<Peer> = clients.into_iter().map(|it| it.peer).collect();
    assert_eq!(run.of(Fate::NotServing), clients);
    assert!(clients.iter().all(|peer| run.times_asked(peer) == 1));
    assert_eq!(run.crawl.counts().not_serving, 10);
    assert_eq!(run.of(Fate::Answered).len(), 90);
}

#[test]
fn invented_addresses_are_mended_by_others_before_the_second_try() {
    let mut network = Network::new(100);
    let lies: Vec<Contact> = network.some(40, 20);
    let lies = lies
        .iter()
        .enumerate()
        // As many as are kept of a peer.
        .map(|(at, it)| {
            let all = (0..8).map(|of| contact(&it.peer, 5_000 + 8 * at + of));
            let all = all.flat_map(|it| it.addresses.as_slice().to_vec());
            Contact::new(it.peer.clone(), all)
        });
    let lies: Vec<Contact> = lies.collect();
    // The seed is the liar, and tells everybody else of them in the second bucket.
    let seed = network.some(0, 1);
    let true_ones = network.some(1, 1);
    let told = [lies, true_ones].concat()[1..].to_vec();
    network.set(&seed, &Conduct::Tells(told));
    let run = Run::new(&network, CrawlConfig::default()).finish(&mut network);
    assert_eq!(run.of(Fate::Answered), network.peers());
}

#[test]
fn we_ourselves_and_private_addresses_are_not_listed_but_a_seed_is_meant_as_it_stands() {
    let mut network = Network::new(30);
    let (seed, teller) = (network.some(0, 1), network.some(3, 1));
    let home = contact_at(&network.some(1, 1)[0].peer, "/ip4/192.168.1.1/tcp/1");
    let told = vec![
        contact(&local(), 1),
        home,
        Contact::new(teller[0].peer.clone(), []),
    ];
    let told = [told, network.some(5, 3)].concat();
    network.set(&seed, &Conduct::Tells(told));
    let all = network.some(5, 3);
    network.set(&all, &Conduct::Tells(Vec::new()));
    let run = Run::new(&network, CrawlConfig::default()).finish(&mut network);
    let refused = |refusal| run.crawl.refusals().count(refusal);
    let times = u32::try_from(run.times_asked(&seed[0].peer)).expect("few");
    assert_eq!(refused(Refusal::OwnId), times);
    assert_eq!(refused(Refusal::PrivateAddress), times);
    assert_eq!(
        refused(Refusal::NoAddress),
        2 * times,
        "the private one has none left"
    );
    assert_eq!(run.crawl.counts().known, 4);

    let config = CrawlConfig::default();
    let mut run = Run::new(&network, config.clone());
    let lonely = contact_at(&network.some(9, 1)[0].peer, "/ip4/192.168.1.1/tcp/1");
    run.crawl.add_seeds(run.now, [lonely.clone()]);
    run.send(&mut network, 2);
    assert_eq!(run.asked[1].1, lonely);

    let any = CrawlConfig {
        addresses: AddressPolicy::Any,
        ..config
    };
    let run = Run::new(&network, any).finish(&mut network);
    assert_eq!(run.crawl.refusals().count(Refusal::PrivateAddress), 0);
    assert_eq!(run.crawl.counts().known, 5);
}

fn contact_at(peer: &Peer, address: &str) -> Contact {
    Contact::new(peer.clone(), [address.parse().expect("an address")])
}

#[test]
fn without_seeds_there_is_nobody_to_ask() {
    let mut network = Network::new(0);
    let run = Run::new(&network, CrawlConfig::default()).finish(&mut network);
    assert_eq!((run.ended, run.asked.len()), (Some(CrawlEnd::Complete), 0));
}

#[test]
fn a_stop_acts_at_once_and_a_late_answer_counts_for_nothing() {
    let mut network = Network::new(100);
    let mut run = Run::new(&network, CrawlConfig::default());
    run.send(&mut network, 40);
    let (messages, now) = (run.asked.len(), run.now);
    let known = run.crawl.counts().known;
    run.crawl.stop(now);
    run.take(network.delay);
    assert_eq!(
        (run.ended, run.crawl.end()),
        (Some(CrawlEnd::Stopped), Some(CrawlEnd::Stopped))
    );
    assert!(run.cancelled > 0 && run.crawl.poll_timeout().is_none());
    run.crawl.handle_timeout(now.saturating_add(secs(9)));
    run.crawl.stop(now.saturating_add(secs(9)));
    run.take(network.delay);
    let counts = run.crawl.counts();
    assert_eq!((counts.messages, counts.known), (messages as u64, known));
    assert_eq!(
        counts.elapsed.as_millis(),
        u128::from(now.as_millis()),
        "the clock stands"
    );
}

#[test]
fn equal_seeds_give_equal_crawls() {
    let asked = || {
        let mut network = Network::new(60);
        let run = Run::new(&network, CrawlConfig::default()).finish(&mut network);
        run.asked
    };
    assert_eq!(asked(), asked());
}
