//! Three dialects of records on one point: each reader gets what it can parse, and nothing else.

use libp2p::PeerId;
use libp2p::swarm::StreamProtocol;
use rv_interop::wire::{Discover, EntryReply, Register};
use rv_interop::{Identity, Point, RawClient, RawStream, Stock, Via, plain_record};
use rv_server::Config;
use rv_server::rv_core::Rules;
use rv_server::rv_proto::{Dialect, PeerRecord};

const NAMESPACE: &str = "my-app";

/// Registers as somebody new with a record of that identity's.
async fn register(point: &Point, record: impl Fn(&Identity) -> Vec<u8>) -> RawClient {
    register_as(point, Identity::new(), record).await
}

async fn register_as(
    point: &Point,
    identity: Identity,
    record: impl Fn(&Identity) -> Vec<u8>,
) -> RawClient {
    let client = RawClient::connect_as(point, identity, Via::Tcp).await;
    let request = Register::new(NAMESPACE, record(client.identity()));
    client.open().await.register_ok(&request).await;
    client
}

/// The entries that a reader gets, as peer and dialect.
async fn listed(stream: &mut RawStream) -> Vec<(PeerId, &'static str)> {
    let reply = stream.discover(&Discover::new(NAMESPACE)).await;
    assert_eq!(reply.status, 0, "{}", reply.text);
    reply
        .entries
        .iter()
        .map(|entry| (entry.peer(), entry.dialect()))
        .collect()
}

fn address(text: &str) -> Vec<u8> {
    text.parse::<libp2p::Multiaddr>()
        .expect("an address")
        .to_vec()
}

#[tokio::test]
async fn each_reader_gets_its_own_dialect_and_readers_of_plain_records_get_all() {
    let point = Point::in_memory(Config::default()).await;
    let legacy = register(&point, Identity::legacy).await;
    let standard = register(&point, |own| {
        // As our own client seals it.
        let record = PeerRecord {
            peer: own.peer(),
            seq: 1,
            addresses: vec![own.address()],
        };
        record
            .seal(Dialect::Standard, own.key())
            .expect("the key signs")
            .to_vec()
    })
    .await;
    let plain = register(&point, Identity::plain).await;

    let of_legacy = [(legacy.peer(), "legacy")];
    let of_standard = [(standard.peer(), "standard")];
    let everybody = [
        (legacy.peer(), "plain"),
        (standard.peer(), "plain"),
        (plain.peer(), "plain"),
    ];
    assert_eq!(listed(&mut legacy.open().await).await, of_legacy);
    assert_eq!(listed(&mut standard.open().await).await, of_standard);
    let mut of_plain = plain.open().await;
    assert_eq!(listed(&mut of_plain).await, everybody);
    let entries = of_plain.discover(&Discover::new(NAMESPACE)).await.entries;
    for entry in entries {
        assert_eq!(
            entry.plain_addresses(),
            [legacy.identity().address().to_vec()]
        );
    }

    // The record decides, wherever it is registered, and on every connection of the peer.
    let (own, via) = (standard.identity().clone(), Via::Quic);
    let elsewhere = RawClient::connect_as(&point, own, via).await;
    assert_eq!(listed(&mut elsewhere.open().await).await, of_standard);

    // The stock client reads it, registered or not.
    let mut stock = Stock::connect(&point).await;
    assert_eq!(stock.peers(Some(NAMESPACE)).await, [legacy.peer()]);
    stock.register("elsewhere", None).await.expect("granted");
    assert_eq!(stock.peers(Some(NAMESPACE)).await, [legacy.peer()]);
    assert_eq!(stock.peers(None).await, [legacy.peer(), stock.peer()]);
}

#[tokio::test]
async fn whoever_is_unknown_is_answered_in_the_dialect_that_is_configured() {
    for (dialect, name) in [
        (Dialect::Legacy, "legacy"),
        (Dialect::Standard, "standard"),
        (Dialect::Plain, "plain"),
    ] {
        let rules = Rules {
            dialect_default: dialect,
            ..Rules::default()
        };
        let point = Point::in_memory(Config {
            rules,
            ..Config::default()
        })
        .await;
        register(&point, Identity::legacy).await;
        register(&point, Identity::standard).await;
        let unknown = RawClient::connect(&point).await;
        let entries = listed(&mut unknown.open().await).await;
        assert!(
            entries.iter().all(|(_, dialect)| *dialect == name),
            "{entries:?}"
        );
        assert_eq!(entries.len(), if name == "plain" { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_registration_may_bring_both_signatures_of_one_record() {
    let point = Point::in_memory(Config::default()).await;
    let client = RawClient::connect(&point).await;
    let (own, mut stream) = (client.identity(), client.open().await);
    let addresses = [own.address().to_vec()];
    let both = |seq, counterpart| Register {
        counterpart: Some(counterpart),
        ..Register::new(NAMESPACE, own.legacy_of(seq, &addresses))
    };
    stream
        .register_ok(&both(1, own.standard_of(1, &addresses)))
        .await;
    let legacy = register(&point, Identity::legacy).await;
    let standard = register(&point, Identity::standard).await;
    let plain = register(&point, Identity::plain).await;
    for (reader, name) in [
        (&legacy, "legacy"),
        (&standard, "standard"),
        (&plain, "plain"),
    ] {
        let entries = listed(&mut reader.open().await).await;
        assert_eq!(entries[0], (client.peer(), name));
    }

    let other = Identity::new();
    let differing = [
        own.standard_of(2, &addresses),
        own.standard_of(1, &[address("/ip4/127.0.0.1/tcp/1")]),
        own.legacy_of(1, &addresses),
        own.plain(),
        other.standard_of(1, &addresses),
    ];
    for counterpart in differing {
        let reply = stream.register(&both(1, counterpart)).await;
        assert_eq!(reply.status, 101, "{}", reply.text);
        assert!(
            reply.text.contains("sign the same peer record twice"),
            "{}",
            reply.text
        );
    }
    let mut forged = own.standard_of(1, &addresses);
    *forged.last_mut().expect("not empty") ^= 1;
    assert_eq!(stream.register(&both(1, forged)).await.status, 101);

    // A REGISTER replaces all: what it does not bring is gone.
    stream
        .register_ok(&Register::new(NAMESPACE, own.legacy_of(1, &addresses)))
        .await;
    let left = listed(&mut standard.open().await).await;
    assert_eq!(left, [(standard.peer(), "standard")]);
}

#[tokio::test]
async fn a_record_that_some_readers_cannot_parse_spoils_no_list() {
    let point = Point::in_memory(Config::default()).await;
    let (usual, odd) = (
        address("/ip4/127.0.0.1/tcp/4001"),
        address("/ip4/127.0.0.1/udp/4001/utp"),
    );
    let mixed = [odd.clone(), usual.clone()];
    let odd_legacy = register(&point, |own| own.legacy_of(1, &mixed)).await;
    let odd_standard = register(&point, |own| own.standard_of(1, &mixed)).await;
    let odd_plain = register(&point, |own| plain_record(own.peer(), &mixed)).await;
    let only_odd = [odd.clone()];
    let nowhere = register(&point, |own| plain_record(own.peer(), &only_odd)).await;
    let secp = Identity::new_secp256k1();
    let secp_legacy = register_as(&point, secp, Identity::legacy).await;
    let secp = Identity::new_secp256k1();
    let secp_standard = register_as(&point, secp, Identity::standard).await;

    let legacy = register(&point, Identity::legacy).await;
    let standard = register(&point, Identity::standard).await;
    let plain = register(&point, Identity::plain).await;

    assert_eq!(
        listed(&mut legacy.open().await).await,
        [(legacy.peer(), "legacy")]
    );
    let entries = listed(&mut standard.open().await).await;
    assert_eq!(
        entries,
        [
            (secp_standard.peer(), "standard"),
            (standard.peer(), "standard")
        ]
    );
    let mut of_plain = plain.open().await;
    let entries = listed(&mut of_plain).await;
    let expected = [
        &odd_legacy,
        &odd_standard,
        &odd_plain,
        &secp_legacy,
        &secp_standard,
        &legacy,
        &standard,
        &plain,
    ];
    assert_eq!(entries, expected.map(|client| (client.peer(), "plain")));
    for entry in of_plain.discover(&Discover::new(NAMESPACE)).await.entries {
        assert_eq!(
            entry.plain_addresses(),
            vec![usual.clone()],
            "the odd address is left out"
        );
    }
    assert!(!entries.contains(&(nowhere.peer(), "plain")));

    let mut stock = Stock::connect(&point).await;
    for namespace in [Some(NAMESPACE), None] {
        assert_eq!(
            stock.peers(namespace).await,
            [legacy.peer()],
            "and the stock client lives"
        );
    }
    assert_eq!(
        point.stats().await.registrations,
        9,
        "all of them are registered"
    );
}

#[tokio::test]
async fn a_cookie_carries_the_dialect_once_it_is_decided() {
    let point = Point::in_memory(Config::default()).await;
    let legacy = register(&point, Identity::legacy).await;
    let standard = register(&point, Identity::standard).await;
    let request = Discover::new(NAMESPACE);
    let decided = standard
        .open()
        .await
        .discover(&request)
        .await
        .cookie()
        .to_vec();

    // Somebody unknown who brings it back reads on in that dialect.
    let unknown = RawClient::connect(&point).await;
    let mut stream = unknown.open().await;
    let news = stream
        .discover(&request.clone().with_cookie(&decided))
        .await;
    assert_eq!(news.entries, []);
    let newcomer = register(&point, Identity::standard).await;
    let news = stream
        .discover(&request.clone().with_cookie(&decided))
        .await;
    assert_eq!(news.peers(), [newcomer.peer()]);

    // For a peer known to read another dialect it means nothing: it gets everything of that one.
    let mut of_legacy = legacy.open().await;
    let listing = of_legacy
        .discover(&request.clone().with_cookie(&decided))
        .await;
    assert_eq!(listing.peers(), [legacy.peer()]);

    // A guess is no decision: once the reader is known, it gets everything once more.
    let guessed = RawClient::connect(&point).await;
    let cookie = guessed
        .open()
        .await
        .discover(&request)
        .await
        .cookie()
        .to_vec();
    let record = guessed.identity().standard();
    guessed
        .open()
        .await
        .register_ok(&Register::new("elsewhere", record))
        .await;
    let listing = guessed
        .open()
        .await
        .discover(&request.clone().with_cookie(&cookie))
        .await;
    assert_eq!(listing.peers(), [standard.peer(), newcomer.peer()]);
}

#[tokio::test]
async fn a_reader_that_says_what_it_accepts_gets_each_registration_once_and_what_is_verified() {
    const LEGACY: u64 = 1;
    const STANDARD: u64 = 2;
    const PLAIN: u64 = 3;
    let point = Point::in_memory(Config::default()).await;
    let legacy = register(&point, Identity::legacy).await;
    let standard = register(&point, Identity::standard).await;
    let plain = register(&point, Identity::plain).await;
    let both = RawClient::connect(&point).await;
    let own = both.identity();
    let addresses = [own.address().to_vec()];
    let request = Register {
        counterpart: Some(own.standard_of(1, &addresses)),
        ..Register::new(NAMESPACE, own.legacy_of(1, &addresses))
    };
    both.open().await.register_ok(&request).await;

    let peers = [legacy.peer(), standard.peer(), plain.peer(), both.peer()];
    let forms = |forms: [&'static str; 4]| -> Vec<_> {
        let all = peers.into_iter().zip(forms);
        let shown = all.filter(|(_, form)| !form.is_empty());
        shown
            .map(|(peer, form)| (peer, form, form != "plain"))
            .collect()
    };
    let all = forms(["legacy", "standard", "plain", "legacy"]);
    let extension = StreamProtocol::new("/rendezvous/ext/1.0.0");
    // What it registered itself is a weaker sign than what it says.
    let mut registered = both.open_as(extension).await.expect("it is announced");
    let mut unknown = RawClient::connect(&point).await.open().await;
    for stream in [&mut registered, &mut unknown] {
        for (accepts, expected) in [
            (&[LEGACY, STANDARD, PLAIN][..], all.clone()),
            (&[0, 4, u64::MAX, PLAIN, STANDARD, LEGACY], all.clone()),
            (
                &[LEGACY, STANDARD],
                forms(["legacy", "standard", "", "legacy"]),
            ),
            (
                &[STANDARD, PLAIN],
                forms(["plain", "standard", "plain", "standard"]),
            ),
            (&[STANDARD], forms(["", "standard", "", "standard"])),
            (&[PLAIN], forms(["plain"; 4])),
        ] {
            let request = Discover::new(NAMESPACE).accepting(accepts);
            let entries = stream.discover(&request).await.entries;
            let seen = |entry: &EntryReply| {
                let verified = entry.verified.expect("it says so");
                (entry.peer(), entry.dialect(), verified)
            };
            let seen: Vec<_> = entries.iter().map(seen).collect();
            assert_eq!(seen, expected, "{accepts:?}");
        }
        // Nothing that is known is as good as nothing.
        let unheard_of = Discover::new(NAMESPACE).accepting(&[0, 4]);
        let entries = stream.discover(&unheard_of).await.entries;
        assert!(entries.iter().all(|entry| entry.verified.is_none()));
        assert_eq!(entries.len(), 2, "as any reader of legacy records");
    }
}

#[tokio::test]
async fn whoever_accepts_something_else_than_before_gets_everything_once_more() {
    let point = Point::in_memory(Config::default()).await;
    let legacy = register(&point, Identity::legacy).await;
    let standard = register(&point, Identity::standard).await;
    let mut stream = RawClient::connect(&point).await.open().await;
    let all = Discover::new(NAMESPACE).accepting(&[1, 2, 3]);
    let first = stream.discover(&all.clone().with_limit(1)).await;
    assert_eq!(first.peers(), [legacy.peer()]);
    let rest = stream
        .discover(&all.clone().with_cookie(first.cookie()))
        .await;
    assert_eq!(rest.peers(), [standard.peer()]);
    let end = stream.discover(&all.with_cookie(rest.cookie())).await;
    assert_eq!(end.peers(), []);

    let fewer = Discover::new(NAMESPACE).accepting(&[2]);
    let anew = stream.discover(&fewer.with_cookie(end.cookie())).await;
    assert_eq!(anew.peers(), [standard.peer()]);
    let none = Discover::new(NAMESPACE).with_cookie(anew.cookie());
    assert_eq!(stream.discover(&none).await.peers(), [legacy.peer()]);
}
