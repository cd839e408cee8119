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
    let open = Arc::new(Open(Arc::clone(&point)));
    let committer = Committer {
        point,
        journal,
        open: Arc::downgrade(&open),
        tick: Delay::new(Duration::ZERO),
        batches: 0,
        appending: false,
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
    appending: bool,
    stopped: bool,
}

/// How often due registrations are looked for. They are hidden without it.
pub(crate) const ERASE_INTERVAL: Duration = Duration::from_secs(1);

/// How many parts of due registrations are erased in one go, before others get their turn.
pub(crate) const ERASE_PARTS_MAX: usize = 16;

impl<J: Journal> Committer<J> {
    fn handle_event(&mut self, event: JournalEvent) {
        match event {
            JournalEvent::Appended { batch, seqs } => {
                tracing::trace!(batch = batch.0, facts = seqs.len(), "appended");
                self.appending = false;
                self.point.handle_appended(&seqs);
            }
            JournalEvent::Failed { batch, error } => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(batch = batch.0, %error, cause, "writes lost");
                self.appending = false;
                self.stopped |= matches!(error, AppendError::Stopped);
                self.point.handle_failed();
            }
            JournalEvent::Undecided { batch, error } => {
                tracing::error!(batch = batch.0, %error, "writes undecided");
                self.stopped |= matches!(error, AppendError::Stopped);
                self.point.handle_undecided();
            }
            JournalEvent::Foreign { seq, fact } => self.point.handle_foreign(seq, fact),
        }
    }

    /// Hands the next batch to the journal, if none is in flight.
    fn append(&mut self) -> bool {
        if self.appending {
            return false;
        }
        let Some((facts, forget)) = self.point.next_batch() else {
            return false;
        };
        self.batches += 1;
        self.appending = true;
        self.journal.submit(Batch {
            id: BatchId(self.batches),
            facts,
            forget,
        });
        true
    }

    fn erase(&mut self, cx: &mut Context<'_>) {
        while self.tick.poll_unpin(cx).is_ready() {
            self.tick.reset(erase_some(&self.point));
        }
    }
}

/// Erases a bounded number of due registrations and tells when to look again.
pub(crate) fn erase_some(point: &Point) -> Duration {
    for _ in 0..ERASE_PARTS_MAX {
        if point.erase_due() == 0 {
            return ERASE_INTERVAL;
        }
    }
    Duration::from_millis(1)
}

impl<J: Journal + Unpin> Future for Committer<J> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.point.register_committer(cx.waker());
        // 1. What the journal says comes first: connections wait for it.
        // 2. Then the next batch, which took in all that came meanwhile.
        loop {
            if let Poll::Ready(event) = this.journal.poll_event(cx) {
                this.handle_event(event);
            } else if !this.append() {
                break;
            }
            if this.stopped {
                this.point.drain();
                return Poll::Ready(());
            }
        }
        // 3. Erasing is never urgent.
        this.erase(cx);
        if this.append() {
            cx.waker().wake_by_ref();
        }
        if this.open.strong_count() == 0 && !this.appending && !this.point.has_pending() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
