//! `rv serve` as a process: starts, serves stock clients, stops in order, refuses what it must.

#![cfg(unix)]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::raw::{RawClient, discover_request, register_request};
use common::stock::StockClient;
use common::{Rv, within};
use libp2p::identity::Keypair;
use rustix::process::Signal;
use rv_proto::{Response, Status};

const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
const WEBSOCKET: &str = "/ip4/127.0.0.1/tcp/0/ws";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("folder")
}

async fn stock_client_is_served_over(listen: &str) {
    let folder = folder();
    let mut rv = Rv::serve(folder.path(), &[listen], &[]);
    let point = rv.address();
    let (one, other) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let mut registers = StockClient::connect(&point, &one).await;
    assert_eq!(registers.register("stock").await, 7_200);
    let mut discovers = StockClient::connect(&point, &other).await;
    assert_eq!(
        discovers.discover("stock").await,
        [one.public().to_peer_id()]
    );
    assert_eq!(discovers.discover("empty").await, []);
    let ended = rv.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn a_stock_client_is_served_over_tcp() {
    stock_client_is_served_over(TCP).await;
}

#[tokio::test]
async fn a_stock_client_is_served_over_quic() {
    stock_client_is_served_over(QUIC).await;
}

#[tokio::test]
async fn a_stock_client_is_served_over_websocket() {
    stock_client_is_served_over(WEBSOCKET).await;
}

#[test]
fn stdout_carries_one_line_an_address_and_nothing_else() {
    let folder = folder();
    let mut rv = Rv::serve(folder.path(), &[TCP, QUIC, WEBSOCKET], &["--log", "trace"]);
    let mut points: Vec<_> = (0..3).map(|_| rv.address()).collect();
    points.dedup_by_key(|point| point.peer);
    assert_eq!(points.len(), 1, "one identity");
    let ended = rv.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.is_empty(), "{:?}", ended.stdout);
    for wanted in [
        "started",
        "stopped",
        " register my-app --keep --point /ip4/127.0.0.1/tcp/",
        " discover my-app --point /ip4/127.0.0.1/tcp/",
    ] {
        assert!(ended.stderr.contains(wanted), "{wanted}: {}", ended.stderr);
    }
}

#[test]
fn logs_are_json_when_the_configuration_says_so() {
    let folder = folder();
    std::fs::write(folder.path().join("rv.toml"), "[log]\nformat = \"json\"").expect("written");
    let mut rv = Rv::serve(folder.path(), &[TCP], &["--config", "rv.toml"]);
    rv.address();
    let ended = rv.stop();
    assert!(ended.stderr.lines().count() >= 2, "{}", ended.stderr);
    let is_object = |line: &str| line.starts_with('{') && line.ends_with('}');
    assert!(ended.stderr.lines().all(is_object), "{}", ended.stderr);
}

#[tokio::test]
async fn identity_and_registrations_survive_a_restart() {
    let folder = folder();
    let key = Keypair::generate_ed25519();
    let mut first = Rv::serve(folder.path(), &[TCP], &[]);
    let point = first.address();
    let mut client = StockClient::connect(&point, &key).await;
    client.register("kept").await;
    assert_eq!(first.stop().code, Some(0));

    let mut second = Rv::serve(folder.path(), &[TCP], &[]);
    let again = second.address();
    assert_eq!(again.peer, point.peer);
    let mut reader = StockClient::connect(&again, &Keypair::generate_ed25519()).await;
    assert_eq!(reader.discover("kept").await, [key.public().to_peer_id()]);
    let ended = second.stop();
    assert!(ended.stderr.contains("registrations=1"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_cookie_of_the_lost_time_starts_anew_after_a_restored_backup() {
    let folder = folder();
    let key = Keypair::generate_ed25519();
    let mut rv = Rv::serve(folder.path(), &[TCP], &[]);
    let mut client = RawClient::connect(&rv.address(), &key)
        .await
        .expect("connects");
    client.register("kept", 1).await.expect("granted");
    drop(client);
    assert_eq!(rv.stop().code, Some(0));
    let store = folder.path().join("data/registry.redb");
    let backup = std::fs::read(&store).expect("a copy");

    // The lost time: a reader has seen two numbers more.
    let mut rv = Rv::serve(folder.path(), &[TCP], &[]);
    let mut client = RawClient::connect(&rv.address(), &key)
        .await
        .expect("connects");
    for namespace in ["lost", "lost too"] {
        client.register(namespace, 1).await.expect("granted");
    }
    let cookie = client.discover("", None).await.expect("answered").cookie;
    drop(client);
    assert_eq!(rv.stop().code, Some(0));

    std::fs::write(&store, backup).expect("put back");
    let mut rv = Rv::serve(folder.path(), &[TCP], &["--restored"]);
    let mut client = RawClient::connect(&rv.address(), &key)
        .await
        .expect("connects");
    for namespace in ["new", "new too", "new and last"] {
        client.register(namespace, 1).await.expect("granted");
    }
    let found = client.discover("", Some(cookie)).await.expect("answered");
    let found: BTreeSet<_> = found.namespaces.iter().map(String::as_str).collect();
    assert_eq!(found, ["kept", "new", "new too", "new and last"].into());
    assert_eq!(rv.stop().code, Some(0));
}

/// A stop may refuse what it did not take up, but what it took up is answered: what is found
/// afterwards is what was granted, not less and not more.
async fn a_stop_answers_what_was_taken_up_over(listen: &str) {
    let folder = folder();
    let key = Keypair::generate_ed25519();
    let namespaces: BTreeSet<_> = (0..90).map(|i| format!("stop-{i}")).collect();
    let mut rv = Rv::serve(folder.path(), &[listen], &[]);
    let mut client = StockClient::connect(&rv.address(), &key).await;
    let granted = client
        .register_all(&namespaces, || rv.signal(Signal::TERM))
        .await;
    drop(client);
    let ended = rv.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("WARN"), "{}", ended.stderr);
    assert_eq!(found_after_restart(folder.path(), &key).await, granted);
}

#[tokio::test]
async fn a_stop_answers_what_was_taken_up_over_tcp() {
    a_stop_answers_what_was_taken_up_over(TCP).await;
}

#[tokio::test]
async fn a_stop_answers_what_was_taken_up_over_quic() {
    a_stop_answers_what_was_taken_up_over(QUIC).await;
}

#[tokio::test]
async fn a_stop_answers_what_was_taken_up_over_websocket() {
    a_stop_answers_what_was_taken_up_over(WEBSOCKET).await;
}

#[tokio::test]
async fn a_stop_grants_no_more_and_ends_a_stream_between_two_answers() {
    const REQUESTS: u64 = 200;
    let folder = folder();
    let key = Keypair::generate_ed25519();
    let mut rv = Rv::serve(folder.path(), &[TCP], &[]);
    let mut client = RawClient::connect(&rv.address(), &key)
        .await
        .expect("connects");
    for seq in 1..=REQUESTS {
        let request = register_request(&key, &format!("stop-{seq}"), seq, 1);
        client.send(&request).await.expect("sent");
    }
    let mut granted = BTreeSet::new();
    let mut refused = 0;
    for seq in 1..=REQUESTS {
        let Ok(Some(response)) = client.receive().await else {
            break;
        };
        let Response::Register(response) = response else {
            panic!("{response:?}")
        };
        if response.status == Status::OK {
            assert_eq!(refused, 0, "granted after the stop began");
            granted.insert(format!("stop-{seq}"));
        } else {
            assert_eq!(
                response.status,
                Status::UNAVAILABLE,
                "{}",
                response.status_text
            );
            refused += 1;
        }
        if seq == 1 {
            rv.signal(Signal::TERM);
        }
    }
    let ended = rv.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(found_after_restart(folder.path(), &key).await, granted);
}

async fn found_after_restart(folder: &Path, key: &Keypair) -> BTreeSet<String> {
    let mut rv = Rv::serve(folder, &[TCP], &[]);
    let mut reader = RawClient::connect(&rv.address(), key)
        .await
        .expect("connects");
    let found = reader.discover("", None).await.expect("answered");
    assert_eq!(rv.stop().code, Some(0));
    found.namespaces.into_iter().collect()
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let folder = folder();
    let key = Keypair::generate_ed25519();
    let mut rv = Rv::serve(folder.path(), &[TCP], &[]);
    let mut client = RawClient::connect(&rv.address(), &key)
        .await
        .expect("connects");
    for seq in 1..=200 {
        let request = register_request(&key, &format!("large-{seq}"), seq, 60);
        client.send(&request).await.expect("sent");
        client.receive().await.expect("answered");
    }
    // Far more than all buffers on the way hold, and none of it is read.
    for _ in 0..200 {
        client
            .send(&discover_request("", None))
            .await
            .expect("sent");
    }
    client
        .receive()
        .await
        .expect("it is at work")
        .expect("an answer");
    rv.signal(Signal::TERM);
    let stalled = async {
        // The listener closes first: from then on the stop waits for our reading.
        let address = client.point().clone();
        while RawClient::connect(&address, &key).await.is_ok() {}
    };
    within("the stop begins", stalled).await;
    rv.signal(Signal::INT);
    let ended = rv.wait();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("second signal"), "{}", ended.stderr);
}

async fn connects_with(settings: &str, times: usize) -> Vec<bool> {
    let folder = folder();
    std::fs::write(folder.path().join("rv.toml"), settings).expect("written");
    let mut rv = Rv::serve(folder.path(), &[TCP], &["--config", "rv.toml"]);
    let point = rv.address();
    let key = Keypair::generate_ed25519();
    let mut connected = Vec::new();
    for _ in 0..times {
        connected.push(RawClient::connect(&point, &key).await);
    }
    connected.iter().map(Result::is_ok).collect()
}

#[tokio::test]
async fn connections_above_a_limit_are_refused() {
    assert_eq!(
        connects_with("[connections]\nper_peer = 2", 3).await,
        [true, true, false]
    );
    assert_eq!(
        connects_with("[connections]\ntotal = 1", 2).await,
        [true, false]
    );
    assert_eq!(
        connects_with("[connections]\nmemory_bytes_max = 1", 1).await,
        [false]
    );
}

#[test]
fn a_second_process_on_the_same_directory_is_refused() {
    let folder = folder();
    let mut first = Rv::serve(folder.path(), &[TCP], &[]);
    first.address();
    let second = Rv::serve(folder.path(), &[TCP], &[]).wait();
    assert_eq!(second.code, Some(3));
    assert!(second.stdout.is_empty());
    let wanted = "the data directory data is in use by another process";
    assert!(second.stderr.contains(wanted), "{}", second.stderr);
    assert_eq!(first.stop().code, Some(0));
}

#[test]
fn a_taken_port_is_refused_by_name() {
    let folder = folder();
    let mut first = Rv::serve(folder.path(), &[TCP, QUIC], &[]);
    for point in [first.address(), first.address()] {
        let taken = point.address.to_string();
        let second = Rv::start(folder.path(), &["serve", "--ephemeral", "--listen", &taken]).wait();
        assert_eq!(second.code, Some(4));
        assert!(second.stdout.is_empty());
        let wanted = format!("cannot listen on {taken}: its port is taken");
        assert!(second.stderr.contains(&wanted), "{}", second.stderr);
    }
    assert_eq!(first.stop().code, Some(0));
}

#[tokio::test]
async fn an_ephemeral_point_leaves_no_files() {
    let folder = folder();
    let args = ["serve", "--ephemeral", "--listen", TCP];
    let mut first = Rv::start(folder.path(), &args);
    let point = first.address();
    let mut client = StockClient::connect(&point, &Keypair::generate_ed25519()).await;
    client.register("gone").await;
    assert_eq!(first.stop().code, Some(0));
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 0);

    let mut second = Rv::start(folder.path(), &args);
    assert_ne!(second.address().peer, point.peer);
    assert_eq!(second.stop().code, Some(0));
}

#[test]
fn what_cannot_work_is_a_mistake_of_usage() {
    let refused = |folder: &Path, args: &[&str], wanted: &str| {
        let ended = Rv::serve(folder, &[TCP], args).wait();
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.stderr);
        assert!(ended.stdout.is_empty());
        assert!(ended.stderr.contains(wanted), "{args:?}: {}", ended.stderr);
        assert!(!folder.join("data").exists(), "{args:?}: nothing was made");
    };
    let folder = folder();
    std::fs::write(folder.path().join("rv.toml"), "[limits]\nfree = 7").expect("written");
    refused(
        folder.path(),
        &["--config", "rv.toml"],
        "unknown field `free`",
    );
    refused(
        folder.path(),
        &["--config", "none.toml"],
        "none.toml cannot be read",
    );
    refused(
        folder.path(),
        &["--protocol", "rendezvous"],
        "\"rendezvous\" is not valid",
    );
    refused(folder.path(), &["--log", "rv=loud"], "log filter");
    refused(
        folder.path(),
        &["--listen", "/dns4/localhost/tcp/1"],
        "is not supported: use",
    );
    refused(
        folder.path(),
        &["--identity", "none"],
        "there is no identity none",
    );
}

#[test]
fn an_identity_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let mut first = Rv::serve(folder.path(), &[TCP], &[]);
    first.address();
    assert_eq!(first.stop().code, Some(0));
    let identity = folder.path().join("data/identity");
    let permissions = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&identity, permissions).expect("changed");
    let second = Rv::serve(folder.path(), &[TCP], &[]).wait();
    assert_eq!(second.code, Some(2));
    assert!(
        second.stderr.contains("run `chmod 600 data/identity`"),
        "{}",
        second.stderr
    );

    std::fs::remove_file(&identity).expect("removed");
    let third = Rv::serve(folder.path(), &[TCP], &[]).wait();
    assert_eq!(third.code, Some(2));
    assert!(
        third.stderr.contains("is gone but its store is not"),
        "{}",
        third.stderr
    );
}
