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
}

impl Config {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.answer_bytes_max == 0 {
            let what = "answer_bytes_max";
            return Err(ConfigError::Zero { what });
        }
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            walk: crate::Config::default(),
            answer_bytes_max: 65_536,
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
