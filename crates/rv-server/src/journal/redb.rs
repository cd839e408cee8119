//! The embedded journal: one redb file, one transaction a batch, commits on a thread of its own.
//!
//! Why redb, and with these settings: `docs/decisions/0001-embedded-journal.md`.
//!
//! The rule that everything here serves: a batch that was `Appended` is found after any crash, a
//! batch that `Failed` is never found, and no sequence number is given twice. So when a commit
//! does not end well, nothing is answered before the file was opened again and says itself which
//! commit is its last (see [`store`]). While that is not possible the batch is `Undecided`.

mod meta;
mod steady;
mod store;
mod table;
mod worker;

use std::collections::VecDeque;
use std::fmt;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use ::redb::StorageBackend;
use ::redb::backends::FileBackend;
use futures::StreamExt;
use futures::channel::mpsc;
use rv_proto::{Epoch, Fact, Seq};

use super::{AppendError, Batch, BatchId, Journal, JournalEvent, OpenError, Recovered};
use store::Store;

/// Events of one batch that may wait for the owner: `Undecided` and the one that decides.
const EVENTS_WAITING_MAX: usize = 2;

/// Bounds of the embedded journal.
#[derive(Clone, Debug)]
pub struct RedbConfig {
    /// Memory for pages of the file, in bytes. Refreshes hit random pages, and the system caches
    /// them too: more than the default was measured to gain little.
    pub cache_bytes: usize,
    /// After a failed append, batches are refused for this long without touching the file, and an
    /// undecided one is looked at again as often. Each attempt reads the whole file once, which
    /// at a million registrations keeps one core busy for about a second.
    pub retry_pause: Duration,
    /// Whether an existing journal gets a new epoch, durably and before anything is read from it.
    /// Default false. To be set once after the file was replaced by an older copy of itself: the
    /// copy gives sequence numbers again that cookies name already, and readers with such cookies
    /// would skip what stands there. In a new epoch they start at the beginning.
    pub renew_epoch: bool,
}

impl Default for RedbConfig {
    fn default() -> Self {
        Self {
            cache_bytes: 32 << 20,
            retry_pause: Duration::from_secs(5),
            renew_epoch: false,
        }
    }
}

/// A journal in one file that survives `kill -9` and power loss.
///
/// Dropping it finishes the batch in flight, closes the file and joins its thread, so it blocks
/// for as long as one commit takes.
pub struct RedbJournal {
    store: Arc<Mutex<Store>>,
    /// `None` only while it is dropped.
    batches: Option<SyncSender<Batch>>,
    events: mpsc::Receiver<JournalEvent>,
    /// Events that need no thread.
    refused: VecDeque<JournalEvent>,
    in_flight: Option<BatchId>,
    waker: Option<Waker>,
    worker: Option<JoinHandle<()>>,
}

impl RedbJournal {
    /// Opens the journal in the file at `path`. A file that does not exist, or is empty, becomes
    /// a new journal of `new_epoch`, which should be random; an existing one keeps its own, unless
    /// it is to be [renewed](RedbConfig::renew_epoch).
    ///
    /// Blocks: after a crash the whole file is read once.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        path: impl AsRef<Path>,
        config: RedbConfig,
        new_epoch: Epoch,
    ) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let io = |source| OpenError::Io {
            path: path.to_path_buf(),
            source,
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io)?;
        let backend = FileBackend::new(file).map_err(|error| store::open_error(path, error))?;
        let journal = Self::with_backend(path, backend, config, new_epoch)?;
        sync_folder(path).map_err(io)?;
        Ok(journal)
    }

    /// Opens the journal in any storage; `name` stands for the path in messages.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn with_backend(
        name: impl Into<PathBuf>,
        backend: impl StorageBackend,
        config: RedbConfig,
        new_epoch: Epoch,
    ) -> Result<Self, OpenError> {
        let name = name.into();
        let store = Store::open(name.clone(), Box::new(backend), &config, new_epoch)?;
        let store = Arc::new(Mutex::new(store));
        let (batches, receiver) = std::sync::mpsc::sync_channel(1);
        let (sender, events) = mpsc::channel(EVENTS_WAITING_MAX);
        let worker = worker::spawn(store.clone(), receiver, sender, config.retry_pause)
            .map_err(|source| OpenError::Io { path: name, source })?;
        Ok(Self {
            store,
            batches: Some(batches),
            events,
            refused: VecDeque::new(),
            in_flight: None,
            waker: None,
            worker: Some(worker),
        })
    }

    fn refuse(&mut self, batch: BatchId, error: AppendError) {
        self.refused
            .push_back(JournalEvent::Failed { batch, error });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Makes the file's name durable: without this, power loss may take a new file away with
/// everything that was synced into it.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    // Only unix opens folders as files.
    if !cfg!(unix) {
        return Ok(());
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    std::fs::File::open(folder)?.sync_all()
}

impl Journal for RedbJournal {
    fn replay(&mut self, each: &mut dyn FnMut(Seq, Fact)) -> Result<Recovered, OpenError> {
        self.store
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replay(each)
    }

    fn submit(&mut self, batch: Batch) {
        if self.in_flight.is_some() {
            return self.refuse(batch.id, AppendError::Busy);
        }
        let Some(batches) = &self.batches else {
            return self.refuse(batch.id, AppendError::Stopped);
        };
        let id = batch.id;
        match batches.try_send(batch) {
            Ok(()) => self.in_flight = Some(id),
            Err(TrySendError::Full(batch)) => self.refuse(batch.id, AppendError::Busy),
            Err(TrySendError::Disconnected(batch)) => self.refuse(batch.id, AppendError::Stopped),
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<JournalEvent> {
        if let Some(event) = self.refused.pop_front() {
            return Poll::Ready(event);
        }
        match self.events.poll_next_unpin(cx) {
            Poll::Ready(Some(event)) => {
                if !matches!(event, JournalEvent::Undecided { .. }) {
                    self.in_flight = None;
                }
                return Poll::Ready(event);
            }
            // The thread ended in a panic. What it was at is not known.
            Poll::Ready(None) => {
                if let Some(batch) = self.in_flight.take() {
                    let error = AppendError::Stopped;
                    return Poll::Ready(JournalEvent::Undecided { batch, error });
                }
            }
            Poll::Pending => {}
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for RedbJournal {
    fn drop(&mut self) {
        drop(self.batches.take());
        if let Some(worker) = self.worker.take() {
            // A panic of the thread was told by its hook; there is nobody left to tell.
            let _ = worker.join();
        }
    }
}

impl fmt::Debug for RedbJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbJournal")
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}
