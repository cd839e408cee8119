//! What a hostile point can make the client hold, at its peak and at the end.
//!
//! Resident memory is the whole process's, so each test runs itself again in a process of its own
//! and measures there. The hostile point is in that process too, so its bytes are made before.
#![cfg(target_os = "linux")]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use rv_client::Config;
use rv_client::rv_core::client::{Bound, CacheLimits, Cause, ClientConfig, Discovered};
use rv_client::rv_proto::{Request, encode_frame};

use super::scene::{cause_at, impatient, offer_push};
use super::wicked::{Reply, WickedPoint};
use super::wire::*;
use crate::support::*;

/// Set in the process that measures.
const ALONE: &str = "RV_CLIENT_TEST_MEASURES";

/// Runs the test of that name in a process of its own. Returns whether this is that process.
fn is_alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let this = std::env::current_exe().expect("the test has a path");
    let output = Command::new(this)
        .args([
            "--exact",
            &format!("hostile::memory::{test}"),
            "--nocapture",
        ])
        .env(ALONE, "")
        .output()
        .expect("the test can be run");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains("1 passed"), "{text}");
    false
}

/// MiB of resident memory: now, and at most until now.
fn resident_mib() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").expect("linux tells");
    let mib = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.expect("a number").parse::<u64>().expect("a number") / 1_024
    };
    (mib("VmRSS:"), mib("VmHWM:"))
}

/// Asserts that what happened since `before` added no more than so many MiB at its peak.
fn assert_peak(before: u64, peak_max: u64) {
    let (now, peak) = resident_mib();
    let (kept, peak) = (now.saturating_sub(before), peak.saturating_sub(before));
    assert!(
        peak <= peak_max,
        "{peak} MiB at the peak, at most {peak_max}; {kept} MiB kept"
    );
}

#[tokio::test]
async fn a_frame_of_20_mb_is_not_read() {
    if !is_alone("a_frame_of_20_mb_is_not_read") {
        return;
    }
    let whole = encode_frame(&vec![0x0a; 20_000_000]);
    let whole = Bytes::from(whole);
    let point = WickedPoint::start(move |_| Reply::Keep(whole.clone())).await;
    let (_node, client) = client_of_with(impatient(), [point.at.clone()]).await;
    let (before, _) = resident_mib();
    for _ in 0..20 {
        let asks = (0..16).map(|_| client.discover(scope("ns"), None));
        let told = within("answers", futures::future::join_all(asks)).await;
        assert!(told.iter().all(Result::is_err));
    }
    assert_peak(before, 32);
}

#[tokio::test]
async fn a_cookie_does_not_keep_the_page_that_it_came_in() {
    if !is_alone("a_cookie_does_not_keep_the_page_that_it_came_in") {
        return;
    }
    let junk = entry(None, Some(&vec![1; 3_900_000]), None);
    let page = Bytes::from(page(&[junk], b"next"));
    let point = WickedPoint::start(move |request| match request {
        Request::Discover(_) => Reply::Keep(page.clone()),
        _ => Reply::Silence,
    })
    .await;
    let (_node, client) = client_of_with(impatient(), [point.at.clone()]).await;
    let (before, _) = resident_mib();
    let here = client.point(point.at.0);
    let mut pages = Vec::new();
    for _ in 0..64 {
        let page = within("page", here.discover(scope("ns"), None, None)).await;
        let page = page.expect("the point answers");
        assert_eq!(page.cookie.as_deref(), Some(&b"next"[..]));
        pages.push(page);
    }
    assert_peak(before, 48);
}

#[tokio::test]
async fn updates_that_never_end_are_not_held_beyond_their_own_bound() {
    if !is_alone("updates_that_never_end_are_not_held_beyond_their_own_bound") {
        return;
    }
    const WATCHES: usize = 64;
    // One byte is missing.
    let update = varint(4_194_304).into_iter().chain(vec![0; 4_194_303]);
    let pushed = Bytes::from(begun().into_iter().chain(update).collect::<Vec<_>>());
    let subscribed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&subscribed);
    let point = WickedPoint::start(move |request| match request {
        Request::Discover(_) => Reply::Keep(page(&[], b"").into()),
        Request::Subscribe(_) => {
            counter.fetch_add(1, Ordering::Relaxed);
            Reply::Keep(pushed.clone())
        }
        Request::Register(_) | Request::Unregister(_) => Reply::Silence,
    })
    .await;
    let (node, client) = client_of_with(impatient(), [point.at.clone()]).await;
    let (before, _) = resident_mib();
    let mut watches = Vec::new();
    for number in 0..WATCHES {
        let watch = client.watch(scope(&number.to_string())).await;
        watches.push(watch.expect("room"));
    }
    offer_push(&node, &point).await;
    // Each watch gives up and tries anew, or holds what came.
    eventually("subscriptions", async || {
        let is_over = subscribed.load(Ordering::Relaxed) >= 3 * WATCHES;
        (is_over || resident_mib().1 - before > 160).then_some(())
    })
    .await;
    // What streams hold that are not read, at either end.
    assert_peak(before, 96);
}

/// A page of a thousand peers that no page before had, with four addresses each.
fn crowd(page_number: u32) -> Vec<u8> {
    let addresses: Vec<_> = (1..=4).map(|port| address(port).to_vec()).collect();
    let entry = |index| {
        let peer = nobody(page_number * 1_000 + index);
        good_entry("ns", &plain(&peer, &addresses))
    };
    let entries: Vec<_> = (0..1_000).map(entry).collect();
    page(&entries, &page_number.to_be_bytes())
}

#[tokio::test]
async fn a_crowd_of_100_000_is_held_as_far_as_the_bounds_on_entries_go() {
    if !is_alone("a_crowd_of_100_000_is_held_as_far_as_the_bounds_on_entries_go") {
        return;
    }
    let point = WickedPoint::start(|request| match request {
        Request::Discover(request) => {
            let cookie = request.cookie.unwrap_or_default();
            let before = <[u8; 4]>::try_from(&cookie[..]).map(u32::from_be_bytes);
            Reply::Keep(crowd(before.map_or(0, |before| before + 1)).into())
        }
        _ => Reply::Silence,
    })
    .await;
    let (node, client) = client_of_with(impatient(), [point.at.clone()]).await;
    let (before, _) = resident_mib();
    let bounds = ClientConfig::default();
    for _ in 0..2 {
        let found = within("listing", client.discover(scope("ns"), None)).await;
        let found = found.expect("it is cut, not failed");
        assert_eq!(found.peers.len(), bounds.listing_entries_max);
    }
    let cached = node.with(|swarm| swarm.behaviour().peers(&scope("ns"), None).len());
    assert_eq!(cached.await, bounds.cache.peers_per_namespace);
    // 50,000 peers in a listing, and the 20,000 of them that are cached.
    assert_peak(before, 128);
}

/// A page of a thousand peers that no page before had, with records of 3.4 kB.
fn heavy_crowd(page_number: u32) -> Vec<u8> {
    let long = "a".repeat(270);
    let address = |port| format!("/dns4/{long}/tcp/{port}").parse::<Multiaddr>();
    let addresses = (1..=12).map(|port| address(port).expect("a good address").to_vec());
    let addresses: Vec<_> = addresses.collect();
    let entry = |index| {
        let peer = nobody(page_number * 1_000 + index);
        good_entry("ns", &plain(&peer, &addresses))
    };
    let entries: Vec<_> = (0..1_000).map(entry).collect();
    page(&entries, &page_number.to_be_bytes())
}

#[tokio::test]
async fn a_crowd_with_large_records_is_held_as_far_as_the_bounds_on_bytes_go() {
    if !is_alone("a_crowd_with_large_records_is_held_as_far_as_the_bounds_on_bytes_go") {
        return;
    }
    let healthy = own_point(120).await;
    let at = (healthy.peer(), healthy.address.clone());
    let (other, registered) = client_of([at.clone()]).await;
    let granted = within("grant", registered.register(namespace("ns"), ttl(600))).await;
    granted.expect("granted");
    let count = AtomicU32::new(0);
    let point = WickedPoint::start(move |request| match request {
        // Each listing brings peers that none before it had.
        Request::Discover(_) => {
            Reply::Keep(heavy_crowd(count.fetch_add(1, Ordering::Relaxed)).into())
        }
        _ => Reply::Silence,
    })
    .await;
    let impatient = impatient();
    let patient = Config {
        client: ClientConfig {
            straggler_wait: Duration::from_secs(60),
            straggler_wait_total: Duration::from_secs(60),
            ..impatient.client
        },
        ..impatient
    };
    let bounds = ClientConfig::default();
    let points = [at, point.at.clone()];
    let (node, client) = client_of_with(patient, points).await;
    let (before, _) = resident_mib();
    let (mut of_other, mut of_crowd) = (0, 0);
    for _ in 0..2 {
        let found = within("listing", client.discover(scope("ns"), None)).await;
        let found = found.expect("the healthy point answers");
        let max = bounds.listing_bytes_max;
        let cut = Cause::Bound(Bound::Bytes { max });
        assert_eq!(cause_at(&found, point.at.0), Some(cut));
        assert_eq!(cause_at(&found, healthy.peer()), None);
        let bytes = |it: &Discovered| CacheLimits::bytes_of(&it.namespace, &it.record);
        let (others, crowd): (Vec<_>, Vec<_>) = found.peers.iter().partition(|it| it.is_verified());
        assert_eq!(others.len(), 1);
        (of_other, of_crowd) = (bytes(others[0]), bytes(crowd[0]));
        let pages = (max / of_crowd).div_ceil(1_000);
        assert_eq!(crowd.len(), pages * 1_000);
    }
    let cached = node.with(|swarm| swarm.behaviour().peers(&scope("ns"), None));
    let cached = cached.await;
    let of_two = 2 * CacheLimits::NAMESPACE_BYTES + of_other;
    assert_eq!(
        cached.len(),
        1 + (bounds.cache.bytes_total - of_two) / of_crowd
    );
    assert!(cached.iter().any(|it| it.peer() == other.peer));
    // What is cached, what the second listing holds, and a page.
    assert_peak(before, 288);
}

#[tokio::test]
async fn addresses_of_found_peers_are_told_to_others_one_at_a_time() {
    if !is_alone("addresses_of_found_peers_are_told_to_others_one_at_a_time") {
        return;
    }
    let entry = |_| {
        let key = Keypair::generate_ed25519();
        good_entry("ns", &sealed_with(&key, &vec![vec![0x06, 0, 1]; 64]))
    };
    let entries: Vec<_> = (0..6_000).map(entry).collect();
    let page = Bytes::from(page(&entries, b""));
    drop(entries);
    let point = WickedPoint::start(move |_| Reply::Keep(page.clone())).await;
    let (_node, client) = client_of_with(impatient(), [point.at.clone()]).await;
    let (before, _) = resident_mib();
    let found = within("listing", client.discover(scope("ns"), None)).await;
    assert_eq!(found.expect("answered").peers.len(), 6_000);
    // Taken apart, the page is half of that.
    assert_peak(before, 80);
}
