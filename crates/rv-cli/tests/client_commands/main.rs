//! `rv register`, `discover`, `watch` and `unregister` as processes, at real points.

#![cfg(unix)]

#[path = "../common/mod.rs"]
mod common;

mod failures;
mod lasting;
mod once;
mod terminals;

use std::path::Path;

use common::{Address, Ended, Rv};
use tempfile::TempDir;

const TCP: &str = "/ip4/127.0.0.1/tcp/0";

/// A point of the default configuration, but with these settings, and a folder for who talks to it.
fn point_with(settings: &str) -> (TempDir, Rv, Address) {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("rv.toml"), settings).expect("written");
    let args = [
        "serve",
        "--ephemeral",
        "--config",
        "rv.toml",
        "--listen",
        TCP,
    ];
    let mut rv = Rv::start(folder.path(), &args);
    let address = rv.address();
    (folder, rv, address)
}

fn point() -> (TempDir, Rv, Address) {
    point_with("")
}

/// Runs `rv` to its end.
fn run(folder: &Path, args: &[&str]) -> Ended {
    Rv::start(folder, args).wait()
}

/// Runs `rv` to its good end, and returns its lines.
fn done(folder: &Path, args: &[&str]) -> Vec<String> {
    let ended = run(folder, args);
    assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
    ended.stdout
}

/// Another identity than the folder's own, by its file.
fn identity(folder: &Path, file: &str) -> String {
    let made = done(folder, &["key", "new", file]);
    made.into_iter().next().expect("a peer id")
}

/// The parts of a line.
fn parts(line: &str) -> Vec<&str> {
    line.split('\t').collect()
}
