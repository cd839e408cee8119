//! What an application may set, and what has to be set about its kad.

use libp2p_kad::BucketInserts;

use crate::config::ConfigError;

/// Everything that can be set about a [`Behaviour`](super::Behaviour).
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The walk's. [`bucket_size`](crate::Config::bucket_size) should be that of the kad, 20 where
    /// it is not set; [`lookups`](crate::Config::lookups) is taken as
    /// [`Own`](crate::Lookups::Own), whatever it says.
    pub walk: crate::Config,
    /// The longest answer that is read, in bytes. Default 65,536: twenty peers with thirty
    /// addresses of a hundred bytes. libp2p-kad itself reads 16,384; higher is memory that whoever
    /// answers can make us spend, once for each request in flight.
    pub answer_bytes_max: usize,
    /// What all [`Handle`](super::Handle)s of the behaviour may have under way.
    pub handles: HandleConfig,
}

/// How much the handles of one behaviour may ask for at a time, beside what its own walk does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandleConfig {
    /// Requests without an answer at a time. Default 32, as many as a walk has: so a manager over a
    /// handle never waits, and with the behaviour's own walk beside it there are 64.
    pub in_flight_max: usize,
    /// Requests without an answer to one peer. Default 3: the three lookups of a
    /// [`RandomWalk`](crate::RandomWalk) may all begin with the same peer, and more than that is a
    /// burden on whoever is asked.
    pub per_peer_max: usize,
    /// Requests and lookups that wait for their turn. Default 256, a few hundred bytes each. Who
    /// asks for more than that waits before the request is taken.
    pub waiting_max: usize,
    /// Lookups at a time. Default 8: each has three requests out, so they leave a part to others.
    pub lookups_max: usize,
}

impl Config {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let bounds = [
            ("answer_bytes_max", self.answer_bytes_max),
            ("handles.in_flight_max", self.handles.in_flight_max),
            ("handles.per_peer_max", self.handles.per_peer_max),
            ("handles.waiting_max", self.handles.waiting_max),
            ("handles.lookups_max", self.handles.lookups_max),
        ];
        match bounds.into_iter().find(|(_, bound)| *bound == 0) {
            Some((what, _)) => Err(ConfigError::Zero { what }),
            None => Ok(()),
        }
    }
}

impl Default for HandleConfig {
    fn default() -> Self {
        Self {
            in_flight_max: 32,
            per_peer_max: 3,
            waiting_max: 256,
            lookups_max: 8,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            walk: crate::Config::default(),
            answer_bytes_max: 65_536,
            handles: HandleConfig::default(),
        }
    }
}

/// Leaves to the walk what is the walk's: nobody becomes an entry by being connected, and no
/// bootstrap runs periodically.
///
/// A kad that was not prepared is tended too; but it goes on taking in whoever is connected, before
/// that peer has answered, and its bootstraps cost their messages beside the walk's.
pub fn prepare(kad: &mut libp2p_kad::Config) {
    kad.set_kbucket_inserts(BucketInserts::Manual);
    kad.set_periodic_bootstrap_interval(None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_lets_nothing_through_is_named() {
        assert_eq!(Config::default().validate(), Ok(()));
        type Change = fn(&mut Config);
        let changes: [(&str, Change); 5] = [
            ("answer_bytes_max", |it| it.answer_bytes_max = 0),
            ("handles.in_flight_max", |it| it.handles.in_flight_max = 0),
            ("handles.per_peer_max", |it| it.handles.per_peer_max = 0),
            ("handles.waiting_max", |it| it.handles.waiting_max = 0),
            ("handles.lookups_max", |it| it.handles.lookups_max = 0),
        ];
        for (what, change) in changes {
            let mut config = Config::default();
            change(&mut config);
            assert_eq!(config.validate(), Err(ConfigError::Zero { what }));
        }
    }
}
