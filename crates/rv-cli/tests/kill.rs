//! A point that is killed again and again, at any moment, and must forget nothing that it granted.
//!
//! Clients register and unregister without a pause, and note what they were told. After each
//! `kill -9` the point starts again on the same folder, and every (peer, namespace) is looked up:
//! what it holds must be what the last answer said, or what was in flight. Pollers keep their
//! cookies over the crashes, and must be shown every change.
//!
//! `RV_KILL_ROUNDS` (30) sets the number of rounds, `RV_KILL_SEED` (1) the moments.

#![cfg(unix)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use common::raw::RawClient;
use common::{Address, Rv, within};
use libp2p::PeerId;
use libp2p::identity::Keypair;
use rv_proto::Status;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const CLIENTS: usize = 4;
const NAMESPACES: usize = 8;

/// Operations that are acknowledged in one round before the kill, at the most.
const ACKNOWLEDGED_MAX: u64 = 300;

/// Of so many rounds, one begins with a kill during the start of the point.
const START_KILLED_ONE_IN: u64 = 3;

/// How far a start may come before it is killed: on an idle machine it takes about so long.
const START_MICROS_MAX: u64 = 30_000;

const CONFIG: &str = "[limits]\nregister_burst = 4000000000\nregister_per_sec = 1000000\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_every_kill() {
    let rounds = number("RV_KILL_ROUNDS", 30);
    let seed = number("RV_KILL_SEED", 1);
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("rv.toml"), CONFIG).expect("written");
    let mut clients: Vec<_> = (0..)
        .map(|index| Client::new(seed, index))
        .take(CLIENTS)
        .collect();
    let mut poller = Poller::default();
    let mut counts = Counts::default();
    let mut identity = None;

    for round in 0..rounds {
        let mut random = Random::new(seed, round);
        let kill_at_start = random.below(START_KILLED_ONE_IN) == 0;
        let acknowledged = 1 + random.below(ACKNOWLEDGED_MAX);
        eprintln!(
            "RV_KILL_SEED={seed} round {round}: kill {}at {acknowledged}",
            if kill_at_start {
                "while it starts and "
            } else {
                ""
            },
        );
        if kill_at_start {
            let rv = serve(folder.path());
            // The address comes within milliseconds, or the time for it is over first.
            rv.address_within(Duration::from_micros(random.below(START_MICROS_MAX)));
            rv.kill();
            counts.killed_at_start += 1;
        }
        let mut rv = serve(folder.path());
        let point = rv.address();
        assert_eq!(
            *identity.get_or_insert(point.peer),
            point.peer,
            "the identity stays"
        );
        poller.check(&point, &mut clients, &mut counts).await;
        clients = work_until_killed(rv, &point, clients, acknowledged, &mut counts).await;
        counts.rounds += 1;
    }

    let mut rv = serve(folder.path());
    let point = rv.address();
    poller.check(&point, &mut clients, &mut counts).await;
    let ended = rv.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    eprintln!("{counts:?}");
    assert!(
        counts.registered >= rounds && counts.unregistered > 0,
        "it did something"
    );
}

fn serve(folder: &Path) -> Rv {
    Rv::serve(
        folder,
        &["/ip4/127.0.0.1/tcp/0"],
        &["--config", "rv.toml", "--log", "warn"],
    )
}

/// What the test did, for its report.
#[derive(Debug, Default)]
struct Counts {
    rounds: u64,
    killed_at_start: u64,
    registered: u64,
    unregistered: u64,
    checked: u64,
    /// Lookups of what was in flight at the kill.
    in_flight: u64,
    shown_by_cookie: u64,
}

/// One operation of which a client knows the outcome.
enum Acknowledged {
    Registered,
    Unregistered,
}

/// Lets every client work, kills the point after so many acknowledged operations, and gives the
/// clients back once each has seen the end of its connection.
async fn work_until_killed(
    rv: Rv,
    point: &Address,
    clients: Vec<Client>,
    acknowledged: u64,
    counts: &mut Counts,
) -> Vec<Client> {
    let (sender, mut receiver) = mpsc::channel(CLIENTS);
    let mut working = JoinSet::new();
    for mut client in clients {
        let (point, sender) = (point.clone(), sender.clone());
        working.spawn(async move {
            let error = client
                .work(&point, sender)
                .await
                .expect_err("it works until the kill");
            (client, error)
        });
    }
    drop(sender);
    for _ in 0..acknowledged {
        match within("an operation", receiver.recv()).await {
            Some(Acknowledged::Registered) => counts.registered += 1,
            Some(Acknowledged::Unregistered) => counts.unregistered += 1,
            None => panic!("the clients gave up: {:?}", rv.kill()),
        }
    }
    let ended = rv.kill();
    assert_eq!(ended.code, None, "killed, not ended: {}", ended.stderr);
    // What is acknowledged from here on was on its way already. A full channel would hold it up.
    let mut clients = Vec::new();
    loop {
        tokio::select! {
            Some(acknowledged) = receiver.recv() => match acknowledged {
                Acknowledged::Registered => counts.registered += 1,
                Acknowledged::Unregistered => counts.unregistered += 1,
            },
            Some(client) = working.join_next() => {
                clients.push(client.expect("no client panics").0);
            }
            else => return clients,
        }
    }
}

/// A peer, and what its registrations may be by all that it was told.
struct Client {
    key: Keypair,
    seq: u64,
    steps: Random,
    /// Each namespace with the `seq` that may be registered there; `None` for not registered. More
    /// than one while an operation's outcome is not known.
    possible: BTreeMap<String, BTreeSet<Option<u64>>>,
}

impl Client {
    fn new(seed: u64, index: u64) -> Self {
        let key = Keypair::generate_ed25519();
        let possible = (0..NAMESPACES)
            .map(|i| (namespace(i), BTreeSet::from([None])))
            .collect();
        Self {
            key,
            seq: 0,
            steps: Random::new(!seed, index),
            possible,
        }
    }

    fn peer(&self) -> PeerId {
        self.key.public().to_peer_id()
    }

    /// Registers and unregisters until the connection ends.
    async fn work(
        &mut self,
        point: &Address,
        told: mpsc::Sender<Acknowledged>,
    ) -> io::Result<std::convert::Infallible> {
        let mut connection = RawClient::connect(point, &self.key).await?;
        loop {
            let namespace = namespace(self.steps.index(NAMESPACES));
            let acknowledged = if self.steps.below(3) == 0 {
                self.unregister(&mut connection, &namespace).await?;
                Acknowledged::Unregistered
            } else {
                self.register(&mut connection, &namespace).await?;
                Acknowledged::Registered
            };
            // After the kill nobody counts any more.
            let _ = told.send(acknowledged).await;
        }
    }

    async fn register(&mut self, to: &mut RawClient, namespace: &str) -> io::Result<()> {
        self.seq += 1;
        let seq = self.seq;
        self.may_be(namespace, Some(seq));
        let response = to.register(namespace, seq).await?;
        assert_eq!(response.status, Status::OK, "{}", response.status_text);
        self.is(namespace, Some(seq));
        Ok(())
    }

    async fn unregister(&mut self, to: &mut RawClient, namespace: &str) -> io::Result<()> {
        self.may_be(namespace, None);
        to.unregister(namespace).await?;
        let peers = to.discover(namespace, None).await?.peers;
        let peer = self.peer();
        assert!(
            peers.iter().all(|(found, _)| *found != peer),
            "a peer reads its own writes"
        );
        self.is(namespace, None);
        Ok(())
    }

    fn may_be(&mut self, namespace: &str, held: Option<u64>) {
        self.possible
            .entry(namespace.to_owned())
            .or_default()
            .insert(held);
    }

    fn is(&mut self, namespace: &str, held: Option<u64>) {
        self.possible
            .insert(namespace.to_owned(), BTreeSet::from([held]));
    }
}

/// Looks everything up after each start, and follows every namespace by cookie as well.
#[derive(Default)]
struct Poller {
    followed: BTreeMap<String, (Option<Bytes>, BTreeMap<PeerId, u64>)>,
}

impl Poller {
    async fn check(&mut self, point: &Address, clients: &mut [Client], counts: &mut Counts) {
        let key = Keypair::generate_ed25519();
        let mut connection = RawClient::connect(point, &key).await.expect("connects");
        for namespace in (0..NAMESPACES).map(namespace) {
            let all = connection
                .discover(&namespace, None)
                .await
                .expect("answered")
                .peers;
            let held: BTreeMap<_, _> = all.iter().copied().collect();
            assert_eq!(held.len(), all.len(), "a peer stands in a listing once");
            for client in &mut *clients {
                check_one(client, &namespace, &held, counts);
            }
            let known: BTreeSet<_> = clients.iter().map(Client::peer).collect();
            assert!(
                held.keys().all(|peer| known.contains(peer)),
                "nobody else registered"
            );

            let (cookie, seen) = self.followed.entry(namespace.clone()).or_default();
            let news = connection
                .discover(&namespace, cookie.take())
                .await
                .expect("answered");
            counts.shown_by_cookie += news.peers.len() as u64;
            seen.extend(news.peers);
            *cookie = Some(news.cookie);
            for (peer, seq) in &held {
                assert_eq!(
                    seen.get(peer),
                    Some(seq),
                    "{namespace}: {peer} was shown by cookie"
                );
            }
        }
    }
}

fn check_one(
    client: &mut Client,
    namespace: &str,
    held: &BTreeMap<PeerId, u64>,
    counts: &mut Counts,
) {
    let found = held.get(&client.peer()).copied();
    let possible = &client.possible[namespace];
    assert!(
        possible.contains(&found),
        "{namespace}: found {found:?}, possible {possible:?}"
    );
    counts.checked += 1;
    counts.in_flight += u64::from(possible.len() > 1);
    // It was found in what a start read back, so it is durable: it stays.
    client.is(namespace, found);
}

fn namespace(index: usize) -> String {
    format!("kill-{index}")
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(value) => value
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is no number")),
        Err(_) => default,
    }
}

/// Numbers that are the same for the same seed: splitmix64.
struct Random(u64);

impl Random {
    const fn new(seed: u64, round: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ round.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    const fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).expect("below a usize")
    }
}
