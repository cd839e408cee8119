//! Whole networks in simulated time: the project's own machines, a virtual network, one clock.
//!
//! A seed decides everything that happens, so a failure is replayed by its seed. What has to hold
//! is written down as oracles, each of which knows one promise and looks at nothing but what is
//! visible from outside.

pub mod client;
mod dice;
pub mod walk;

pub use dice::Dice;
