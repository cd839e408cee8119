//! A crawl lists stock nodes, and tells apart who serves, who does not and who is gone.

use std::collections::BTreeMap;
use std::time::Duration;

use dht_walk::driver::Crawler;
use dht_walk::{AddressPolicy, Contact, CrawlConfig, CrawlEnd, CrawlEvent, Fate, Peer};
use futures::StreamExt as _;
use libp2p::kad::Mode;
use rv_interop::within;

use crate::stage::{REQUEST_TIMEOUT, Walker, runtimes, until_holds};

#[tokio::test]
async fn go_and_py_nodes_are_listed_by_a_crawl_with_what_became_of_each() {
    let Some((go, py)) = runtimes() else { return };
    let first = go.join(Mode::Server, []).await;
    let second = go.join(Mode::Server, [first.address()]);
    let third = py.join(Mode::Server, [first.address()]);
    let (second, mut third) = tokio::join!(second, third);
    // A node of py tells of both, for an hour and more.
    let client = py.join(Mode::Client, [third.address()]);
    let dead = go.join(Mode::Server, [third.address()]);
    let (client, dead) = tokio::join!(client, dead);
    until_holds(&mut third, &[client.peer(), dead.peer()]).await;
    let expected: BTreeMap<_, _> = [
        (first.peer(), Fate::Answered),
        (second.peer(), Fate::Answered),
        (third.peer(), Fate::Answered),
        (client.peer(), Fate::NotServing),
        (dead.peer(), Fate::Silent),
    ]
    .into();
    dead.kill();

    let mut ours = Walker::start().await;
    let config = CrawlConfig {
        addresses: AddressPolicy::Any,
        request_timeout: REQUEST_TIMEOUT,
        retry_pause: Duration::from_millis(200),
        ..CrawlConfig::default()
    };
    let crawler = Crawler::new(ours.peer(), ours.walk().handle(), config);
    let mut crawler = crawler.expect("the bounds make sense");
    crawler.add_seeds([Contact::new(
        Peer::new(first.peer()),
        [first.bare_address()],
    )]);
    let mut listed = BTreeMap::new();
    let listing = async {
        while let Some(event) = crawler.next().await {
            if let CrawlEvent::Settled(contact, fate) = event {
                assert_eq!(listed.insert(contact.peer.id(), fate), None, "told once");
            }
        }
    };
    ours.beside(within("end of the crawl", listing)).await;
    assert_eq!(crawler.end(), Some(CrawlEnd::Complete));
    assert_eq!(listed, expected);
    for node in [first, second, third, client] {
        ours.beside(node.end()).await;
    }
}
