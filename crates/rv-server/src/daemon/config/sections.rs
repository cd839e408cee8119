//! The sections of the configuration file.
//!
//! The defaults of `limits`, `rules` and `streams` are those of the machines themselves; this page
//! only gives them names in a file.

use std::collections::BTreeMap;
use std::time::Duration;

use rv_core::{Agents, Limits, Rules};
use rv_proto::{Dialect, Ttl};
use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::StreamLimits;
use crate::journal::RedbConfig;

/// The longest of all timeouts and pauses. Nothing that they wait for takes a day, and deadlines
/// reckoned from them stay within what the system's clock can hold.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What the point holds at the most: see [`Limits`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// See [`Limits::registrations_per_peer`].
    pub registrations_per_peer: usize,
    /// See [`Limits::registrations_total`].
    pub registrations_total: usize,
    /// See [`Limits::record_bytes_total`].
    pub record_bytes_total: u64,
    /// See [`Limits::registrations_per_origin`].
    pub registrations_per_origin: usize,
    /// See [`Limits::register_burst`].
    pub register_burst: u32,
    /// See [`Limits::register_per_sec`].
    pub register_per_sec: u32,
    /// See [`Limits::register_buckets_max`].
    pub register_buckets_max: usize,
    /// See [`Limits::pending_max`].
    pub pending_registers: usize,
    /// See [`Limits::subscriptions_per_peer`].
    pub subscriptions_per_peer: usize,
    /// See [`Limits::subscriptions_per_origin`].
    pub subscriptions_per_origin: usize,
    /// See [`Limits::subscriptions_total`].
    pub subscriptions_total: usize,
    /// See [`Limits::removals_max`].
    pub removals_max: usize,
}

impl LimitsConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        at_least_one(&[
            (
                "limits.registrations_per_peer",
                self.registrations_per_peer == 0,
            ),
            ("limits.registrations_total", self.registrations_total == 0),
            ("limits.record_bytes_total", self.record_bytes_total == 0),
            (
                "limits.registrations_per_origin",
                self.registrations_per_origin == 0,
            ),
            ("limits.register_burst", self.register_burst == 0),
            ("limits.register_per_sec", self.register_per_sec == 0),
            (
                "limits.register_buckets_max",
                self.register_buckets_max == 0,
            ),
            ("limits.pending_registers", self.pending_registers == 0),
            (
                "limits.subscriptions_per_peer",
                self.subscriptions_per_peer == 0,
            ),
            (
                "limits.subscriptions_per_origin",
                self.subscriptions_per_origin == 0,
            ),
            ("limits.removals_max", self.removals_max == 0),
        ])
    }

    pub(super) const fn to_limits(&self) -> Limits {
        Limits {
            registrations_per_peer: self.registrations_per_peer,
            registrations_total: self.registrations_total,
            record_bytes_total: self.record_bytes_total,
            registrations_per_origin: self.registrations_per_origin,
            register_burst: self.register_burst,
            register_per_sec: self.register_per_sec,
            register_buckets_max: self.register_buckets_max,
            pending_max: self.pending_registers,
            subscriptions_per_peer: self.subscriptions_per_peer,
            subscriptions_per_origin: self.subscriptions_per_origin,
            subscriptions_total: self.subscriptions_total,
            removals_max: self.removals_max,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            registrations_per_peer: limits.registrations_per_peer,
            registrations_total: limits.registrations_total,
            record_bytes_total: limits.record_bytes_total,
            registrations_per_origin: limits.registrations_per_origin,
            register_burst: limits.register_burst,
            register_per_sec: limits.register_per_sec,
            register_buckets_max: limits.register_buckets_max,
            pending_registers: limits.pending_max,
            subscriptions_per_peer: limits.subscriptions_per_peer,
            subscriptions_per_origin: limits.subscriptions_per_origin,
            subscriptions_total: limits.subscriptions_total,
            removals_max: limits.removals_max,
        }
    }
}

/// What one request may ask: see [`Rules`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RulesConfig {
    /// See [`Rules::ttl_min`].
    #[serde(with = "humantime_serde")]
    pub ttl_min: Duration,
    /// See [`Rules::ttl_max`].
    #[serde(with = "humantime_serde")]
    pub ttl_max: Duration,
    /// See [`Rules::ttl_default`].
    #[serde(with = "humantime_serde")]
    pub ttl_default: Duration,
    /// See [`Rules::page_entries_max`].
    pub page_entries_max: usize,
    /// See [`Rules::page_bytes_max`].
    pub page_bytes_max: usize,
    /// See [`Rules::discover_all`].
    pub discover_all: bool,
    /// See [`Rules::dialect_default`].
    #[serde(with = "dialect")]
    pub dialect_default: Dialect,
    /// See [`Rules::agents`]. These are added to the known ones, or change them.
    pub agents: BTreeMap<String, NamedDialect>,
    /// See [`Rules::identify_wait`]. Default 500 ms here, where identify is listened to.
    #[serde(with = "humantime_serde")]
    pub identify_wait: Duration,
    /// See [`Rules::heartbeat`].
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// See [`Rules::update_gap`].
    #[serde(with = "humantime_serde")]
    pub update_gap: Duration,
}

/// A dialect by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NamedDialect(#[serde(with = "dialect")] pub Dialect);

impl RulesConfig {
    pub(super) fn to_rules(&self) -> Result<Rules, ConfigError> {
        let mut agents = Agents::default();
        for (name, dialect) in &self.agents {
            agents.insert(name.clone(), dialect.0);
        }
        let rules = Rules {
            ttl_min: ttl("rules.ttl_min", self.ttl_min)?,
            ttl_max: ttl("rules.ttl_max", self.ttl_max)?,
            ttl_default: ttl("rules.ttl_default", self.ttl_default)?,
            page_entries_max: self.page_entries_max,
            page_bytes_max: self.page_bytes_max,
            discover_all: self.discover_all,
            dialect_default: self.dialect_default,
            agents,
            identify_wait: self.identify_wait,
            heartbeat: self.heartbeat,
            update_gap: self.update_gap,
        };
        rules.validate()?;
        Ok(rules)
    }
}

impl Default for RulesConfig {
    fn default() -> Self {
        let rules = Rules::default();
        Self {
            ttl_min: rules.ttl_min.as_duration(),
            ttl_max: rules.ttl_max.as_duration(),
            ttl_default: rules.ttl_default.as_duration(),
            page_entries_max: rules.page_entries_max,
            page_bytes_max: rules.page_bytes_max,
            discover_all: rules.discover_all,
            dialect_default: rules.dialect_default,
            agents: BTreeMap::new(),
            identify_wait: Rules::IDENTIFY_WAIT_MAX,
            heartbeat: rules.heartbeat,
            update_gap: rules.update_gap,
        }
    }
}

/// What one connection may have open: see [`StreamLimits`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamsConfig {
    /// See [`StreamLimits::streams_per_connection`].
    pub streams_per_connection: usize,
    /// See [`StreamLimits::subscriptions_per_connection`].
    pub subscriptions_per_connection: usize,
    /// See [`StreamLimits::idle_timeout`].
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// See [`StreamLimits::frame_timeout`].
    #[serde(with = "humantime_serde")]
    pub frame_timeout: Duration,
    /// See [`StreamLimits::write_timeout`].
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// See [`StreamLimits::unread_bytes_per_connection`].
    pub unread_bytes_per_connection: usize,
    /// See [`StreamLimits::unread_bytes_total`].
    pub unread_bytes_total: usize,
}

impl StreamsConfig {
    /// What the multiplexers below can carry besides what waits to be served. Each stream may hold
    /// 256 KiB of what a hostile peer sent, so more would be memory and not service.
    const STREAMS_MAX: usize = 1024;

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        at_least_one(&[
            (
                "streams.streams_per_connection",
                self.streams_per_connection == 0,
            ),
            (
                "streams.subscriptions_per_connection",
                self.subscriptions_per_connection == 0,
            ),
            (
                "streams.unread_bytes_per_connection",
                self.unread_bytes_per_connection == 0,
            ),
            ("streams.unread_bytes_total", self.unread_bytes_total == 0),
        ])?;
        if self.streams_per_connection > Self::STREAMS_MAX {
            return Err(ConfigError::TooLarge {
                key: "streams.streams_per_connection",
                max: "1024",
            });
        }
        a_second_to_a_day(&[
            ("streams.idle_timeout", self.idle_timeout),
            ("streams.frame_timeout", self.frame_timeout),
            ("streams.write_timeout", self.write_timeout),
        ])
    }

    pub(super) const fn to_streams(&self) -> StreamLimits {
        StreamLimits {
            streams_per_connection: self.streams_per_connection,
            subscriptions_per_connection: self.subscriptions_per_connection,
            idle_timeout: self.idle_timeout,
            frame_timeout: self.frame_timeout,
            write_timeout: self.write_timeout,
            unread_bytes_per_connection: self.unread_bytes_per_connection,
            unread_bytes_total: self.unread_bytes_total,
        }
    }
}

impl Default for StreamsConfig {
    fn default() -> Self {
        let streams = StreamLimits::default();
        Self {
            streams_per_connection: streams.streams_per_connection,
            subscriptions_per_connection: streams.subscriptions_per_connection,
            idle_timeout: streams.idle_timeout,
            frame_timeout: streams.frame_timeout,
            write_timeout: streams.write_timeout,
            unread_bytes_per_connection: streams.unread_bytes_per_connection,
            unread_bytes_total: streams.unread_bytes_total,
        }
    }
}

/// How many connections there may be, and how long one may do nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionsConfig {
    /// Connections of one peer id. Default 8: a client has one, and a few more for a moment when
    /// it dials several addresses at once.
    pub per_peer: u32,
    /// Established connections in all. Default 10,000. Each takes a file descriptor (TCP) and
    /// roughly 50 kB while it is used.
    pub total: u32,
    /// Connections that are being set up. Default 256: a setup is over within 10 s, and mostly
    /// within two round trips.
    pub pending_inbound: u32,
    /// How long a connection without a stream is kept. Default 1 min: clients that ask again soon
    /// need no new handshake, others hold no descriptor.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// New connections are refused while the process uses more memory than this, in bytes.
    /// Default 0, which stands for 80 % of the machine's memory. It closes no connection that is
    /// there: those are bounded one by one, and `total` bounds how many there are.
    pub memory_bytes_max: usize,
}

impl ConnectionsConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        at_least_one(&[
            ("connections.per_peer", self.per_peer == 0),
            ("connections.total", self.total == 0),
            ("connections.pending_inbound", self.pending_inbound == 0),
        ])?;
        a_second_to_a_day(&[("connections.idle_timeout", self.idle_timeout)])
    }
}

impl Default for ConnectionsConfig {
    fn default() -> Self {
        Self {
            per_peer: 8,
            total: 10_000,
            pending_inbound: 256,
            idle_timeout: Duration::from_secs(60),
            memory_bytes_max: 0,
        }
    }
}

/// The embedded store: see [`RedbConfig`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// See [`RedbConfig::cache_bytes`].
    pub cache_bytes: usize,
    /// See [`RedbConfig::retry_pause`].
    #[serde(with = "humantime_serde")]
    pub retry_pause: Duration,
    /// See [`Config::erase_after`](crate::Config::erase_after).
    #[serde(with = "humantime_serde")]
    pub erase_after: Duration,
}

impl StoreConfig {
    /// Below this the store would read the same pages again and again.
    const CACHE_BYTES_MIN: usize = 1 << 20;

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.cache_bytes < Self::CACHE_BYTES_MIN {
            return Err(ConfigError::TooSmall {
                key: "store.cache_bytes",
                min: "1048576",
            });
        }
        // Neither needs a least: 0 is to try again, or to erase, at once.
        at_most_a_day(&[
            ("store.retry_pause", self.retry_pause),
            ("store.erase_after", self.erase_after),
        ])
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        let RedbConfig {
            cache_bytes,
            retry_pause,
            ..
        } = RedbConfig::default();
        Self {
            cache_bytes,
            retry_pause,
            erase_after: crate::Config::default().erase_after,
        }
    }
}

/// What is logged, and how. The daemon does not act on it: the program that embeds it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Directives of `tracing-subscriber`'s `EnvFilter`. Default `warn,rv=info`.
    pub filter: String,
    /// Lines for people or for machines. Default text.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            filter: "warn,rv=info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Text.
    Text,
}

fn at_least_one(values: &[(&'static str, bool)]) -> Result<(), ConfigError> {
    match values.iter().find(|(_, is_zero)| *is_zero) {
        Some((key, _)) => Err(ConfigError::TooSmall { key, min: "1" }),
        None => Ok(()),
    }
}

fn a_second_to_a_day(values: &[(&'static str, Duration)]) -> Result<(), ConfigError> {
    match values
        .iter()
        .find(|(_, value)| *value < Duration::from_secs(1))
    {
        Some((key, _)) => Err(ConfigError::TooSmall { key, min: "1s" }),
        None => at_most_a_day(values),
    }
}

fn at_most_a_day(values: &[(&'static str, Duration)]) -> Result<(), ConfigError> {
    match values.iter().find(|(_, value)| *value > DURATION_MAX) {
        Some((key, _)) => Err(ConfigError::TooLarge { key, max: "24h" }),
        None => Ok(()),
    }
}

fn ttl(key: &'static str, duration: Duration) -> Result<Ttl, ConfigError> {
    if duration.subsec_nanos() != 0 {
        return Err(ConfigError::Ttl { key });
    }
    Ttl::from_secs(duration.as_secs()).map_err(|_| ConfigError::Ttl { key })
}

/// A dialect by its name.
mod dialect {
    use rv_proto::Dialect;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(dialect: &Dialect, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(dialect.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Dialect, D::Error> {
        let name = String::deserialize(from)?;
        name.parse().map_err(|_| {
            let names = Dialect::ALL.map(Dialect::as_str).join(", ");
            de::Error::custom(format!("unknown dialect {name:?}, use one of {names}"))
        })
    }
}
