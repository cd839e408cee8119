//! The walk as futures, for any runtime.
//!
//! Everything that decides is in [`Walk`](crate::Walk); the driver carries. A host says how a
//! FIND_NODE is sent ([`Query`]) and where entries are kept ([`RoutingTable`]), and gets
//!
//! - [`RtRefreshManager`], which keeps that table full of live peers,
//! - [`RandomWalk`], which finds peers and keeps nothing, and
//! - [`Crawler`], which lists a whole network.
//!
//! Nothing is spawned here: [`RtRefreshManager::start`] returns a future, and whoever embeds it
//! spawns it, on tokio, in a browser, or in a test with a clock of its own ([`Timer`]).
//!
//! # What cannot stop it
//!
//! A call of the host that fails, never ends or panics is a failed call and no more. A callback
//! that panics is told about ([`RefreshEvent::CallbackPanicked`]) and called again next time.
//!
//! # In a browser
//!
//! It compiles for `wasm32-unknown-unknown`. A panic ends the program there, as every panic does.

mod calls;
pub(crate) mod change;
mod crawler;
mod engine;
mod error;
mod host;
mod manager;
mod mirror;
mod options;
mod random_walk;
pub(crate) mod shared;
mod subscription;
pub(crate) mod timer;
mod validate;

pub use crawler::Crawler;
pub use error::{
    BuildError, CallFailed, HostError, PeerValidationError, RandomWalkError,
    RoutingTableRefreshError,
};
pub use host::{Progress, Query, RoutingTable};
pub use manager::{Notice, RtRefreshManager};
pub use options::RefreshOptions;
pub use random_walk::RandomWalk;
pub use shared::CallbackId;
pub use subscription::{RefreshEvent, Subscription, TableCall};
pub use timer::{SystemTimer, Timer};

/// Compiles what the page on the walk shows.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/WALK.md")]
struct Page;
