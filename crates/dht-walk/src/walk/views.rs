//! What can be seen from outside, and what outlives a run.

use crate::budget::Spent;
use crate::health::Health;
use crate::refusal::Refusals;
use crate::size::Estimate;
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::time::Time;

use super::Walk;

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Peers that became entries.
    pub admitted: u64,
    /// Candidates that were asked.
    pub candidates: u64,
    /// Checks of entries.
    pub checks: u64,
    /// Entries that were dropped because they did not answer.
    pub dead: u64,
    /// Entries that gave way to a nearer neighbour.
    pub displaced: u64,
    /// Lookups begun.
    pub lookups: u64,
    /// Entries that were dropped because they do not serve the DHT.
    pub not_serving: u64,
}

impl Walk {
    /// The table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Whether it works; see [`stop`](Self::stop).
    pub fn is_running(&self) -> bool {
        self.is_running
    }

    /// Whether nothing succeeds at present, so that nobody is dropped.
    pub fn is_outage(&self) -> bool {
        self.outage.is_down()
    }

    /// How large the network is, as far as can be told.
    pub fn estimate(&self, now: Time) -> Option<Estimate> {
        self.size
            .estimate(now, &self.table, self.config.bucket_size)
    }

    /// How good the table is.
    pub fn health(&self, now: Time) -> Health {
        Health::of(&self.table, self.config.bucket_size, self.estimate(now))
    }

    /// Departures for each peer and hour, as measured in the last hour.
    pub fn loss_per_hour(&mut self, now: Time) -> f64 {
        self.probe.loss_per_hour(now)
    }

    /// Why contacts and answers counted for nothing.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// What happened.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What was spent.
    pub fn spent(&self) -> Spent {
        self.budget.spent()
    }

    /// The table's contacts, those heard latest first, without those that failed their last check.
    pub fn snapshot(&self) -> Snapshot {
        let mut sound: Vec<_> = self
            .table
            .iter()
            .filter(|entry| entry.strikes == 0)
            .collect();
        sound.sort_by_key(|entry| std::cmp::Reverse(entry.heard_at));
        Snapshot::new(sound.into_iter().map(|entry| entry.contact()).collect())
    }

    /// Contacts of an earlier run. They are the first seeds that are asked; none is an entry before
    /// it answers.
    pub fn restore(&mut self, now: Time, snapshot: &Snapshot) {
        let now = self.enter(now);
        self.reseed.set_snapshot(snapshot.contacts().to_vec());
        self.advance(now);
    }
}
