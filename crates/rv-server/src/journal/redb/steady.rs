//! A file whose sync may fail without the file becoming a riddle.
//!
//! When a sync fails, Linux marks the pages it could not write as clean: reading gives the new
//! bytes, the disk has the old ones, and the next sync says that all is well. What is read back
//! then proves nothing. So every change since the last good sync is kept here, and after a failed
//! one all of them are made again and synced before anybody reads. The file stays open, and
//! locked, from the first opening to the last, so nobody else changes it in between.

use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::redb::{BackendError, StorageBackend};

#[derive(Debug)]
enum Change {
    Write { offset: u64, data: Box<[u8]> },
    SetLen(u64),
}

#[derive(Debug, Default)]
struct Unsynced {
    /// In the order in which they were made. At most what one commit writes.
    changes: Vec<Change>,
    /// A sync failed since: what is read may not be what the disk has.
    is_suspect: bool,
}

/// The file, kept open while databases over it come and go.
#[derive(Debug)]
pub(super) struct SteadyFile {
    inner: Box<dyn StorageBackend>,
    unsynced: Mutex<Unsynced>,
}

impl SteadyFile {
    pub(super) fn new(inner: Box<dyn StorageBackend>) -> Self {
        Self {
            inner,
            unsynced: Mutex::default(),
        }
    }

    /// Makes what is read and what the disk has the same again. To be called before each opening.
    pub(super) fn restore(&self) -> io::Result<()> {
        let mut unsynced = self.unsynced();
        if !unsynced.is_suspect {
            return Ok(());
        }
        for change in &unsynced.changes {
            match change {
                Change::Write { offset, data } => self.inner.write(*offset, data)?,
                Change::SetLen(len) => self.inner.set_len(*len)?,
            }
        }
        self.inner.sync_data()?;
        *unsynced = Unsynced::default();
        Ok(())
    }

    /// Takes the file back to empty if its creation never ended: `header_bytes` that do not begin
    /// with a signature yet, and nothing but zeros behind them. Tells whether it did.
    pub(super) fn reset_unfinished(&self, header_bytes: u64, bytes_max: u64) -> io::Result<bool> {
        let whole = (Bound::Unbounded, Bound::Unbounded);
        match self.inner.try_lock_range(whole.0, whole.1) {
            Ok(true) => {
                let result = self.reset_unfinished_locked(header_bytes, bytes_max);
                self.inner.unlock_range(whole.0, whole.1)?;
                result
            }
            Ok(false) => Ok(false),
            Err(BackendError::Unsupported) => self.reset_unfinished_locked(header_bytes, bytes_max),
            Err(error) => Err(error.into()),
        }
    }

    fn reset_unfinished_locked(&self, header_bytes: u64, bytes_max: u64) -> io::Result<bool> {
        let len = self.inner.len()?;
        if len > bytes_max {
            return Ok(false);
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        self.inner.read(0, &mut bytes)?;
        let header_bytes = usize::try_from(header_bytes).map_err(io::Error::other)?;
        let signature = bytes.iter().take(size_of::<u64>());
        if signature
            .chain(bytes.iter().skip(header_bytes))
            .any(|byte| *byte != 0)
        {
            return Ok(false);
        }
        self.inner.set_len(0)?;
        Ok(true)
    }

    fn unsynced(&self) -> MutexGuard<'_, Unsynced> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SteadyFile {
    fn drop(&mut self) {
        if let Err(error) = self.restore().and_then(|()| self.inner.close()) {
            tracing::warn!(%error, "the journal's file was not closed well");
        }
    }
}

/// The file as one database sees it. Closing or unlocking it does nothing: see the module.
#[derive(Debug)]
pub(super) struct Handle(pub(super) Arc<SteadyFile>);

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        self.0.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.inner.set_len(len)?;
        self.0.unsynced().changes.push(Change::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut unsynced = self.0.unsynced();
        match self.0.inner.sync_data() {
            Ok(()) => {
                unsynced.changes.clear();
                Ok(())
            }
            Err(error) => {
                unsynced.is_suspect = true;
                Err(error)
            }
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.inner.write(offset, data)?;
        self.0.unsynced().changes.push(Change::Write {
            offset,
            data: data.into(),
        });
        Ok(())
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.inner.query_lock_range(start, end)
    }
}
