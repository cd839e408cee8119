//! `rv key` as a process.

#![cfg(unix)]

mod common;

use common::{Ended, Rv};

fn key(folder: &std::path::Path, args: &[&str]) -> Ended {
    let all: Vec<_> = ["key"].iter().chain(args).copied().collect();
    Rv::start(folder, &all).wait()
}

#[test]
fn a_new_identity_is_shown_again() {
    let folder = tempfile::tempdir().expect("folder");
    let new = key(folder.path(), &["new", "mine"]);
    assert_eq!((new.code, new.stderr.as_str()), (Some(0), ""));
    let [peer_id] = new.stdout.as_slice() else {
        panic!("one line: {new:?}")
    };
    assert!(peer_id.starts_with("12D3KooW"), "{peer_id}");

    let shown = key(folder.path(), &["show", "mine"]);
    assert_eq!((shown.code, &shown.stdout), (Some(0), &new.stdout));
    let json = key(folder.path(), &["show", "mine", "--json"]);
    assert_eq!(json.stdout, [format!("{{\"peer_id\":\"{peer_id}\"}}")]);
}

#[test]
fn an_existing_file_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let first = key(folder.path(), &["new", "mine"]);
    let second = key(folder.path(), &["new", "mine"]);
    assert_eq!(second.code, Some(3));
    assert!(second.stdout.is_empty());
    assert!(
        second
            .stderr
            .contains("mine exists and is never overwritten"),
        "{second:?}"
    );
    assert_eq!(key(folder.path(), &["show", "mine"]).stdout, first.stdout);
}

#[test]
fn a_missing_or_malformed_file_is_a_mistake_of_usage() {
    let folder = tempfile::tempdir().expect("folder");
    let missing = key(folder.path(), &["show"]);
    assert_eq!(missing.code, Some(2));
    assert!(
        missing
            .stderr
            .contains("there is no identity rv-data/identity"),
        "{missing:?}"
    );

    assert_eq!(key(folder.path(), &["new", "mine"]).code, Some(0));
    std::fs::write(folder.path().join("mine"), b"something else").expect("written");
    let malformed = key(folder.path(), &["show", "mine"]);
    assert_eq!(malformed.code, Some(2));
    assert!(
        malformed.stderr.contains("mine holds no private key"),
        "{malformed:?}"
    );
}

#[test]
fn an_unknown_command_is_a_mistake_of_usage() {
    let folder = tempfile::tempdir().expect("folder");
    assert_eq!(key(folder.path(), &["melt"]).code, Some(2));
}
