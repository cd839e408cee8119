//! Each exit code, and the sentence with it.

use libp2p::PeerId;

use crate::common::wrong::Point;
use crate::common::{Address, Rv};
use crate::{TCP, parts, point, run};

/// All four commands end with this code and say this.
#[track_caller]
fn all_end(point: &str, code: i32, wanted: &str) {
    let folder = tempfile::tempdir().expect("folder");
    for command in ["register", "discover", "watch", "unregister"] {
        let ended = run(folder.path(), &[command, "ns", "--point", point]);
        assert_eq!(ended.code, Some(code), "{command}: {}", ended.stderr);
        assert_eq!(ended.stdout, [""; 0], "{command}");
        let said = ended.stderr.lines().last().unwrap_or_default();
        assert!(said.contains(wanted), "{command}: {}", ended.stderr);
    }
}

/// One command ends with this code and says this.
#[track_caller]
fn ends(args: &[&str], code: i32, wanted: &str) {
    let folder = tempfile::tempdir().expect("folder");
    let ended = run(folder.path(), args);
    assert_eq!(ended.code, Some(code), "{args:?}: {}", ended.stderr);
    assert_eq!(ended.stdout, [""; 0], "{args:?}");
    assert!(ended.stderr.contains(wanted), "{args:?}: {}", ended.stderr);
}

fn dead_point() -> Address {
    let (_folder, rv, address) = point();
    rv.kill();
    address
}

#[test]
fn what_cannot_be_asked_is_a_mistake_of_usage() {
    let peer = PeerId::random();
    let at = &format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}");
    ends(&["discover"], 2, "no point is named: use --point MULTIADDR");
    ends(
        &["discover", "--point", "/ip4/127.0.0.1/tcp/1"],
        2,
        "ends without /p2p/<peer id>",
    );
    ends(&["discover", "--point", "here"], 2, "not a multiaddr");
    ends(&["register", "", "--point", at], 2, "namespace is empty");
    ends(
        &["register", "ns", "--ttl", "73h", "--point", at],
        2,
        "a ttl is 1s to 72h",
    );
    ends(
        &["register", "ns", "--ttl", "90", "--point", at],
        2,
        "time unit needed",
    );
    ends(
        &["discover", "--limit", "0", "--point", at],
        2,
        "a limit is 1 to 1000000",
    );
    ends(
        &["discover", "--limit", "1", "--all", "--point", at],
        2,
        "cannot be used with",
    );
    ends(
        &["watch", "ns", "--interval", "0s", "--point", at],
        2,
        "an interval is 1s to 1h",
    );
    ends(
        &["discover", "--protocol", "name", "--point", at],
        2,
        "begins with a slash",
    );
    ends(
        &["discover", "--identity", "none", "--point", at],
        2,
        "there is no identity none",
    );
    let other = format!("/ip4/203.0.113.7/tcp/1/p2p/{peer}");
    let external = [
        "register",
        "ns",
        "--external-address",
        &other,
        "--point",
        at,
    ];
    ends(&external, 2, "is an address of another identity");
}

#[test]
fn the_identity_of_the_point_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let mut rv = Rv::serve(folder.path(), &[TCP], &[]);
    let at = rv.address().whole();
    let args = [
        "register",
        "ns",
        "--identity",
        "data/identity",
        "--point",
        &at,
    ];
    let ended = run(folder.path(), &args);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    let wanted = "data/identity is the identity of the point itself";
    assert!(ended.stderr.contains(wanted), "{}", ended.stderr);
}

#[test]
fn a_refusal_says_what_the_point_said() {
    let (_folder, _rv, point) = point();
    let at = &point.whole();
    let wanted = format!("rv: {at} refused with E_INVALID_TTL (102)");
    ends(
        &["register", "ns", "--ttl", "1m", "--point", at],
        3,
        &wanted,
    );
}

#[test]
fn without_an_address_there_is_nothing_to_register() {
    let at = &format!("/ip4/203.0.113.7/tcp/1/p2p/{}", PeerId::random());
    let wanted = format!("no address to register at {at}: say where others reach this identity");
    ends(&["register", "ns", "--point", at], 4, &wanted);
}

#[test]
fn a_point_that_does_not_run_is_unreachable() {
    let point = dead_point();
    let Address { peer, address } = &point;
    let wanted = format!("cannot reach {peer} at {address}: connection refused; check the address");
    all_end(&point.whole(), 5, &wanted);
}

#[test]
fn another_peer_than_the_named_one_is_told() {
    let (_folder, _rv, point) = point();
    let Address { peer, address } = &point;
    let other = PeerId::random();
    let wanted = format!("at {address} answers {peer} and not {other}");
    all_end(&format!("{address}/p2p/{other}"), 5, &wanted);
}

#[test]
fn a_name_that_means_nothing_is_told() {
    let at = format!("/dns4/no.such.name.invalid/tcp/1/p2p/{}", PeerId::random());
    let wanted = "cannot resolve the name in /dns4/no.such.name.invalid/tcp/1";
    // With nobody to ask it is registered nowhere, whatever the address.
    ends(&["discover", "--point", &at], 5, wanted);
}

#[test]
fn an_address_that_cannot_be_dialled_is_told() {
    let at = format!(
        "/ip4/127.0.0.1/udp/1/webrtc-direct/p2p/{}",
        PeerId::random()
    );
    all_end(&at, 5, "use an address with TCP, QUIC or WebSocket");
}

#[test]
fn a_peer_that_is_no_point_does_not_speak_the_protocol() {
    let (folder, _rv, point) = point();
    // Another client listens too, but serves nobody.
    let here = point.whole();
    let mut client = Rv::start(
        folder.path(),
        &["register", "ns", "--keep", "--point", &here],
    );
    let line = client.line();
    let address = parts(&line)[4].to_owned();
    let made = client.told("made the identity");
    let peer = made.split(' ').nth(4).expect("a peer id");
    let at = format!("{address}/p2p/{peer}");
    let wanted = format!("rv: {at} does not speak /rendezvous/1.0.0");
    all_end(&at, 6, &wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_the_protocol_that_the_point_does_not_know_is_told() {
    let point = Point::stock().await;
    let at = &point.address.whole();
    let args = [
        "discover",
        "ns",
        "--protocol",
        "/other/1",
        "--protocol",
        "/more/1",
        "--point",
        at,
    ];
    let wanted = format!("rv: {at} does not speak /other/1 or /more/1");
    ends(&args, 6, &wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_that_breaks_the_protocol_is_told() {
    for (answer, wanted) in [
        (&b"\x02\xff\xff"[..], "broke the protocol"),
        (b"", "closed the stream without an answer"),
    ] {
        let point = Point::says(answer).await;
        let at = &point.address.whole();
        for command in ["register", "discover", "watch"] {
            let wanted = format!("rv: {at} {wanted}");
            ends(&[command, "ns", "--point", at], 6, &wanted);
        }
    }
}

#[test]
fn of_several_failures_the_one_that_says_most_decides() {
    let (folder, _rv, refuses) = point();
    let dead = dead_point();
    let (refuses, dead) = (refuses.whole(), dead.whole());
    let points = ["--point", &dead, "--point", &refuses];
    let args = [&["register", "ns", "--ttl", "1m"], &points[..]].concat();
    let ended = run(folder.path(), &args);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("cannot reach"), "{}", ended.stderr);
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(
        last.contains("refused with E_INVALID_TTL"),
        "{}",
        ended.stderr
    );
}
