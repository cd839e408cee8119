//! One case from its start to its end.

use std::time::Duration;

use rv_core::client::ClientConfig;

use super::case::Case;
use super::oracle::{self, Oracle, Violation};
use super::seen::Seen;
use super::world::World;

/// What became of a case.
pub type Outcome = Result<Tally, Violation>;

/// How much happened in a case that kept every promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests sent.
    pub requests: u64,
    /// REGISTERs granted.
    pub granted: u64,
    /// Events told to applications.
    pub events: u64,
}

/// Steps of one case at the most: a network that goes on for ever at one time is a storm.
const STEPS_MAX: u32 = 2_000_000;

/// Runs a case.
///
/// # Errors
///
/// If a promise is broken.
///
/// # Panics
///
/// If the network does not come to rest at all.
pub fn check(case: &Case) -> Outcome {
    check_and_trace(case, &mut |_, _| {})
}

/// Runs a case as [`check`] does, and hands over what was seen, with the time since the start.
///
/// # Errors
///
/// If a promise is broken.
///
/// # Panics
///
/// If the network does not come to rest at all.
pub fn check_and_trace(case: &Case, trace: &mut dyn FnMut(Duration, &Seen)) -> Outcome {
    let config = ClientConfig::default();
    let mut world = World::new(case, &config);
    let mut oracles = oracle::all(&config);
    let mut tally = Tally::default();
    let end = world.at_secs(case.shape.end_at_secs);
    let mut script = case.script.iter().peekable();
    world.begin();
    for _ in 0..STEPS_MAX {
        look(&mut world, &mut oracles, &mut tally, trace)?;
        let scripted = script.peek().map(|it| {
            let start = World::START.as_millis();
            rv_proto::Time::from_millis(start + it.at_millis)
        });
        let next = world.next_at().into_iter().chain(scripted).min();
        let Some(next) = next.filter(|next| *next <= end) else {
            return Ok(tally);
        };
        world.advance(next);
        if scripted.is_some_and(|at| at <= next)
            && let Some(happening) = script.next()
        {
            world.act(&happening.action);
        }
    }
    panic!("seed {}: no rest after {STEPS_MAX} steps", case.seed);
}

fn look(
    world: &mut World,
    oracles: &mut [Box<dyn Oracle>],
    tally: &mut Tally,
    trace: &mut dyn FnMut(Duration, &Seen),
) -> Result<(), Violation> {
    let seen = world.take_seen();
    for seen in &seen {
        trace(world.now.saturating_since(World::START), seen);
        match seen {
            Seen::Granted { .. } => tally.granted += 1,
            Seen::Sent { .. } => tally.requests += 1,
            Seen::Told { .. } => tally.events += 1,
            Seen::Answered { .. }
            | Seen::Called { .. }
            | Seen::Forgot { .. }
            | Seen::Removed { .. } => {}
        }
        for oracle in &mut *oracles {
            oracle.see(world, seen)?;
        }
    }
    for oracle in oracles {
        oracle.look(world)?;
    }
    Ok(())
}
