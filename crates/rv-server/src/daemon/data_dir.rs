//! The directory of a point: its identity, its store, and the lock that keeps it to one process.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::DaemonError;

/// A data directory that is ours until this is dropped.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    /// The system gives the lock up with the process, however that ends.
    _lock: File,
}

impl DataDir {
    /// Locks the directory at `path`, and makes it if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, DaemonError> {
        let unusable = |source| DaemonError::DataDir {
            path: path.to_path_buf(),
            source,
        };
        create(path).map_err(unusable)?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("lock"))
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_path_buf(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(DaemonError::DataDirInUse {
                path: path.to_path_buf(),
            }),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    pub(super) fn identity(&self) -> PathBuf {
        self.path.join("identity")
    }

    pub(super) fn store(&self) -> PathBuf {
        self.path.join("registry.redb")
    }
}

/// Makes the directory, for its owner alone. One that exists is left as it is.
fn create(path: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a/b");
        DataDir::open(&path).expect("made");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = path.metadata().expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
    }

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let folder = tempfile::tempdir().expect("folder");
        let first = DataDir::open(folder.path()).expect("free");
        let error = DataDir::open(folder.path()).expect_err("taken");
        assert!(matches!(&error, DaemonError::DataDirInUse { path } if path == folder.path()));
        assert!(
            error
                .to_string()
                .contains(&folder.path().display().to_string())
        );
        drop(first);
        DataDir::open(folder.path()).expect("free again");
    }

    #[test]
    fn a_path_that_cannot_be_a_directory_is_named() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("file");
        std::fs::write(&path, b"").expect("written");
        let error = DataDir::open(&path).expect_err("a file");
        assert!(matches!(error, DaemonError::DataDir { .. }));
    }
}
