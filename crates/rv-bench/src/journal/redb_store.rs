//! The embedded store under measurement: one table from key to row, and a head.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use redb::backends::FileBackend;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::Store;
use super::counting::{CountingBackend, Counts};
use super::rows::Rows;

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// How a commit becomes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Commit {
    /// One sync; after a crash the checksums of the whole file tell which commit is complete.
    OnePhase,
    /// Two syncs; after a crash the allocator's state is rebuilt from the whole file.
    TwoPhase,
    /// Two syncs and the allocator's state in every commit; nothing to rebuild.
    QuickRepair,
}

impl Commit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OnePhase => "redb",
            Self::TwoPhase => "redb-2pc",
            Self::QuickRepair => "redb-quick",
        }
    }
}

#[derive(Debug)]
pub(super) struct RedbStore {
    database: Database,
    counts: Arc<Counts>,
    commit: Commit,
    head: u64,
}

impl RedbStore {
    pub(super) fn open(path: &Path, cache_bytes: usize, commit: Commit) -> anyhow::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let counts = Arc::new(Counts::default());
        let backend = CountingBackend {
            file: FileBackend::new(file)?,
            counts: counts.clone(),
        };
        let database = Builder::new()
            .set_cache_size(cache_bytes)
            .create_with_backend(backend)?;
        Ok(Self {
            database,
            counts,
            commit,
            head: 0,
        })
    }

    /// Verifies the checksum of every page.
    pub(super) fn verify(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.database.check_integrity()?, "the file is damaged");
        Ok(())
    }

    /// Reads every row into an ordered map, as a registry would, and tells how many there are.
    pub(super) fn replay(&self) -> anyhow::Result<usize> {
        let transaction = self.database.begin_read()?;
        let mut rows = BTreeMap::new();
        for row in transaction.open_table(ROWS)?.iter()? {
            let (key, value) = row?;
            rows.insert(key.value().to_vec(), value.value().to_vec());
        }
        Ok(rows.len())
    }
}

impl Store for RedbStore {
    fn commit(&mut self, rows: &mut Rows, numbers: &[u64]) -> anyhow::Result<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_two_phase_commit(self.commit != Commit::OnePhase);
        transaction.set_quick_repair(self.commit == Commit::QuickRepair);
        {
            let mut table = transaction.open_table(ROWS)?;
            for number in numbers {
                let (key, value) = rows.row(*number);
                table.insert(key.as_slice(), value.as_slice())?;
                self.head += 1;
            }
            transaction.open_table(META)?.insert("head", self.head)?;
        }
        Ok(transaction.commit()?)
    }

    fn take_written_bytes(&mut self) -> u64 {
        self.counts.written_bytes.swap(0, Ordering::Relaxed)
    }

    fn take_syncs(&mut self) -> u64 {
        self.counts.syncs.swap(0, Ordering::Relaxed)
    }
}
