//! How good a table is, measured by what it could be.
//!
//! Bucket `c` covers a share of 2^-(c+1) of the network. In a network of 2,000 the tenth bucket
//! therefore holds two peers, and is full with two.

use crate::key::Cpl;
use crate::size::Estimate;
use crate::table::Table;
use crate::target::Targets;

/// What is in a table, beside what could be.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    buckets: Vec<BucketHealth>,
    depth: Cpl,
    estimate: Option<Estimate>,
}

/// One bucket's health.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BucketHealth {
    /// Which bucket.
    pub cpl: Cpl,
    /// Its entries.
    pub entries: usize,
    /// Those whose last check failed.
    pub doubtful: usize,
    /// How many it could hold, as far as is known: never more than a bucket's size.
    pub expected: f64,
    /// How many it holds nearly for certain, chance taken off.
    assured: f64,
}

impl Health {
    /// A bucket is looked up if it can be expected to hold this many. Deeper ones are covered by
    /// the lookup of ourselves.
    const EXPECTED_MIN: f64 = 10.0;

    pub(crate) fn of(table: &Table, bucket_size: usize, estimate: Option<Estimate>) -> Self {
        let deepest = table.deepest().unwrap_or(Cpl::new(0));
        let peers = estimate.map_or(0.0, |estimate| estimate.peers);
        let size = count(bucket_size);
        let exist = |cpl: Cpl| peers * 0.5_f64.powi(i32::from(cpl.bits()) + 1);
        let bucket = |bits| {
            let cpl = Cpl::new(bits);
            let entries = table.bucket(cpl);
            let doubtful = entries.iter().filter(|entry| entry.strikes > 0).count();
            BucketHealth {
                cpl,
                entries: entries.len(),
                doubtful,
                expected: exist(cpl).min(size),
                assured: (exist(cpl) - 2.0 * exist(cpl).sqrt()).clamp(0.0, size),
            }
        };
        let is_worth = |cpl: &Cpl| exist(*cpl) >= Self::EXPECTED_MIN;
        let worth = (0..=Targets::CPL_MAX.bits())
            .map(Cpl::new)
            .take_while(is_worth);
        let depth = match estimate {
            Some(_) => worth.last().unwrap_or(Cpl::new(0)),
            None => deepest.min(Targets::CPL_MAX),
        };
        let buckets = (0..=deepest.max(depth).bits()).map(bucket).collect();
        Self {
            buckets,
            depth,
            estimate,
        }
    }

    /// Each bucket, farthest first.
    pub fn buckets(&self) -> &[BucketHealth] {
        &self.buckets
    }

    /// The deepest bucket that is worth a lookup of its own.
    pub const fn depth(&self) -> Cpl {
        self.depth
    }

    /// How many peers the network has.
    pub const fn estimate(&self) -> Option<Estimate> {
        self.estimate
    }

    /// Entries that do not fail, as a share of what the table holds nearly for certain if it is
    /// whole; 1 is whole, as far as can be told.
    pub fn fill(&self) -> f64 {
        let (mut have, mut assured) = (0.0, 0.0);
        for bucket in &self.buckets {
            have += bucket.sound().min(bucket.assured);
            assured += bucket.assured;
        }
        match self.estimate {
            Some(_) if assured > 0.0 => have / assured,
            // So few peers that chance rules each bucket.
            Some(_) => 1.0,
            None => 0.0,
        }
    }

    /// Entries whose last check failed, as a share of all.
    pub fn doubtful_share(&self) -> f64 {
        let entries: usize = self.buckets.iter().map(|it| it.entries).sum();
        let doubtful: usize = self.buckets.iter().map(|it| it.doubtful).sum();
        count(doubtful) / count(entries.max(1))
    }

    /// Whether no bucket holds visibly less than there is to hold.
    pub fn is_whole(&self) -> bool {
        self.estimate.is_some() && self.buckets.iter().all(|bucket| !bucket.is_thin())
    }

    pub(crate) fn is_thin(&self, cpl: Cpl) -> bool {
        self.buckets
            .get(cpl.index())
            .is_none_or(BucketHealth::is_thin)
    }
}

impl BucketHealth {
    /// A bucket below this share of what it holds for certain is looked up.
    const FILL_MIN: f64 = 0.9;

    fn is_thin(&self) -> bool {
        self.sound() < Self::FILL_MIN * self.assured
    }

    fn sound(&self) -> f64 {
        count(self.entries - self.doubtful)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand at the most")]
const fn count(of: usize) -> f64 {
    of as f64
}
