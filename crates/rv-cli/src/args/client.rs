//! The command lines of the commands that talk to rendezvous points.

use std::path::PathBuf;
use std::time::Duration;

use libp2p::{Multiaddr, StreamProtocol};
use rv_client::rv_proto::{Namespace, Ttl};

use crate::client::PointAddress;

/// What all of them have in common.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct CommonArgs {
    /// A rendezvous point, as `/ip4/203.0.113.7/tcp/6640/p2p/12D3KooW...`; /dns4 works too. May be
    /// repeated. Without it, the points in RV_POINT, separated by commas or spaces.
    #[arg(long = "point", value_name = "MULTIADDR")]
    pub(crate) points: Vec<PointAddress>,
    /// A name of the protocol, the preferred one first [default: /rendezvous/1.0.0]. May be
    /// repeated.
    #[arg(long = "protocol", value_name = "NAME", value_parser = protocol)]
    pub(crate) protocols: Vec<StreamProtocol>,
    /// A file with the identity [default: rv/identity in $XDG_DATA_HOME or ~/.local/share, made
    /// when it is missing].
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    /// Print one JSON object a line; docs/CLI.md has the schema.
    #[arg(long)]
    pub(crate) json: bool,
    /// What to log on stderr, as in "warn,rv=debug" [default: nothing].
    #[arg(
        long,
        value_name = "DIRECTIVES",
        env = "RUST_LOG",
        hide_env_values = true
    )]
    pub(crate) log: Option<String>,
}

/// `rv register`.
#[derive(Debug, clap::Args)]
pub(crate) struct RegisterArgs {
    /// The namespace, 1 to 255 bytes.
    #[arg(value_name = "NS")]
    pub(crate) namespace: Namespace,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// An address at which others reach this identity. May be repeated. It is not needed at points
    /// on this machine: there rv listens on loopback itself, for as long as it runs.
    #[arg(long = "external-address", value_name = "MULTIADDR")]
    pub(crate) external_addresses: Vec<Multiaddr>,
    /// How long the registration stands, as in "2h" or "1h 30m", up to 72h [default: 2h].
    #[arg(long, value_name = "DURATION", value_parser = ttl)]
    pub(crate) ttl: Option<Ttl>,
    /// Stay registered, at points that come back too, until Ctrl-C or SIGTERM; then unregister.
    /// The first attempt must succeed at one point. A second signal ends at once.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// `rv discover`.
#[derive(Debug, clap::Args)]
pub(crate) struct DiscoverArgs {
    /// The namespace. Without it: all of them, if the point allows that.
    #[arg(value_name = "NS")]
    pub(crate) namespace: Option<Namespace>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// How many peers at the most [default: 100].
    #[arg(long, value_name = "COUNT", value_parser = limit, conflicts_with = "all")]
    pub(crate) limit: Option<usize>,
    /// List every peer, page after page.
    #[arg(long)]
    pub(crate) all: bool,
}

/// `rv watch`.
#[derive(Debug, clap::Args)]
pub(crate) struct WatchArgs {
    /// The namespace.
    #[arg(value_name = "NS")]
    pub(crate) namespace: Namespace,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// The longest pause between two questions to a point; shorter while things change.
    #[arg(long, value_name = "DURATION", value_parser = interval, default_value = "15s")]
    pub(crate) interval: Duration,
    /// Ask again and again, also where the point would tell of changes by itself.
    #[arg(long)]
    pub(crate) poll: bool,
}

/// `rv unregister`.
#[derive(Debug, clap::Args)]
pub(crate) struct UnregisterArgs {
    /// The namespace.
    #[arg(value_name = "NS")]
    pub(crate) namespace: Namespace,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Peers that `--limit` may ask for: what one listing of the client holds.
const LIMIT_MAX: usize = 1_000_000;

/// Bounds of `--interval`. Below, a point's patience is tried; above, peers with the shortest usual
/// ttl come and go unseen.
const INTERVAL_SECS: std::ops::RangeInclusive<u64> = 1..=3_600;

pub(super) fn protocol(name: &str) -> Result<StreamProtocol, String> {
    StreamProtocol::try_from_owned(name.to_owned())
        .map_err(|_| "a protocol name begins with a slash".to_owned())
}

fn ttl(text: &str) -> Result<Ttl, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration.subsec_nanos() != 0 {
        return Err("a ttl is whole seconds".to_owned());
    }
    Ttl::from_secs(duration.as_secs()).map_err(|_| "a ttl is 1s to 72h".to_owned())
}

fn interval(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if INTERVAL_SECS.contains(&duration.as_secs()) {
        Ok(duration)
    } else {
        Err("an interval is 1s to 1h".to_owned())
    }
}

fn limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok();
    limit
        .filter(|limit| (1..=LIMIT_MAX).contains(limit))
        .ok_or_else(|| format!("a limit is 1 to {LIMIT_MAX}"))
}
