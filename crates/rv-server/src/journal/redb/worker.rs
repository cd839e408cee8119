//! The thread that commits, so that no sync of the disk ever holds up a poll.

use std::error::Error;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::channel::mpsc::Sender;

use super::store::{Outcome, Store};
use crate::journal::{AppendError, Batch, BatchId, JournalEvent};

/// The shortest wait between two looks at an undecided batch.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(1);

/// Starts the thread. It ends when the sender of batches is dropped.
pub(super) fn spawn(
    store: Arc<Mutex<Store>>,
    batches: Receiver<Batch>,
    events: Sender<JournalEvent>,
    retry_pause: Duration,
) -> io::Result<JoinHandle<()>> {
    let worker = Worker {
        store,
        batches,
        events,
        retry_pause,
        paused: None,
    };
    std::thread::Builder::new()
        .name("rv-journal".to_owned())
        .spawn(move || worker.run())
}

struct Worker {
    store: Arc<Mutex<Store>>,
    batches: Receiver<Batch>,
    events: Sender<JournalEvent>,
    retry_pause: Duration,
    /// Until when batches are refused, and what failed before.
    paused: Option<(Instant, String)>,
}

impl Worker {
    fn run(mut self) {
        while let Ok(batch) = self.batches.recv() {
            let Some(event) = self.append(&batch) else {
                return;
            };
            self.tell(event);
        }
    }

    /// The event that decides `batch`; none if the owner is gone before it is decided.
    fn append(&mut self, batch: &Batch) -> Option<JournalEvent> {
        if let Some((until, cause)) = &self.paused
            && Instant::now() < *until
        {
            let error = AppendError::Pausing(cause.clone());
            return Some(JournalEvent::Failed {
                batch: batch.id,
                error,
            });
        }
        self.paused = None;
        let mut outcome = self.store().append(batch);
        let mut is_told = false;
        loop {
            match outcome {
                Outcome::Appended(seqs) => {
                    return Some(JournalEvent::Appended {
                        batch: batch.id,
                        seqs,
                    });
                }
                Outcome::Failed(error) => return Some(self.failed(batch.id, error)),
                Outcome::Undecided(error) => {
                    tracing::debug!(?error, "the journal still cannot be opened");
                    if !std::mem::replace(&mut is_told, true) {
                        self.tell(JournalEvent::Undecided {
                            batch: batch.id,
                            error,
                        });
                    }
                }
            }
            // Nothing is submitted while a batch is in flight, so only the end can arrive.
            match self
                .batches
                .recv_timeout(self.retry_pause.max(RETRY_PAUSE_MIN))
            {
                Err(RecvTimeoutError::Timeout) => outcome = self.store().settle(),
                Err(RecvTimeoutError::Disconnected) | Ok(_) => return None,
            }
        }
    }

    fn failed(&mut self, batch: BatchId, error: AppendError) -> JournalEvent {
        let was_reopened = match error {
            AppendError::Io(_) | AppendError::Damaged(_) => true,
            AppendError::Pausing(_)
            | AppendError::Busy
            | AppendError::Exhausted
            | AppendError::Stopped => false,
        };
        if was_reopened && !self.retry_pause.is_zero() {
            let cause = error
                .source()
                .map_or_else(String::new, |source| format!(": {source}"));
            self.paused = Some((Instant::now() + self.retry_pause, format!("{error}{cause}")));
        }
        JournalEvent::Failed { batch, error }
    }

    fn tell(&mut self, event: JournalEvent) {
        // The channel has room for every event of one batch; it fails only when the owner is
        // gone, and then nobody waits for the event.
        let _ = self.events.try_send(event);
    }

    fn store(&self) -> std::sync::MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
