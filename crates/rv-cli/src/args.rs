//! The command line.

mod client;
mod walk;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use rv_server::daemon::{Config, ConfigError};
use rv_server::libp2p_swarm::derive_prelude::Multiaddr;

pub(crate) use client::{CommonArgs, DiscoverArgs, RegisterArgs, UnregisterArgs, WatchArgs};
pub(crate) use walk::WalkArgs;

/// A rendezvous point for libp2p: peers register there under a namespace, and find each other.
#[derive(Debug, Parser)]
#[command(name = "rv", version, propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the peers that are registered in a namespace.
    Discover(Box<DiscoverArgs>),
    /// Make or look at an identity file.
    #[command(subcommand)]
    Key(KeyArgs),
    /// Register in a namespace, so that others find this identity there.
    Register(Box<RegisterArgs>),
    /// Run a rendezvous point.
    Serve(Box<ServeArgs>),
    /// Take a registration of this identity out.
    Unregister(Box<UnregisterArgs>),
    /// Look around in a Kademlia DHT: how large it is, who is there, how good a table becomes.
    Walk(Box<WalkArgs>),
    /// Show who joins a namespace, renews there and is gone, until Ctrl-C.
    Watch(Box<WatchArgs>),
}

/// `rv key`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyArgs {
    /// Make a new identity and print its peer id. A file that exists is never overwritten.
    New {
        /// The file to make.
        file: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Print the peer id of an identity.
    Show {
        /// The identity file.
        #[arg(default_value = "rv-data/identity")]
        file: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// `rv serve`. Flags come before the configuration file.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ServeArgs {
    /// A configuration file in TOML; config.example.toml names every setting.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen [default: TCP and QUIC port 6640 of every interface]. May be repeated.
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<Multiaddr>,
    /// An address to announce besides those of the interfaces. May be repeated.
    #[arg(long, value_name = "MULTIADDR")]
    external_address: Vec<Multiaddr>,
    /// Where the identity and the store are [default: rv-data].
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// A file with the identity [default: `identity` in the data directory].
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Keep everything in memory and write no file.
    #[arg(long)]
    ephemeral: bool,
    /// The store was put back from a backup: readers start anew. For the first start after it.
    #[arg(long, conflicts_with = "ephemeral")]
    restored: bool,
    /// A name under which the protocol is spoken [default: /rendezvous/1.0.0]. May be repeated.
    #[arg(long, value_name = "NAME")]
    protocol: Vec<String>,
    /// What to log, as in "warn,rv=debug" [default: warn,rv=info].
    #[arg(long, value_name = "DIRECTIVES", env = "RUST_LOG")]
    log: Option<String>,
}

impl ServeArgs {
    /// The configuration: the file, if there is one, under the flags.
    ///
    /// # Errors
    ///
    /// If the file or the whole cannot work.
    pub(crate) fn config(self) -> Result<Config, ConfigError> {
        let mut config = match &self.config {
            Some(path) => Config::load(path)?,
            None => Config::default(),
        };
        replace_list(&mut config.listen, self.listen);
        replace_list(&mut config.external_addresses, self.external_address);
        replace_list(&mut config.protocols, self.protocol);
        replace(&mut config.data_dir, self.data_dir);
        replace(&mut config.identity, self.identity);
        // An empty variable stands for one that is not set.
        replace(
            &mut config.log.filter,
            self.log.filter(|log| !log.is_empty()),
        );
        config.ephemeral |= self.ephemeral;
        config.restored = self.restored;
        config.validate()?;
        Ok(config)
    }
}

fn replace<T>(value: &mut T, flag: Option<T>) {
    if let Some(flag) = flag {
        *value = flag;
    }
}

fn replace_list<T>(values: &mut Vec<T>, flags: Vec<T>) {
    if !flags.is_empty() {
        *values = flags;
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn serve(line: &[&str]) -> ServeArgs {
        let line = ["rv", "serve"].iter().chain(line);
        match Args::try_parse_from(line).expect("a valid line").command {
            Command::Serve(args) => ServeArgs { log: None, ..*args },
            other => panic!("not serve: {other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn no_flag_is_the_default() {
        assert_eq!(serve(&[]).config().expect("valid"), Config::default());
    }

    #[test]
    fn flags_come_before_the_file() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("rv.toml");
        let text = r#"
            listen = ["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2"]
            data_dir = "kept"
            protocols = ["/file/1"]
            [limits]
            register_burst = 7
        "#;
        std::fs::write(&file, text).expect("written");
        let file = file.to_str().expect("UTF-8");
        let line = [
            "--config",
            file,
            "--listen",
            "/ip4/127.0.0.1/tcp/3",
            "--protocol",
            "/a/1",
            "--protocol",
            "/b/1",
            "--external-address",
            "/dns4/point.example/tcp/6640",
            "--ephemeral",
        ];
        let config = serve(&line).config().expect("valid");
        let wanted: Multiaddr = "/ip4/127.0.0.1/tcp/3".parse().expect("a multiaddr");
        assert_eq!(config.listen, [wanted]);
        assert_eq!(config.protocols, ["/a/1", "/b/1"]);
        assert_eq!(config.external_addresses.len(), 1);
        assert_eq!(config.data_dir, PathBuf::from("kept"));
        assert_eq!(config.limits.register_burst, 7);
        assert!(config.ephemeral);
    }

    #[test]
    fn a_store_is_restored_by_a_flag_and_only_if_there_is_one() {
        assert!(serve(&["--restored"]).config().expect("valid").restored);
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("rv.toml");
        std::fs::write(&file, "ephemeral = true").expect("written");
        let file = file.to_str().expect("UTF-8");
        let error = serve(&["--config", file, "--restored"])
            .config()
            .expect_err("no store");
        assert!(matches!(error, ConfigError::RestoredEphemeral), "{error}");
    }

    #[test]
    fn a_flag_that_cannot_work_is_refused_as_a_setting_is() {
        let error = serve(&["--listen", "/dns4/localhost/tcp/1"])
            .config()
            .expect_err("no DNS");
        assert!(
            matches!(error, ConfigError::ListenAddress { .. }),
            "{error}"
        );
    }
}
