//! A rendezvous point: the behaviour to embed in any swarm, and (feature `daemon`) a whole daemon.
//!
//! ```
//! use rv_server::{Behaviour, Config, random_epoch};
//!
//! // Everything in memory, nothing to spawn: put it into a swarm beside other behaviours.
//! let behaviour = Behaviour::in_memory(Config::default(), random_epoch())?;
//! # Ok::<(), rv_server::ConfigError>(())
//! ```
//!
//! With a journal, registrations survive: [`point`] gives the behaviour and a [`Committer`], a
//! future that moves accepted writes into the journal and must be spawned.
//!
//! # How a request goes
//!
//! A connection's handler reads frames and runs the sans-IO
//! [`Session`](rv_core::Session) in the connection's own task. DISCOVER is answered there, on
//! shared state under a read lock. REGISTER and UNREGISTER are judged there by the one
//! [`Writer`](rv_core::Writer), then wait for the journal; their stream goes on once the fact is
//! applied. No request passes through the swarm's event loop.

mod behaviour;
mod clock;
mod committer;
mod config;
#[cfg(feature = "daemon")]
pub mod daemon;
mod desk;
mod handler;
pub mod journal;
mod stats;
mod subscribers;

pub use behaviour::{Behaviour, Event};
pub use clock::{Clock, SystemClock, random_epoch};
pub use committer::{Committer, PointError, point};
pub use config::{Config, ConfigError, PROTOCOL, StreamLimits};
pub use handler::Handler;
pub use stats::Stats;

pub use {libp2p_identity, libp2p_swarm, rv_core, rv_proto};
