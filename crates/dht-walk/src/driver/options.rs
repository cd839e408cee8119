//! How a manager behaves.

use std::time::Duration;

use crate::config::Config;

/// How an [`RtRefreshManager`](super::RtRefreshManager) behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct RefreshOptions {
    /// Whether it works by itself. Default true. Off, it refreshes when it is told to, and no
    /// timer is ever set in between.
    pub enable_auto_refresh: bool,
    /// The pause between two refreshes of a healthy table. Default 300 s, as in py-libp2p. While
    /// the table is not full the pause is shorter.
    pub refresh_interval: Duration,
    /// Random walks in each refresh, besides the lookups of buckets. Default 3, as in py-libp2p.
    /// They renew the estimate of the network's size; 0 is cheaper.
    pub random_walks: usize,
    /// From so many entries on, a refresh has no random walks. It looks up the neighbours and the
    /// buckets nevertheless, and entries are checked: in py-libp2p four peers, its default, end all
    /// refreshes for good. Default none.
    pub min_refresh_threshold: Option<usize>,
    /// All other bounds. What the fields above say wins.
    pub walk: Config,
}

impl Default for RefreshOptions {
    fn default() -> Self {
        Self {
            enable_auto_refresh: true,
            refresh_interval: Duration::from_secs(300),
            random_walks: 3,
            min_refresh_threshold: None,
            walk: Config::default(),
        }
    }
}

impl RefreshOptions {
    pub(super) fn into_config(self) -> Config {
        let mut config = self.walk;
        config.auto = self.enable_auto_refresh;
        config.refresh.interval_max = self.refresh_interval;
        config.refresh.interval_min = config.refresh.interval_min.min(self.refresh_interval);
        config.refresh.uniform = self.random_walks;
        config.refresh.uniform_below = self.min_refresh_threshold;
        config
    }
}
