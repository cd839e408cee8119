//! The journal: where facts become durable and get their place in the log.
//!
//! A [`Journal`] keeps facts, not operations: what was registered or removed, with its deadline,
//! already judged. It appends a batch of facts atomically, gives each a [`Seq`], and at the next
//! start hands back every fact that still matters. The interface is polled and knows no runtime.
//! It is shaped so that a log shared by several machines fits behind it: facts that others
//! proposed arrive unasked, sequence numbers have gaps, and an append may time out without
//! anyone knowing what became of it.

mod memory;
#[cfg(feature = "redb")]
mod redb;

use std::io;
use std::path::PathBuf;
use std::task::{Context, Poll};

use libp2p_identity::PeerId;
use rv_proto::{Epoch, Fact, Namespace, Seq};

#[cfg(feature = "redb")]
pub use self::redb::{RedbConfig, RedbJournal};
pub use memory::MemoryJournal;

/// Names one batch among the events of its journal. The caller chooses it; it is never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u64);

/// One atomic append: all of it becomes durable, or nothing.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What the events about this batch call it.
    pub id: BatchId,
    /// The facts in the order of their sequence numbers. Two facts of one registration may stand
    /// in one batch: the later one wins.
    pub facts: Vec<Fact>,
    /// Facts that the journal need not keep any longer.
    pub forget: Vec<Forget>,
}

/// An expired fact that may be dropped, unless a newer one of its registration took its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forget {
    /// The fact's place in the log: a row with another sequence number stays.
    pub seq: Seq,
    /// The registration's namespace.
    pub namespace: Namespace,
    /// The registration's peer.
    pub peer: PeerId,
}

/// What a journal tells its owner.
#[derive(Debug)]
pub enum JournalEvent {
    /// The batch is durable. Final.
    Appended {
        /// The batch.
        batch: BatchId,
        /// One sequence number a fact, in the order of the facts, strictly growing, each above
        /// every one given before. Between two batches there may be gaps.
        seqs: Vec<Seq>,
    },
    /// The batch is not in the log and never will be. Final.
    Failed {
        /// The batch.
        batch: BatchId,
        /// Why.
        error: AppendError,
    },
    /// Nobody knows yet whether the batch is in the log: the disk does not answer, or an
    /// acknowledgement did not come. Told at most once a batch. The journal goes on finding out
    /// by itself, and [`Appended`](Self::Appended) or [`Failed`](Self::Failed) follows, unless
    /// `error` is [`AppendError::Stopped`].
    ///
    /// Until then the batch is still in flight. Who waits for it may be told that the outcome is
    /// unknown, and must not be told that it failed.
    Undecided {
        /// The batch.
        batch: BatchId,
        /// What is in the way.
        error: AppendError,
    },
    /// A fact that another point proposed, at its place in the log. Only a replicated log tells
    /// such; they come in the order of the log, before the `Appended` of any batch behind them.
    Foreign {
        /// Its place.
        seq: Seq,
        /// The fact.
        fact: Fact,
    },
}

/// What the log knew before this start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Which log this is. A cookie of another epoch starts again at the beginning.
    pub epoch: Epoch,
    /// The highest sequence number that was ever given, even if its fact is forgotten.
    pub head: Seq,
}

/// A log of facts.
///
/// The order of calls: [`replay`](Self::replay) once, then [`submit`](Self::submit) and
/// [`poll_event`](Self::poll_event) for as long as it lives.
pub trait Journal: Send + 'static {
    /// Hands every fact that the log still holds to `each`, in no particular order. Called once,
    /// before the first append; may block, because nothing is served before it.
    ///
    /// # Errors
    /// See [`OpenError`]. Facts may have been handed out before an error shows; they must not
    /// be served.
    fn replay(&mut self, each: &mut dyn FnMut(Seq, Fact)) -> Result<Recovered, OpenError>;

    /// Starts to append `batch`. Never blocks. At most one batch is in flight: the next one is
    /// submitted after the event that decides this one, else it is
    /// [`Failed`](JournalEvent::Failed) with [`AppendError::Busy`].
    fn submit(&mut self, batch: Batch);

    /// The next event, or `Pending` with the waker kept until there is one.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<JournalEvent>;
}

/// Why a batch was not appended, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The store could not be read or written, for instance because the disk is full.
    #[error("the journal could not be written")]
    Io(#[source] io::Error),
    /// The store contradicts itself. It refuses every append until it is replaced.
    #[error("the journal is damaged: {0}")]
    Damaged(String),
    /// An append failed a moment ago, and the next attempt is not due yet.
    #[error("the journal waits before it tries again after: {0}")]
    Pausing(String),
    /// Another batch is in flight.
    #[error("another batch is in flight")]
    Busy,
    /// Every sequence number is used up, after 2^44 facts: 557 years at 1,000 a second. A new
    /// epoch does not help, since the facts that are kept hold their numbers.
    #[error(
        "every sequence number of this store is used up and it takes no more writes; \
         stop, move it away and start with an empty one: clients register again"
    )]
    Exhausted,
    /// The journal ended for good. Only a new start of the process helps.
    #[error("the journal has stopped; the process must be started again")]
    Stopped,
}

/// Why a journal could not be opened or read back. The message says what the operator can do.
///
/// A store that cannot be read is never emptied or replaced.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file holds something else.
    #[error(
        "{} is not a journal of this program; \
         name another file, or move it away to start with an empty one",
        path.display()
    )]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// The file was a journal, and can no longer be trusted.
    #[error(
        "the journal {} is damaged ({detail}); \
         restore a backup, or move it away to start with an empty one",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found, with the key of the row if it is one row.
        detail: String,
    },
    /// A newer release of this program wrote the file.
    #[error(
        "the journal {} has format {found} and this release reads up to {known}; \
         run the release that wrote it, or a newer one",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: u64,
        /// The newest format that this release reads.
        known: u64,
    },
    /// Another process, or another journal of this process, has the file open.
    #[error(
        "the journal {} is open in another process; stop that process, or name another file",
        path.display()
    )]
    AlreadyOpen {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be opened, read or written.
    #[error(
        "the journal {} could not be opened; \
         check its permissions, the folder and the free space",
        path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The sequence numbers of `count` facts behind `head`.
fn number(head: Seq, count: usize) -> Result<Vec<Seq>, AppendError> {
    let mut last = head;
    let mut seqs = Vec::with_capacity(count);
    for _ in 0..count {
        last = last.next().ok_or(AppendError::Exhausted)?;
        seqs.push(last);
    }
    Ok(seqs)
}
