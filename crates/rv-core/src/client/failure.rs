//! Why something did not work: the point said no, it could not be asked, or it broke the protocol.

use std::time::Duration;

use rv_proto::{DecodeError, FrameError, Status};
use thiserror::Error;

use super::ClientConfig;

/// Why a registration, an unregistration or a discovery failed at one point.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The listing is longer than this client takes. What was listed so far is told and kept.
    #[error("listing cut: {0}")]
    Bound(Bound),
    /// The client was closed, or the point removed.
    #[error("closed")]
    Closed,
    /// The point could not be asked, or broke the protocol.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// No external address is known, so there is nothing to register yet.
    #[error("no external address yet")]
    NoAddress,
    /// The point said no, and what it said about it.
    #[error("refused with {0}{colon}{1}", colon = if .1.is_empty() { "" } else { ": " })]
    Refused(Status, String),
    /// `unregister` was called before the registration succeeded, or `register` before the
    /// unregistration did.
    #[error("withdrawn by a later call")]
    Withdrawn,
}

/// Why no answer came that can be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The point broke the protocol.
    #[error("the point broke the protocol: {0}")]
    Broken(Breach),
    /// The connection was lost under the request, which may have arrived.
    #[error("the connection to the point was lost")]
    ConnectionLost,
    /// The stream ended or was reset without a byte of an answer.
    #[error("the point closed the stream without an answer")]
    EndOfStream,
    /// The answer did not come in time.
    #[error("the point did not answer in time")]
    TimedOut,
    /// No connection to the point, or no stream on it: the request was not sent.
    #[error("cannot reach the point")]
    Unreachable,
    /// Our own record could not be signed.
    #[error("cannot sign the peer record")]
    Unsigned,
    /// The point does not speak any of the protocol names.
    #[error("the point does not speak the rendezvous protocol")]
    Unsupported,
}

/// How a point broke the protocol.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Breach {
    /// A cookie above [`ClientConfig::cookie_bytes_max`].
    #[error("cookie of {bytes} bytes")]
    CookieTooLong {
        /// Its length.
        bytes: usize,
    },
    /// A page with entries came with the cookie that had asked for it: it would come for ever.
    #[error("the cookie of a page is the one that asked for it")]
    CookieUnchanged,
    /// The answer is no frame, or too long.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The answer is no response.
    #[error(transparent)]
    Message(#[from] DecodeError),
    /// What came instead of the negotiation of the protocol is no such thing.
    #[error("the negotiation of the protocol is broken")]
    Negotiation,
    /// A page of nothing but entries that the listing had before.
    #[error("a page repeats what was listed before")]
    RepeatedPage,
    /// A registration was granted for no time.
    #[error("granted a ttl of 0 s")]
    TtlZero,
    /// A response to another kind of request.
    #[error("the response is not to the request")]
    WrongResponse,
}

/// The bound of the client that a listing ran into.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bound {
    /// [`ClientConfig::listing_bytes_max`].
    #[error("more than {max} bytes")]
    Bytes {
        /// The bound.
        max: usize,
    },
    /// [`ClientConfig::listing_entries_max`].
    #[error("more than {max} entries")]
    Entries {
        /// The bound.
        max: usize,
    },
    /// [`ClientConfig::listing_pages_max`].
    #[error("more than {max} pages")]
    Pages {
        /// The bound.
        max: usize,
    },
    /// [`ClientConfig::listing_time_max`].
    #[error("not done after {max:?}")]
    Time {
        /// The bound.
        max: Duration,
    },
    /// [`ClientConfig::straggler_wait_total`]: another point was done long ago, and this one still
    /// gave pages. Its cookie goes on where it was cut.
    #[error("not done {max:?} after another point was")]
    Wait {
        /// The bound.
        max: Duration,
    },
}

impl Cause {
    /// A refusal whose text is safe to show: bounded, and without control characters.
    pub(super) fn refused(status: Status, text: &str) -> Self {
        let mut shown = String::new();
        for character in text.chars() {
            let character = if character.is_control() {
                ' '
            } else {
                character
            };
            if shown.len() + character.len_utf8() > ClientConfig::STATUS_TEXT_BYTES_MAX {
                break;
            }
            shown.push(character);
        }
        Self::Refused(status, shown)
    }
}

impl Failure {
    /// Whether it says that the point cannot be reached at all.
    pub(super) const fn is_of_point(&self) -> bool {
        match self {
            Self::ConnectionLost | Self::TimedOut | Self::Unreachable | Self::Unsupported => true,
            Self::Broken(_) | Self::EndOfStream | Self::Unsigned => false,
        }
    }
}

impl From<Breach> for Failure {
    fn from(breach: Breach) -> Self {
        Self::Broken(breach)
    }
}

impl From<Breach> for Cause {
    fn from(breach: Breach) -> Self {
        Self::Failed(Failure::Broken(breach))
    }
}

impl From<Bound> for Cause {
    fn from(bound: Bound) -> Self {
        Self::Bound(bound)
    }
}
