//! What `cargo xtask peers` made.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A peer that is made by itself, in a folder of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    Go,
    GoKad,
    Js,
    Py,
}

/// Names of the peers that must be found, with commas between; set by `cargo xtask test`.
const PEERS: &str = "RV_PEERS";

/// Where continuous integration says that it is; every peer must be found there.
const CI: &str = "CI";

const GO_MODULE: &str = concat!(
    include_str!("../../peers/go/go.mod"),
    include_str!("../../peers/go/go.sum"),
    include_str!("../../peers/go/main.go"),
);
const GO_KAD_MODULE: &str = concat!(
    include_str!("../../peers/go-kad/go.mod"),
    include_str!("../../peers/go-kad/go.sum"),
    include_str!("../../peers/go-kad/main.go"),
);
const JS_PACKAGES: &str = concat!(
    include_str!("../../peers/js/package.json"),
    include_str!("../../peers/js/package-lock.json"),
);
const PY_PACKAGES: &str = include_str!("../../peers/py/requirements.txt");

impl Made {
    /// Where it is. If it is not made, says so on stderr, past the capture of the test harness.
    ///
    /// # Panics
    ///
    /// If it is not made although this run must have it.
    pub(super) fn folder(self) -> Option<PathBuf> {
        if let Some(folder) = self.any_folder().filter(|it| self.is_in(it)) {
            return Some(folder);
        }
        let name = self.name();
        let advice = format!("the {name} peer is not made, or is stale: run `cargo xtask peers`");
        assert!(!is_required(name), "{advice}");
        let line = format!("left out: {advice}\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
        None
    }

    /// `peers/<name>` beside the builds that this test belongs to.
    fn any_folder(self) -> Option<PathBuf> {
        let test = env::current_exe().ok()?;
        let beside = |folder: &Path| folder.join("peers").join(self.name());
        let mut folders = test.ancestors().map(beside);
        folders.find(|folder| folder.is_dir())
    }

    /// Whether the folder holds all of what is locked now.
    fn is_in(self, folder: &Path) -> bool {
        // The first line is the version of the language.
        let stamp = fs::read_to_string(folder.join("installed"));
        let made = stamp.as_ref().ok().and_then(|it| it.split_once('\n'));
        made.is_some_and(|(_, inputs)| inputs == self.inputs())
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::GoKad => "go-kad",
            Self::Js => "js",
            Self::Py => "py",
        }
    }

    const fn inputs(self) -> &'static str {
        match self {
            Self::Go => GO_MODULE,
            Self::GoKad => GO_KAD_MODULE,
            Self::Js => JS_PACKAGES,
            Self::Py => PY_PACKAGES,
        }
    }
}

fn is_required(name: &str) -> bool {
    let is_ci = env::var_os(CI).is_some_and(|value| !value.is_empty());
    let named = env::var(PEERS).unwrap_or_default();
    is_ci || named.split(',').any(|required| required == name)
}
