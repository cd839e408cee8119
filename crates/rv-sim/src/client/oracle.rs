//! What has to hold: one oracle for each promise of the client.

mod bounds;
mod discovers;
mod expires;
mod holds;
mod leaves;
mod settles;
mod watches;

use std::fmt;
use std::time::Duration;

use rv_core::client::ClientConfig;
use rv_proto::Time;

pub use bounds::Bounds;
pub use discovers::Discovers;
pub use expires::Expires;
pub use holds::Holds;
pub use leaves::Leaves;
pub use settles::Settles;
pub use watches::Watches;

use super::seen::Seen;
use super::world::World;

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Everything stays within its bounds, and nobody asks more often than the pauses allow.
    Bounds,
    /// Discoveries end, and slow points delay them only for a moment.
    Discovers,
    /// Who left is nowhere seen any longer than its ttl.
    Expires,
    /// A registration never lapses at a point that answers.
    Holds,
    /// Who unregistered is gone, and does not come back.
    Leaves,
    /// After the faults every wanted registration stands.
    Settles,
    /// A watch tells who joins and who is gone, once each, and ends with the truth.
    Watches,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// When it showed.
    pub at: Time,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.saturating_since(World::START).as_secs_f64();
        write!(f, "{:?} broken at {at:.3} s: {}", self.promise, self.what)
    }
}

/// Something that watches one promise.
pub trait Oracle: fmt::Debug {
    /// Takes what was seen.
    ///
    /// # Errors
    ///
    /// If that breaks the promise.
    fn see(&mut self, world: &World, seen: &Seen) -> Result<(), Violation>;

    /// Looks at the state, after all that happened at one time.
    ///
    /// # Errors
    ///
    /// If that breaks the promise.
    fn look(&mut self, world: &World) -> Result<(), Violation>;
}

/// Every oracle.
pub fn all(config: &ClientConfig) -> Vec<Box<dyn Oracle>> {
    vec![
        Box::new(Bounds::new(config.clone())),
        Box::new(Discovers::new(config.clone())),
        Box::new(Expires::new(config.clone())),
        Box::new(Holds::default()),
        Box::new(Leaves::new(config.clone())),
        Box::new(Settles::new(config.clone())),
        Box::new(Watches::new(config.clone())),
    ]
}

/// One registration at one point: client, point, name.
type Place = (usize, usize, usize);

fn broken(promise: Promise, world: &World, what: String) -> Violation {
    Violation {
        promise,
        at: world.now,
        what,
    }
}

/// The longest pause after a failure, where a registration of this ttl is wanted.
fn pause_max(config: &ClientConfig, ttl_secs: u64) -> Duration {
    let share = Duration::from_secs(ttl_secs) / 32;
    share.clamp(config.backoff_min, config.backoff_max)
}

fn places(world: &World) -> impl Iterator<Item = Place> {
    let (clients, points, names) = (world.nodes.len(), world.points.len(), world.shape.names);
    (0..clients).flat_map(move |client| {
        let points = 0..points;
        points.flat_map(move |point| (0..names).map(move |name| (client, point, name)))
    })
}
