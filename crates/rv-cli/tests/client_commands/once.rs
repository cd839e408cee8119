//! What a command does and prints once.

use std::process::Command;

use libp2p::identity::Keypair;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::Rv;
use crate::common::stock::StockClient;
use crate::common::wrong::Point;
use crate::{TCP, done, identity, parts, point, run};

const EXTERNAL: &str = "/ip4/203.0.113.7/tcp/4001";

#[test]
fn a_registered_peer_is_listed_until_it_is_unregistered() {
    let (folder, _rv, point) = point();
    let (folder, at) = (folder.path(), &point.whole());
    let us = identity(folder, "us");
    let (here, id) = (point.peer.to_string(), ["--identity", "us"]);
    let with = |args: &[&'static str]| [args, &["--point", at], &id].concat();

    let register = [
        "register",
        "my app",
        "--ttl",
        "3h",
        "--external-address",
        EXTERNAL,
    ];
    let registered = done(folder, &with(&register));
    assert_eq!(
        registered,
        [format!("registered\t{here}\tmy app\t10800\t{EXTERNAL}")]
    );
    // Another identity asks.
    let found = done(folder, &["discover", "my app", "--point", at]);
    let [line] = found.as_slice() else {
        panic!("{found:?}")
    };
    let [peer, namespace, ttl, kind, address] = parts(line)[..] else {
        panic!("{line}")
    };
    assert_eq!(
        (peer, namespace, kind, address),
        (&*us, "my app", "signed", EXTERNAL)
    );
    let ttl: u64 = ttl.parse().expect("seconds");
    assert!((10_700..=10_800).contains(&ttl), "{ttl}");

    let left = done(folder, &with(&["unregister", "my app"]));
    assert_eq!(left, [format!("unregistered\t{here}\tmy app")]);
    assert_eq!(done(folder, &["discover", "--point", at]), [""; 0]);
}

#[test]
fn json_is_one_object_a_line() {
    let (folder, _rv, point) = point();
    let (folder, at) = (folder.path(), &point.whole());
    let ask = |args: &[&str]| -> Vec<Value> {
        let lines = done(folder, &[args, &["--json", "--point", at]].concat());
        let values = lines.iter().map(|line| serde_json::from_str(line));
        values.map(|value| value.expect("JSON")).collect()
    };
    let mut registered = ask(&["register", "a\"b", "--external-address", EXTERNAL]);
    let expires_at = registered[0]["expires_at"].take();
    assert!(expires_at.as_u64().expect("seconds") > 1_700_000_000);
    let us = registered[0]["peer_id"].clone();
    assert_eq!(
        registered,
        [json!({
            "event": "registered", "namespace": "a\"b", "point": point.peer.to_string(),
            "peer_id": us, "addresses": [EXTERNAL], "ttl_secs": 7_200, "expires_at": null,
        })]
    );
    let mut found = ask(&["discover"]);
    let later = found[0]["expires_at"].take();
    assert!(
        later.as_u64() >= expires_at.as_u64().map(|it| it - 1),
        "{later}"
    );
    assert!(found[0]["ttl_secs"].take().as_u64() > Some(7_100));
    assert_eq!(
        found,
        [json!({
            "peer_id": us, "namespace": "a\"b", "addresses": [EXTERNAL], "verified": true,
            "own": true, "ttl_secs": null, "expires_at": null,
        })]
    );
    assert_eq!(
        ask(&["unregister", "a\"b"]),
        [json!({
            "event": "unregistered", "namespace": "a\"b", "point": point.peer.to_string(),
            "peer_id": us,
        })]
    );
}

#[test]
fn at_a_point_on_this_machine_a_loopback_address_is_registered() {
    let (folder, _rv, point) = point();
    let ended = run(
        folder.path(),
        &["register", "ns", "--point", &point.whole()],
    );
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let address = parts(&ended.stdout[0])[4];
    let port = address
        .strip_prefix("/ip4/127.0.0.1/tcp/")
        .expect("loopback");
    assert_ne!(port, "0");
    assert!(
        ended.stderr.contains("nobody answers at this address"),
        "{}",
        ended.stderr
    );
}

#[test]
fn an_identity_is_made_once_and_kept() {
    let (folder, _rv, point) = point();
    let args = ["register", "ns", "--json", "--point", &point.whole()];
    let (first, second) = (run(folder.path(), &args), run(folder.path(), &args));
    assert!(
        first.stderr.contains("made the identity 12D3KooW"),
        "{}",
        first.stderr
    );
    assert!(!second.stderr.contains("made"), "{}", second.stderr);
    let peer = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["peer_id"].clone();
    assert_eq!(peer(&first.stdout[0]), peer(&second.stdout[0]));
    assert!(folder.path().join("share/rv/identity").exists());
}

#[test]
fn no_more_peers_are_listed_than_asked_for() {
    let (folder, _rv, point) = point();
    let (folder, at) = (folder.path(), &point.whole());
    for file in ["a", "b", "c"] {
        identity(folder, file);
        let address = ["--external-address", EXTERNAL];
        let args = ["register", "ns", "--identity", file, "--point", at];
        done(folder, &[&args[..], &address].concat());
    }
    let count = |args: &[&str]| {
        let list = ["discover", "ns", "--point", at];
        done(folder, &[&list, args].concat()).len()
    };
    assert_eq!(
        (count(&["--limit", "2"]), count(&[]), count(&["--all"])),
        (2, 3, 3)
    );
}

#[test]
fn points_are_dialled_over_every_transport_and_by_name() {
    let (folder, _rv, tcp) = point();
    let by_name = tcp.whole().replace("/ip4/127.0.0.1", "/dns4/localhost");
    assert_eq!(
        done(folder.path(), &["discover", "--point", &by_name]),
        [""; 0]
    );
    for listen in ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0/ws"] {
        let mut rv = Rv::start(folder.path(), &["serve", "--ephemeral", "--listen", listen]);
        let at = rv.address().whole();
        assert_eq!(
            done(folder.path(), &["discover", "--point", &at]),
            [""; 0],
            "{at}"
        );
    }
}

#[test]
fn points_are_taken_from_the_environment() {
    let (folder, _rv, one) = point();
    let mut other = Rv::start(folder.path(), &["serve", "--ephemeral", "--listen", TCP]);
    let other = other.address();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rv"));
    let points = format!("{}, {}", one.whole(), other.whole());
    command.args(["register", "ns"]).env("RV_POINT", points);
    let ended = Rv::spawn(folder.path(), command).wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut at: Vec<_> = ended.stdout.iter().map(|line| parts(line)[1]).collect();
    at.sort_unstable();
    let mut wanted = [one.peer.to_string(), other.peer.to_string()];
    wanted.sort_unstable();
    assert_eq!(at, wanted);
}

#[test]
fn a_dead_point_is_told_and_costs_no_other() {
    let (folder, _rv, alive) = point();
    let mut dead = Rv::start(folder.path(), &["serve", "--ephemeral", "--listen", TCP]);
    let at = dead.address();
    assert_eq!(dead.stop().code, Some(0));
    let points = ["--point", &at.whole(), "--point", &alive.whole()];
    for args in [
        &["register", "ns"][..],
        &["discover", "ns"],
        &["unregister", "ns"],
    ] {
        let ended = run(folder.path(), &[args, &points].concat());
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stdout.len(), 1, "{args:?}");
        let wanted = format!(
            "rv: cannot reach {} at {}: connection refused",
            at.peer, at.address
        );
        assert!(ended.stderr.contains(&wanted), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn the_hint_of_a_new_point_works_as_it_stands() {
    let folder = tempfile::tempdir().expect("folder");
    let mut point = Rv::serve(folder.path(), &[TCP], &[]);
    point.address();
    let [register, discover] = [" register ", " discover "].map(|it| point.told(it));
    let shell = |line: &str| {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("exec {line}"));
        Rv::spawn(folder.path(), command)
    };
    let mut kept = shell(&register);
    assert!(kept.line().starts_with("registered\t"));
    let found = shell(&discover).wait();
    assert_eq!(
        (found.code, found.stdout.len()),
        (Some(0), 1),
        "{}",
        found.stderr
    );
    kept.signal(Signal::INT);
    assert_eq!(kept.wait().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_point_is_registered_at_and_listed() {
    let point = Point::stock().await;
    let folder = tempfile::tempdir().expect("folder");
    let (folder, at) = (folder.path(), &point.address.whole());
    let key = Keypair::generate_ed25519();
    let mut stock = StockClient::connect(&point.address, &key).await;
    stock.register("ns").await;
    let us = identity(folder, "us");
    let with = ["--identity", "us", "--point", at];
    assert_eq!(
        done(folder, &[&["register", "ns"][..], &with].concat()).len(),
        1
    );

    let found = done(folder, &["discover", "ns", "--point", at]);
    let mut found: Vec<_> = found.iter().map(|line| parts(line)[0]).collect();
    found.sort_unstable();
    let mut wanted = [us, key.public().to_peer_id().to_string()];
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    assert_eq!(
        stock.discover("ns").await.len(),
        2,
        "a stock client reads us"
    );

    assert_eq!(
        done(folder, &[&["unregister", "ns"][..], &with].concat()).len(),
        1
    );
    assert_eq!(done(folder, &["discover", "ns", "--point", at]).len(), 1);
}

#[tokio::test]
async fn a_stock_client_finds_us_at_our_own_point_and_we_find_it() {
    let (folder, _rv, point) = point();
    let (folder, at) = (folder.path(), &point.whole());
    let key = Keypair::generate_ed25519();
    let mut stock = StockClient::connect(&point, &key).await;
    stock.register("ns").await;
    done(
        folder,
        &[
            "register",
            "ns",
            "--external-address",
            EXTERNAL,
            "--point",
            at,
        ],
    );
    assert_eq!(stock.discover("ns").await.len(), 2);
    assert_eq!(done(folder, &["discover", "ns", "--point", at]).len(), 2);
}
