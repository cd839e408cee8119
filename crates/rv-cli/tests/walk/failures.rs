//! Each exit code, and the sentence with it.

use std::net::TcpListener;

use libp2p::PeerId;
use rustix::process::Signal;

use crate::common::Rv;
use crate::common::dht::Dht;
use crate::{start, walk};

/// Both ways end with this code and say this, and nothing else.
#[track_caller]
fn both_end(entrance: &str, args: &[&str], code: i32, wanted: &str) {
    for way in [&[][..], &["--crawl"]] {
        let ended = walk(entrance, &[way, args].concat());
        assert_eq!(ended.code, Some(code), "{way:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, [""; 0], "{way:?}");
        let said = ended.stderr.lines().last().unwrap_or_default();
        assert!(said.contains(wanted), "{way:?}: {}", ended.stderr);
    }
}

/// It is a mistake of usage.
#[track_caller]
fn is_refused(args: &[&str], wanted: &str) {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("other"), "a file\n").expect("written");
    let ended = Rv::start(folder.path(), &[&["walk"], args].concat()).wait();
    assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.stderr);
    assert_eq!(ended.stdout, [""; 0], "{args:?}");
    assert!(ended.stderr.contains(wanted), "{args:?}: {}", ended.stderr);
}

#[test]
fn what_cannot_be_asked_is_a_mistake_of_usage() {
    let at = &format!("/ip4/127.0.0.1/tcp/1/p2p/{}", PeerId::random());
    is_refused(&[], "--bootstrap <MULTIADDR>...");
    is_refused(
        &["--bootstrap", "/ip4/127.0.0.1/tcp/1"],
        "ends without /p2p/<peer id>",
    );
    is_refused(&["--bootstrap", "here"], "not a multiaddr");
    let with = |args: &[&str], wanted: &str| {
        is_refused(&[&["--bootstrap", at], args].concat(), wanted);
    };
    with(&["--coverage", "95"], "a share is above 0% and up to 100%");
    with(&["--budget", "0"], "0 is not in 1..");
    with(&["--in-flight", "257"], "257 is not in 1..=256");
    with(&["--rate", "0"], "0 is not in 1..=1000");
    with(&["--deadline", "10"], "time unit needed");
    with(&["--protocol", "kad"], "begins with a slash");
    with(&["--resume", "file"], "--crawl");
    with(&["--crawl", "--uniform"], "cannot be used with");
    with(&["--crawl", "--coverage", "50%"], "cannot be used with");
    let wanted = "other is not the state of a crawl: name another file: line 1";
    with(&["--crawl", "--resume", "other"], wanted);
}

#[test]
fn peers_that_do_not_run_are_unreachable() {
    let dht = Dht::start(0, 1);
    let gone = dht.gone_address();
    let wanted = "connection refused; check the address and that it runs";
    both_end(&gone, &[], 5, wanted);
}

#[test]
fn a_peer_that_serves_no_dht_is_told() {
    let folder = tempfile::tempdir().expect("folder");
    let mut point = Rv::serve(folder.path(), &["/ip4/127.0.0.1/tcp/0"], &["--ephemeral"]);
    let point = point.address().whole();
    let wanted = format!("rv: {point} does not serve /ipfs/kad/1.0.0: use another peer");
    both_end(&point, &[], 6, &wanted);
}

#[test]
fn another_name_of_the_protocol_is_told() {
    let dht = Dht::start(2, 0);
    let wanted = format!("rv: {} does not serve /other/kad/1", dht.entrance());
    both_end(&dht.entrance(), &["--protocol", "/other/kad/1"], 6, &wanted);
}

#[test]
fn one_of_several_bootstrap_peers_is_enough() {
    let dht = Dht::start(5, 1);
    let gone = dht.gone_address();
    let args = ["--crawl", "--bootstrap", &gone, "--budget", "8"];
    let ended = walk(&dht.entrance(), &args);
    assert_eq!(ended.code, Some(7), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("connection refused"),
        "{}",
        ended.stderr
    );
    let wanted = "when the budget was spent: --resume FILE keeps what was found";
    assert!(ended.stderr.contains(wanted), "{}", ended.stderr);
}

#[test]
fn a_graph_that_cannot_be_written_is_told_after_the_results() {
    let dht = Dht::start(5, 0);
    let folder = tempfile::tempdir().expect("folder");
    let args = ["--crawl", "--graph", "none/g.svg"];
    let ended = start(folder.path(), &dht.entrance(), &args).wait();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let wanted = "rv: cannot write none/g.svg: ";
    assert!(ended.stderr.contains(wanted), "{}", ended.stderr);
    assert_eq!(ended.stdout.len(), 6, "{:?}", ended.stdout);
}

#[test]
fn a_signal_ends_it_also_while_it_connects() {
    // Takes connections, and says nothing on them.
    let hung = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = hung.local_addr().expect("bound").port();
    let at = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{}", PeerId::random());
    for (way, last) in [
        (&[][..], "walk\tstopped\t-\t0\t"),
        (&["--crawl"], "crawl\tstopped\t1\t0\t"),
    ] {
        let folder = tempfile::tempdir().expect("folder");
        let walk = start(folder.path(), &at, way);
        let (_open, _) = hung.accept().expect("it connects");
        walk.signal(Signal::INT);
        let ended = walk.wait();
        assert_eq!(ended.code, Some(7), "{}", ended.stderr);
        let line = ended.stdout.last().expect("a line");
        assert!(line.starts_with(last), "{line}");
        assert!(
            ended.stderr.contains("it was interrupted"),
            "{}",
            ended.stderr
        );
    }
}
