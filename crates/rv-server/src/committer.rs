//! The future that moves accepted writes into the journal.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures_timer::Delay;
use rv_core::Registry;
use thiserror::Error;

use crate::behaviour::Behaviour;
use crate::desk::{Home, Point};
use crate::journal::{AppendError, Batch, BatchId, Journal, JournalEvent, OpenError};
use crate::{Clock, Config, ConfigError};

/// Opens a point on a journal: reads back what it kept, and gives the behaviour for the swarm and
/// the future that must be spawned for writes to be answered.
///
/// Reading back blocks, about a second per million registrations.
///
/// # Errors
///
/// [`PointError::Config`] if the configuration contradicts itself, [`PointError::Open`] if the
/// journal cannot be read.
pub fn point<J: Journal>(
    config: Config,
    clock: impl Clock,
    mut journal: J,
) -> Result<(Behaviour, Committer<J>), PointError> {
    config.validate()?;
    let mut replay = Registry::replay();
    let recovered = journal.replay(&mut |seq, fact| replay.restore(seq, fact))?;
    let registry = replay.finish(recovered.epoch, recovered.head);
    let point = Point::new(&config, clock, registry, Home::Journal);
    point.hide_all_due();
    let open = Arc::new(Open(Arc::clone(&point)));
    let committer = Committer {
        point,
        journal,
        open: Arc::downgrade(&open),
        tick: Delay::new(Duration::ZERO),
        batches: 0,
        appending: None,
        patience: None,
        stopped: false,
    };
    Ok((Behaviour::new(config, open), committer))
}

/// Why a point could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PointError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Held by the behaviour and by each of its connections: while one lives, writes may come.
#[derive(Debug)]
pub(crate) struct Open(pub(crate) Arc<Point>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.wake_committer();
    }
}

/// Moves accepted writes into the journal in batches, applies what is durable, and erases what has
/// expired. Spawn it beside the swarm.
///
/// It ends when the behaviour and all its connections are dropped and nothing is in flight, or when
/// the journal has stopped for good; every write is refused from then on.
#[derive(Debug)]
#[must_use = "writes are only answered while the committer is polled"]
pub struct Committer<J> {
    point: Arc<Point>,
    journal: J,
    open: Weak<Open>,
    tick: Delay,
    batches: u64,
    /// How many facts the batch in flight has.
    appending: Option<usize>,
    /// Until when connections wait for the batch in flight; none once they were told not to.
    patience: Option<Delay>,
    stopped: bool,
}

/// How often due registrations are looked for. Nobody is shown them meanwhile.
pub(crate) const TIDY_INTERVAL: Duration = Duration::from_secs(1);

/// How many parts of due registrations are hidden and erased in one go, before others get their
/// turn.
pub(crate) const TIDY_PARTS_MAX: usize = 16;

/// How long connections wait for a journal that does not answer, before they are told that the
/// outcome is unknown: stock clients give up after about as long.
const UNDECIDED_AFTER: Duration = Duration::from_secs(10);

/// How many events and batches are handled in one go, before others get their turn.
const ROUNDS_MAX: usize = 64;

impl<J: Journal> Committer<J> {
    fn handle_event(&mut self, event: JournalEvent) {
        match event {
            JournalEvent::Appended { batch, seqs } => {
                self.patience = None;
                tracing::trace!(batch = batch.0, facts = seqs.len(), "appended");
                if self.appending.take() == Some(seqs.len()) {
                    self.point.handle_appended(&seqs);
                } else {
                    tracing::error!(batch = batch.0, "the journal lost count of a batch's facts");
                    self.stopped = true;
                }
            }
            JournalEvent::Failed { batch, error } => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                self.patience = None;
                if self.appending.take() == Some(0) {
                    tracing::warn!(batch = batch.0, %error, cause, "expired rows stay for now");
                } else {
                    tracing::error!(batch = batch.0, %error, cause, "writes lost");
                }
                self.stopped |= matches!(error, AppendError::Stopped);
                self.point.handle_failed();
            }
            JournalEvent::Undecided { batch, error } => {
                tracing::error!(batch = batch.0, %error, "writes undecided");
                self.patience = None;
                self.stopped |= matches!(error, AppendError::Stopped);
                self.point.handle_undecided();
            }
            JournalEvent::Foreign { seq, fact } => self.point.handle_foreign(seq, fact),
        }
    }

    /// Hands the next batch to the journal, if none is in flight.
    fn append(&mut self) -> bool {
        if self.appending.is_some() {
            return false;
        }
        let Some((facts, forget)) = self.point.next_batch() else {
            return false;
        };
        self.batches += 1;
        self.appending = Some(facts.len());
        self.patience = Some(Delay::new(UNDECIDED_AFTER));
        self.journal.submit(Batch {
            id: BatchId(self.batches),
            facts,
            forget,
        });
        true
    }

    /// A journal that does not answer in time holds up nobody any longer.
    fn lose_patience(&mut self, cx: &mut Context<'_>) {
        let Some(patience) = &mut self.patience else {
            return;
        };
        if patience.poll_unpin(cx).is_ready() {
            self.patience = None;
            tracing::error!(batch = self.batches, "the journal does not answer");
            self.point.handle_undecided();
        }
    }

    fn tidy(&mut self, cx: &mut Context<'_>) {
        while self.tick.poll_unpin(cx).is_ready() {
            self.tick.reset(tidy_some(&self.point));
        }
    }
}

/// Hides and erases a bounded number of due registrations and tells when to look again.
pub(crate) fn tidy_some(point: &Point) -> Duration {
    for _ in 0..TIDY_PARTS_MAX {
        if !point.tidy() {
            return TIDY_INTERVAL;
        }
    }
    Duration::from_millis(1)
}

impl<J> Drop for Committer<J> {
    /// Nobody commits any more, so nobody may wait for it.
    fn drop(&mut self) {
        self.point.close();
    }
}

impl<J: Journal + Unpin> Future for Committer<J> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.point.register_committer(cx.waker());
        for _ in 0..ROUNDS_MAX {
            // 1. What the journal says comes first: connections wait for it.
            // 2. Then the next batch, which took in all that came meanwhile.
            let is_busy = match this.journal.poll_event(cx) {
                Poll::Ready(event) => {
                    this.handle_event(event);
                    true
                }
                Poll::Pending => this.append(),
            };
            if this.stopped {
                this.point.close();
                return Poll::Ready(());
            }
            if !is_busy {
                this.lose_patience(cx);
                // 3. Erasing is never urgent.
                this.tidy(cx);
                let is_done = this.appending.is_none() && !this.point.has_pending();
                if this.open.strong_count() == 0 && is_done {
                    return Poll::Ready(());
                }
                // What was erased is to be forgotten.
                if !this.append() {
                    return Poll::Pending;
                }
            }
        }
        this.lose_patience(cx);
        this.tidy(cx);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
