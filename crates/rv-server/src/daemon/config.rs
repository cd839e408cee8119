//! The daemon's configuration, as a TOML file or as a value.

mod error;
mod sections;

use std::path::{Path, PathBuf};

use libp2p::Multiaddr;
use libp2p::StreamProtocol;
use multiaddr::Protocol;
use serde::{Deserialize, Serialize};

use super::listen::ListenSocket;

pub use error::ConfigError;
pub use sections::{
    ConnectionsConfig, LimitsConfig, LogConfig, LogFormat, NamedDialect, RulesConfig, StoreConfig,
    StreamsConfig,
};

/// Everything that an operator may set. Each value has a default that suits a public point, and
/// `config.example.toml` names them all with what they cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen: `/ip4|ip6/<ip>/tcp/<port>`, the same with `/ws`, or
    /// `/ip4|ip6/<ip>/udp/<port>/quic-v1`. Default: TCP and QUIC port 6640 of every interface.
    pub listen: Vec<Multiaddr>,
    /// Addresses that peers are told besides, because the machine does not know them itself.
    /// Default: none.
    pub external_addresses: Vec<Multiaddr>,
    /// Where the identity and the store are. Default `rv-data` in the working directory.
    pub data_dir: PathBuf,
    /// A file with the identity. Default empty: `identity` in the data directory, made at the first
    /// start.
    pub identity: PathBuf,
    /// Whether to keep everything in memory and write no file. Default false.
    pub ephemeral: bool,
    /// Whether the store was put back from a backup: it gets a new epoch, so that readers whose
    /// cookies are from the lost time start anew. Meant for one start, so no file can set it.
    /// Default false.
    #[serde(skip)]
    pub restored: bool,
    /// Names of the protocol that speak the messages of rendezvous. Default `/rendezvous/1.0.0`.
    pub protocols: Vec<String>,
    /// What the point holds.
    pub limits: LimitsConfig,
    /// What one request may ask.
    pub rules: RulesConfig,
    /// What one connection may have open.
    pub streams: StreamsConfig,
    /// How many connections there may be.
    pub connections: ConnectionsConfig,
    /// The embedded store.
    pub store: StoreConfig,
    /// What is logged, and how. The program around the daemon acts on it.
    pub log: LogConfig,
}

impl Config {
    /// The port of a point, TCP and UDP.
    pub const PORT: u16 = 6640;

    /// Reads a configuration file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not TOML, names a key that does not exist, or has a value
    /// that cannot work.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_path_buf(),
            source,
        })?;
        let config: Self = toml::from_str(&text).map_err(|error| ConfigError::Syntax {
            path: path.to_path_buf(),
            source: Box::new(error),
        })?;
        config.validate()?;
        Ok(config)
    }

    /// Checks that the values make sense.
    ///
    /// # Errors
    ///
    /// The first that does not, and what to do.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.point().map(|_| ())
    }

    /// The file with the identity, if one was named.
    pub(super) fn identity_path(&self) -> Option<&Path> {
        (!self.identity.as_os_str().is_empty()).then_some(self.identity.as_path())
    }

    /// What the behaviour is configured with.
    pub(super) fn point(&self) -> Result<crate::Config, ConfigError> {
        self.validate_addresses()?;
        if self.restored && self.ephemeral {
            return Err(ConfigError::RestoredEphemeral);
        }
        self.limits.validate()?;
        self.streams.validate()?;
        self.connections.validate()?;
        self.store.validate()?;
        let point = crate::Config {
            protocols: self.stream_protocols()?,
            local_peer: None,
            rules: self.rules.to_rules()?,
            limits: self.limits.to_limits(),
            streams: self.streams.to_streams(),
            // Each event would be a hop through the swarm's loop, and nobody listens.
            events: false,
            erase_after: self.store.erase_after,
        };
        point.validate()?;
        Ok(point)
    }

    fn validate_addresses(&self) -> Result<(), ConfigError> {
        if self.listen.is_empty() {
            return Err(ConfigError::NoListenAddress);
        }
        for address in &self.listen {
            if ListenSocket::parse(address).is_none() {
                return Err(ConfigError::ListenAddress {
                    address: address.clone(),
                });
            }
        }
        for address in &self.external_addresses {
            if !is_reachable(address) {
                return Err(ConfigError::ExternalAddress {
                    address: address.clone(),
                });
            }
        }
        Ok(())
    }

    fn stream_protocols(&self) -> Result<Vec<StreamProtocol>, ConfigError> {
        let parse = |name: &String| {
            let is_valid = (2..=PROTOCOL_BYTES_MAX).contains(&name.len()) && name.is_ascii();
            let protocol = StreamProtocol::try_from_owned(name.clone()).ok();
            let protocol = protocol.filter(|_| is_valid);
            protocol.ok_or_else(|| ConfigError::Protocol { name: name.clone() })
        };
        self.protocols.iter().map(parse).collect()
    }
}

/// The longest protocol name, in bytes: with its length and line feed it stays within what every
/// negotiation of the field accepts.
const PROTOCOL_BYTES_MAX: usize = 140;

/// Whether somebody else could dial `address`: an IP that is one, or a DNS name, and no peer id.
fn is_reachable(address: &Multiaddr) -> bool {
    let is_start = match address.iter().next() {
        Some(Protocol::Ip4(ip)) => !ip.is_unspecified(),
        Some(Protocol::Ip6(ip)) => !ip.is_unspecified(),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)) => {
            true
        }
        _ => false,
    };
    is_start && !address.iter().any(|part| matches!(part, Protocol::P2p(_)))
}

impl Default for Config {
    fn default() -> Self {
        let any4 = Multiaddr::empty().with(Protocol::Ip4(std::net::Ipv4Addr::UNSPECIFIED));
        let any6 = Multiaddr::empty().with(Protocol::Ip6(std::net::Ipv6Addr::UNSPECIFIED));
        let tcp = |ip: &Multiaddr| ip.clone().with(Protocol::Tcp(Self::PORT));
        let quic = |ip: &Multiaddr| {
            ip.clone()
                .with(Protocol::Udp(Self::PORT))
                .with(Protocol::QuicV1)
        };
        Self {
            listen: vec![tcp(&any4), tcp(&any6), quic(&any4), quic(&any6)],
            external_addresses: Vec::new(),
            data_dir: PathBuf::from("rv-data"),
            identity: PathBuf::new(),
            ephemeral: false,
            restored: false,
            protocols: vec![crate::config::PROTOCOL.to_string()],
            limits: LimitsConfig::default(),
            rules: RulesConfig::default(),
            streams: StreamsConfig::default(),
            connections: ConnectionsConfig::default(),
            store: StoreConfig::default(),
            log: LogConfig::default(),
        }
    }
}

#[cfg(test)]
mod tests;
