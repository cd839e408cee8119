//! A whole rendezvous point as a library: swarm, identity, store, configuration, clean stop.
//!
//! ```no_run
//! use rv_server::daemon::{Config, Daemon};
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config { data_dir: "/var/lib/rv".into(), ..Config::default() };
//! let daemon = Daemon::bind(config).await?;
//! println!("{:?}", daemon.addresses());
//! daemon.run(async { tokio::signal::ctrl_c().await.ok() }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Daemon::bind`] returns when every listener accepts, [`Daemon::run`] serves until its argument
//! resolves and then stops in order: no new connection, no new write, what is in work is answered,
//! connections are closed, the journal is closed. The daemon never dials.
//!
//! It runs on tokio, reads no environment variable, installs no signal handler and no subscriber
//! for its logs: those belong to the program around it.

mod clock;
mod config;
mod data_dir;
mod error;
mod events;
mod identity;
mod listen;
mod open;
mod run;
mod swarm;
mod transport;

use std::fmt;
use std::time::Instant;

use libp2p::{Multiaddr, PeerId, Swarm};
use tokio::task::JoinHandle;

pub use clock::SteadyClock;
pub use config::{
    Config, ConfigError, ConnectionsConfig, LimitsConfig, LogConfig, LogFormat, NamedDialect,
    RulesConfig, StoreConfig, StreamsConfig,
};
pub use error::DaemonError;
pub use identity::{IdentityError, create_identity, load_identity};

use events::Report;
use listen::Listeners;
use open::Opened;
use swarm::PointBehaviour;

/// A rendezvous point that listens. Nothing is served until [`run`](Self::run) is polled.
pub struct Daemon {
    swarm: Swarm<PointBehaviour>,
    /// The task that writes the journal. It ends when the swarm is gone and all is written; the
    /// lock on the data directory lives in it.
    committer: JoinHandle<()>,
    listeners: Listeners,
    report: Report,
}

impl Daemon {
    /// Opens the store, reads back what it holds, and starts to listen.
    ///
    /// Reading back blocks the calling task, about a second per million registrations.
    ///
    /// # Errors
    ///
    /// See [`DaemonError`]. Nothing keeps running after an error.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn bind(config: Config) -> Result<Self, DaemonError> {
        let started = Instant::now();
        let Opened {
            behaviour,
            committer,
            keypair,
        } = open::open(&config)?;
        let recovered = behaviour.stats().registrations;
        let starting = async {
            let mut swarm = swarm::build(&config, behaviour, keypair)?;
            let listeners = listen::listen(&mut swarm, &config).await?;
            Ok((swarm, listeners))
        };
        let ((mut swarm, listeners), committer) =
            open::start(committer, starting, run::FLUSH_TIMEOUT).await?;
        for address in &config.external_addresses {
            swarm.add_external_address(address.clone());
        }
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            peer_id = %swarm.local_peer_id(),
            ephemeral = config.ephemeral,
            registrations = recovered,
            took_ms = started.elapsed().as_millis(),
            "started"
        );
        Ok(Self {
            swarm,
            committer,
            listeners,
            report: Report::new(started),
        })
    }

    /// Where the point listens now, each with its `/p2p/`. A wildcard stands for the addresses of
    /// the machine's interfaces, and ports are the real ones.
    pub fn addresses(&self) -> &[Multiaddr] {
        self.listeners.addresses()
    }

    /// The point's identity, as clients name it.
    pub fn peer_id(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }

    /// Has `tell` called with each address of [`addresses`](Self::addresses), now and whenever one
    /// is added while the daemon runs, for instance because an interface came up.
    #[must_use]
    pub fn on_address(mut self, tell: impl FnMut(&Multiaddr) + Send + 'static) -> Self {
        self.listeners.tell(Box::new(tell));
        self
    }
}

impl fmt::Debug for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Daemon")
            .field("peer_id", self.swarm.local_peer_id())
            .field("addresses", &self.addresses())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
