//! What the file says about itself.

use std::path::Path;

use ::redb::{Database, Error, ReadableDatabase, TableError};
use rv_proto::{Epoch, Seq};

use super::store;
use super::table::{FORMAT, META, META_COMMIT, META_EPOCH, META_FORMAT, META_HEAD, REGISTRATIONS};
use crate::journal::OpenError;

/// Which log the file is, and how far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) epoch: Epoch,
    /// The highest sequence number that was given.
    pub(super) head: Seq,
    /// How many batches were written.
    pub(super) commit: u64,
}

impl Meta {
    /// Makes the tables of a new journal.
    pub(super) fn create(database: &Database, epoch: Epoch) -> Result<Self, Error> {
        let meta = Self {
            epoch,
            head: Seq::ZERO,
            commit: 0,
        };
        let transaction = database.begin_write()?;
        transaction.open_table(REGISTRATIONS)?;
        {
            let mut table = transaction.open_table(META)?;
            table.insert(META_FORMAT, FORMAT)?;
            table.insert(META_EPOCH, u64::from(meta.epoch.get()))?;
            table.insert(META_HEAD, meta.head.get())?;
            table.insert(META_COMMIT, meta.commit)?;
        }
        transaction.commit()?;
        Ok(meta)
    }

    /// Gives the journal another epoch, `wanted` if it is another, and keeps all else: no cookie
    /// that was given before is taken for one of this log.
    pub(super) fn renew(self, database: &Database, wanted: Epoch) -> Result<Self, Error> {
        let epoch = if wanted == self.epoch {
            Epoch::from_bits(wanted.get() ^ 1)
        } else {
            wanted
        };
        let transaction = database.begin_write()?;
        transaction
            .open_table(META)?
            .insert(META_EPOCH, u64::from(epoch.get()))?;
        transaction.commit()?;
        Ok(Self { epoch, ..self })
    }

    /// Reads it; none if nothing was ever written to it.
    pub(super) fn read(database: &Database) -> Result<Option<Self>, Fault> {
        let transaction = database.begin_read().map_err(Error::from)?;
        let mut tables = transaction.list_tables().map_err(Error::from)?;
        let mut multimap_tables = transaction.list_multimap_tables().map_err(Error::from)?;
        if tables.next().is_none() && multimap_tables.next().is_none() {
            return Ok(None);
        }
        let table = match transaction.open_table(META) {
            Ok(table) => table,
            Err(TableError::Storage(error)) => return Err(Fault::Redb(error.into())),
            Err(_) => return Err(Fault::Foreign),
        };
        let field = |name: &str| -> Result<u64, Fault> {
            let value = table.get(name).map_err(Error::from)?;
            let value = value.ok_or_else(|| Fault::Meta(format!("it has no {name}")))?;
            Ok(value.value())
        };
        let format = match field(META_FORMAT) {
            Err(Fault::Meta(_)) => return Err(Fault::Foreign),
            other => other?,
        };
        if format > FORMAT {
            return Err(Fault::Newer(format));
        }
        let out_of_range = |name: &str| Fault::Meta(format!("its {name} is out of range"));
        let epoch_bits = u32::try_from(field(META_EPOCH)?).map_err(|_| out_of_range(META_EPOCH))?;
        let epoch = Epoch::from_bits(epoch_bits);
        if epoch.get() != epoch_bits {
            return Err(out_of_range(META_EPOCH));
        }
        let head = Seq::new(field(META_HEAD)?).ok_or_else(|| out_of_range(META_HEAD))?;
        Ok(Some(Self {
            epoch,
            head,
            commit: field(META_COMMIT)?,
        }))
    }
}

/// Why a file that redb can open is not a journal that this release can use.
pub(super) enum Fault {
    Redb(Error),
    /// It is not a journal.
    Foreign,
    /// Its format is this one.
    Newer(u64),
    /// It is a journal that lacks something.
    Meta(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Redb(error)
    }
}

impl Fault {
    /// The error of opening the file at `path`.
    pub(super) fn at(self, path: &Path) -> OpenError {
        let path = path.to_path_buf();
        match self {
            Self::Redb(error) => store::table_error(&path, error),
            Self::Foreign => OpenError::NotAJournal { path },
            Self::Newer(found) => OpenError::NewerFormat {
                path,
                found,
                known: FORMAT,
            },
            Self::Meta(detail) => OpenError::Damaged { path, detail },
        }
    }
}
