//! The client of rendezvous points, for any swarm: stays registered, finds others, and survives
//! points that die.
//!
//! [`Behaviour`] goes into the swarm, beside others. Its verbs do not wait; what becomes of them is
//! told as an [`Event`]. [`Client`] has the same verbs with async, for other tasks, and
//! [`Discovery`] turns them into streams of peers.
//!
//! ```
//! use libp2p_identity::Keypair;
//! use rv_client::{Behaviour, Config, Namespace, RegisterOptions, Target};
//!
//! let key = Keypair::generate_ed25519();
//! let point = Keypair::generate_ed25519().public().to_peer_id();
//!
//! // Put it into a swarm with the same key, which from now on keeps it registered.
//! let mut behaviour = Behaviour::new(key, Config::default())?;
//! behaviour.add_point(point, ["/ip4/203.0.113.7/tcp/6640".parse()?])?;
//! behaviour.register(Target::Every, Namespace::new("my-app")?, RegisterOptions::default())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How a request goes
//!
//! The sans-IO [`rv_core::client::Client`] decides what is asked when. The behaviour signs and
//! numbers records, dials points, and gives each request to a connection. The connection's own
//! task sends it, reads the answer and verifies the records in it.
//!
//! # Who stops waiting
//!
//! To drop the future of a listing, or a stream of peers, ends its requests. To drop the future of
//! a registration ends nothing but the waiting: the peer stays registered until `unregister`.
//!
//! # Found peers are dialled
//!
//! With [`Config::dialling`], at the pace and to the places that [`DiallingConfig`] allows: so many
//! at a time and a minute, never into one's own network unless that is allowed, ever more seldom
//! where nobody answers, until enough are connected. Points take turns, so that none can fill the
//! queue.
//!
//! # Where the points have too few
//!
//! With the feature `walk`, a DHT is a second source of peers: see `Discovery::with_walk`.
//!
//! # In a browser
//!
//! It compiles for `wasm32-unknown-unknown`: clocks and timers are then those of the browser.
//!
//! # Which peers meet
//!
//! Record dialects divide the peers of a namespace: rust's legacy, nim's and js's standard, go's
//! and py's plain records. A point of this project has an extension for that, and the client finds
//! it out when it opens its first stream. There it registers in both signed dialects at once, so
//! that readers of every dialect find it, and it is shown the registrations of all. At any other
//! point it registers in the one dialect that the point takes, and sees who registered in that.

mod behaviour;
mod clock;
mod command;
mod config;
mod discovery;
mod error;
mod handle;
mod handler;
mod pending;
#[cfg(feature = "walk")]
mod two_sources;
mod watch;

pub use behaviour::Behaviour;
pub use command::{Found, Status};
pub use config::{Config, ConfigError, PROTOCOL};
pub use discovery::{Discovery, FindOptions, Peers};
pub use error::{DiscoverError, RegisterError, UnregisterError};
pub use handle::{Client, Page, Point};
pub use handler::Handler;
pub use rv_core::client::dialling::{DialEvent, DiallingConfig};
pub use rv_core::client::{
    Bound, Breach, CacheLimits, Cause, ClientConfig, DiscoverOptions, Discovered, Event, Failure,
    GoneReason, Grant, Listed, OperationId, Pages, PointStatus, Reach, RegisterOptions,
    RegistrationStatus, StartError, Target, WatchStatus,
};
pub use rv_proto::{Namespace, Scope, Ttl};
#[cfg(feature = "walk")]
pub use two_sources::{FillOptions, Sighting, Sightings, SourceError, WalkSource};
pub use watch::{Watch, WatchEvent};

#[cfg(feature = "walk")]
pub use dht_walk;
pub use {libp2p_identity, libp2p_swarm, rv_core, rv_proto};

/// Compiles what the page on moving shows.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/MOVING.md")]
struct Moving;

/// Compiles what the README shows.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
