//! A behaviour for swarms that owns a libp2p-kad and tends its table.
//!
//! libp2p-kad takes in whom it is told of and keeps whoever is gone: its table decays. Wrapped in a
//! [`Behaviour`], it keeps doing all that it did, and its table holds peers that answer.
//!
//! ```
//! use dht_walk::swarm::{Behaviour, Config, libp2p_kad as kad};
//! # use dht_walk::libp2p_identity::PeerId;
//! # use kad::store::MemoryStore;
//!
//! # fn build(local: PeerId) -> Result<(), dht_walk::driver::BuildError> {
//! let mut kad_config = kad::Config::new(kad::PROTOCOL_NAME);
//! dht_walk::swarm::prepare(&mut kad_config);
//! let kad = kad::Behaviour::with_config(local, MemoryStore::new(local), kad_config);
//! let mut walk = Behaviour::new(local, kad, Config::default())?;
//!
//! walk.set_mode(Some(kad::Mode::Server)); // a method of kad's, as before
//! walk.sweep(10, std::time::Duration::from_secs(60)).expect("nothing waits");
//! # Ok(())
//! # }
//! ```
//!
//! - [`prepare`] leaves to the walk who becomes an entry, and when buckets are refreshed.
//! - [`Behaviour`] derefs to the `kad::Behaviour`, so code that calls that stays as it is.
//!   [`Event::Kad`] has kad's events, [`Event::Walk`] the walk's.
//! - [`Behaviour::on_identified`] takes what identify says. It replaces the `add_address` that
//!   applications call there.
//! - [`Handle`] is the behaviour for other tasks: what the driver's traits ask of a host.
//!
//! It compiles for `wasm32-unknown-unknown`.

mod behaviour;
mod config;
mod desk;
mod generated;
mod handle;
mod handler;
mod inbox;
mod links;
mod mirror;
mod serve;
mod verbs;

pub use behaviour::{Behaviour, Event};
pub use config::{Config, HandleConfig, prepare};
pub use handle::{Handle, HandleError};
pub use handler::{FromHandler, Handler, ToHandler};
pub use libp2p_kad;
