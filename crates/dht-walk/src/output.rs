//! What a walk wants done, and what it tells.

use crate::explore::Purpose;
use crate::peer::{Contact, Peer};
use crate::report::{LookupReport, Report, RoundId};
use crate::reseed::SeedSource;
use crate::target::Target;

/// Names a request until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u64);

/// Names a lookup that the host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId(pub(crate) u64);

/// What the host is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Tell contacts from this source, with [`Walk::handle_seeds`](crate::Walk::handle_seeds); none
    /// if there are none.
    AskSeeds(SeedSource),
    /// An answer to this request is of no use any more.
    Cancel(RequestId),
    /// End this lookup, and tell what it found until now.
    CancelLookup(LookupId),
    /// Something happened.
    Event(Event),
    /// Take the peer out of the host's own table.
    Evict {
        /// The peer.
        peer: Peer,
        /// Why.
        reason: EvictReason,
    },
    /// Send a FIND_NODE, dial first where that is needed, and tell the answer or the failure.
    FindNode {
        /// Names the request in the answer.
        id: RequestId,
        /// Whom to ask.
        contact: Contact,
        /// What to ask for.
        target: Target,
    },
    /// Put the peer into the host's own table; tell with
    /// [`Walk::handle_insert_refused`](crate::Walk::handle_insert_refused) if that says no.
    Insert(Contact),
    /// Find the peers nearest to the target: an iterative lookup, run by the host. Only with
    /// [`Lookups::Delegated`](crate::Lookups::Delegated).
    Lookup {
        /// Names the lookup in the answer.
        id: LookupId,
        /// What to look up.
        target: Target,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A peer answered and is an entry now.
    Admitted(Peer),
    /// An entry was dropped.
    Evicted {
        /// The peer.
        peer: Peer,
        /// Why.
        reason: EvictReason,
    },
    /// A round ended.
    Finished(Box<Report>),
    /// A lookup of a round began.
    LookupBegan {
        /// The round.
        round: RoundId,
        /// What the lookup is for.
        purpose: Purpose,
    },
    /// A lookup of a round ended.
    LookupEnded {
        /// The round.
        round: RoundId,
        /// What it came to.
        report: Box<LookupReport>,
    },
    /// Nothing succeeds: entries are kept, whatever they answer.
    OutageBegan,
    /// Somebody answered.
    OutageEnded,
    /// There are too few peers, so these are tried.
    Seeding {
        /// Where they come from.
        source: SeedSource,
        /// How many.
        contacts: usize,
    },
}

impl Event {
    /// Whether this is where a refresh begins: with the lookup of ourselves.
    pub fn begins_refresh(&self) -> bool {
        let purpose = Purpose::Itself;
        matches!(self, Self::LookupBegan { purpose: it, .. } if *it == purpose)
    }
}

/// Why an entry was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvictReason {
    /// It did not answer, several times, while others did.
    Dead,
    /// A nearer neighbour took its place in a full bucket.
    Displaced,
    /// It speaks no Kademlia, or became a client.
    NotServing,
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The connection or the stream broke, or the answer was none.
    Broken,
    /// The peer speaks no Kademlia, or does not serve it.
    NotServing,
    /// No answer in time. The walk counts the time itself; the host may be quicker.
    TimedOut,
    /// The dial failed.
    Unreachable,
}

/// Why [`Walk::poll_timeout`](crate::Walk::poll_timeout) wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimeoutReason {
    /// There is something to send, and the budget allows it then.
    Budget,
    /// An entry is due to be checked.
    Check,
    /// A lookup goes on, or has to end.
    Lookup,
    /// An outage is looked into.
    Outage,
    /// A refresh is due, or has to end.
    Refresh,
    /// A request has taken too long.
    Request,
    /// Seeds are looked for.
    Seeds,
    /// Outputs wait to be polled.
    Outputs,
}
