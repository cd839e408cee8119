//! The load generator's side of the wire.

mod connection;
pub(crate) mod multistream;
mod peers;
mod preload;

pub(crate) use self::{
    connection::{Connection, FrameStream, Server, transport},
    peers::{BenchPeer, NAMESPACE, discover},
    preload::{Preload, check_discovered, check_registered, walk},
};

/// The protocol of every server under test.
pub(crate) const PROTOCOL: &str = "/rendezvous/1.0.0";
