//! What a crawl wants done, and what it tells.

use std::time::Duration;

use crate::output::RequestId;
use crate::peer::Contact;
use crate::target::Target;

/// What the host is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CrawlOutput {
    /// An answer to this request is of no use any more.
    Cancel(RequestId),
    /// Something happened.
    Event(CrawlEvent),
    /// Send a FIND_NODE, dial first where that is needed, and tell the answer or the failure.
    FindNode {
        /// Names the request in the answer.
        id: RequestId,
        /// Whom to ask.
        contact: Contact,
        /// What to ask for.
        target: Target,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrawlEvent {
    /// It is over. Nothing comes after this.
    Ended(CrawlEnd),
    /// What became of a peer; told once of each.
    Settled(Contact, Fate),
}

/// What became of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It answered, and was asked for all that it was to be asked for.
    Answered,
    /// It speaks no Kademlia, or does not serve it.
    NotServing,
    /// It did not answer, as often as it was tried.
    Silent,
    /// It was told of, and was not asked to the end yet.
    Waiting,
}

/// Why a crawl ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CrawlEnd {
    /// Everybody who was told of was asked.
    Complete,
    /// Its time was up.
    Deadline,
    /// It had sent as many messages as it may.
    Spent,
    /// It was stopped.
    Stopped,
}

/// How far a crawl is. A crawl that was resumed counts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CrawlCounts {
    /// Peers that are kept: the next three, and those that wait.
    pub known: usize,
    /// Peers that answered.
    pub answered: usize,
    /// Peers that serve no DHT.
    pub not_serving: usize,
    /// Peers that did not answer.
    pub silent: usize,
    /// Requests sent.
    pub messages: u64,
    /// Times that a peer was told of and not kept, for lack of room; one may count repeatedly.
    pub left_out: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl Fate {
    /// Every fate, in order.
    pub const ALL: [Self; 4] = [
        Self::Answered,
        Self::NotServing,
        Self::Silent,
        Self::Waiting,
    ];

    /// The fate as a word, in files and on screens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NotServing => "not_serving",
            Self::Silent => "silent",
            Self::Waiting => "waiting",
        }
    }
}

impl CrawlEnd {
    /// The end as a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Deadline => "deadline",
            Self::Spent => "spent",
            Self::Stopped => "stopped",
        }
    }
}

impl CrawlCounts {
    pub(super) const fn count(&mut self, fate: Fate) {
        match fate {
            Fate::Answered => self.answered += 1,
            Fate::NotServing => self.not_serving += 1,
            Fate::Silent => self.silent += 1,
            Fate::Waiting => {}
        }
    }

    /// Peers that were not asked to the end yet.
    pub const fn waiting(&self) -> usize {
        self.known - self.answered - self.not_serving - self.silent
    }
}
