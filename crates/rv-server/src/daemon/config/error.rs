//! Why a configuration cannot work.

use std::io;
use std::path::PathBuf;

use libp2p::Multiaddr;
use rv_core::RulesError;
use rv_proto::Ttl;
use thiserror::Error;

/// Why a configuration cannot work. Each message says what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An address that nobody could dial.
    #[error(
        "external address {address} cannot be dialed: start it with the IP address or the DNS name \
         that peers use, without /p2p/"
    )]
    ExternalAddress {
        /// The address.
        address: Multiaddr,
    },
    /// A listen address of another kind.
    #[error(
        "listen address {address} is not supported: use /ip4/<ip>/tcp/<port>, \
         /ip4/<ip>/tcp/<port>/ws or /ip4/<ip>/udp/<port>/quic-v1, or the same with \
         ip6"
    )]
    ListenAddress {
        /// The address.
        address: Multiaddr,
    },
    /// Nowhere to listen.
    #[error("no listen address: give at least one, for instance /ip4/0.0.0.0/tcp/6640")]
    NoListenAddress,
    /// A name that multistream-select could not carry.
    #[error(
        "protocol name {name:?} is not valid: use 2 to 140 ASCII characters that \
         begin with a slash, as in /rendezvous/1.0.0"
    )]
    Protocol {
        /// The name.
        name: String,
    },
    /// The behaviour refuses the configuration.
    #[error(transparent)]
    Point(#[from] crate::ConfigError),
    /// Rules that contradict each other.
    #[error("rules: {0}")]
    Rules(#[from] RulesError),
    /// A restored store where there is none.
    #[error(
        "an ephemeral point has no store that could have been restored: leave out `ephemeral`, or \
         `--restored`"
    )]
    RestoredEphemeral,
    /// The file is not TOML, or has a key or a value that does not exist.
    #[error("the configuration {} is not valid", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value above what makes sense.
    #[error("{key} must be at most {max}: lower it, or leave it out for the default")]
    TooLarge {
        /// The key with its section.
        key: &'static str,
        /// The largest value.
        max: &'static str,
    },
    /// A value below what makes sense.
    #[error("{key} must be at least {min}: raise it, or leave it out for the default")]
    TooSmall {
        /// The key with its section.
        key: &'static str,
        /// The smallest value.
        min: &'static str,
    },
    /// A duration that cannot be a ttl.
    #[error(
        "{key} is not a ttl: use whole seconds from {min} to {max}",
        min = Ttl::MIN, max = Ttl::MAX
    )]
    Ttl {
        /// The key with its section.
        key: &'static str,
    },
    /// The file cannot be read.
    #[error("the configuration {} cannot be read: check its path and its owner", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
