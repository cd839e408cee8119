//! The identity of the client commands: their own, never a point's.

use std::fs::{DirBuilder, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use libp2p::identity::Keypair;
use rv_server::daemon::{IdentityError, create_identity, load_identity};

use super::points::Points;
use crate::failure::{Exit, Failure};
use crate::output;

/// Reads the named identity, or the own one, which is made when it is missing.
///
/// # Errors
///
/// If it cannot be had, or is that of one of the points.
pub(super) fn load(named: Option<&Path>, points: &Points) -> Result<Keypair, Failure> {
    let path = match named {
        Some(path) => path.to_path_buf(),
        None => own_path()?,
    };
    let key = match load_identity(&path) {
        Err(IdentityError::Missing { .. }) if named.is_none() => create(&path)?,
        loaded => loaded?,
    };
    if points.contains(&key.public().to_peer_id()) {
        let is_of_point = anyhow::anyhow!(
            "{} is the identity of the point itself: name another file with --identity",
            path.display()
        );
        return Err(Failure::new(Exit::Usage, is_of_point));
    }
    Ok(key)
}

/// `rv/identity` in the user's data folder. The base directory specification wants relative paths
/// in the variable ignored.
fn own_path() -> Result<PathBuf, Failure> {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.filter(|path| path.is_absolute()).or_else(|| {
        let home = std::env::home_dir()?;
        Some(home.join(".local/share"))
    });
    let Some(data) = data else {
        let no_home = anyhow::anyhow!("no home folder is known: name a file with --identity");
        return Err(Failure::new(Exit::Usage, no_home));
    };
    Ok(data.join("rv/identity"))
}

/// Makes the own identity, once, also when several commands start together.
fn create(path: &Path) -> Result<Keypair, Failure> {
    let Some(folder) = path.parent() else {
        return Ok(create_identity(path)?);
    };
    let _lock = lock(folder)
        .with_context(|| {
            let folder = folder.display();
            format!("cannot keep an identity in {folder}: name a file with --identity")
        })
        .map_err(|error| Failure::new(Exit::Internal, error))?;
    match create_identity(path) {
        Ok(key) => {
            let peer = key.public().to_peer_id();
            output::note(format_args!(
                "made the identity {peer} in {}",
                path.display()
            ));
            Ok(key)
        }
        Err(IdentityError::Exists { .. }) => Ok(load_identity(path)?),
        Err(error) => Err(error.into()),
    }
}

fn lock(folder: &Path) -> io::Result<File> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)?;
    let lock = File::create(folder.join("identity.lock"))?;
    lock.lock()?;
    Ok(lock)
}
