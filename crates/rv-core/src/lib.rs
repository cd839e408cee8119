//! Rendezvous as state machines: no clock, no IO, no async, no randomness of their own.
//!
//! Three machines make a rendezvous point. A shell (the crate `rv-server`) carries bytes and facts
//! between them:
//!
//! - [`Session`], one per connection, turns frames into questions and writes, keeps the order of
//!   that connection's requests, and turns verdicts and pages into frames.
//! - [`Writer`], one per point, judges each write against the applied state *and* every fact still
//!   in flight, so that no two writes slip past a limit together.
//! - [`Registry`] is the applied state. [`Registry::apply`] never refuses, [`Registry::discover`]
//!   never changes anything.
//!
//! A [`Subscription`] is a reader that stays: it reads from the registry what changed since it
//! looked last.
//!
//! The other side is [`client`]: it keeps a peer registered at any number of points, and finds
//! others there.
//!
//! # Families of methods
//!
//! `handle_*` takes something in, `poll_output` gives the next effect out, `apply` changes the
//! replicated state, everything else only looks. Calls may be interleaved freely; outputs wait
//! until they are polled. `now` is always an argument, never read from a clock, and may go
//! backwards without harm: a registration may then live longer in memory, never longer than its
//! granted ttl on the wire.
//!
//! # Example
//!
//! A write on its way through `Writer` and `Registry`, as a shell with a journal in memory does it:
//!
//! ```
//! use libp2p_identity::{Keypair, PeerId};
//! use rv_core::{Limits, Operation, Registry, Submitted, Verdict, Writer};
//! use rv_proto::{Epoch, Namespace, Record, Records, Time, Ttl};
//!
//! let peer = PeerId::from(Keypair::generate_ed25519().public());
//! let record = Record::plain(&peer, &["/ip4/203.0.113.7/tcp/4001".parse()?]);
//! let now = Time::from_millis(1_000);
//!
//! let mut registry = Registry::new(Epoch::from_bits(7));
//! let mut writer = Writer::new(Limits::default());
//! let operation = Operation::Register {
//!     namespace: Namespace::new("my-app")?,
//!     records: Records::new([record]).expect("one record"),
//!     ttl: Ttl::DEFAULT,
//!     origin: None,
//! };
//! let Submitted::Pending(ticket) = writer.submit(now, &registry, peer, operation) else {
//!     panic!("refused");
//! };
//!
//! let facts = writer.next_batch().expect("one write is pending");
//! let seq = registry.applied().next().expect("the log is not full");
//! assert_eq!(facts.len(), 1); // a real journal makes them durable here
//!
//! let verdicts = writer.apply(&mut registry, &[seq]);
//! assert_eq!(verdicts, [(ticket, Verdict::Registered { ttl: Ttl::DEFAULT })]);
//! assert_eq!(registry.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod agents;
pub mod client;
mod limits;
mod refusal;
mod registry;
mod session;
mod subscription;
mod writer;

pub use agents::{Agents, Paging};
pub use limits::{Limits, Rules, RulesError};
pub use refusal::Refusal;
pub use registry::{Digest, Page, Query, Reader, Reading, Registration, Registry, Replay, Source};
pub use session::{Output, Report, Session, StreamId, read_inmem_request};
pub use subscription::{InmemSubscription, Subscription};
pub use writer::{Operation, Submitted, Ticket, Verdict, Writer};
