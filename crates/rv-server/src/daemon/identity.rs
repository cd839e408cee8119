//! The key that a point is known by, in a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use libp2p_identity::Keypair;
use thiserror::Error;

/// The longest identity file that is read, in bytes: twice the largest RSA key in use.
const IDENTITY_BYTES_MAX: u64 = 8_192;

/// Why an identity cannot be used. The message says what the operator can do.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// A file that is not overwritten.
    #[error(
        "{} exists and is never overwritten: name another file, or move it away",
        path.display()
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be read or written.
    #[error(
        "the identity {} cannot be read or written: check its path and its owner",
        path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The store is there and its identity is not. A new one would be another point to everybody.
    #[error(
        "the identity {} is gone but its store is not: restore it from a backup, or make a new \
         one with `rv key new`",
        path.display()
    )]
    Lost {
        /// The file.
        path: PathBuf,
    },
    /// The file holds something else.
    #[error(
        "{} holds no private key as libp2p writes it: restore it from a backup, or name another \
         file",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// There is no such file.
    #[error(
        "there is no identity {}: name another file, or make one with `rv key new`",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Others than its owner may read or write the file.
    #[error(
        "the identity {path} has mode {mode:03o} and others can use it: run `chmod 600 {path}`",
        path = path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

/// Reads the key in the file at `path`: a private key in libp2p's protobuf encoding.
///
/// # Errors
///
/// See [`IdentityError`]. On unix a file that others can read or write is refused.
pub fn load_identity(path: &Path) -> Result<Keypair, IdentityError> {
    let io = |source| IdentityError::Io {
        path: path.to_path_buf(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(IdentityError::Missing {
                path: path.to_path_buf(),
            });
        }
        Err(error) => return Err(io(error)),
    };
    check_mode(path, &file)?;
    let mut bytes = Vec::new();
    file.take(IDENTITY_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    Keypair::from_protobuf_encoding(&bytes).map_err(|_| IdentityError::Malformed {
        path: path.to_path_buf(),
    })
}

/// Makes a new ed25519 key and writes it to the file at `path`, for its owner alone. The file is
/// there wholly or not at all.
///
/// # Errors
///
/// See [`IdentityError`]. A file that exists is never overwritten.
pub fn create_identity(path: &Path) -> Result<Keypair, IdentityError> {
    let io = |source| IdentityError::Io {
        path: path.to_path_buf(),
        source,
    };
    if path.try_exists().map_err(io)? {
        return Err(IdentityError::Exists {
            path: path.to_path_buf(),
        });
    }
    let keypair = Keypair::generate_ed25519();
    let encoded = keypair
        .to_protobuf_encoding()
        .map_err(|error| io(io::Error::other(error)))?;
    write_durably(path, &encoded).map_err(io)?;
    Ok(keypair)
}

/// Writes a new file so that a crash at any moment leaves all of it or nothing.
fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path
        .file_name()
        .ok_or(io::ErrorKind::InvalidInput)?
        .to_os_string();
    name.push(".tmp");
    let unfinished = path.with_file_name(name);
    // What a crash left behind may have other permissions, and is nobody's key.
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    sync_folder(path)
}

/// Makes the new name durable too. Only unix opens folders as files.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn check_mode(path: &Path, file: &File) -> Result<(), IdentityError> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = file.metadata().map_err(|source| IdentityError::Io {
        path: path.to_path_buf(),
        source,
    })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(IdentityError::Open {
            path: path.to_path_buf(),
            mode,
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &File) -> Result<(), IdentityError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_created_is_loaded_again() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("identity");
        let created = create_identity(&path).expect("created");
        let loaded = load_identity(&path).expect("loaded");
        assert_eq!(created.public(), loaded.public());
        let names: Vec<_> = std::fs::read_dir(folder.path()).expect("listed").collect();
        assert_eq!(names.len(), 1, "nothing else is left: {names:?}");
    }

    #[test]
    fn an_existing_file_is_never_overwritten() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("identity");
        std::fs::write(&path, b"mine").expect("written");
        let error = create_identity(&path).expect_err("exists");
        assert!(matches!(error, IdentityError::Exists { .. }));
        assert_eq!(std::fs::read(&path).expect("still there"), b"mine");
    }

    #[test]
    fn what_a_crash_left_of_a_creation_is_not_in_the_way() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("identity");
        std::fs::write(folder.path().join("identity.tmp"), b"half").expect("written");
        create_identity(&path).expect("created");
        load_identity(&path).expect("loaded");
    }

    #[test]
    fn a_missing_file_and_a_malformed_one_are_told_apart() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("identity");
        assert!(matches!(
            load_identity(&path),
            Err(IdentityError::Missing { .. })
        ));
        create_identity(&path).expect("created");
        // Cut short, as a full disk would.
        let bytes = std::fs::read(&path).expect("read");
        std::fs::write(&path, &bytes[..bytes.len() - 1]).expect("written");
        assert!(matches!(
            load_identity(&path),
            Err(IdentityError::Malformed { .. })
        ));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("identity");
        create_identity(&path).expect("created");
        let mode = path.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for mode in [0o640, 0o604, 0o620] {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, permissions).expect("changed");
            let error = load_identity(&path).expect_err("others can use it");
            assert!(
                error.to_string().contains(&format!("mode {mode:03o}")),
                "{error}"
            );
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }
}
