//! The harness of the tests over the wire: a point, and peers that are not ours.
//!
//! Nothing here encodes or decodes with the code under test. [`wire`] has its own few lines of
//! protobuf, records are sealed by libp2p's own code, and [`Stock`] is the published client; stock
//! peers of other languages run as processes, see [`Runtime`]. [`Ours`] is our own client, the only
//! one here. Every wait ends by itself, see [`within`].

mod daemon;
mod foreign;
mod listener;
mod machine;
mod opener;
mod ours;
mod point;
mod raw;
mod recorder;
mod recording;
mod records;
mod stock;
mod swarm;
mod wait;
pub mod wire;

pub use daemon::RunningDaemon;
pub use foreign::{
    ForeignClient, ForeignPage, ForeignServer, KadNode, KadRuntime, Kademlia, Language, Runtime,
};
pub use machine::Machine;
pub use ours::{Ours, scope};
pub use point::{ManualClock, Point};
pub use raw::{End, RawClient, RawStream};
pub use recorder::Recorder;
pub use recording::{Exchange, Recording};
pub use records::{Identity, envelope, plain_record};
pub use stock::{Discovered, Stock, serve_stock};
pub use swarm::{Via, connect, new_swarm};
pub use wait::{Task, WAIT, eventually, within};
