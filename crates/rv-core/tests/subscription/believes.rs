//! Whatever happens and however slowly it reads, a subscriber who has read all believes the truth.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use rv_proto::{DialectSet, Scope};

use crate::world::{KINDS, Kind, NAMES, PEERS, Subscriber, World, name};

/// Cases of each of the two random tests.
const CASES: u32 = 1_500;

/// Where the seed of a failure goes.
const SEED_VARIABLE: &str = "RV_SUBSCRIPTION_SEED";

#[derive(Clone, Debug)]
enum Step {
    Register(usize, usize, Kind, u32),
    Unregister(usize, usize),
    Pass(u64),
    Hide,
    Erase,
    /// A subscriber reads so many updates of so many bytes.
    Read(usize, usize, usize),
    Reconnect(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let kind = (0..KINDS.len()).prop_map(|index| KINDS[index]);
    let secs = prop_oneof![Just(120_u32), Just(300), Just(7_200)];
    let subscriber = 0..SUBSCRIBERS;
    prop_oneof![
        8 => (0..PEERS, 0..NAMES.len(), kind, secs)
            .prop_map(|(peer, name, kind, secs)| Step::Register(peer, name, kind, secs)),
        4 => (0..PEERS, 0..NAMES.len()).prop_map(|(peer, name)| Step::Unregister(peer, name)),
        2 => prop_oneof![Just(1_u64), Just(120), Just(200), Just(400)].prop_map(Step::Pass),
        1 => Just(Step::Hide),
        1 => Just(Step::Erase),
        6 => (subscriber.clone(), 1..4_usize, prop_oneof![Just(1_usize), Just(400), Just(32_768)])
            .prop_map(|(who, updates, bytes_max)| Step::Read(who, updates, bytes_max)),
        2 => subscriber.prop_map(Step::Reconnect),
    ]
}

const SUBSCRIBERS: usize = 5;

fn subscribers(world: &World) -> Vec<Subscriber> {
    let accepts = [0b111, 0b001, 0b110, 0b100, 0b111].map(DialectSet::from_bits);
    let one = || Scope::Namespace(name(0));
    let scopes = [one(), one(), one(), Scope::All, Scope::All];
    let all = accepts.into_iter().zip(scopes);
    all.map(|(accepts, scope)| Subscriber::new(world, scope, accepts))
        .collect()
}

fn run(removals_max: usize, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut world = World::new();
    world.registry.set_removals_max(removals_max);
    let mut all = subscribers(&world);
    for step in steps {
        match step {
            Step::Register(peer, name, kind, secs) => world.register(*peer, *name, *kind, *secs),
            Step::Unregister(peer, name) => world.unregister(*peer, *name),
            Step::Pass(secs) => world.pass(*secs),
            Step::Hide => world.hide_due(),
            Step::Erase => world.erase_due(),
            Step::Reconnect(who) => all[*who].reconnect(&world),
            Step::Read(who, updates, bytes_max) => {
                let subscriber = &mut all[*who];
                for _ in 0..*updates {
                    let Some(update) = subscriber.read(&world, *bytes_max) else {
                        break;
                    };
                    if update.is_complete {
                        check(&world, subscriber)?;
                    }
                }
            }
        }
    }
    for subscriber in &mut all {
        // Every update but the last brings a change, and no name changes twice.
        let bound = 2 * (PEERS * NAMES.len()) + 2;
        let mut updates = 0;
        while subscriber.read(&world, 1).is_some() {
            updates += 1;
            prop_assert!(updates <= bound, "there is an end");
        }
        check(&world, subscriber)?;
    }
    Ok(())
}

fn check(world: &World, subscriber: &Subscriber) -> Result<(), TestCaseError> {
    let truth = world.listed(&subscriber.scope, subscriber.accepts);
    prop_assert_eq!(subscriber.believes(world.now), truth);
    Ok(())
}

fn check_seed(seed: u64) {
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    });
    let rooms = prop_oneof![Just(0_usize), Just(1), Just(3), Just(1_000)];
    let cases = (rooms, vec(any_step(), 1..60));
    let outcome = runner.run(&cases, |(removals_max, steps)| run(removals_max, &steps));
    if let Err(error) = outcome {
        let test = "whoever_has_read_all_believes_the_truth_in_cases_never_seen_before";
        panic!(
            "{error}\nreplay: {SEED_VARIABLE}={seed} cargo test -p rv-core --test subscription \
             {test}"
        );
    }
}

#[test]
fn whoever_has_read_all_believes_the_truth() {
    check_seed(1);
}

#[test]
fn whoever_has_read_all_believes_the_truth_in_cases_never_seen_before() {
    let given = std::env::var(SEED_VARIABLE)
        .ok()
        .and_then(|seed| seed.parse().ok());
    check_seed(given.unwrap_or_else(|| TestRunner::default().rng().next_u64()));
}
