//! Why a call failed: one enum for each kind of call.

use libp2p_identity::PeerId;
use rv_core::client::{Bound, Cause, Failure, StartError};
use rv_proto::Status;
use thiserror::Error;

/// Why nothing was registered.
///
/// Where several points were asked, it is what the one said that said most: a refusal before
/// silence.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// The point broke the protocol, or does not speak it.
    #[error("{point}: {failure}")]
    Broken {
        /// Which point.
        point: PeerId,
        /// How.
        failure: Failure,
    },
    /// The client is closed, or was before the answer came.
    #[error("the client is closed")]
    Closed,
    /// No external address is known yet. The client registers once there is one.
    #[error("no external address yet")]
    NoAddress,
    /// The point said no.
    #[error("{point} refused with {status}: {text}")]
    Refused {
        /// Which point.
        point: PeerId,
        /// Its answer.
        status: Status,
        /// What it said about it.
        text: String,
    },
    /// The call could not be started.
    #[error(transparent)]
    Start(StartError),
    /// The point did not answer in time.
    #[error("{point} did not answer in time")]
    TimedOut {
        /// Which point.
        point: PeerId,
    },
    /// There is no connection to the point, or it was lost before the answer.
    #[error("cannot reach {point}")]
    Unreachable {
        /// Which point.
        point: PeerId,
    },
    /// The peer's own key did not sign its record, or no address fits into it.
    #[error("cannot sign the peer record")]
    Unsigned,
    /// `unregister` was called before the registration succeeded.
    #[error("withdrawn by a later call")]
    Withdrawn,
}

/// Why an UNREGISTER is not written at every point.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnregisterError {
    /// The point broke the protocol, or does not speak it.
    #[error("{point}: {failure}")]
    Broken {
        /// Which point.
        point: PeerId,
        /// How.
        failure: Failure,
    },
    /// The client is closed, or was before it was done.
    #[error("the client is closed")]
    Closed,
    /// The call could not be started.
    #[error(transparent)]
    Start(StartError),
    /// The point did not take it in time.
    #[error("{point} did not answer in time")]
    TimedOut {
        /// Which point.
        point: PeerId,
    },
    /// There is no connection to the point, or it was lost. What is registered there lapses at its
    /// deadline.
    #[error("cannot reach {point}")]
    Unreachable {
        /// Which point.
        point: PeerId,
    },
    /// `register` was called before it was written.
    #[error("withdrawn by a later call")]
    Withdrawn,
}

/// Why no point could be listed.
///
/// Where several points were asked, it is what the one said that said most: a refusal before
/// silence.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiscoverError {
    /// The point broke the protocol, or does not speak it.
    #[error("{point}: {failure}")]
    Broken {
        /// Which point.
        point: PeerId,
        /// How.
        failure: Failure,
    },
    /// The client is closed, or was before the answer came.
    #[error("the client is closed")]
    Closed,
    /// The listing is longer than this client takes.
    #[error("listing cut: {0}")]
    Cut(Bound),
    /// The point said no.
    #[error("{point} refused with {status}: {text}")]
    Refused {
        /// Which point.
        point: PeerId,
        /// Its answer.
        status: Status,
        /// What it said about it.
        text: String,
    },
    /// The call could not be started.
    #[error(transparent)]
    Start(StartError),
    /// The point did not answer in time.
    #[error("{point} did not answer in time")]
    TimedOut {
        /// Which point.
        point: PeerId,
    },
    /// There is no connection to the point, or it was lost before the answer.
    #[error("cannot reach {point}")]
    Unreachable {
        /// Which point.
        point: PeerId,
    },
}

/// What most says why several points failed, first.
fn rank(cause: &Cause) -> u8 {
    match cause {
        Cause::Refused(..) => 0,
        Cause::Failed(Failure::TimedOut) => 4,
        Cause::Failed(Failure::ConnectionLost | Failure::Unreachable) => 5,
        Cause::Failed(_) => 1,
        Cause::Bound(_) => 2,
        Cause::NoAddress => 3,
        Cause::Withdrawn => 6,
        Cause::Closed => 7,
        _ => 8,
    }
}

/// The failure that says most.
pub(crate) fn strongest(
    failures: impl IntoIterator<Item = (PeerId, Cause)>,
) -> Option<(PeerId, Cause)> {
    failures.into_iter().min_by_key(|(_, cause)| rank(cause))
}

impl RegisterError {
    pub(crate) fn new(point: PeerId, cause: Cause) -> Self {
        match cause {
            Cause::Failed(Failure::TimedOut) => Self::TimedOut { point },
            Cause::Failed(Failure::ConnectionLost | Failure::Unreachable) => {
                Self::Unreachable { point }
            }
            Cause::Failed(Failure::Unsigned) => Self::Unsigned,
            Cause::Failed(failure) => Self::Broken { point, failure },
            Cause::NoAddress => Self::NoAddress,
            Cause::Refused(status, text) => Self::Refused {
                point,
                status,
                text,
            },
            Cause::Withdrawn => Self::Withdrawn,
            // A listing has bounds, a registration none.
            _ => Self::Closed,
        }
    }
}

impl UnregisterError {
    pub(crate) fn new(point: PeerId, cause: Cause) -> Self {
        match cause {
            Cause::Failed(Failure::TimedOut) => Self::TimedOut { point },
            Cause::Failed(Failure::ConnectionLost | Failure::Unreachable) => {
                Self::Unreachable { point }
            }
            Cause::Failed(failure) => Self::Broken { point, failure },
            Cause::Withdrawn => Self::Withdrawn,
            // Nothing answers an UNREGISTER, and it needs no address.
            _ => Self::Closed,
        }
    }
}

impl DiscoverError {
    pub(crate) fn new(point: PeerId, cause: Cause) -> Self {
        match cause {
            Cause::Bound(bound) => Self::Cut(bound),
            Cause::Failed(Failure::TimedOut) => Self::TimedOut { point },
            Cause::Failed(Failure::ConnectionLost | Failure::Unreachable) => {
                Self::Unreachable { point }
            }
            Cause::Failed(failure) => Self::Broken { point, failure },
            Cause::Refused(status, text) => Self::Refused {
                point,
                status,
                text,
            },
            // A listing needs no address, and no later call withdraws it.
            _ => Self::Closed,
        }
    }
}

impl From<StartError> for RegisterError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Closed => Self::Closed,
            error => Self::Start(error),
        }
    }
}

impl From<StartError> for UnregisterError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Closed => Self::Closed,
            error => Self::Start(error),
        }
    }
}

impl From<StartError> for DiscoverError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Closed => Self::Closed,
            error => Self::Start(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_more_than_silence() {
        let peers = [PeerId::random(), PeerId::random(), PeerId::random()];
        let refused = Cause::Refused(Status::INVALID_TTL, "too short".to_owned());
        let causes = [
            Cause::Failed(Failure::Unreachable),
            refused.clone(),
            Cause::Failed(Failure::TimedOut),
        ];
        let failures = peers.into_iter().zip(causes);
        assert_eq!(strongest(failures), Some((peers[1], refused)));
    }
}
