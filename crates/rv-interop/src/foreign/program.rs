//! How the programs of the peers are run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A command that starts a peer, without what the peer itself is told.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) executable: OsString,
    pub(super) arguments: Vec<OsString>,
    /// Where it runs.
    pub(super) folder: PathBuf,
}

impl Program {
    /// One that was compiled.
    pub(super) fn compiled(folder: &Path) -> Self {
        Self {
            executable: folder.join("peer").into(),
            arguments: Vec::new(),
            folder: folder.to_owned(),
        }
    }

    /// A module for node, as text, because modules resolve the packages they import from where
    /// they lie.
    pub(super) fn module(text: &str, folder: &Path) -> Self {
        let arguments = ["--input-type=module", "--eval", text, "--"];
        Self {
            executable: "node".into(),
            arguments: arguments.map(OsString::from).to_vec(),
            folder: folder.to_owned(),
        }
    }

    /// A file of `peers/py`, with the packages in the folder.
    pub(super) fn python(file: &str, folder: &Path) -> Self {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/py");
        Self {
            executable: folder.join("bin").join("python").into(),
            arguments: vec![programs.join(file).into()],
            folder: folder.to_owned(),
        }
    }
}
