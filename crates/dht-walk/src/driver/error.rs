//! What can go wrong with a refresh or a walk.

use std::error::Error;
use std::sync::Arc;

use libp2p_identity::PeerId;
use thiserror::Error;

use crate::config::ConfigError;
use crate::refusal::Refusal;
use crate::report::Report;
use crate::walk::Busy;

/// An error of the host's own; shared, because several may wait for one refresh.
pub type HostError = Arc<dyn Error + Send + Sync>;

/// Why a refresh came to nothing.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum RoutingTableRefreshError {
    /// Too many wait already.
    #[error("the refresh was not begun")]
    Busy(#[from] Busy),
    /// Nobody drives it.
    #[error("the refresh loop does not run: spawn the future that `start` returns")]
    NotRunning,
    /// A peer that was handed in cannot be used.
    #[error("a peer was refused")]
    PeerValidation(#[from] PeerValidationError),
    /// Its walks failed.
    #[error("the refresh reached nobody")]
    RandomWalk(#[from] RandomWalkError),
    /// The manager was stopped meanwhile. What was found until then is in the report.
    #[error("the refresh was stopped: start the manager again")]
    Stopped(Arc<Report>),
}

/// Why walks found nobody.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum RandomWalkError {
    /// The table is empty, and no seed answered.
    #[error("there is nobody to ask: name bootstrap peers, or connect to somebody")]
    NobodyToAsk,
    /// The host's query failed, and nothing was found before it did.
    #[error("every query failed")]
    Query(#[source] HostError),
}

/// Why a peer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{peer} is of no use: {refusal}")]
pub struct PeerValidationError {
    /// Who.
    pub peer: PeerId,
    /// Why.
    pub refusal: Refusal,
}

/// Why a manager or a walk could not be made.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The bounds make no sense.
    #[error("the bounds make no sense")]
    Config(#[from] ConfigError),
    /// The system has no randomness to give.
    #[error("the system gave no randomness for a seed")]
    Randomness(#[source] getrandom::Error),
}

/// Why a call of the host's code gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CallFailed {
    /// It panicked; what the panic said is on stderr.
    #[error("the call panicked")]
    Panicked,
    /// It took too long.
    #[error("the call did not end in time")]
    TimedOut,
}
