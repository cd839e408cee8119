//! The examples, each run as a user runs it: without arguments, and with a point that is none.

use std::env;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Each example ends by itself long before; this guards against one that does not.
const WAIT: Duration = Duration::from_secs(120);

/// A program that is killed when the test gives up.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Either fails only if the process has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where cargo puts the examples: beside the folder of its test programs.
fn program(name: &str) -> PathBuf {
    let test = env::current_exe().expect("a running program has a path");
    let profile = test.ancestors().nth(2).expect("target/<profile>/deps/test");
    let program = profile.join("examples").join(name);
    let program = program.with_extension(env::consts::EXE_EXTENSION);
    assert!(
        program.exists(),
        "build the examples first: cargo build -p rv-client --examples --all-features"
    );
    program
}

/// Runs an example to its end, and returns what it printed.
fn run(name: &str, arguments: &[&str]) -> (ExitStatus, String) {
    let mut command = Command::new(program(name));
    command.args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::piped());
    let mut running = Running(command.spawn().expect("the example starts"));
    let mut stdout = running.0.stdout.take().expect("it is piped");
    let (sender, printed) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.read_to_string(&mut text);
        // Nobody listens once the test has given up.
        let _ = sender.send(read.map(|_| text));
    });
    let printed = printed.recv_timeout(WAIT);
    let printed = printed.unwrap_or_else(|_| panic!("{name} did not end within {WAIT:?}"));
    let status = running.0.wait().expect("it is our child");
    (status, printed.expect("it prints UTF-8"))
}

/// The first words of each line.
fn words(printed: &str, count: usize) -> Vec<String> {
    let first = |line: &str| line.split(' ').take(count).collect::<Vec<_>>().join(" ");
    printed.lines().map(first).collect()
}

#[test]
fn register_stays_registered_until_it_unregisters() {
    let (status, printed) = run("register", &[]);
    assert!(status.success(), "{printed}");
    let lines: Vec<_> = printed.lines().collect();
    let [first, "refreshed in my-app for 2 s", "unregistered"] = lines[..] else {
        panic!("{printed}");
    };
    assert!(first.starts_with("registered at 12D3KooW"), "{printed}");
    assert!(first.ends_with(" for 2 s"), "{printed}");
}

#[test]
fn discover_finds_a_peer_and_then_all() {
    let (status, printed) = run("discover", &[]);
    assert!(status.success(), "{printed}");
    let lines: Vec<_> = printed.lines().collect();
    let (found, others) = lines.split_first().expect("it prints");
    assert!(found.starts_with("found 12D3KooW"), "{printed}");
    assert!(
        found.ends_with(" at [/ip4/203.0.113.7/tcp/4001]"),
        "{printed}"
    );
    assert_eq!(others, ["listed 2 so far", "there are 2 peers"]);
}

#[test]
fn with_kad_bootstraps_the_dht_from_who_is_found() {
    let (status, printed) = run("with_kad", &[]);
    assert!(status.success(), "{printed}");
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.first(), Some(&"registered in my-app-dht for 7200 s"));
    assert!(
        lines.iter().any(|line| line.starts_with("found 12D3KooW")),
        "{printed}"
    );
    let end = "the DHT answers: 1 peers in the routing table";
    assert_eq!(lines.last(), Some(&end));
}

#[cfg(feature = "walk")]
#[test]
fn two_sources_finds_who_registered_and_fills_up_from_the_dht() {
    let (status, printed) = run("two_sources", &[]);
    assert!(status.success(), "{printed}");
    let expected = [
        "registered: 12D3KooW",
        "of the DHT: 12D3KooW",
        "of the DHT: 12D3KooW",
        "of the DHT: 12D3KooW",
        "that is enough",
    ];
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{printed}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{printed}");
    }
}

#[test]
fn moving_does_what_the_stock_program_did() {
    let (status, printed) = run("moving", &[]);
    assert!(status.success(), "{printed}");
    let expected = ["registered in", "found", "listed 1", "unregistered"];
    let lines = words(&printed, 2);
    assert_eq!(lines.len(), expected.len(), "{printed}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{printed}");
    }
}

#[test]
fn register_discover_lets_two_applications_meet() {
    let (status, printed) = run("register_discover", &[]);
    assert!(status.success(), "{printed}");
    let expected = ["the point", "registered at", "found", "unregistered"];
    let lines = words(&printed, 2);
    assert_eq!(lines.len(), expected.len(), "{printed}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{printed}");
    }
}

#[test]
fn an_example_fails_where_its_point_is_not() {
    let nobody = "/ip4/127.0.0.1/tcp/0/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    for name in ["register", "discover", "moving"] {
        let (status, printed) = run(name, &[nobody]);
        assert_eq!(status.code(), Some(1), "{name}: {printed}");
        assert!(!printed.contains("found"), "{name}: {printed}");
    }
    let (status, _) = run("register_discover", &["nowhere"]);
    assert_eq!(status.code(), Some(1));
}
