//! One budget over everything, whatever happens.

use std::collections::BTreeSet;
use std::time::Duration;

use dht_walk::{
    BudgetLimits, Config, Failure, Found, Lookups, Output, Peer, RequestId, Time, Walk,
};
use proptest::prelude::*;

use crate::world::{contact, random};

/// What a test does to a walk.
#[derive(Clone, Debug)]
enum Act {
    Answer,
    Connect(usize),
    Disconnect(usize),
    Fail,
    Inbound(usize),
    Later(u64),
    Refresh(bool),
    Restart,
    Sweep,
    Walks,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => Just(Act::Answer),
        2 => Just(Act::Fail),
        2 => (0_usize..60).prop_map(Act::Connect),
        1 => (0_usize..60).prop_map(Act::Disconnect),
        2 => (0_usize..60).prop_map(Act::Inbound),
        6 => (1_u64..30_000).prop_map(Act::Later),
        1 => any::<bool>().prop_map(Act::Refresh),
        1 => Just(Act::Restart),
        1 => Just(Act::Sweep),
        1 => Just(Act::Walks),
    ];
    prop::collection::vec(act, 1..250)
}

fn limits() -> impl Strategy<Value = BudgetLimits> {
    (
        1_u32..5_000,
        1_u32..80,
        1_u32..5_000,
        1_u32..80,
        1_usize..40,
    )
        .prop_map(
            |(messages_per_hour, messages_burst, dials_per_hour, dials_burst, in_flight_max)| {
                BudgetLimits {
                    messages_per_hour,
                    messages_burst,
                    dials_per_hour,
                    dials_burst,
                    in_flight_max,
                }
            },
        )
}

/// What may have been spent by then, to the last message.
fn allowed(now: Time, per_hour: u32, burst: u32) -> u64 {
    u64::from(burst) + now.as_millis() * u64::from(per_hour) / 3_600_000
}

struct Meter {
    limits: BudgetLimits,
    connected: BTreeSet<Peer>,
    open: BTreeSet<RequestId>,
    messages: u64,
    dials: u64,
}

impl Meter {
    fn take(&mut self, now: Time, walk: &mut Walk) -> Result<(), TestCaseError> {
        while let Some(output) = walk.poll_output() {
            match output {
                Output::AskSeeds(source) => walk.handle_seeds(now, source, Vec::new()),
                Output::Cancel(id) => _ = self.open.remove(&id),
                Output::FindNode { id, contact, .. } => {
                    self.messages += 1;
                    self.dials += u64::from(!self.connected.contains(&contact.peer));
                    self.open.insert(id);
                }
                _ => {}
            }
        }
        let BudgetLimits {
            messages_per_hour,
            messages_burst,
            dials_per_hour,
            dials_burst,
            in_flight_max,
        } = self.limits;
        prop_assert!(self.messages <= allowed(now, messages_per_hour, messages_burst));
        prop_assert!(self.dials <= allowed(now, dials_per_hour, dials_burst));
        prop_assert!(self.open.len() <= in_flight_max);
        let spent = walk.spent();
        prop_assert_eq!((spent.messages, spent.dials), (self.messages, self.dials));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// At each moment, over all machines: messages, dials and requests without an answer.
    #[test]
    fn no_mix_of_events_exceeds_the_budget(limits in limits(), acts in acts()) {
        let mut random = random(70);
        let local = random.uniform().as_peer().clone();
        let all: Vec<_> = (0..60).map(|at| contact(random.uniform().as_peer(), at)).collect();
        let mut now = Time::default();
        let config = Config { budget: limits, ..Config::default() };
        let seed = dht_walk::Seed::from_bytes([71; 32]);
        let mut walk = Walk::new(now, config, local, seed).expect("the bounds make sense");
        walk.set_bootstrap(now, all[..3].to_vec());
        let mut meter = Meter {
            limits,
            connected: BTreeSet::new(),
            open: BTreeSet::new(),
            messages: 0,
            dials: 0,
        };
        for act in acts {
            match act {
                Act::Answer => {
                    if let Some(id) = meter.open.pop_first() {
                        let from = usize::try_from(now.as_millis() % 40).expect("it is small");
                        walk.handle_answer(now, id, all[from..from + 20].to_vec());
                    }
                }
                Act::Connect(at) => {
                    meter.connected.insert(all[at].peer.clone());
                    walk.handle_connection(now, &all[at].peer, true);
                }
                Act::Disconnect(at) => {
                    // What goes out of this very call is a dial.
                    meter.connected.remove(&all[at].peer);
                    walk.handle_connection(now, &all[at].peer, false);
                }
                Act::Fail => {
                    if let Some(id) = meter.open.pop_first() {
                        walk.handle_failure(now, id, Failure::Unreachable);
                    }
                }
                Act::Inbound(at) => walk.handle_inbound(now, &all[at]),
                Act::Later(millis) => {
                    now = now.saturating_add(Duration::from_millis(millis));
                    walk.handle_timeout(now);
                }
                Act::Refresh(is_forced) => drop(walk.refresh(now, is_forced)),
                Act::Restart => {
                    walk.stop(now);
                    walk.start(now);
                }
                Act::Sweep => drop(walk.sweep(now, 9, Duration::from_secs(60))),
                Act::Walks => drop(walk.walks(now, 5)),
            }
            meter.take(now, &mut walk)?;
        }
    }
}

/// A lookup of the host's is paid for before it is known what it cost. Whatever it cost more is
/// paid off before the next begins.
#[test]
fn lookups_of_the_hosts_keep_to_the_budget_in_the_long_run() {
    let budget = BudgetLimits {
        messages_per_hour: 600,
        messages_burst: 100,
        ..BudgetLimits::default()
    };
    let config = Config {
        lookups: Lookups::Delegated,
        auto: false,
        budget,
        ..Config::default()
    };
    let local = random(72).uniform().as_peer().clone();
    let mut now = Time::default();
    let seed = dht_walk::Seed::from_bytes([73; 32]);
    let mut walk = Walk::new(now, config, local, seed).expect("the bounds make sense");
    let mut lookups = 0;
    for _ in 0..4 * 360 {
        // Each costs twice what was set aside for it.
        let _ = walk.walks(now, 50);
        walk.handle_timeout(now);
        while let Some(output) = walk.poll_output() {
            if let Output::Lookup { id, .. } = output {
                lookups += 1;
                let found = Found {
                    requests: Some(80),
                    ..Found::default()
                };
                walk.handle_lookup_ended(now, id, found);
            }
        }
        let allowed = allowed(now, 600, 100) + 3 * 80;
        assert!(lookups * 80 <= allowed, "{lookups} lookups until {now:?}");
        now = now.saturating_add(Duration::from_secs(10));
    }
    assert!(lookups >= 25, "{lookups}");
    assert_eq!(walk.spent().messages, lookups * 80);
}
