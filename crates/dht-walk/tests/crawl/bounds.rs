//! What a crawl spends and holds at the most, whatever others answer.

use std::time::Duration;

use dht_walk::{Contact, CrawlConfig, CrawlCounts, CrawlEnd, Fate, Refusal};
use proptest::prelude::*;

use crate::network::{Conduct, Network, Run, secs};

fn counts(run: &Run) -> CrawlCounts {
    run.crawl.counts()
}

#[test]
fn who_invents_peers_without_end_costs_two_messages_for_each_of_a_bounded_number() {
    let mut network = Network::new(200);
    let liars = network.some(30, 3);
    network.set(&liars, &Conduct::Invents);
    let config = CrawlConfig {
        told_per_source_max: 100,
        requests_per_peer_max: 10,
        ..CrawlConfig::default()
    };
    let run = Run::new(&network, config).finish(&mut network);
    assert_eq!(run.ended, Some(CrawlEnd::Complete));
    assert_eq!(run.of(Fate::Answered), network.peers());
    assert_eq!(run.of(Fate::Silent).len(), 300);
    let of_liars: usize = liars.iter().map(|it| run.times_asked(&it.peer)).sum();
    assert_eq!(of_liars, 3 * 10, "requests_per_peer_max each");
    let refused = run.crawl.refusals().count(Refusal::SourceQuota);
    assert_eq!(refused, 3 * (10 * 20 - 100));
    // Without them it is five each, see the listing.
    let others = run.asked.len() - of_liars - 2 * 300;
    assert!(others < 1_010, "{others}");
}

#[test]
fn an_answer_of_ten_thousand_counts_as_one_bucket() {
    let mut network = Network::new(100);
    let seed = network.some(0, 1);
    let all: Vec<Contact> = network.some(1, 99);
    let many = all.iter().cycle().take(10_000).cloned().collect();
    network.set(&seed, &Conduct::Tells(many));
    let mut run = Run::new(&network, CrawlConfig::default());
    run.run_while(&mut network, |run| counts(run).known == 1);
    assert_eq!(counts(&run).known, 21);
    assert_eq!(run.crawl.refusals().count(Refusal::Surplus), 9_980);
}

#[test]
fn who_repeats_one_answer_is_not_asked_to_the_end() {
    let mut network = Network::new(100);
    let liar = network.some(30, 1);
    // Deep in its own table, so that all of them might hide somebody.
    let near = network.near(&liar[0].peer, 5);
    let same = near.into_iter().cycle().take(15).collect();
    network.set(&liar, &Conduct::Tells(same));
    let run = Run::new(&network, CrawlConfig::default()).finish(&mut network);
    assert_eq!(run.times_asked(&liar[0].peer), 2);
    assert_eq!(run.crawl.refusals().count(Refusal::RepeatedContact), 20);
    assert_eq!(run.of(Fate::Answered), network.peers());
    assert_eq!(run.of(Fate::Silent).len(), 5);
}

#[test]
fn a_crawl_ends_at_its_deadline() {
    let mut network = Network::new(200);
    let hung = network.some(100, 40);
    network.set(&hung, &Conduct::Hung);
    let deadline = secs(6);
    let config = CrawlConfig {
        deadline,
        ..CrawlConfig::default()
    };
    let run = Run::new(&network, config).finish(&mut network);
    assert_eq!(run.ended, Some(CrawlEnd::Deadline));
    assert_eq!(run.now.as_millis(), 6_000);
    assert_eq!(counts(&run).elapsed, deadline);
    assert!(counts(&run).waiting() > 0);
}

#[test]
fn a_full_list_takes_nobody_more_and_counts_them() {
    let mut network = Network::new(200);
    let config = CrawlConfig {
        peers_max: 50,
        ..CrawlConfig::default()
    };
    let run = Run::new(&network, config).finish(&mut network);
    assert_eq!(run.ended, Some(CrawlEnd::Complete));
    assert_eq!((counts(&run).known, counts(&run).answered), (50, 50));
    assert!(counts(&run).left_out > 100);
}

#[test]
fn a_hung_peer_holds_up_nobody_else() {
    let mut network = Network::new(100);
    let hung = network.some(10, 1);
    network.set(&hung, &Conduct::Hung);
    let mut run = Run::new(&network, CrawlConfig::default());
    run.run_while(&mut network, |run| counts(run).answered < 99);
    // 500 messages at 50 in a second, the first 50 at once.
    assert!(run.now.as_millis() < 11_000, "{:?}", run.now);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bounds_hold_whoever_answers_what(
        in_flight_max in 1_usize..40,
        messages_per_second in 1_u32..200,
        messages_max in 0_u64..400,
        requests_per_peer_max in 1_u8..8,
        strikes_max in 1_u8..4,
        conducts in prop::collection::vec(0_u8..6, 60),
        delay in 0_u64..6_000,
    ) {
        let mut network = Network::new(60);
        network.delay = Duration::from_millis(delay);
        let told = network.some(3, 20);
        for (contact, conduct) in network.some(1, 59).into_iter().zip(conducts) {
            let conduct = match conduct {
                0 => Conduct::Hung,
                1 => Conduct::Unreachable,
                2 => Conduct::Client,
                3 => Conduct::Invents,
                4 => Conduct::Tells(told.clone()),
                _ => Conduct::Live,
            };
            network.set(&[contact], &conduct);
        }
        let config = CrawlConfig {
            in_flight_max,
            messages_per_second,
            messages_max,
            requests_per_peer_max,
            strikes_max,
            peers_max: 200,
            deadline: secs(600),
            ..CrawlConfig::default()
        };
        let run = Run::new(&network, config).finish(&mut network);
        let counts = counts(&run);
        prop_assert!(run.in_flight_max <= in_flight_max);
        prop_assert!(counts.messages <= messages_max);
        prop_assert_eq!(counts.messages, run.asked.len() as u64);
        prop_assert!(counts.known <= 200);
        prop_assert!(run.now.as_millis() <= 600_000);
        let fates = [Fate::Answered, Fate::NotServing, Fate::Silent].map(|it| run.of(it).len());
        prop_assert_eq!(fates, [counts.answered, counts.not_serving, counts.silent]);
        // A burst of one second, and what comes in during one.
        for (at, (sent_at, ..)) in run.asked.iter().enumerate() {
            let ends_at = sent_at.saturating_add(secs(1));
            let within = run.asked[at..].iter().take_while(|(it, ..)| *it < ends_at);
            prop_assert!(within.count() <= 2 * messages_per_second as usize);
        }
        for (_, contact, _) in &run.asked {
            let times = run.times_asked(&contact.peer);
            prop_assert!(times <= usize::from(requests_per_peer_max * strikes_max));
        }
        match run.ended {
            Some(CrawlEnd::Complete) => prop_assert_eq!(counts.waiting(), 0),
            Some(CrawlEnd::Spent) => prop_assert_eq!(counts.messages, messages_max),
            Some(CrawlEnd::Deadline) => prop_assert_eq!(run.now.as_millis(), 600_000),
            Some(CrawlEnd::Stopped) | None => prop_assert!(false, "{:?}", run.ended),
        }
    }
}
