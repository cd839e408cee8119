//! 100,000 peers in one namespace: what a client takes in is bounded, and it ends.

use std::time::Duration;

use rv_core::client::{
    Cause, Client, ClientConfig, DiscoverOptions, Event, Listed, Output, RegisterOptions, Target,
};
use rv_proto::{Fact, Record, Records, Registered, Request, Response, Scope, Time, Ttl};
use rv_sim::client::{Kind, Point, client_peer, name, plain_peer, point_peer};

const CROWD: u64 = 100_000;

const NOW: Time = Time::from_millis(1_000_000_000);

/// A point that lists the crowd: unsigned records, which cost nothing.
fn crowded() -> Point {
    let mut point = Point::new(Kind::StockGo, 1_000);
    let address = ["/ip4/203.0.113.9/tcp/4001".parse().expect("an address")];
    point.fill((0..CROWD).map(|number| {
        let peer = plain_peer(number);
        Fact::Registered(Registered {
            namespace: name(0),
            peer,
            records: Records::new([Record::plain(&peer, &address)]).expect("one record"),
            granted: Ttl::DEFAULT,
            expires_at: NOW.saturating_add(Duration::from_secs(7_200)),
            origin: None,
        })
    }));
    point
}

/// Lists the crowd once, and returns what is told of it, and what is cached then.
fn list(config: ClientConfig) -> (usize, Listed, usize) {
    let mut point = crowded();
    let peer = client_peer(0);
    let mut client = Client::new(config, peer, 1).expect("valid bounds");
    client.add_point(NOW, point_peer(0)).expect("room");
    let scope = Scope::Namespace(name(0));
    let options = DiscoverOptions::default();
    let started = client.discover(NOW, Target::Every, &scope, options);
    started.expect("starts");
    let mut found = 0;
    for _ in 0..10_000 {
        match client.poll_output().expect("goes on to its end") {
            Output::Request { id, request, .. } => {
                let request: Request = request.to_request(&peer, None, None);
                let response: Response = point.respond(NOW, peer, &request).expect("an answer");
                client.handle_response(NOW, id, response);
                assert!(client.requests_out() <= 1);
            }
            Output::Event(Event::Found { peers, .. }) => found += peers.len(),
            Output::Event(Event::DiscoverDone { mut points, .. }) => {
                return (found, points.remove(0), client.peers_cached());
            }
            Output::Event(_) | Output::Cancel { .. } => {}
        }
    }
    panic!("no end");
}

#[test]
fn a_crowd_is_cut_at_the_bounds() {
    let config = ClientConfig::default();
    let (most, cached_max) = (config.listing_entries_max, config.cache.peers_per_namespace);
    let (found, listed, cached) = list(config);
    assert!(matches!(listed.cause, Some(Cause::Bound(_))), "{listed:?}");
    assert!((most..=most + 1_000).contains(&found), "{found}");
    assert_eq!(cached, cached_max);
}

#[test]
fn a_crowd_is_listed_to_its_end_where_the_bounds_allow_it() {
    let mut config = ClientConfig {
        listing_bytes_max: 1 << 30,
        listing_entries_max: 200_000,
        ..ClientConfig::default()
    };
    config.cache.bytes_total = 1 << 30;
    config.cache.peers_per_namespace = 100_000;
    let (found, listed, cached) = list(config);
    assert_eq!((listed.cause, listed.pages), (None, 101));
    assert_eq!((found, cached), (100_000, 100_000));
}

#[test]
fn a_clock_set_forward_by_years_ends_what_is_known_once_and_registers_anew() {
    let peer = client_peer(0);
    let mut client = Client::new(ClientConfig::default(), peer, 1).expect("valid bounds");
    client.set_addresses(NOW, ["/ip4/203.0.113.9/tcp/1".parse().expect("an address")]);
    client.add_point(NOW, point_peer(0)).expect("room");
    let options = RegisterOptions::default();
    let started = client.register(NOW, Target::Every, name(0), options);
    started.expect("starts");
    let granted = rv_proto::RegisterResponse::ok(Ttl::DEFAULT);
    let Some(Output::Request { id, .. }) = client.poll_output() else {
        panic!("no REGISTER");
    };
    client.handle_response(NOW, id, Response::Register(granted));
    while client.poll_output().is_some() {}

    let later = NOW.saturating_add(Duration::from_secs(10 * 365 * 86_400));
    client.handle_timeout(later);
    let outputs: Vec<_> = std::iter::from_fn(|| client.poll_output()).collect();
    let lapsed = |output: &&Output| matches!(output, Output::Event(Event::Lapsed { .. }));
    let requests = |output: &&Output| matches!(output, Output::Request { .. });
    assert_eq!(outputs.iter().filter(lapsed).count(), 1);
    assert_eq!(outputs.iter().filter(requests).count(), 1);
    assert_eq!(outputs.len(), 2);
}
