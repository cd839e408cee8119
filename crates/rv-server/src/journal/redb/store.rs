//! The file: opening it, writing a batch, and finding out what became of one.
//!
//! After any error redb refuses to go on until the file is opened again. Opening repairs it from
//! the last commit that is complete, and syncs, so from then on it is settled whether the batch
//! at hand is there: the number of the last commit says so. `Failed` is answered only after that.
//! If the file cannot be opened either, the batch stays undecided and `settle` is tried again.

use std::cell::Cell;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use ::redb::{
    Builder, Database, DatabaseError, Error, ReadableDatabase, ReadableTable, StorageBackend,
    StorageError,
};
use rv_proto::{Epoch, Fact, Seq};

use super::RedbConfig;
use super::meta::{Fault, Meta};
use super::steady::{Handle, SteadyFile};
use super::table::{self, META, META_COMMIT, META_HEAD, REGISTRATIONS};
use crate::journal::{AppendError, Batch, OpenError, Recovered, number};

/// Where redb keeps what is not pages of tables.
const HEADER_BYTES: u64 = 4096;
/// A file whose creation was cut short is not longer than this.
const UNFINISHED_BYTES_MAX: u64 = 16 << 20;

const CLOSED: &str = "it lost what it had acknowledged, and stays closed";

/// What became of a batch.
pub(super) enum Outcome {
    Appended(Vec<Seq>),
    Failed(AppendError),
    Undecided(AppendError),
}

/// A batch whose commit did not end well.
struct Unsettled {
    seqs: Vec<Seq>,
    after: Meta,
    error: AppendError,
}

pub(super) struct Store {
    path: PathBuf,
    file: Arc<SteadyFile>,
    cache_bytes: usize,
    /// `None` while the file cannot be opened again after a failure.
    database: Option<Database>,
    /// As of the last batch that was answered.
    meta: Meta,
    unsettled: Option<Unsettled>,
}

impl Store {
    pub(super) fn open(
        path: PathBuf,
        backend: Box<dyn StorageBackend>,
        config: &RedbConfig,
        new_epoch: Epoch,
    ) -> Result<Self, OpenError> {
        let cache_bytes = config.cache_bytes;
        let file = Arc::new(SteadyFile::new(backend));
        let database = match open_database(&file, cache_bytes) {
            // A crash in the middle of its creation leaves a file without a signature.
            Err(DatabaseError::Storage(StorageError::Io(error)))
                if error.kind() == io::ErrorKind::InvalidData
                    && file
                        .reset_unfinished(HEADER_BYTES, UNFINISHED_BYTES_MAX)
                        .map_err(|source| OpenError::Io {
                            path: path.clone(),
                            source,
                        })? =>
            {
                open_database(&file, cache_bytes)
            }
            result => result,
        };
        let database = database.map_err(|error| open_error(&path, error))?;
        let found = Meta::read(&database).map_err(|fault| fault.at(&path))?;
        let meta = match found {
            Some(meta) if config.renew_epoch => meta
                .renew(&database, new_epoch)
                .map_err(|error| table_error(&path, error))?,
            Some(meta) => meta,
            None => {
                Meta::create(&database, new_epoch).map_err(|error| table_error(&path, error))?
            }
        };
        Ok(Self {
            path,
            file,
            cache_bytes,
            database: Some(database),
            meta,
            unsettled: None,
        })
    }

    pub(super) fn replay(&self, each: &mut dyn FnMut(Seq, Fact)) -> Result<Recovered, OpenError> {
        let Some(database) = &self.database else {
            let detail = CLOSED.to_owned();
            return Err(OpenError::Damaged {
                path: self.path.clone(),
                detail,
            });
        };
        self.read_rows(database, each)?;
        Ok(Recovered {
            epoch: self.meta.epoch,
            head: self.meta.head,
        })
    }

    fn read_rows(
        &self,
        database: &Database,
        each: &mut dyn FnMut(Seq, Fact),
    ) -> Result<(), OpenError> {
        let failed = |error: Error| table_error(&self.path, error);
        let transaction = database
            .begin_read()
            .map_err(|error| failed(error.into()))?;
        let rows = transaction
            .open_table(REGISTRATIONS)
            .map_err(|error| failed(error.into()))?;
        for row in rows.iter().map_err(|error| failed(error.into()))? {
            let (key, value) = row.map_err(|error| failed(error.into()))?;
            let (seq, fact) =
                table::row(key.value(), value.value(), self.meta.head).map_err(|detail| {
                    OpenError::Damaged {
                        path: self.path.clone(),
                        detail,
                    }
                })?;
            each(seq, fact);
        }
        Ok(())
    }

    pub(super) fn append(&mut self, batch: &Batch) -> Outcome {
        let seqs = match number(self.meta.head, batch.facts.len()) {
            Ok(seqs) => seqs,
            Err(error) => return Outcome::Failed(error),
        };
        let after = Meta {
            head: seqs.last().copied().unwrap_or(self.meta.head),
            commit: self.meta.commit.saturating_add(1),
            ..self.meta
        };
        let Some(database) = &self.database else {
            return Outcome::Failed(AppendError::Damaged(CLOSED.to_owned()));
        };
        match write(database, batch, &seqs, after) {
            Ok(()) => {
                self.meta = after;
                Outcome::Appended(seqs)
            }
            Err(error) => {
                let error = append_error(error);
                tracing::warn!(
                    ?error,
                    "a commit did not end well; opening the journal again"
                );
                self.unsettled = Some(Unsettled { seqs, after, error });
                self.settle()
            }
        }
    }

    /// Opens the file again and finds out whether the batch at hand is in it.
    pub(super) fn settle(&mut self) -> Outcome {
        self.database = None;
        let (database, meta) = match self.reopen() {
            Ok(reopened) => reopened,
            Err(error) => return Outcome::Undecided(error),
        };
        let Some(Unsettled { seqs, after, error }) = self.unsettled.take() else {
            return Outcome::Failed(AppendError::Stopped);
        };
        if meta == after {
            self.meta = after;
            self.database = Some(database);
            Outcome::Appended(seqs)
        } else if meta == self.meta {
            self.database = Some(database);
            Outcome::Failed(error)
        } else {
            // The disk lost commits that it had said to be durable. Going on would hide that, so
            // the file stays closed.
            let detail = format!("{meta:?} was found where {:?} was acknowledged", self.meta);
            Outcome::Failed(AppendError::Damaged(detail))
        }
    }

    fn reopen(&self) -> Result<(Database, Meta), AppendError> {
        let database =
            open_database(&self.file, self.cache_bytes).map_err(|error| match error {
                DatabaseError::Storage(StorageError::Io(error)) => AppendError::Io(error),
                other => AppendError::Damaged(other.to_string()),
            })?;
        match Meta::read(&database) {
            Ok(Some(meta)) => Ok((database, meta)),
            Ok(None) => Err(AppendError::Damaged("it is empty".to_owned())),
            Err(Fault::Redb(error)) => Err(append_error(error)),
            Err(Fault::Foreign) => Err(AppendError::Damaged("it is another file".to_owned())),
            Err(Fault::Newer(format)) => Err(AppendError::Damaged(format!("format {format}"))),
            Err(Fault::Meta(detail)) => Err(AppendError::Damaged(detail)),
        }
    }
}

/// Opens the file and verifies the checksum of every page. redb does that by itself only after a
/// crash; the few pages that it needs before it can, it trusts, and panics if they are bad.
fn open_database(file: &Arc<SteadyFile>, cache_bytes: usize) -> Result<Database, DatabaseError> {
    file.restore()?;
    panic::catch_unwind(AssertUnwindSafe(|| open_verified(file, cache_bytes))).unwrap_or_else(
        |_| {
            let detail = "its first pages contradict themselves".to_owned();
            Err(DatabaseError::Storage(StorageError::Corrupted(detail)))
        },
    )
}

fn open_verified(file: &Arc<SteadyFile>, cache_bytes: usize) -> Result<Database, DatabaseError> {
    let is_verified = Rc::new(Cell::new(false));
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    builder.set_repair_callback({
        let is_verified = is_verified.clone();
        move |_| {
            if !is_verified.replace(true) {
                tracing::info!("the journal was not closed in order; recovering it");
            }
        }
    });
    let mut database = builder.create_with_backend(Handle(file.clone()))?;
    if !is_verified.get() && !database.check_integrity()? {
        tracing::warn!("the journal's list of free pages was wrong, and was made anew");
    }
    Ok(database)
}

/// One transaction for the whole batch. Its durability is redb's default: synced when it returns.
fn write(database: &Database, batch: &Batch, seqs: &[Seq], after: Meta) -> Result<(), Error> {
    let transaction = database.begin_write()?;
    {
        let mut rows = transaction.open_table(REGISTRATIONS)?;
        for (fact, seq) in batch.facts.iter().zip(seqs) {
            let key = table::key(fact.peer(), fact.namespace());
            match fact {
                Fact::Registered(_) => {
                    rows.insert(key.as_slice(), table::value(*seq, fact).as_slice())?;
                }
                Fact::Removed(_) => {
                    rows.remove(key.as_slice())?;
                }
            }
        }
        for forget in &batch.forget {
            let key = table::key(&forget.peer, &forget.namespace);
            let found = rows
                .get(key.as_slice())?
                .and_then(|value| table::seq(value.value()));
            if found == Some(forget.seq) {
                rows.remove(key.as_slice())?;
            }
        }
        let mut meta = transaction.open_table(META)?;
        meta.insert(META_HEAD, after.head.get())?;
        meta.insert(META_COMMIT, after.commit)?;
    }
    transaction.commit()?;
    Ok(())
}

/// What went wrong while redb opened the file at `path`.
pub(super) fn open_error(path: &Path, error: DatabaseError) -> OpenError {
    let path = path.to_path_buf();
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::AlreadyOpen { path },
        // redb's word for a file that does not begin with its signature.
        DatabaseError::Storage(StorageError::Io(error))
            if error.kind() == io::ErrorKind::InvalidData =>
        {
            OpenError::NotAJournal { path }
        }
        other => table_error(&path, other.into()),
    }
}

pub(super) fn table_error(path: &Path, error: Error) -> OpenError {
    let path = path.to_path_buf();
    match error {
        // A file that ends before what it refers to.
        Error::Io(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
            OpenError::Io { path, source }
        }
        other => OpenError::Damaged {
            path,
            detail: other.to_string(),
        },
    }
}

fn append_error(error: Error) -> AppendError {
    match error {
        Error::Io(error) => AppendError::Io(error),
        Error::PreviousIo => AppendError::Io(io::Error::other(error)),
        other => AppendError::Damaged(other.to_string()),
    }
}
