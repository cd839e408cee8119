//! Cookies: whole, damaged, foreign, and of another listing.

use std::time::Duration;

use rv_interop::wire::{self, Discover};
use rv_interop::{ManualClock, Point, RawClient, RawStream};
use rv_server::Config;

const NAMESPACE: &str = "my-app";

/// A point with three registrations, a reader, and the reader's cookie behind the second of them.
async fn start() -> (Point, Vec<RawClient>, RawStream, Vec<u8>) {
    let point = Point::in_memory(Config::default()).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let client = RawClient::connect(&point).await;
        client.register(NAMESPACE).await;
        clients.push(client);
    }
    let reader = RawClient::connect(&point).await;
    let mut stream = reader.open().await;
    clients.push(reader);
    let page = stream
        .discover(&Discover::new(NAMESPACE).with_limit(2))
        .await;
    let cookie = page.cookie().to_vec();
    (point, clients, stream, cookie)
}

#[tokio::test]
async fn a_cookie_is_8_bytes_and_the_namespace() {
    let (_point, clients, mut stream, cookie) = start().await;
    assert_eq!(
        &cookie[8..],
        NAMESPACE.as_bytes(),
        "rust's clients compare it"
    );
    let all = stream.discover(&Discover::all()).await;
    assert_eq!(all.cookie().len(), 8);

    let page = stream
        .discover(&Discover::new(NAMESPACE).with_cookie(&cookie))
        .await;
    assert_eq!(page.peers(), [clients[2].peer()], "the rest");
    let page = stream
        .discover(&Discover::new(NAMESPACE).with_cookie(page.cookie()))
        .await;
    assert_eq!(page.peers(), [], "nothing new");
    let again = stream
        .discover(&Discover::new(NAMESPACE).with_cookie(&cookie))
        .await;
    assert_eq!(
        again.peers(),
        [clients[2].peer()],
        "a cookie can be used again"
    );
}

#[tokio::test]
async fn an_empty_cookie_is_no_cookie_and_a_short_one_is_refused() {
    let (_point, clients, mut stream, cookie) = start().await;
    let full = stream
        .discover(&Discover::new(NAMESPACE).with_cookie(b""))
        .await;
    assert_eq!(full.entries.len(), 3);
    for length in 1..8 {
        let request = Discover::new(NAMESPACE).with_cookie(&cookie[..length]);
        let reply = stream.discover(&request).await;
        assert_eq!((reply.status, reply.cookie), (103, None));
        assert!(
            reply.text.contains("start again without a cookie"),
            "{}",
            reply.text
        );
    }
    assert_eq!(stream.peers(NAMESPACE).await.len(), clients.len() - 1);
}

#[tokio::test]
async fn a_cookie_of_another_scope_is_refused() {
    let (_point, _clients, mut stream, cookie) = start().await;
    let all = stream.discover(&Discover::all()).await.cookie().to_vec();
    let wrong = [
        Discover::new(NAMESPACE).with_cookie(&all),
        Discover::all().with_cookie(&cookie),
        Discover::new("my-ap").with_cookie(&cookie),
        Discover::new("my-app2").with_cookie(&cookie),
        Discover::new("nobody's").with_cookie(&cookie),
        Discover::new(NAMESPACE).with_cookie(&cookie[..cookie.len() - 1]),
        Discover::new(NAMESPACE).with_cookie(&[&cookie, &b"2"[..]].concat()),
        Discover::new(NAMESPACE).with_cookie(&[&cookie, &vec![b'n'; 10_000][..]].concat()),
    ];
    for request in wrong {
        let reply = stream.discover(&request).await;
        assert_eq!((reply.status, reply.cookie), (103, None), "{request:?}");
        assert!(
            reply.text.contains("start again without a cookie"),
            "{}",
            reply.text
        );
    }
}

/// Some clients keep a refused cookie for ever, so whatever may come from another life of this
/// point, or from another point, starts the listing anew.
#[tokio::test]
async fn every_flipped_bit_gives_a_page_or_103_and_never_the_end() {
    const SEQ_MASK: u64 = (1 << 44) - 1;
    // Flipped, it leaves the dialect open, which is then found to be the same.
    const DIALECT_NUMBER_BIT: usize = 1;
    let (_point, clients, mut stream, _) = start().await;
    // The reader is known by its own registration, which is the fourth in the log.
    clients[3].register("elsewhere").await;
    let page = stream
        .discover(&Discover::new(NAMESPACE).with_limit(2))
        .await;
    let cookie = page.cookie();
    for bit in 0..cookie.len() * 8 {
        let mut flipped = cookie.to_vec();
        flipped[bit / 8] ^= 0x80 >> (bit % 8);
        let reply = stream
            .discover(&Discover::new(NAMESPACE).with_cookie(&flipped))
            .await;
        if bit >= 64 {
            assert_eq!(reply.status, 103, "bit {bit}: another namespace");
            continue;
        }
        assert_eq!(reply.status, 0, "bit {bit}: {}", reply.text);
        let head = flipped.first_chunk().map(|head| u64::from_be_bytes(*head));
        let expected = match head.map(|head| head & SEQ_MASK) {
            Some(seq) if (bit >= 20 || bit == DIALECT_NUMBER_BIT) && seq <= 4 => {
                3_u64.saturating_sub(seq)
            }
            _ => 3, // of no listing of this point: everything
        };
        assert_eq!(reply.entries.len() as u64, expected, "bit {bit}");
        let next = stream
            .discover(&Discover::new(NAMESPACE).with_cookie(reply.cookie()))
            .await;
        assert_eq!(
            (next.status, next.entries.len()),
            (0, 0),
            "bit {bit}: the new one works"
        );
    }
}

#[tokio::test]
async fn a_cookie_of_another_life_lists_everything() {
    let (_point, _clients, mut stream, _) = start().await;
    let elsewhere = Point::with_clock(Config::default(), ManualClock::new()).await;
    let abroad = RawClient::connect(&elsewhere).await;
    abroad.register(NAMESPACE).await;
    let foreign = abroad
        .open()
        .await
        .discover(&Discover::new(NAMESPACE))
        .await
        .cookie()
        .to_vec();
    let of_rust = [&[0xff; 8], NAMESPACE.as_bytes()].concat();
    let (of_go, of_nobody) = ([7; 40], [0; 8]);
    for cookie in [&foreign[..], &of_rust, &of_go, &of_nobody, &[0xff; 9]] {
        let reply = stream
            .discover(&Discover::new(NAMESPACE).with_cookie(cookie))
            .await;
        assert_eq!(
            (reply.status, reply.entries.len()),
            (0, 3),
            "{cookie:?}: {}",
            reply.text
        );
        let next = stream
            .discover(&Discover::new(NAMESPACE).with_cookie(reply.cookie()))
            .await;
        assert_eq!((next.status, next.entries.len()), (0, 0), "{cookie:?}");
    }
}

#[tokio::test]
async fn a_walk_under_churn_skips_nobody_and_repeats_only_the_refreshed() {
    let clock = ManualClock::new();
    let point = Point::with_clock(Config::default(), clock.clone()).await;
    let mut clients = Vec::new();
    for index in 0..6 {
        let client = RawClient::connect(&point).await;
        let ttl = if index == 4 { 120 } else { 7_200 };
        let request = wire::Register::new(NAMESPACE, client.identity().legacy()).with_ttl(ttl);
        client.open().await.register_ok(&request).await;
        clients.push(client);
    }
    let peer = |index: usize| clients[index].peer();
    let mut stream = RawClient::connect(&point).await.open().await;
    let page_after = async |stream: &mut RawStream, cookie: &[u8]| {
        let request = Discover::new(NAMESPACE).with_limit(2).with_cookie(cookie);
        let page = stream.discover(&request).await;
        (page.peers(), page.cookie().to_vec())
    };

    let (peers, cookie) = page_after(&mut stream, b"").await;
    assert_eq!(peers, [peer(0), peer(1)]);
    // One that was listed is refreshed, one that was not is refreshed, one leaves, one expires.
    clients[0].register(NAMESPACE).await;
    clients[2].register(NAMESPACE).await;
    let mut leaving = clients[3].open().await;
    leaving.send(&wire::unregister(Some(NAMESPACE), None)).await;
    assert!(!leaving.peers(NAMESPACE).await.contains(&peer(3)));
    clock.advance(Duration::from_secs(120));

    let (peers, cookie) = page_after(&mut stream, &cookie).await;
    assert_eq!(peers, [peer(5), peer(0)]);
    let (peers, cookie) = page_after(&mut stream, &cookie).await;
    assert_eq!(peers, [peer(2)]);
    let (peers, _) = page_after(&mut stream, &cookie).await;
    assert_eq!(peers, []);
}
