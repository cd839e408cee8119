//! The whole daemon on loopback, as an operator configures it.

use std::path::Path;

use rv_interop::wire::{Discover, Register};
use rv_interop::{Identity, RawClient, RunningDaemon, Stock, Via};
use rv_server::daemon::{Config, NamedDialect};
use rv_server::rv_proto::Dialect;

const NAMESPACE: &str = "my-app";

fn config(data_dir: &Path) -> Config {
    Config {
        listen: Via::ALL.map(Via::listen_address).to_vec(),
        data_dir: data_dir.to_path_buf(),
        ..Config::default()
    }
}

#[tokio::test]
async fn a_daemon_serves_the_stock_client_on_every_transport_and_keeps_what_it_granted() {
    let folder = tempfile::tempdir().expect("a folder");
    let daemon = RunningDaemon::start(config(folder.path())).await;
    assert_eq!(daemon.addresses().len(), Via::ALL.len());
    let mut peers = Vec::new();
    for address in daemon.addresses() {
        let identity = Identity::new();
        let mut client = Stock::dial(address, &identity, &identity).await;
        assert_eq!(client.register(NAMESPACE, None).await, Ok(7_200));
        peers.push(client.peer());
        assert_eq!(client.peers(Some(NAMESPACE)).await, peers);
    }
    let before = daemon.addresses()[0].clone();
    daemon.stop().await;

    let daemon = RunningDaemon::start(config(folder.path())).await;
    assert_eq!(
        daemon.addresses()[0].iter().last(),
        before.iter().last(),
        "the same identity"
    );
    let identity = Identity::new();
    let mut client = Stock::dial(&daemon.addresses()[0], &identity, &identity).await;
    assert_eq!(client.peers(Some(NAMESPACE)).await, peers);
    daemon.stop().await;
}

#[tokio::test]
async fn a_stopping_daemon_ends_its_connections_while_clients_hold_streams() {
    let daemon = RunningDaemon::start(Config {
        ephemeral: true,
        ..config(Path::new("unused"))
    })
    .await;
    let client = RawClient::dial(&daemon.addresses()[0], Identity::new()).await;
    let mut stream = client.open().await;
    stream
        .register_ok(&Register::new(NAMESPACE, client.identity().legacy()))
        .await;
    daemon.stop().await;
    stream.end("the daemon").await;
    assert!(
        !Path::new("unused").exists(),
        "an ephemeral point writes no file"
    );
}

#[tokio::test]
async fn what_the_file_says_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rv.toml");
    let text = format!(
        "listen = [\"/ip4/127.0.0.1/tcp/0\"]\n\
         data_dir = {:?}\n\
         protocols = [\"/canvas/rendezvous/1.0.0\", \"/rendezvous/1.0.0\"]\n\
         [limits]\n\
         registrations_per_peer = 1\n\
         [rules]\n\
         discover_all = false\n\
         [streams]\n\
         streams_per_connection = 2\n",
        folder.path().join("data")
    );
    std::fs::write(&file, text).expect("room for a file");
    let daemon = RunningDaemon::start(Config::load(&file).expect("a good file")).await;
    let client = RawClient::dial(&daemon.addresses()[0], Identity::new()).await;
    let mut stream = client.open().await;
    let own = client.identity();
    stream
        .register_ok(&Register::new(NAMESPACE, own.legacy()))
        .await;
    let refused = stream
        .register(&Register::new("second", own.legacy()))
        .await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert_eq!(stream.discover(&Discover::all()).await.status, 100);

    let canvas = libp2p::swarm::StreamProtocol::new("/canvas/rendezvous/1.0.0");
    let mut second = client.open_as(canvas).await.expect("both names are spoken");
    assert_eq!(second.peers(NAMESPACE).await, [client.peer()]);
    client.open().await.reset("the limit of 2").await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_daemon_answers_readers_that_never_registered_as_identify_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config(folder.path());
    let own = ("my-nim-app".to_owned(), NamedDialect(Dialect::Standard));
    config.rules.agents.extend([own]);
    let daemon = RunningDaemon::start(config).await;
    let address = &daemon.addresses()[0];
    let legacy = RawClient::dial(address, Identity::new()).await;
    legacy.register(NAMESPACE).await;
    let standard = RawClient::dial(address, Identity::new()).await;
    let request = Register::new(NAMESPACE, standard.identity().standard());
    standard.open().await.register_ok(&request).await;

    for address in daemon.addresses() {
        for (agent, forms) in [
            ("py-libp2p/0.8.1", &["plain", "plain"][..]),
            ("nim-libp2p", &["standard"]),
            ("my-nim-app/1", &["standard"]),
            ("rust-libp2p/0.47.0", &["legacy"]),
            ("my-app/1", &["legacy"]),
        ] {
            let reader = RawClient::dial_named(address, Identity::new(), agent).await;
            let request = Discover::new(NAMESPACE);
            let entries = reader.open().await.discover(&request).await.entries;
            let seen: Vec<_> = entries.iter().map(|entry| entry.dialect()).collect();
            assert_eq!(seen, forms, "{agent}");
        }
    }
    daemon.stop().await;
}
