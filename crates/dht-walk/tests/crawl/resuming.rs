//! What outlives a run.

use std::collections::BTreeSet;

use dht_walk::{AddressPolicy, Contact, CrawlConfig, CrawlEnd, CrawlState, Fate, Peer, Refusal};
use proptest::prelude::*;

use crate::network::{Conduct, Network, Run};

/// Goes on from what was written down, as another process does.
fn resumed(network: &Network, run: &Run) -> Run {
    let text = run.crawl.state().to_string();
    let state: CrawlState = text.parse().expect("it was written by us");
    assert_eq!(state, run.crawl.state());
    Run::resumed(network, CrawlConfig::default(), &state)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_crawl_that_was_cut_off_anywhere_lists_the_same_peers(
        cuts in prop::collection::vec(1_usize..400, 1..4),
        is_stopped: bool,
    ) {
        let mut network = Network::new(120);
        let dead = network.some(20, 12);
        network.set(&dead, &Conduct::Unreachable);
        let whole = Run::new(&network, CrawlConfig::default()).finish(&mut network);
        let mut run = Run::new(&network, CrawlConfig::default());
        let (mut settled, mut messages) = (BTreeSet::new(), 0);
        for cut in cuts {
            run.send(&mut network, cut);
            if is_stopped {
                run.crawl.stop(run.now);
            }
            let all = run.settled.iter();
            let final_ones = all.filter(|(_, fate)| **fate != Fate::Silent);
            settled.extend(final_ones.map(|(peer, _)| peer.clone()));
            messages += run.asked.len();
            run = resumed(&network, &run);
        }
        let run = run.finish(&mut network);
        messages += run.asked.len();
        prop_assert_eq!(run.ended, Some(CrawlEnd::Complete));
        let peers = |run: &Run| run.crawl.peers().collect::<Vec<_>>();
        prop_assert_eq!(peers(&run), peers(&whole));
        prop_assert_eq!(run.crawl.counts().messages, messages as u64);
        let again: Vec<&Peer> = settled.iter().filter(|it| run.times_asked(it) > 0).collect();
        prop_assert_eq!(again, Vec::<&Peer>::new(), "who answered is not asked again");
    }
}

#[test]
fn who_was_being_asked_is_asked_again_and_only_they_cost_more() {
    let mut network = Network::new(200);
    let whole = Run::new(&network, CrawlConfig::default()).finish(&mut network);
    let mut run = Run::new(&network, CrawlConfig::default());
    run.send(&mut network, 500);
    let before = run.asked.len();
    let run = resumed(&network, &run).finish(&mut network);
    assert_eq!(
        run.crawl.peers().collect::<Vec<_>>(),
        whole.crawl.peers().collect::<Vec<_>>()
    );
    let more = before + run.asked.len() - whole.asked.len();
    assert!(more <= 32 * 5, "{more}");
}

#[test]
fn a_crawl_that_had_ended_is_complete_at_once() {
    let mut network = Network::new(50);
    let run = Run::new(&network, CrawlConfig::default()).finish(&mut network);
    let again = resumed(&network, &run).finish(&mut network);
    assert_eq!(
        (again.ended, again.asked.len()),
        (Some(CrawlEnd::Complete), 0)
    );
    assert_eq!(again.crawl.counts().answered, 50);
    assert_eq!(again.crawl.counts().messages, run.crawl.counts().messages);
}

#[test]
fn bounds_count_for_each_run_and_counts_for_all_of_them() {
    let mut network = Network::new(200);
    let config = CrawlConfig {
        messages_max: 300,
        ..CrawlConfig::default()
    };
    let run = Run::new(&network, config.clone()).finish(&mut network);
    assert_eq!(run.ended, Some(CrawlEnd::Spent));
    let state = run.crawl.state();
    let again = Run::resumed(&network, config, &state).finish(&mut network);
    assert_eq!(again.ended, Some(CrawlEnd::Spent));
    let counts = again.crawl.counts();
    assert_eq!(counts.messages, 600);
    assert_eq!(
        counts.elapsed,
        state.elapsed + again.now.saturating_since(dht_walk::Time::default())
    );
}

#[test]
fn a_state_is_judged_like_what_anybody_tells() {
    let mut network = Network::new(10);
    let nobody = Contact::new(network.some(1, 1)[0].peer.clone(), []);
    let home = "/ip4/192.168.1.1/tcp/1".parse().expect("an address");
    let home = Contact::new(network.some(2, 1)[0].peer.clone(), [home]);
    let good = network.some(3, 1)[0].clone();
    let all = [nobody, home, good.clone(), good];
    let state = CrawlState {
        peers: all.into_iter().map(|it| (it, Fate::Silent)).collect(),
        ..CrawlState::default()
    };
    let run = Run::resumed(&network, CrawlConfig::default(), &state);
    let refused = |refusal| run.crawl.refusals().count(refusal);
    assert_eq!(refused(Refusal::NoAddress), 2);
    assert_eq!(refused(Refusal::PrivateAddress), 1);
    assert_eq!(refused(Refusal::RepeatedContact), 1);
    let counts = run.crawl.counts();
    assert_eq!(
        (counts.silent, counts.waiting()),
        (0, 2),
        "it waits again, and so does the seed"
    );
    let any = CrawlConfig {
        addresses: AddressPolicy::Any,
        peers_max: 1,
        ..CrawlConfig::default()
    };
    let run = Run::resumed(&network, any, &state).finish(&mut network);
    assert_eq!(run.crawl.counts().known, 1);
}
