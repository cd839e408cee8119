//! The command line of `rv walk`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use libp2p::StreamProtocol;

use super::client::protocol;
use crate::client::PointAddress;

/// `rv walk`.
#[derive(Debug, clap::Args)]
pub(crate) struct WalkArgs {
    /// Peers of the DHT to begin with, as `/ip4/203.0.113.7/tcp/4001/p2p/12D3KooW...`; /dnsaddr
    /// works too. May be repeated.
    #[arg(long, value_name = "MULTIADDR", required = true, num_args = 1..)]
    pub(crate) bootstrap: Vec<PointAddress>,
    /// The name of the DHT's protocol.
    #[arg(
        long,
        value_name = "NAME",
        value_parser = protocol,
        default_value = "/ipfs/kad/1.0.0"
    )]
    pub(crate) protocol: StreamProtocol,
    /// Look around until this share of the network was seen.
    #[arg(long, value_name = "SHARE", default_value = "95%")]
    pub(crate) coverage: Share,
    /// Targets anywhere, instead of one in each of equal parts of the key space.
    #[arg(long, conflicts_with = "crawl")]
    pub(crate) uniform: bool,
    /// List every peer instead: ask each one for its whole table.
    #[arg(long, conflicts_with = "coverage")]
    pub(crate) crawl: bool,
    /// Go on from this file if it is there, and write to it how far the crawl is.
    #[arg(long, value_name = "FILE", requires = "crawl")]
    pub(crate) resume: Option<PathBuf>,
    /// End after so many messages [default: 10000, with --crawl 1000000].
    #[arg(long, value_name = "MESSAGES", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) budget: Option<u32>,
    /// End after so long, as in "90s" or "1h" [default: 10m, with --crawl 1h].
    #[arg(long, value_name = "DURATION", value_parser = deadline)]
    pub(crate) deadline: Option<Duration>,
    /// Requests without an answer at a time, 1 to 256.
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 32,
        value_parser = clap::value_parser!(u16).range(1..=256)
    )]
    pub(crate) in_flight: u16,
    /// Messages in a second, 1 to 1000.
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..=1_000)
    )]
    pub(crate) rate: u32,
    /// Take private addresses too, as in a laboratory or at home. It is so by itself where all
    /// bootstrap addresses are private.
    #[arg(long)]
    pub(crate) allow_private: bool,
    /// Write a picture: the table by bucket, and who was seen over messages.
    #[arg(long, value_name = "SVG")]
    pub(crate) graph: Option<PathBuf>,
    /// Print one JSON object a line; docs/CLI.md has the schema.
    #[arg(long)]
    pub(crate) json: bool,
    /// What to log on stderr, as in "warn,dht_walk=debug" [default: nothing].
    #[arg(
        long,
        value_name = "DIRECTIVES",
        env = "RUST_LOG",
        hide_env_values = true
    )]
    pub(crate) log: Option<String>,
}

/// The longest deadline: a clock has no time for some.
const DEADLINE_MAX: Duration = Duration::from_secs(365 * 24 * 3_600);

fn deadline(text: &str) -> Result<Duration, String> {
    let deadline = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let is_short = deadline <= DEADLINE_MAX;
    is_short
        .then_some(deadline)
        .ok_or_else(|| "a year at the most".to_owned())
}

/// A part of a whole, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share(pub(crate) f64);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, whole) = match text.strip_suffix('%') {
            Some(digits) => (digits.trim_end(), 100.0),
            None => (text, 1.0),
        };
        let share = digits.parse::<f64>().ok().map(|it| it / whole);
        let share = share.filter(|it| *it > 0.0 && *it <= 1.0);
        let share = share.ok_or_else(|| "a share is above 0% and up to 100%".to_owned())?;
        Ok(Self(share))
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = (self.0 * 1_000.0).round() / 10.0;
        write!(f, "{percent}%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_a_year_at_the_most() {
        assert_eq!(deadline("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(deadline("365days"), Ok(DEADLINE_MAX));
        let refused = Err("a year at the most".to_owned());
        assert_eq!(deadline("366days"), refused);
        assert_eq!(deadline("500000000000years"), refused);
        assert!(deadline("5").is_err());
    }

    #[test]
    fn a_share_is_a_percentage_or_a_fraction() {
        let share = |text: &str| text.parse::<Share>().map(|it| it.0);
        assert_eq!(share("95%"), Ok(0.95));
        assert_eq!(share("0.5"), Ok(0.5));
        assert_eq!(share("100 %"), Ok(1.0));
        for text in ["0%", "101%", "95", "-1%", "NaN", "half", ""] {
            assert!(share(text).is_err(), "{text}");
        }
        assert_eq!(Share(0.999).to_string(), "99.9%");
        assert_eq!(Share(1.0).to_string(), "100%");
    }
}
