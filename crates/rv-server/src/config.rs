//! What an embedding application may set.

use std::time::Duration;

use libp2p_identity::PeerId;
use libp2p_swarm::StreamProtocol;
use rv_core::{Limits, Rules, RulesError};
use rv_proto::EXTENSION_PROTOCOL;
use thiserror::Error;

/// The protocol's name in the specification.
pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/rendezvous/1.0.0");

/// Everything that can be set about a point. The default is what a public point wants.
#[derive(Clone, Debug)]
pub struct Config {
    /// Names of the protocol that speak these messages. Default `/rendezvous/1.0.0`, and the one
    /// that announces the extension beside it. Under other names alone, only who knows these names
    /// meets this point.
    pub protocols: Vec<StreamProtocol>,
    /// The swarm's own peer id. Default none. Only with it, and with `/rendezvous/1.0.0` among the
    /// names, go's type of subscription is offered: its clients are told by whom they are sent
    /// registrations.
    pub local_peer: Option<PeerId>,
    /// What one request may ask.
    pub rules: Rules,
    /// What the point holds.
    pub limits: Limits,
    /// What one connection may have open.
    pub streams: StreamLimits,
    /// Whether the behaviour emits an [`Event`](crate::Event) for each request. Default true. Each
    /// event is a hop through the swarm's loop, which a busy point can do without.
    pub events: bool,
    /// How long after the start expired registrations are hidden but kept. Default 10 min: if the
    /// clock was wrong at boot, nothing is lost once it is right. A point that is full of expired
    /// registrations does not wait.
    pub erase_after: Duration,
}

impl Config {
    /// Checks that the parts make sense.
    ///
    /// # Errors
    ///
    /// Says what does not, and what would.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.protocols.is_empty() {
            return Err(ConfigError::Protocols);
        }
        let extension = StreamProtocol::new(EXTENSION_PROTOCOL);
        if self.protocols.contains(&extension) && !self.protocols.contains(&PROTOCOL) {
            return Err(ConfigError::Extension);
        }
        if self.streams.streams_per_connection == 0 {
            return Err(ConfigError::Streams);
        }
        let StreamLimits {
            idle_timeout,
            frame_timeout,
            write_timeout,
            ..
        } = self.streams;
        if idle_timeout.max(frame_timeout).max(write_timeout) > StreamLimits::TIMEOUT_MAX {
            return Err(ConfigError::Timeout);
        }
        self.rules.validate()?;
        Ok(())
    }

    /// Whether the protocol's name in the specification is offered: who comes under it may be
    /// anybody, and all that goes with it is there as well.
    pub(crate) fn is_public(&self) -> bool {
        self.protocols.contains(&PROTOCOL)
    }

    /// Who sends the records of go's type of subscription, if that is offered.
    ///
    /// Its stream has a fixed name, by which clients know a point of go's: a network with a name of
    /// its own must not be found by it.
    pub(crate) fn inmem_peer(&self) -> Option<PeerId> {
        self.local_peer.filter(|_| self.is_public())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            protocols: vec![PROTOCOL],
            local_peer: None,
            rules: Rules::default(),
            limits: Limits::default(),
            streams: StreamLimits::default(),
            events: true,
            erase_after: Duration::from_secs(10 * 60),
        }
    }
}

/// What one connection may have open, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Streams of one connection at a time. Default 128: stock rust clients open one per request,
    /// 100 at a time. A stream above it is reset.
    pub streams_per_connection: usize,
    /// Subscriptions of one connection at a time. Default 32: applications watch few namespaces.
    pub subscriptions_per_connection: usize,
    /// How long a stream may stay open with nothing asked. Default 3 min: go clients ask on one
    /// stream every 2 min.
    pub idle_timeout: Duration,
    /// How long one frame may take to arrive. Default 10 s.
    pub frame_timeout: Duration,
    /// How long one answer may take to be read. Default 30 s: 1 MB at 35 kB a second.
    pub write_timeout: Duration,
    /// Bytes of answers of one connection that wait for the peer to read them. Default 4 MB. At
    /// that, no further request of it is read.
    pub unread_bytes_per_connection: usize,
    /// The same for all connections together. Default 256 MB. At half of it pages become small,
    /// and at all of it each connection is answered one request at a time.
    pub unread_bytes_total: usize,
}

impl StreamLimits {
    /// No timeout may be longer, so that no deadline is beyond what a clock can tell.
    pub const TIMEOUT_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            streams_per_connection: 128,
            subscriptions_per_connection: 32,
            idle_timeout: Duration::from_secs(180),
            frame_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            unread_bytes_per_connection: 4_000_000,
            unread_bytes_total: 256_000_000,
        }
    }
}

/// A configuration that cannot work.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The name of the extension without the specification's: public clients would come under it.
    #[error(
        "{EXTENSION_PROTOCOL} is there by itself beside {PROTOCOL}, and nowhere else: leave it out"
    )]
    Extension,
    /// No name of the protocol.
    #[error("no protocol name: give at least one, the usual is {PROTOCOL}")]
    Protocols,
    /// Rules that contradict each other.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// No stream could ever be opened.
    #[error("a connection must be allowed at least 1 stream")]
    Streams,
    /// A timeout that no clock could tell the end of.
    #[error("a timeout of a stream may be 30 days at the most")]
    Timeout,
}
