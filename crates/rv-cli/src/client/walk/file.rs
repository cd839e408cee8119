//! Files that the command writes.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use dht_walk::CrawlState;

use super::internal;
use crate::failure::{Exit, Failure};

/// The longest state that is read: twice the peers that a crawl keeps, with all their addresses.
const STATE_BYTES_MAX: u64 = 256 << 20;

/// Writes a file, the whole or none of it.
///
/// # Errors
///
/// If it cannot be written.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    replace(path, text)
        .with_context(|| format!("cannot write {}", path.display()))
        .map_err(internal)
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    // What a link leads to is replaced, not the link; a device or a pipe is written to.
    let path = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        path => path?,
    };
    if path.exists() && !path.is_file() {
        return fs::write(&path, text);
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut file = File::create(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    drop(file);
    fs::rename(&part, &path)
}

/// How far an earlier crawl came; `None` where there is no file.
///
/// # Errors
///
/// If it cannot be read, or is another one.
pub(super) fn read_state(path: &Path) -> Result<Option<CrawlState>, Failure> {
    let name = path.display();
    let text = match fs::metadata(path) {
        Ok(metadata) if metadata.len() > STATE_BYTES_MAX => {
            let large = anyhow::anyhow!("{name} is too large for the state of a crawl");
            return Err(Failure::new(Exit::Usage, large));
        }
        Ok(metadata) if !metadata.is_file() => {
            let other = anyhow::anyhow!("{name} is no file: name another one");
            return Err(Failure::new(Exit::Usage, other));
        }
        Ok(_) => fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => Err(error),
    };
    let text = match text {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text
            .with_context(|| format!("cannot read {name}"))
            .map_err(internal)?,
    };
    let state = text
        .parse()
        .with_context(|| format!("{name} is not the state of a crawl: name another file"))
        .map_err(|error| Failure::new(Exit::Usage, error))?;
    Ok(Some(state))
}
