//! Listings that never end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rv_client::Config;
use rv_client::rv_core::client::{Bound, Breach, CacheLimits, Cause, ClientConfig, Event};
use rv_client::rv_proto::Request;

use super::scene::{Scene, cause_at, impatient};
use super::wicked::{Reply, WickedPoint};
use super::wire::*;
use crate::support::*;

/// A point that gives page after page, the first with number 0, whatever cookie it is asked with.
async fn paging(page: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> WickedPoint {
    let count = AtomicU32::new(0);
    WickedPoint::start(move |request| match request {
        Request::Discover(_) => Reply::Keep(page(count.fetch_add(1, Ordering::Relaxed)).into()),
        Request::Register(_) => Reply::Keep(register_response(&[number(3, 600)]).into()),
        Request::Unregister(_) | Request::Subscribe(_) => Reply::Silence,
    })
    .await
}

/// A page of peers that no page before had, and the cookie of the next one.
fn crowd(page_number: u32, size: u32) -> Vec<u8> {
    let entry = |index| {
        let peer = nobody(page_number * size + index);
        good_entry("ns", &plain(&peer, &[address(1).to_vec()]))
    };
    let entries: Vec<_> = (0..size).map(entry).collect();
    page(&entries, &page_number.to_be_bytes())
}

fn with(client: ClientConfig) -> Config {
    Config {
        client,
        ..impatient()
    }
}

#[tokio::test]
async fn of_100_000_peers_as_many_are_listed_and_kept_as_the_bounds_say() {
    // Fifty pages take their time on a machine that has other things to do.
    let patient = ClientConfig {
        straggler_wait: Duration::from_secs(60),
        straggler_wait_total: Duration::from_secs(60),
        ..impatient().client
    };
    let scene = Scene::start(with(patient)).await;
    let bounds = ClientConfig::default();
    let point = paging(|number| match number {
        0..100 => crowd(number, 1_000),
        _ => page(&[], b""),
    })
    .await;
    let peer = point.at.0;
    scene.meet(point.at.clone()).await;
    let found = within("listing", scene.client.discover(scope("ns"), None)).await;
    let found = found.expect("the healthy point answers");
    let max = bounds.listing_entries_max;
    let cut = Some(Cause::Bound(Bound::Entries { max }));
    assert_eq!(cause_at(&found, peer), cut);
    assert_eq!(
        found.peers.len(),
        max + 1,
        "and whom the healthy point lists"
    );
    assert_eq!(point.asked(), max / bounds.page_entries);
    // Whom the healthy point lists has its place.
    let cached = scene.client.cached(scope("ns"), None).await;
    assert_eq!(cached.len(), bounds.cache.peers_per_namespace);
    let of_healthy = cached.iter().filter(|it| it.is_verified());
    assert_eq!(of_healthy.count(), 1);
    scene.part(peer).await;
    scene.healthy_goes_on("after all").await;
}

#[tokio::test]
async fn a_page_that_comes_for_ever_ends_the_listing() {
    let scene = Scene::start(impatient()).await;
    let record = plain(&nobody(1), &[address(1).to_vec()]);
    let entries = [good_entry("ns", &record)];
    let same = page(&entries, b"c");
    let with_other_cookies = move |number: u32| page(&entries, &number.to_be_bytes());

    let point = paging(move |_| same.clone()).await;
    scene.meet(point.at.clone()).await;
    let seen = scene.list_at(point.at.0, scope("ns")).await;
    assert_eq!(seen.listed.cause, Some(Breach::CookieUnchanged.into()));
    assert_eq!((seen.peers.len(), point.asked()), (1, 2));
    scene.healthy_goes_on("one cookie").await;
    scene.part(point.at.0).await;

    let point = paging(with_other_cookies).await;
    scene.meet(point.at.clone()).await;
    let seen = scene.list_at(point.at.0, scope("ns")).await;
    assert_eq!(seen.listed.cause, Some(Breach::RepeatedPage.into()));
    assert_eq!((seen.peers.len(), point.asked()), (1, 4));
    scene.healthy_goes_on("other cookies").await;
}

#[tokio::test]
async fn an_empty_page_ends_the_listing_whatever_its_cookie() {
    let scene = Scene::start(impatient()).await;
    let point = paging(|number| page(&[], &number.to_be_bytes())).await;
    scene.meet(point.at.clone()).await;
    let seen = scene.list_at(point.at.0, scope("ns")).await;
    assert_eq!(seen.listed.cause, None);
    assert_eq!(seen.listed.cookie, Some(Bytes::from_static(&[0; 4])));
    assert_eq!((seen.listed.pages, point.asked()), (1, 1));
    scene.healthy_goes_on("after all").await;
}

#[tokio::test]
async fn pages_of_nothing_usable_end_at_the_bound_on_pages() {
    let bounds = ClientConfig {
        listing_pages_max: 20,
        ..impatient().client
    };
    let scene = Scene::start(with(bounds)).await;
    let point = paging(|number| page(&[entry(None, None, None)], &number.to_be_bytes())).await;
    scene.meet(point.at.clone()).await;
    let seen = scene.list_at(point.at.0, scope("ns")).await;
    let cut = Cause::Bound(Bound::Pages { max: 20 });
    assert_eq!(seen.listed.cause, Some(cut));
    assert_eq!((seen.peers.len(), seen.listed.entries), (0, 0));
    assert_eq!((seen.listed.pages, point.asked()), (20, 20));
    scene.healthy_goes_on("after all").await;
}

#[tokio::test]
async fn a_cookie_above_the_bound_ends_the_listing_and_is_not_sent_back() {
    let scene = Scene::start(impatient()).await;
    let entries = [good_entry("ns", &plain(&nobody(1), &[address(1).to_vec()]))];
    let long = vec![b'c'; 1_025];
    let point = paging(move |_| page(&entries, &long)).await;
    scene.meet(point.at.clone()).await;
    let seen = scene.list_at(point.at.0, scope("ns")).await;
    let too_long = Breach::CookieTooLong { bytes: 1_025 };
    assert_eq!(seen.listed.cause, Some(too_long.into()));
    assert_eq!((seen.listed.cookie, point.asked()), (None, 1));
    assert_eq!(seen.peers.len(), 1, "what was listed before counts");
    scene.healthy_goes_on("after all").await;
}

#[tokio::test]
async fn a_watch_of_an_endless_crowd_rests_between_its_polls_and_evicts_nobody_else() {
    let bounds = ClientConfig {
        listing_pages_max: 5,
        page_entries: 10,
        poll_min: Duration::from_secs(600),
        poll_max: Duration::from_secs(600),
        cache: CacheLimits {
            peers_per_namespace: 20,
            peers_total: 30,
            ..CacheLimits::default()
        },
        ..impatient().client
    };
    let scene = Scene::start(with(bounds)).await;
    let _watch = scene.client.watch(scope("ns")).await.expect("room");
    let point = paging(|number| crowd(number, 10)).await;
    let peer = point.at.0;
    scene.meet(point.at.clone()).await;
    let cause = eventually("end of the poll", async || {
        scene.node.find(|event| match event {
            Event::WatchFailed { point, cause, .. } if *point == peer => Some(cause.clone()),
            _ => None,
        })
    })
    .await;
    assert_eq!(cause, Cause::Bound(Bound::Pages { max: 5 }));
    let cached = scene.client.cached(scope("ns"), None).await;
    assert_eq!(cached.len(), 20);
    assert_eq!(cached.iter().filter(|it| it.is_verified()).count(), 1);
    assert_eq!(point.asked(), 5);
    let status = scene.client.status().await;
    let mut watches = status.watches.iter().filter(|it| it.point == peer);
    let watch = watches.next().expect("it is watched there");
    let (failed_at, _) = watch.last_failure.as_ref().expect("it was cut");
    let rest = watch
        .poll_at
        .expect("it rests")
        .saturating_since(*failed_at);
    assert!(rest >= Duration::from_secs(300), "{rest:?}");
}
