//! Every rule that says no, at its edges, with the exact answer.

use rv_interop::wire::{self, Discover, Register, bytes, number};
use rv_interop::{Identity, Point, RawClient, RawStream, envelope, plain_record};
use rv_server::Config;
use rv_server::rv_core::Rules;

const NAMESPACE: &str = "my-app";

async fn start() -> (Point, RawClient, RawStream) {
    let point = Point::in_memory(Config::default()).await;
    let client = RawClient::connect(&point).await;
    let stream = client.open().await;
    (point, client, stream)
}

#[tokio::test]
async fn a_namespace_of_1_to_255_bytes_of_utf8_is_taken_and_no_other() {
    let (point, client, mut stream) = start().await;
    let with = |namespace: Option<&[u8]>| Register {
        namespace: namespace.map(<[u8]>::to_vec),
        ..Register::new("", client.identity().legacy())
    };
    let hints = ["1 to 255 bytes of UTF-8"];
    stream.refuse(&with(None), 100, &hints).await;
    stream.refuse(&with(Some(b"")), 100, &hints).await;
    stream.refuse(&with(Some(&[b'n'; 256])), 100, &hints).await;
    stream
        .refuse(&with(Some("\u{e9}".repeat(128).as_bytes())), 100, &hints)
        .await;
    stream.refuse(&with(Some(b"my\xffapp")), 100, &hints).await;
    stream
        .refuse(&with(Some(&[b'n'; 12_000])), 100, &hints)
        .await;

    for longest in [
        vec![b'n'; 255],
        "\u{e9}".repeat(127).into_bytes(),
        b"n".to_vec(),
    ] {
        stream.register_ok(&with(Some(&longest))).await;
    }
    assert_eq!(point.stats().await.namespaces, 3);
    assert_eq!(point.stats().await.registers_refused, 6);
}

#[tokio::test]
async fn a_discover_judges_namespaces_alike_but_takes_none_as_all() {
    let (_point, client, mut stream) = start().await;
    client.register(NAMESPACE).await;
    for bad in [vec![b'n'; 256], b"my\xffapp".to_vec()] {
        let request = Discover {
            namespace: Some(bad),
            ..Discover::all()
        };
        let reply = stream.discover(&request).await;
        assert_eq!(
            (reply.status, reply.entries.len()),
            (100, 0),
            "{}",
            reply.text
        );
        assert!(
            reply.text.contains("1 to 255 bytes of UTF-8"),
            "{}",
            reply.text
        );
    }
    for all in [Discover::all(), Discover::new("")] {
        assert_eq!(stream.discover(&all).await.peers(), [client.peer()]);
    }
    for unknown in ["nobody's".to_owned(), "n".repeat(255)] {
        assert_eq!(stream.peers(&unknown).await, []);
    }
}

#[tokio::test]
async fn an_operator_can_forbid_to_list_everything() {
    let rules = Rules {
        discover_all: false,
        ..Rules::default()
    };
    let point = Point::in_memory(Config {
        rules,
        ..Config::default()
    })
    .await;
    let client = RawClient::connect(&point).await;
    client.register(NAMESPACE).await;
    let mut stream = client.open().await;
    for all in [Discover::all(), Discover::new("")] {
        let reply = stream.discover(&all).await;
        assert_eq!((reply.status, reply.cookie), (100, None));
        assert!(reply.text.contains("name one"), "{}", reply.text);
    }
    assert_eq!(stream.peers(NAMESPACE).await, [client.peer()]);
}

#[tokio::test]
async fn a_ttl_of_2_minutes_to_3_days_is_granted_as_asked() {
    let (_point, client, mut stream) = start().await;
    let request = Register::new(NAMESPACE, client.identity().legacy());
    for refused in [0, 1, 119, 259_201, u64::from(u32::MAX) + 121, u64::MAX] {
        let hints = [&format!("{refused} s"), "120", "259200"];
        stream
            .refuse(&request.clone().with_ttl(refused), 102, &hints)
            .await;
    }
    for granted in [120, 7_200, 259_200] {
        let reply = stream.register_ok(&request.clone().with_ttl(granted)).await;
        assert_eq!(reply.ttl, granted);
        let listed = stream.discover(&Discover::new(NAMESPACE)).await.entries;
        assert_eq!(
            listed.iter().map(|entry| entry.ttl).collect::<Vec<_>>(),
            [granted]
        );
    }
    assert_eq!(stream.register_ok(&request).await.ttl, 7_200, "the default");
}

#[tokio::test]
async fn a_limit_is_at_the_most_what_is_asked_and_0_asks_for_all() {
    let (_point, client, mut stream) = start().await;
    for namespace in ["a", "b", "c"] {
        client.register(namespace).await;
    }
    for (limit, count) in [
        (0, 3),
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 3),
        (1 << 32, 3),
        (u64::MAX, 3),
    ] {
        let reply = stream.discover(&Discover::all().with_limit(limit)).await;
        assert_eq!(
            (reply.status, reply.entries.len()),
            (0, count),
            "limit {limit}"
        );
    }
    assert_eq!(stream.discover(&Discover::all()).await.entries.len(), 3);
}

#[tokio::test]
async fn a_record_must_be_whole_and_signed_by_whom_it_is_about() {
    let (_point, client, mut stream) = start().await;
    let (own, other) = (client.identity(), Identity::new());
    let with = |record: Vec<u8>| Register::new(NAMESPACE, record);

    let absent = Register {
        record: None,
        ..with(Vec::new())
    };
    stream.refuse(&absent, 101, &["send one"]).await;
    stream.refuse(&with(Vec::new()), 101, &["send one"]).await;
    stream
        .refuse(&with(b"no record".to_vec()), 101, &["undecodable"])
        .await;
    for record in [own.legacy(), own.standard()] {
        let cut = record[..record.len() - 1].to_vec();
        stream.refuse(&with(cut), 101, &["undecodable"]).await;
        let mut forged = record.clone();
        *forged.last_mut().expect("not empty") ^= 1;
        stream
            .refuse(&with(forged), 101, &["invalid signature"])
            .await;
    }
    let by_nobody = own.of_type("another-domain", b"/libp2p/routing-state-record");
    stream
        .refuse(&with(by_nobody), 101, &["invalid signature"])
        .await;
    let by_the_other = other.legacy_about(own.peer());
    stream
        .refuse(&with(by_the_other), 101, &["not signed by its peer"])
        .await;
    let custom = own.of_type("libp2p-custom-peer-record", &[0x30, 0, 0]);
    stream
        .refuse(&with(custom), 101, &["unknown payload type"])
        .await;
    let no_record = envelope(
        own.key(),
        "libp2p-peer-record",
        &[3, 1],
        b"\xff\xff".to_vec(),
    );
    stream.refuse(&with(no_record), 101, &["undecodable"]).await;

    for foreign in [
        other.legacy(),
        other.standard(),
        other.plain(),
        own.legacy_about(other.peer()),
    ] {
        stream
            .refuse(&with(foreign), 200, &["only register itself"])
            .await;
    }
    assert_eq!(stream.peers(NAMESPACE).await, []);
    for record in [own.legacy(), own.standard(), own.plain()] {
        stream.register_ok(&with(record)).await;
    }
}

#[tokio::test]
async fn a_record_has_at_most_64_addresses_and_4096_bytes_and_all_of_them_parse() {
    let (_point, client, mut stream) = start().await;
    let own = client.identity();
    let with = |record: Vec<u8>| Register::new(NAMESPACE, record);
    let address = own.address().to_vec();
    let kinds: [RecordOf<'_>; 3] = [
        &|addresses| own.legacy_of(1, addresses),
        &|addresses| own.standard_of(1, addresses),
        &|addresses| plain_record(own.peer(), addresses),
    ];
    for (kind, record_of) in kinds.into_iter().enumerate() {
        stream
            .register_ok(&with(record_of(&vec![address.clone(); 64])))
            .await;
        let crowd = record_of(&vec![address.clone(); 65]);
        stream
            .refuse(&with(crowd), 101, &["65 addresses", "at most 64"])
            .await;
        let crowd = record_of(&vec![address.clone(); 1_000]);
        stream.refuse(&with(crowd), 101, &["at most"]).await;

        let largest = (3_000..4_096).map(|length| record_of(&[dns_address(length)]));
        let largest = largest
            .filter(|record| record.len() <= 4_096)
            .last()
            .expect("one fits");
        assert!(
            (4_090..=4_096).contains(&largest.len()),
            "{} is at the edge",
            largest.len()
        );
        stream.register_ok(&with(largest.clone())).await;
        let larger = (3_000..4_200).map(|length| record_of(&[dns_address(length)]));
        let larger = larger
            .into_iter()
            .find(|record| record.len() > 4_096)
            .expect("one does not");
        assert!(
            (4_097..=4_100).contains(&larger.len()),
            "{} is at the edge",
            larger.len()
        );
        stream
            .refuse(&with(larger), 101, &["at most 4096 are taken"])
            .await;

        let odd = record_of(&[address.clone(), b"no address".to_vec()]);
        if kind == 2 {
            stream.register_ok(&with(odd)).await;
            let entries = stream.discover(&Discover::new(NAMESPACE)).await.entries;
            assert_eq!(
                entries[0].plain_addresses(),
                vec![address.clone()],
                "the other is left out"
            );
            let none = record_of(&[b"no address".to_vec()]);
            stream
                .refuse(&with(none), 101, &["without an address"])
                .await;
        } else {
            stream
                .refuse(&with(odd), 101, &["address 1", "not a multiaddr"])
                .await;
        }
    }
}

/// Makes a record of addresses.
type RecordOf<'a> = &'a dyn Fn(&[Vec<u8>]) -> Vec<u8>;

fn dns_address(length: usize) -> Vec<u8> {
    let host = "h".repeat(length);
    let address: libp2p::Multiaddr = format!("/dns4/{host}/tcp/1").parse().expect("an address");
    address.to_vec()
}

#[tokio::test]
async fn a_stale_record_is_refused_and_the_stored_seq_is_told() {
    let (_point, client, mut stream) = start().await;
    let own = client.identity();
    let address = [own.address().to_vec()];
    let legacy = |seq| Register::new(NAMESPACE, own.legacy_of(seq, &address));
    let standard = |seq| Register::new(NAMESPACE, own.standard_of(seq, &address));

    stream.register_ok(&legacy(50)).await;
    stream
        .refuse(&legacy(49), 101, &["seq 49", "stored seq 50"])
        .await;
    stream.refuse(&legacy(0), 101, &["stored seq 50"]).await;
    stream.register_ok(&legacy(50)).await;
    stream.register_ok(&legacy(51)).await;
    stream.refuse(&legacy(50), 101, &["stored seq 51"]).await;
    let elsewhere = Register::new("elsewhere", own.legacy_of(1, &address));
    stream.register_ok(&elsewhere).await;

    // Each dialect counts by itself: the clients count in different units.
    stream.register_ok(&standard(7)).await;
    stream.refuse(&standard(6), 101, &["stored seq 7"]).await;
    stream.register_ok(&legacy(3)).await;
    // An unsigned record, or an UNREGISTER, makes a new start.
    stream
        .register_ok(&Register::new(NAMESPACE, own.plain()))
        .await;
    stream.register_ok(&legacy(2)).await;
    stream.send(&wire::unregister(Some(NAMESPACE), None)).await;
    stream.register_ok(&legacy(1)).await;
    stream.register_ok(&legacy(u64::MAX)).await;
    stream
        .refuse(&legacy(u64::MAX - 1), 101, &[&u64::MAX.to_string()])
        .await;
}

#[tokio::test]
async fn a_subscription_is_refused_in_its_own_words() {
    let (_point, _client, mut stream) = start().await;
    let subscribe = [bytes(1, b"emitter-io"), bytes(2, NAMESPACE.as_bytes())].concat();
    let payload = [number(1, 100), bytes(100, &subscribe)].concat();
    let wire::Reply::Subscribe(reply) = stream.ask(&payload).await else {
        panic!("not to a subscription");
    };
    assert_eq!(
        (reply.status, reply.text.as_str()),
        (300, "subscription type not found")
    );
    assert_eq!(stream.peers(NAMESPACE).await, []);
}
