//! The client of rendezvous points against points made of the real machines.
//!
//! A [`Case`] is a seed, the [`Shape`] of a network, and a script of what happens in it. [`check`]
//! runs one and says which [`Promise`] was broken; [`shrink()`] cuts its script as long as the same
//! promise stays broken.

mod case;
mod network;
mod node;
pub mod oracle;
mod point;
mod run;
mod samples;
mod seen;
mod shrink;
mod world;

pub use case::{Action, Case, Happening, Link, Shape};
pub use oracle::{Promise, Violation};
pub use point::{Kind, Point};
pub use run::{Outcome, Tally, check, check_and_trace};
pub use samples::{client_peer, name, plain_peer, point_peer};
pub use seen::{Call, Seen, Sent};
pub use shrink::shrink;
pub use world::World;
