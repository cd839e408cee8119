//! The examples, run as a user runs them.

use std::env;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// It ends by itself long before; this guards against one that does not.
const WAIT: Duration = Duration::from_secs(90);

/// What an example prints until its end.
fn run(name: &str) -> String {
    let test = env::current_exe().expect("a running program has a path");
    // Cargo puts the examples beside the folder of its test programs.
    let profile = test.ancestors().nth(2).expect("target/<profile>/deps/test");
    let program = profile.join("examples").join(name);
    let program = program.with_extension(env::consts::EXE_EXTENSION);
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut running = command
        .spawn()
        .expect("it was built: cargo build -p dht-walk --examples --all-features");
    let mut stdout = running.stdout.take().expect("it is piped");
    let (sender, printed) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.read_to_string(&mut text);
        // Nobody listens once the test has given up.
        let _ = sender.send(read.map(|_| text));
    });
    let printed = printed.recv_timeout(WAIT);
    // It fails only where the program has ended by itself.
    let _ = running.kill();
    let status = running.wait().expect("it is our child");
    let printed = printed.expect("it ends in time").expect("it prints UTF-8");
    assert!(status.success(), "{printed}");
    printed
}

#[test]
fn in_memory_fills_a_table_and_walks() {
    let printed = run("in_memory");
    let lines: Vec<&str> = printed.lines().collect();
    let [first, refreshed, size, found] = lines[..] else {
        panic!("{printed}");
    };
    assert_eq!(first, "a refresh ended: Done");
    assert!(refreshed.contains(" lookups, "), "{printed}");
    assert!(size.starts_with("the network has about "), "{printed}");
    assert!(found.starts_with("three random walks found "), "{printed}");
}

#[test]
fn walk_with_kad_fills_a_table_and_drops_who_left() {
    let printed = run("walk_with_kad");
    let lines: Vec<&str> = printed.lines().collect();
    let [filled, "an entry left: Dead", spent] = lines[..] else {
        panic!("{printed}");
    };
    assert_eq!(filled, "kad has 9 entries, and each of them has answered");
    assert!(spent.starts_with("all that took "), "{printed}");
}

#[test]
fn kad_network_says_where_it_is_and_ends_with_its_stdin() {
    let printed = run("kad_network");
    let lines: Vec<&str> = printed.lines().collect();
    let [line] = lines[..] else {
        panic!("{printed}");
    };
    let started = "50 nodes, one of them at /ip4/127.0.0.1/tcp/";
    assert!(line.starts_with(started), "{printed}");
    assert!(line.contains("/p2p/12D3KooW"), "{printed}");
}
