//! Tests of the daemon in one process. Those of the command, with signals and crashes, are its own.

use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn config(listen: &[&str]) -> Config {
    let listen = listen
        .iter()
        .map(|address| address.parse().expect("a multiaddr"))
        .collect();
    Config {
        listen,
        ephemeral: true,
        ..Config::default()
    }
}

async fn bind(config: Config) -> Result<Daemon, DaemonError> {
    tokio::time::timeout(PATIENCE, Daemon::bind(config))
        .await
        .expect("binds in time")
}

async fn run(daemon: Daemon, shutdown: impl Future) -> Result<(), DaemonError> {
    tokio::time::timeout(PATIENCE, daemon.run(shutdown))
        .await
        .expect("stops in time")
}

#[tokio::test]
async fn it_listens_on_real_ports_of_every_transport() {
    let kinds = [
        "/ip4/127.0.0.1/tcp/0",
        "/ip4/127.0.0.1/tcp/0/ws",
        "/ip4/127.0.0.1/udp/0/quic-v1",
    ];
    let daemon = bind(config(&kinds)).await.expect("free ports");
    let peer = format!("/p2p/{}", daemon.peer_id());
    assert_eq!(daemon.addresses().len(), kinds.len());
    for address in daemon.addresses() {
        let address = address.to_string();
        assert!(address.ends_with(&peer), "{address}");
        assert!(
            !address.contains("/0/") && !address.contains("tcp/0"),
            "{address}"
        );
    }
    run(daemon, std::future::ready(())).await.expect("stops");
}

#[tokio::test]
async fn a_wildcard_stands_for_the_interfaces() {
    let daemon = bind(config(&["/ip4/0.0.0.0/tcp/0"]))
        .await
        .expect("a free port");
    let addresses: Vec<_> = daemon.addresses().iter().map(ToString::to_string).collect();
    assert!(
        addresses
            .iter()
            .any(|address| address.starts_with("/ip4/127.0.0.1/"))
    );
    assert!(
        addresses
            .iter()
            .all(|address| !address.starts_with("/ip4/0.0.0.0/"))
    );
    run(daemon, std::future::ready(())).await.expect("stops");
}

#[tokio::test]
async fn every_address_is_told_once() {
    let daemon = bind(config(&["/ip4/127.0.0.1/tcp/0"]))
        .await
        .expect("a free port");
    let addresses = daemon.addresses().to_vec();
    let (sender, told) = std::sync::mpsc::channel();
    let daemon = daemon.on_address(move |address| drop(sender.send(address.clone())));
    run(daemon, std::future::ready(())).await.expect("stops");
    assert_eq!(told.iter().collect::<Vec<_>>(), addresses);
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let first = bind(config(&["/ip4/127.0.0.1/tcp/0"]))
        .await
        .expect("a free port");
    let mut taken = first.addresses()[0].clone();
    taken.pop();
    for address in [taken.to_string(), format!("{taken}/ws")] {
        let error = bind(config(&[&address])).await.expect_err("taken");
        assert!(matches!(error, DaemonError::Listen { .. }));
        let message = error.to_string();
        assert!(
            message.contains(&address) && message.contains("is taken by"),
            "{message}"
        );
    }
    run(first, std::future::ready(())).await.expect("stops");
    let second = bind(config(&[&taken.to_string()]))
        .await
        .expect("free again");
    run(second, std::future::ready(())).await.expect("stops");
}

#[tokio::test]
async fn a_directory_serves_one_daemon_at_a_time_and_keeps_its_identity() {
    let folder = tempfile::tempdir().expect("folder");
    let config = Config {
        data_dir: folder.path().join("data"),
        ephemeral: false,
        ..config(&["/ip4/127.0.0.1/tcp/0"])
    };
    let first = bind(config.clone()).await.expect("a free directory");
    let peer = first.peer_id();
    let error = bind(config.clone()).await.expect_err("in use");
    assert!(matches!(error, DaemonError::DataDirInUse { .. }), "{error}");
    run(first, std::future::ready(())).await.expect("stops");

    let second = bind(config).await.expect("free again at once");
    assert_eq!(second.peer_id(), peer);
    run(second, std::future::ready(())).await.expect("stops");
}

#[tokio::test]
async fn a_failed_start_leaves_the_directory_free() {
    let folder = tempfile::tempdir().expect("folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let mut config = config(&[&format!("/ip4/127.0.0.1/tcp/{port}")]);
    config.ephemeral = false;
    config.data_dir = folder.path().join("data");
    let error = bind(config.clone()).await.expect_err("taken");
    assert!(matches!(error, DaemonError::Listen { .. }), "{error}");
    drop(taken);
    let daemon = bind(config).await.expect("free");
    run(daemon, std::future::ready(())).await.expect("stops");
}

#[tokio::test]
async fn a_failed_start_with_a_fresh_store_can_be_tried_again_at_once_any_number_of_times() {
    let folder = tempfile::tempdir().expect("folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    // One listener is open already when the other fails.
    let mut config = config(&[
        "/ip4/127.0.0.1/tcp/0",
        &format!("/ip4/127.0.0.1/tcp/{port}"),
    ]);
    config.ephemeral = false;
    config.data_dir = folder.path().join("data");
    for _ in 0..5 {
        let error = bind(config.clone()).await.expect_err("taken");
        assert!(matches!(error, DaemonError::Listen { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_ephemeral_daemon_takes_a_given_identity_and_never_makes_one() {
    let folder = tempfile::tempdir().expect("folder");
    let mut config = config(&["/ip4/127.0.0.1/tcp/0"]);
    config.data_dir = folder.path().join("data");
    config.identity = folder.path().join("key");
    let error = bind(config.clone()).await.expect_err("no such file");
    assert!(
        matches!(error, DaemonError::Identity(IdentityError::Missing { .. })),
        "{error}"
    );

    let keypair = create_identity(&config.identity).expect("created");
    let daemon = bind(config.clone()).await.expect("binds");
    assert_eq!(daemon.peer_id(), keypair.public().to_peer_id());
    run(daemon, std::future::ready(())).await.expect("stops");
    assert!(!config.data_dir.exists());
}
