//! Random walk and routing-table refresh of a Kademlia DHT, as state machines.
//!
//! A Kademlia node is as good as its routing table. Peers leave all the time, so a table decays
//! unless somebody tends it: looks up targets in each bucket, asks entries whether they are still
//! there, drops those that are not, and fills their places with peers that are. This crate does
//! that, for any Kademlia of libp2p. It holds no socket, no clock and no runtime: [`Walk`] says
//! whom to ask, and is told what came back.
//!
//! - [`Lookup`] is one iterative FIND_NODE.
//! - [`Targets`] makes what is looked up: pre-images that land in the wanted bucket under SHA-256.
//! - [`Table`] is the routing table, [`Health`] what it is compared with what it could be.
//! - [`Walk`] composes these with the machines that decide: which bucket is due (Explore), who is
//!   admitted (Admit), who is checked and dropped (Probe), where peers come from when there are
//!   too few (Reseed), and how large the network is (Size). One budget bounds what all of them
//!   spend.
//!
//! # Families of methods
//!
//! `handle_*` takes something in, [`Walk::poll_output`] gives the next thing to do, everything else
//! asks or only looks. `now` is always an argument. Equal seeds, inputs and times give equal
//! outputs on every machine.
//!
//! [`Crawl`] is another machine: it lists a whole network, and keeps no table.
//!
//! With the feature `driver` there are futures around it, for any runtime: see `driver`. With the
//! feature `swarm` there is a behaviour around libp2p-kad: see `swarm`.
//!
//! # Example
//!
//! A network of a hundred nodes in memory. One of them knows a single other one, and refreshes:
//!
//! ```
//! use dht_walk::{Config, Contact, Event, Output, Peer, RoundEnd, Seed, Targets, Time, Walk};
//!
//! // Peers at random positions, each with an address.
//! let mut random = Targets::new(Seed::from_bytes([1; 32]));
//! let network: Vec<Contact> = (1..=100)
//!     .map(|at: u8| {
//!         let address = format!("/ip4/8.{at}.8.8/udp/4001/quic-v1").parse().expect("an address");
//!         Contact::new(random.uniform().as_peer().clone(), [address])
//!     })
//!     .collect();
//!
//! let (local, seed) = (network[0].clone(), network[1].clone());
//! let mut now = Time::from_millis(0);
//! // A real seed comes from the system's randomness and stays secret.
//! let secret = Seed::from_bytes([2; 32]);
//! let mut walk = Walk::new(now, Config::default(), local.peer.clone(), secret)?;
//! walk.set_bootstrap(now, vec![seed]);
//!
//! while walk.health(now).fill() < 0.95 {
//!     // A host arranges to be woken at this time.
//!     let (wake_at, _) = walk.poll_timeout().expect("there is something to do");
//!     now = now.max(wake_at);
//!     walk.handle_timeout(now);
//!     while let Some(output) = walk.poll_output() {
//!         match output {
//!             // A host sends this over a connection. Here, everybody knows everybody.
//!             Output::FindNode { id, target, .. } => {
//!                 let mut told = network[1..].to_vec();
//!                 told.sort_by_key(|it| it.peer.distance(target.key()));
//!                 told.truncate(20);
//!                 walk.handle_answer(now, id, told);
//!             }
//!             Output::AskSeeds(source) => walk.handle_seeds(now, source, Vec::new()),
//!             Output::Event(Event::Finished(report)) => assert_eq!(report.end, RoundEnd::Done),
//!             _ => {}
//!         }
//!     }
//! }
//! // Half of the others are in bucket 0, which has 20 places.
//! assert!(walk.table().len() > 40);
//! # Ok::<(), dht_walk::ConfigError>(())
//! ```

mod address;
mod admit;
mod budget;
mod config;
mod crawl;
#[cfg(feature = "driver")]
pub mod driver;
mod explore;
mod health;
mod key;
mod lookup;
mod outage;
mod output;
mod peer;
mod probe;
mod refusal;
mod report;
mod reseed;
mod rng;
mod size;
mod snapshot;
#[cfg(feature = "swarm")]
pub mod swarm;
mod table;
mod target;
mod time;
mod walk;

pub use address::AddressPolicy;
pub use budget::Spent;
pub use config::{
    AdmissionConfig, BudgetLimits, CheckConfig, Config, ConfigError, LookupConfig, Lookups,
    RefreshConfig,
};
pub use crawl::{
    Crawl, CrawlConfig, CrawlCounts, CrawlEnd, CrawlEvent, CrawlOutput, CrawlState,
    CrawlStateError, Fate,
};
#[cfg(feature = "driver")]
pub use driver::{
    PeerValidationError, Query, RandomWalk, RandomWalkError, RoutingTable,
    RoutingTableRefreshError, RtRefreshManager,
};
pub use explore::Purpose;
pub use health::{BucketHealth, Health};
pub use key::{Cpl, Distance, Key};
pub use lookup::{Lookup, LookupEnd, Step};
pub use output::{Event, EvictReason, Failure, LookupId, Output, RequestId, TimeoutReason};
pub use peer::{Addresses, Contact, Peer};
pub use refusal::{Refusal, Refusals};
pub use report::{BucketReport, LookupReport, Report, RoundEnd, RoundId, RoundKind};
pub use reseed::SeedSource;
pub use rng::Seed;
pub use size::Estimate;
pub use snapshot::Snapshot;
pub use table::{Entry, Table};
pub use target::{Target, Targets};
pub use time::Time;
pub use walk::{Busy, Counters, Found, SweepForecast, Walk};

pub use libp2p_identity;
pub use multiaddr;
