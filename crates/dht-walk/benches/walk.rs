//! What a walk costs its host: a target by depth, an answer from the table, a lookup, a refresh.
//!
//! The network answers from memory, at once, so that all time measured but that of finding the
//! nearest peers of a sorted list is the walk's own.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use dht_walk::{
    BudgetLimits, Config, Contact, Cpl, Event, Lookup, LookupConfig, Output, Seed, Step, Target,
    Targets, Time, Walk,
};

/// Peers in order of their positions, each of which knows all others.
struct Network(Vec<Contact>);

impl Network {
    fn new(peers: usize) -> Self {
        let mut random = Targets::new(Seed::from_bytes([3; 32]));
        let mut all: Vec<Contact> = (0..peers)
            .map(|at| {
                let address = format!("/ip4/9.{}.{}.7/udp/4001/quic-v1", at / 250, at % 250 + 1);
                let address = address.parse().expect("an address");
                Contact::new(random.uniform().as_peer().clone(), [address])
            })
            .collect();
        all.sort_by(|left, right| left.peer.cmp(&right.peer));
        Self(all)
    }

    /// The nearest of those around the target in order, which with so many peers are the nearest
    /// of all but for the edges of large subtrees.
    fn nearest(&self, target: &Target) -> Vec<Contact> {
        let at = self.0.partition_point(|it| it.peer < *target.as_peer());
        let around = at.saturating_sub(40)..(at + 40).min(self.0.len());
        let mut near = self.0[around].to_vec();
        near.sort_by_cached_key(|it| it.peer.distance(target.key()));
        near.truncate(20);
        near
    }
}

/// Bounds that never make the walk wait.
fn unbounded() -> Config {
    let budget = BudgetLimits {
        messages_per_hour: u32::MAX,
        messages_burst: u32::MAX / 2,
        dials_per_hour: u32::MAX,
        dials_burst: u32::MAX / 2,
        in_flight_max: 64,
    };
    Config {
        budget,
        auto: false,
        ..Config::default()
    }
}

fn walk(network: &Network) -> Walk {
    let local = Targets::new(Seed::from_bytes([4; 32])).uniform();
    let seed = Seed::from_bytes([5; 32]);
    let (now, local) = (Time::default(), local.as_peer().clone());
    let mut walk = Walk::new(now, unbounded(), local, seed).expect("the bounds make sense");
    for contact in network.0.iter().take(30) {
        walk.handle_entry_added(now, contact);
    }
    walk
}

/// Runs a forced refresh; gives its requests.
fn refresh(walk: &mut Walk, network: &Network, now: &mut Time) -> u64 {
    *now = now.saturating_add(Duration::from_secs(1));
    walk.refresh(*now, true).expect("nothing else waits");
    loop {
        match walk.poll_output() {
            Some(Output::FindNode { id, target, .. }) => {
                walk.handle_answer(*now, id, network.nearest(&target));
            }
            Some(Output::Event(Event::Finished(report))) => return report.requests(),
            Some(_) => {}
            None => {
                let (at, _) = walk.poll_timeout().expect("the refresh has a deadline");
                *now = at.max(*now);
                walk.handle_timeout(*now);
            }
        }
    }
}

fn targets(criterion: &mut Criterion) {
    let mut targets = Targets::new(Seed::from_bytes([1; 32]));
    let local = targets.uniform();
    let mut group = criterion.benchmark_group("target");
    group.sample_size(10);
    for cpl in [0, 4, 8, 12, 16, 20] {
        group.bench_function(format!("in bucket {cpl}"), |bencher| {
            bencher.iter(|| targets.in_bucket(local.key(), Cpl::new(cpl)));
        });
    }
    for slices in [100, 10_000] {
        group.bench_function(format!("in each of {slices} slices"), |bencher| {
            bencher.iter(|| targets.stratified(slices));
        });
    }
    group.finish();
}

fn table(criterion: &mut Criterion) {
    let network = Network::new(10_000);
    let (mut walk, mut now) = (walk(&network), Time::default());
    refresh(&mut walk, &network, &mut now);
    let mut random = Targets::new(Seed::from_bytes([6; 32]));
    let targets: Vec<Target> = (0..256).map(|_| random.uniform()).collect();
    let mut next = targets.iter().cycle();
    criterion.bench_function("answer of 20 from a table of 10,000 peers", |bencher| {
        bencher.iter(|| {
            let target = next.next().expect("it has no end");
            black_box(walk.table().closest(target.key(), 20));
        });
    });
}

fn lookups(criterion: &mut Criterion) {
    let network = Network::new(10_000);
    let mut random = Targets::new(Seed::from_bytes([7; 32]));
    let local = random.uniform().as_peer().clone();
    let targets: Vec<Target> = (0..64).map(|_| random.uniform()).collect();
    let answers: Vec<Vec<Contact>> = targets.iter().map(|it| network.nearest(it)).collect();
    let mut next = targets.iter().zip(&answers).cycle();
    criterion.bench_function("lookup among 10,000 peers", |bencher| {
        bencher.iter(|| {
            let (target, answer) = next.next().expect("it has no end");
            let known = network.0.iter().step_by(500).cloned();
            let (now, config) = (Time::default(), LookupConfig::default());
            let mut lookup = Lookup::new(now, config, local.clone(), target.clone(), 20, known);
            while let Step::Ask(contact) = lookup.poll(now) {
                lookup.asked(now, &contact.peer);
                lookup.handle_answer(&contact.peer, answer.iter().cloned());
            }
            assert_eq!(lookup.closest().count(), 20);
            lookup.requests()
        });
    });
}

fn refreshes(criterion: &mut Criterion) {
    let network = Network::new(10_000);
    let (mut walk, mut now) = (walk(&network), Time::default());
    let mut group = criterion.benchmark_group("refresh");
    group.sample_size(10);
    group.bench_function("of every bucket among 10,000 peers", |bencher| {
        bencher.iter(|| refresh(&mut walk, &network, &mut now));
    });
    group.finish();
}

criterion_group!(benches, targets, table, lookups, refreshes);
criterion_main!(benches);
