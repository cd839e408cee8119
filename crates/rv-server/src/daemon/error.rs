//! Why a daemon does not start, or ends by itself.

use std::io;
use std::path::PathBuf;

use libp2p::Multiaddr;
use thiserror::Error;

use super::{ConfigError, IdentityError};
use crate::PointError;
use crate::journal::OpenError;

/// Why a daemon does not start, or ends by itself. The message says what the operator can do.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory could not be made or opened.
    #[error(
        "the data directory {} cannot be used: check its path, its owner and the free space",
        path.display()
    )]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process serves from the same data directory.
    #[error(
        "the data directory {} is in use by another process: stop that one, or name another \
         directory",
        path.display()
    )]
    DataDirInUse {
        /// The directory.
        path: PathBuf,
    },
    /// The identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Every listener has closed while the daemon ran.
    #[error("every listener has closed: the log says why, start again")]
    ListenersClosed,
    /// One listen address cannot be had.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address as it was configured.
        address: Multiaddr,
        /// What is in the way, and what to do.
        reason: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The journal's task has ended while the daemon ran.
    #[error("the journal has stopped and no write can be kept: the log says why, start again")]
    JournalStopped,
    /// The journal did not come to its end in time at the stop.
    #[error(
        "the journal did not finish within {} s: what was not acknowledged may be lost",
        seconds
    )]
    JournalStuck {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The cryptography of the transports could not be set up.
    #[error("the transports cannot be set up")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<PointError> for DaemonError {
    fn from(error: PointError) -> Self {
        match error {
            PointError::Config(error) => Self::Config(error.into()),
            PointError::Open(error) => Self::Store(error),
        }
    }
}
