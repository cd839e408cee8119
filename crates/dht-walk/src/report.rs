//! What a refresh, some walks or a sweep came to.

use libp2p_identity::PeerId;

use crate::explore::Purpose;
use crate::key::Cpl;
use crate::lookup::LookupEnd;
use crate::peer::Contact;
use crate::size::Estimate;
use crate::time::Time;

/// Names a refresh, some walks or a sweep. Later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoundId(pub(crate) u64);

/// A round: lookups that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundKind {
    /// The neighbours, then each bucket that needs it, or all of them.
    Refresh {
        /// Whether all buckets are looked up, also those that need nothing.
        is_forced: bool,
    },
    /// One lookup in each of so many equal parts of the key space.
    Sweep {
        /// How many parts.
        slices: u32,
    },
    /// Lookups of targets anywhere.
    Walks {
        /// How many.
        count: u32,
    },
}

/// Why a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundEnd {
    /// Its time was up. What was found until then is in the report.
    Deadline,
    /// All lookups ended.
    Done,
    /// The table was empty.
    NobodyToAsk,
    /// A refresh was so recent that another one would bring nothing.
    Skipped,
    /// The walk was stopped.
    Stopped,
}

/// What a round came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Which round.
    pub id: RoundId,
    /// What was to be done.
    pub kind: RoundKind,
    /// Why it ended.
    pub end: RoundEnd,
    /// When its first lookup could have begun.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Time,
    /// Each lookup that ran.
    pub lookups: Vec<LookupReport>,
    /// Lookups that were planned and did not run: beyond a gap, or no time left.
    pub lookups_left_out: u32,
    /// Each bucket, farthest first.
    pub buckets: Vec<BucketReport>,
    /// Every peer that was told of, with its addresses.
    pub found: Vec<Contact>,
    /// Peers that were told of and are not in `found`, for lack of room; one may count repeatedly.
    pub found_more: u64,
    /// Peers that became entries meanwhile.
    pub admitted: u32,
    /// Entries that were dropped meanwhile.
    pub evicted: u32,
    /// How large the network is, at the end.
    pub estimate: Option<Estimate>,
}

/// What one lookup came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupReport {
    /// What it was for.
    pub purpose: Purpose,
    /// What was looked up.
    pub target: PeerId,
    /// Why it ended.
    pub end: LookupEnd,
    /// When it began.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Time,
    /// Requests sent.
    pub requests: u32,
    /// Requests that failed.
    pub failures: u32,
    /// The nearest peers that answered, nearest first.
    pub closest: Vec<PeerId>,
    /// Why the host's lookup failed, where it was the host's.
    pub error: Option<String>,
}

/// A bucket before and after, and what a round did to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketReport {
    /// Which.
    pub cpl: Cpl,
    /// Its entries before.
    pub before: usize,
    /// Its entries after.
    pub after: usize,
    /// Requests of the lookups that aimed at it. That of ourselves aims at no bucket.
    pub requests: u32,
    /// Peers of this bucket among those of `found`, whichever lookup told of them.
    pub found: usize,
    /// Peers that became entries of it meanwhile.
    pub admitted: u32,
    /// Entries of it that were dropped meanwhile.
    pub evicted: u32,
    /// Why the lookup that aimed at it ended; `None` where there was none.
    pub end: Option<LookupEnd>,
}

impl Report {
    /// Requests of all lookups.
    pub fn requests(&self) -> u64 {
        self.lookups
            .iter()
            .map(|lookup| u64::from(lookup.requests))
            .sum()
    }

    /// The share of the network that was told of, as far as its size is known.
    #[expect(clippy::cast_precision_loss, reason = "a share is an estimate")]
    pub fn coverage(&self) -> Option<f64> {
        let peers = self.estimate?.peers;
        (peers > 0.0).then(|| (self.found.len() as f64 / peers).min(1.0))
    }
}
