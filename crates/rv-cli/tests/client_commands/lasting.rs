//! `register --keep` and `watch`: what goes on until a signal.

use rustix::process::Signal;
use serde_json::Value;

use crate::common::{Address, Rv};
use crate::{TCP, done, identity, parts, point_with};

/// Ttls that pass while a test runs.
const SHORT: &str = "[rules]\nttl_min = \"1s\"\n";

#[test]
fn a_kept_registration_is_renewed_until_a_signal_and_taken_out_then() {
    let (folder, _rv, point) = point_with(SHORT);
    let (folder, at, here) = (folder.path(), &point.whole(), point.peer);
    for signal in [Signal::INT, Signal::TERM] {
        let mut kept = Rv::start(
            folder,
            &["register", "ns", "--keep", "--ttl", "2s", "--point", at],
        );
        let first = kept.line();
        assert!(first.starts_with(&format!("registered\t{here}\tns\t2\t/ip4/127.0.0.1/tcp/")));
        for _ in 0..3 {
            assert_eq!(kept.line(), first.replacen("registered", "renewed", 1));
        }
        assert_eq!(done(folder, &["discover", "ns", "--point", at]).len(), 1);
        kept.signal(signal);
        let ended = kept.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let last = ended.stdout.last().expect("a line");
        assert_eq!(*last, format!("unregistered\t{here}\tns"));
        assert_eq!(done(folder, &["discover", "ns", "--point", at]), [""; 0]);
    }
}

#[tokio::test]
async fn a_kept_registration_has_an_address_that_answers() {
    let (folder, _rv, point) = point_with("");
    let mut kept = Rv::start(
        folder.path(),
        &[
            "register",
            "ns",
            "--keep",
            "--json",
            "--point",
            &point.whole(),
        ],
    );
    let line: Value = serde_json::from_str(&kept.line()).expect("JSON");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let address = Address {
        peer: text(&line["peer_id"]).parse().expect("a peer id"),
        address: text(&line["addresses"][0]).parse().expect("a multiaddr"),
    };
    crate::common::stock::ping(&address).await;
}

#[test]
fn a_kept_registration_comes_back_with_its_point() {
    let (folder, _rv, alive) = point_with(SHORT);
    std::fs::write(folder.path().join("rv.toml"), SHORT).expect("written");
    let serve = |listen: &str| Rv::serve(folder.path(), &[listen], &["--config", "rv.toml"]);
    let mut mortal = serve(TCP);
    let at = mortal.address();
    let mut kept = Rv::start(
        folder.path(),
        &[
            "register",
            "ns",
            "--keep",
            "--ttl",
            "3s",
            "--point",
            &alive.whole(),
            "--point",
            &at.whole(),
        ],
    );
    let dies = at.peer.to_string();
    while parts(&kept.line())[1] != dies {}
    mortal.kill();
    let told = kept.told("trying again");
    assert!(told.contains(&at.address.to_string()), "{told}");
    while kept.line() != format!("lapsed\t{dies}\tns") {}

    let mut mortal = serve(&at.address.to_string());
    mortal.address();
    while !kept
        .line()
        .starts_with(&format!("registered\t{dies}\tns\t3\t"))
    {}
    kept.signal(Signal::INT);
    assert_eq!(kept.wait().code, Some(0));
}

#[test]
fn a_first_attempt_that_fails_everywhere_ends_a_kept_registration() {
    let (folder, _rv, point) = point_with("");
    let at = point.whole();
    let args = ["register", "ns", "--keep", "--ttl", "1m", "--point", &at];
    assert_eq!(Rv::start(folder.path(), &args).wait().code, Some(3));
}

#[test]
fn a_watch_tells_who_joins_renews_and_is_gone() {
    tells_all(&[], "left");
}

#[test]
fn a_watch_that_asks_again_and_again_tells_the_same() {
    tells_all(&["--poll"], "unlisted");
}

/// Sees all that a watch with these flags tells. `reason` is why who unregistered is gone.
fn tells_all(flags: &[&str], reason: &str) {
    let (folder, _rv, point) = point_with(SHORT);
    let (folder, at) = (folder.path(), &point.whole());
    let us = identity(folder, "us");
    let register = |args: &[&str]| {
        let all = ["register", "ns", "--identity", "us", "--point", at];
        done(folder, &[&all, args].concat())
    };
    let address = ["--external-address", "/ip4/203.0.113.7/tcp/1"];
    register(&[&address[..], &["--ttl", "1h"]].concat());
    let watch = ["watch", "ns", "--interval", "1s", "--point", at];
    let mut watch = Rv::start(folder, &[&watch, flags].concat());
    let line = watch.line();
    let [event, peer, namespace, ..] = parts(&line)[..] else {
        panic!("{line}")
    };
    assert_eq!(
        (event, peer, namespace),
        ("joined", &*us, "ns"),
        "it was there before"
    );
    register(&[&address[..], &["--ttl", "2h"]].concat());
    let line = watch.line();
    let [event, peer, _, ttl, ..] = parts(&line)[..] else {
        panic!("{line}")
    };
    assert_eq!((event, peer), ("renewed", &*us));
    assert!(ttl.parse::<u64>().expect("seconds") > 7_100, "{ttl}");
    done(
        folder,
        &["unregister", "ns", "--identity", "us", "--point", at],
    );
    assert_eq!(watch.line(), format!("gone\t{us}\tns\t{reason}"));
    register(&[&address[..], &["--ttl", "3s"]].concat());
    assert!(watch.line().starts_with(&format!("joined\t{us}\tns\t")));
    assert_eq!(watch.line(), format!("gone\t{us}\tns\texpired"));
    let ended = watch.stop();
    assert_eq!(
        (ended.code, ended.stdout.len()),
        (Some(0), 0),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_watch_prints_objects_too() {
    let (folder, _rv, point) = point_with(SHORT);
    let (folder, at) = (folder.path(), &point.whole());
    let watch = ["watch", "ns", "--interval", "1s", "--json", "--point", at];
    let mut watch = Rv::start(folder, &watch);
    done(folder, &["register", "ns", "--ttl", "3s", "--point", at]);
    let joined: Value = serde_json::from_str(&watch.line()).expect("JSON");
    assert_eq!(
        (&joined["event"], &joined["own"]),
        (&"joined".into(), &true.into())
    );
    let gone: Value = serde_json::from_str(&watch.line()).expect("JSON");
    let wanted = serde_json::json!({
        "event": "gone", "peer_id": joined["peer_id"], "namespace": "ns", "reason": "expired",
    });
    assert_eq!(gone, wanted);
    assert_eq!(watch.stop().code, Some(0));
}
