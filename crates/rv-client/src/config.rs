//! What an application may set.

use std::time::Duration;

use libp2p_swarm::StreamProtocol;
use rv_core::client::dialling::{DiallingConfig, DiallingConfigError};
use rv_core::client::{ClientConfig, ClientConfigError};
use rv_proto::{EXTENSION_PROTOCOL, UPDATE_BYTES_MAX};
use thiserror::Error;

/// The protocol's name in the specification.
pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/rendezvous/1.0.0");

/// Everything that can be set about a [`Behaviour`](crate::Behaviour).
#[derive(Clone, Debug)]
pub struct Config {
    /// Names of the protocol, the preferred one first. Default `/rendezvous/1.0.0`. The name of the
    /// extension is proposed before them where that one is among them, and nowhere else: under
    /// other names alone, only points that know these names are met.
    pub protocols: Vec<StreamProtocol>,
    /// When requests go out, and what is held at the most.
    pub client: ClientConfig,
    /// The longest answer that is read, in bytes. Default 4,194,304, the longest that any known
    /// point sends.
    pub response_bytes_max: usize,
    /// The longest update of a subscription that is read, and the longest answer to the request for
    /// one, in bytes. Default 32,768, [`UPDATE_BYTES_MAX`]: a point makes none longer, unless an
    /// entry is by itself, and no record of that length is taken. Above it the subscription ends
    /// and the watch polls. Each watch has a subscription at every point that offers them, which
    /// may hold about twice this while an update arrives: 16 MiB for 256 watches at one point.
    pub update_bytes_max: usize,
    /// How long a stream that a point left open is kept for the next request. Default 30 s, twice
    /// the shortest pause between two polls of a watch. It keeps its connection alive as long.
    pub stream_idle_timeout: Duration,
    /// How long an UNREGISTER waits for the point to close the stream too, which shows that it was
    /// read. Default 2 s. After that, that it was written has to be enough.
    pub unregister_linger: Duration,
    /// Found peers whose addresses are offered to whoever in this swarm dials them by their id:
    /// as many with signed records, and as many with unsigned ones. Default 10,000,
    /// half of what is cached of one namespace. Above it, the one that is listed for the
    /// shortest time is left out.
    pub found_peers_max: usize,
    /// Bytes of these peers, counted as
    /// [`CacheLimits`](rv_core::client::CacheLimits) does: as many of signed ones, and as many of
    /// unsigned ones. Default 16 MiB: 10,000 peers with four addresses, or 1,100 with the largest
    /// records. Above it likewise.
    pub found_bytes_max: usize,
    /// Whether found peers are dialled, whom and how fast. Default `None`: finding and dialling are
    /// two things, and most applications choose for themselves.
    pub dialling: Option<DiallingConfig>,
}

impl Config {
    /// Calls that wait in front of the behaviour. Each handle in use may add one to them; above it
    /// calls wait in their own tasks.
    pub const CALLS_MAX: usize = 64;

    /// A REGISTER is not longer than this, in bytes with its length in front: nim's points read no
    /// more. What does not fit is left out: first the second signature, then the last addresses.
    pub const REGISTER_BYTES_MAX: usize = 4_096;

    /// Checks that the parts make sense.
    ///
    /// # Errors
    ///
    /// Says what does not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.protocols.is_empty() {
            return Err(ConfigError::Protocols);
        }
        let extension = StreamProtocol::new(EXTENSION_PROTOCOL);
        if self.protocols.contains(&extension) && !self.protocols.contains(&PROTOCOL) {
            return Err(ConfigError::Extension);
        }
        if self.response_bytes_max == 0 {
            return Err(ConfigError::ResponseBytes);
        }
        if self.update_bytes_max == 0 {
            return Err(ConfigError::UpdateBytes);
        }
        self.client.validate()?;
        if let Some(dialling) = &self.dialling {
            dialling.validate()?;
        }
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            protocols: vec![PROTOCOL],
            client: ClientConfig::default(),
            response_bytes_max: 4_194_304,
            update_bytes_max: UPDATE_BYTES_MAX,
            stream_idle_timeout: Duration::from_secs(30),
            unregister_linger: Duration::from_secs(2),
            found_peers_max: 10_000,
            found_bytes_max: 16 << 20,
            dialling: None,
        }
    }
}

/// A configuration that cannot work.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// Bounds of the client contradict each other.
    #[error(transparent)]
    Client(#[from] ClientConfigError),
    /// Bounds of the dials contradict each other.
    #[error(transparent)]
    Dialling(#[from] DiallingConfigError),
    /// The name of the extension without the specification's: public points would be met under it.
    #[error(
        "{EXTENSION_PROTOCOL} is there by itself beside {PROTOCOL}, and nowhere else: leave it out"
    )]
    Extension,
    /// No protocol name.
    #[error("protocols is empty, so no point could be asked")]
    Protocols,
    /// No answer may be read.
    #[error("response_bytes_max must be at least 1")]
    ResponseBytes,
    /// No update may be read.
    #[error("update_bytes_max must be at least 1")]
    UpdateBytes,
}
