//! The cores see no clock, no files, no sockets, no runtime and no randomness of their own.

use super::lexed::Lexed;
use super::{File, Finding};

/// Sources below the shells.
const CORES: [&str; 3] = [
    "crates/dht-walk/src/",
    "crates/rv-core/src/",
    "crates/rv-proto/src/",
];

/// Shells that live within a core, each behind a feature.
const SHELLS: [&str; 2] = ["crates/dht-walk/src/driver/", "crates/dht-walk/src/swarm/"];

/// Names that lead out of a core, with what stands for them. Identifiers, not paths: a name cannot
/// hide in a `use` group, behind a glob or inside a macro.
const FORBIDDEN: [(&[&str], &str); 6] = [
    (
        &["Instant", "SystemTime", "UNIX_EPOCH"],
        "time is an argument (`Time`)",
    ),
    (&["File", "OpenOptions", "fs"], "files belong to a journal"),
    (
        &[
            "TcpListener",
            "TcpStream",
            "ToSocketAddrs",
            "UdpSocket",
            "UnixListener",
            "UnixStream",
        ],
        "sockets belong to the shells",
    ),
    (
        &["async_std", "futures", "futures_timer", "smol", "tokio"],
        "a core is not async",
    ),
    (
        &["libp2p", "libp2p_core", "libp2p_swarm"],
        "the swarm belongs to the shells",
    ),
    (
        &["OsRng", "getrandom", "thread_rng"],
        "a seed is an argument",
    ),
];

/// Checks one source file, where it belongs to a core.
pub(super) fn check(file: &File, lexed: &Lexed) -> Vec<Finding> {
    let is_in = |folders: &[&str]| folders.iter().any(|it| file.path.starts_with(it));
    if !is_in(&CORES) || is_in(&SHELLS) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (name, line) in &lexed.identifiers {
        let forbidden = FORBIDDEN
            .iter()
            .find(|(names, _)| names.contains(&name.as_str()));
        if let Some((_, instead)) = forbidden {
            findings.push(file.finding(*line, format!("`{name}` in a core: {instead}")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, NONE};
    use super::*;

    fn found(path: &str, text: &str) -> Vec<usize> {
        let lexed = Lexed::new(text).expect("the sample is Rust");
        samples::lines(&check(&samples::file(path, text), &lexed))
    }

    #[test]
    fn a_way_out_of_a_core_is_found_however_it_is_written() {
        for text in [
            "use std::time::Instant;",
            "use std::{time::{Duration, SystemTime}};",
            "use std::time::*; fn a() { Instant::now(); }",
            "fn a() { assert!(std::time::SystemTime::now() > b); }",
            "use std::fs;",
            "use std::net::{IpAddr, TcpStream};",
            "use tokio as t;",
            "use futures::StreamExt;",
            "use libp2p_swarm::Swarm;",
            "fn a() { rand::thread_rng(); }",
        ] {
            assert_eq!(found("crates/rv-core/src/a.rs", text), [1], "{text}");
            assert_eq!(found("crates/rv-proto/src/a/b.rs", text), [1], "{text}");
            assert_eq!(found("crates/rv-server/src/a.rs", text), NONE, "{text}");
        }
    }

    #[test]
    fn a_shell_within_a_core_has_its_own_folder() {
        let text = "use futures::Stream;";
        assert_eq!(found("crates/dht-walk/src/driver/a.rs", text), NONE);
        assert_eq!(found("crates/dht-walk/src/driver.rs", text), [1]);
        assert_eq!(found("crates/dht-walk/src/walk/a.rs", text), [1]);
    }

    #[test]
    fn addresses_durations_and_comments_are_no_way_out() {
        let text = "// no tokio, no Instant\nuse std::net::IpAddr;\nuse std::time::Duration;";
        assert_eq!(found("crates/rv-core/src/a.rs", text), NONE);
    }
}
