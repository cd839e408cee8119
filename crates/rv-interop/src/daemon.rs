//! The whole daemon, in a task of its own.

use std::path::Path;

use libp2p::Multiaddr;
use rv_server::daemon::{Config, Daemon, DaemonError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{Via, within};

/// A daemon as an operator configures it.
#[derive(Debug)]
pub struct RunningDaemon {
    addresses: Vec<Multiaddr>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), DaemonError>>,
}

impl RunningDaemon {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// If it cannot listen, or its configuration contradicts itself.
    pub async fn start(config: Config) -> Self {
        let daemon = within("daemon", Daemon::bind(config)).await;
        let daemon = daemon.expect("loopback is free");
        let addresses = daemon.addresses().to_vec();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(daemon.run(stopped));
        Self {
            addresses,
            stop,
            served,
        }
    }

    /// One that lets in clients of every language: js asks for a protocol name of its own.
    pub async fn for_every_language() -> Self {
        let mut config = Config {
            listen: vec![Via::Tcp.listen_address()],
            data_dir: Path::new("unused").to_path_buf(),
            ephemeral: true,
            ..Config::default()
        };
        config.protocols.push("/canvas/rendezvous/1.0.0".to_owned());
        Self::start(config).await
    }

    /// Where it listens, its id included.
    pub fn addresses(&self) -> &[Multiaddr] {
        &self.addresses
    }

    /// Stops it and waits until it has ended well.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub async fn stop(self) {
        self.stop.send(()).expect("it runs");
        let ended = within("end of the daemon", self.served).await;
        ended.expect("no panic").expect("a clean end");
    }
}
