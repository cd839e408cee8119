//! `rv walk` as a process, in a network of stock nodes.

#![cfg(unix)]

#[path = "../common/mod.rs"]
mod common;

mod crawls;
mod failures;
mod tours;

use std::path::Path;

use common::{Ended, Rv};
use serde_json::Value;

/// Starts `rv walk` at a peer.
fn start(folder: &Path, entrance: &str, args: &[&str]) -> Rv {
    let all = [&["walk", "--bootstrap", entrance], args].concat();
    Rv::start(folder, &all)
}

/// Runs `rv walk` at a peer to its end.
fn walk(entrance: &str, args: &[&str]) -> Ended {
    let folder = tempfile::tempdir().expect("folder");
    start(folder.path(), entrance, args).wait()
}

fn objects(ended: &Ended) -> Vec<Value> {
    let parse = |line: &String| serde_json::from_str(line).expect("JSON");
    ended.stdout.iter().map(parse).collect()
}

/// The names in an object, in alphabetical order.
fn names(object: &Value) -> Vec<&str> {
    let object = object.as_object().expect("an object");
    object.keys().map(String::as_str).collect()
}

/// Fails if it is not what a reader of XML takes: each element closed, nothing unescaped.
fn check_svg(path: &Path) -> String {
    let svg = std::fs::read_to_string(path).expect("it was written");
    assert!(
        svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""),
        "{svg}"
    );
    let mut open = Vec::new();
    for part in svg.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag ends");
        assert!(!text.contains('>'), "{part}");
        assert_eq!(tag.matches('"').count() % 2, 0, "{part}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().expect("a name"));
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    svg
}
