//! Stock peers of other languages, each in a process of its own.
//!
//! Their programs are in `peers/` of this crate: a server that serves until its stdin ends, and a
//! client that takes a request a line. `cargo xtask peers` makes what they need.

mod client;
mod process;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use libp2p::Multiaddr;

use process::Process;

pub use client::{ForeignClient, ForeignPage};

/// A language that a stock peer is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// go-libp2p with `github.com/berty/go-libp2p-rendezvous`.
    Go,
    /// js-libp2p with `@canvas-js/libp2p-rendezvous`.
    Js,
    /// py-libp2p.
    Py,
}

/// How to run the peer of a language.
#[derive(Clone, Debug)]
pub struct Runtime {
    language: Language,
    folder: PathBuf,
}

/// Names of the peers that must be found, with commas between; set by `cargo xtask test`.
const PEERS: &str = "RV_PEERS";

/// Where continuous integration says that it is; every peer must be found there.
const CI: &str = "CI";

const GO_MODULE: &str = concat!(
    include_str!("../peers/go/go.mod"),
    include_str!("../peers/go/go.sum"),
    include_str!("../peers/go/main.go"),
);
const JS_PROGRAM: &str = include_str!("../peers/js/peer.mjs");
const JS_PACKAGES: &str = concat!(
    include_str!("../peers/js/package.json"),
    include_str!("../peers/js/package-lock.json"),
);
const PY_PACKAGES: &str = include_str!("../peers/py/requirements.txt");

impl Runtime {
    /// Finds what `cargo xtask peers` made. If it made nothing, says so on stderr, past the capture
    /// of the test harness.
    ///
    /// # Panics
    ///
    /// If it made nothing although this run must have it.
    pub fn find(language: Language) -> Option<Self> {
        let folder = folder(language);
        if let Some(folder) = folder.filter(|folder| is_made(language, folder)) {
            return Some(Self { language, folder });
        }
        let name = language.name();
        let advice = format!("the {name} peer is not made, or is stale: run `cargo xtask peers`");
        assert!(!is_required(name), "{advice}");
        let line = format!("left out: {advice}\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
        None
    }

    /// A rendezvous point of the stock library.
    pub async fn serve(&self) -> ForeignServer {
        let mut process = Process::start(self, &[String::from("server")]);
        let line = process.line().await;
        let Ok(address) = line.parse() else {
            panic!("not an address: {line}");
        };
        ForeignServer { process, address }
    }

    /// A client of the stock library, connected to a point.
    pub async fn connect(&self, point: &Multiaddr) -> ForeignClient {
        let arguments = [String::from("client"), point.to_string()];
        ForeignClient::new(Process::start(self, &arguments)).await
    }

    fn program(&self) -> (OsString, Vec<OsString>) {
        match self.language {
            Language::Go => (self.folder.join("peer").into(), Vec::new()),
            // As text, because modules resolve the packages they import from where they lie.
            Language::Js => {
                let arguments = ["--input-type=module", "--eval", JS_PROGRAM, "--"];
                ("node".into(), arguments.map(OsString::from).to_vec())
            }
            Language::Py => {
                let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/py/peer.py");
                let python = self.folder.join("bin").join("python");
                (python.into(), vec![program.into()])
            }
        }
    }
}

impl Language {
    const fn name(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Js => "js",
            Self::Py => "py",
        }
    }

    const fn packages(self) -> &'static str {
        match self {
            Self::Go => GO_MODULE,
            Self::Js => JS_PACKAGES,
            Self::Py => PY_PACKAGES,
        }
    }
}

/// A point in another process, which ends when this is dropped.
#[derive(Debug)]
pub struct ForeignServer {
    process: Process,
    address: Multiaddr,
}

impl ForeignServer {
    /// Where it listens, its id included.
    pub fn address(&self) -> &Multiaddr {
        &self.address
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub async fn end(self) {
        self.process.end().await;
    }
}

/// `peers/<language>` beside the builds that this test belongs to.
fn folder(language: Language) -> Option<PathBuf> {
    let test = env::current_exe().ok()?;
    let beside = |folder: &Path| folder.join("peers").join(language.name());
    let mut folders = test.ancestors().map(beside);
    folders.find(|folder| folder.is_dir())
}

/// Whether the folder holds all of what is locked now.
fn is_made(language: Language, folder: &Path) -> bool {
    // The first line is the version of the language.
    let stamp = fs::read_to_string(folder.join("installed"));
    let made = stamp.as_ref().ok().and_then(|it| it.split_once('\n'));
    made.is_some_and(|(_, packages)| packages == language.packages())
}

fn is_required(name: &str) -> bool {
    let is_ci = env::var_os(CI).is_some_and(|value| !value.is_empty());
    let named = env::var(PEERS).unwrap_or_default();
    is_ci || named.split(',').any(|required| required == name)
}
