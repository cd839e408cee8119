//! Kademlia networks whose nodes run the core of `dht-walk`, or a model of what others ship.
//!
//! - [`Network`] is the virtual clock, the wires, and who joins and leaves.
//! - [`Ours`] is the core itself, [`Wrapped`] the core around a kad; [`Kad`] and [`Py`] are models
//!   of rust's and py's own ways, each with the places in the source that it follows; [`Still`] is
//!   a network of perfect tables that nobody tends.
//! - [`Census`] compares tables with who is really there.
//! - [`experiments`] are what is measured, and [`report`] writes it down.

mod census;
mod conditions;
mod conduct;
pub mod experiments;
mod figures;
mod kad;
mod model;
mod network;
mod ours;
mod place;
mod py;
mod queue;
pub mod report;
mod still;
mod wrapped;

pub use census::{Census, Quality};
pub use conditions::Conditions;
pub use conduct::{Conduct, Lie};
pub use kad::{Kad, KadId, Lookups, Pause};
pub use model::{Model, Request, Start, What};
pub use network::{Network, Node, Tally};
pub use ours::Ours;
pub use place::Slot;
pub use py::{Py, PyId};
pub use still::Still;
pub use wrapped::{Wrapped, WrappedId};
