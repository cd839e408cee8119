//! Who finds whom at one point of ours: five kinds of client, each with each.
//!
//! Every cell is found out by two live clients. The table in the README is written by this test
//! when `RV_MATRIX` says so (`cargo xtask matrix`), and compared with it at any other time.

mod client;
mod odd_records;
mod readme;

use std::collections::BTreeMap;

use libp2p::Multiaddr;
use rv_interop::RunningDaemon;

use client::{Client, Kind, Kinds, Listing};
use readme::Matrix;

const NAMESPACE: &str = "my-app";
const TTL_SECS: u64 = 7_200;

/// Those who are registered, two of each kind: so each finds one of its own.
struct Registered(Vec<(Kind, Client)>);

impl Registered {
    async fn new(kinds: &Kinds, point: &Multiaddr) -> Self {
        let mut clients = Vec::new();
        for kind in Kind::ALL.into_iter().chain(Kind::ALL) {
            let mut client = kinds.connect(kind, point).await;
            client.register(NAMESPACE, TTL_SECS).await;
            clients.push((kind, client));
        }
        Self(clients)
    }

    /// Of which kinds those are that `reader` finds. Each of a kind is found with its addresses,
    /// or none of it is listed at all; and there is nobody else.
    async fn kinds_found(&self, reader: &mut Client) -> Vec<Kind> {
        let mut listing: Listing = reader.listing(NAMESPACE).await;
        let mut found = Vec::new();
        for kind in Kind::ALL {
            let of_kind = self.0.iter().filter(|(it, _)| *it == kind);
            let others = of_kind.filter(|(_, client)| client.peer() != reader.peer());
            let expected: Listing = others
                .map(|(_, client)| (client.peer(), client.addresses()))
                .collect();
            let listed: BTreeMap<_, _> = expected
                .keys()
                .filter_map(|peer| listing.remove_entry(peer))
                .collect();
            if !listed.is_empty() {
                assert_eq!(listed, expected, "{kind:?}");
                found.push(kind);
            }
        }
        assert_eq!(listing, Listing::new(), "nobody else is listed");
        found
    }
}

#[tokio::test]
async fn every_pair_of_clients_is_as_the_readme_says() {
    let Some(kinds) = Kinds::find() else {
        return;
    };
    let daemon = RunningDaemon::for_every_language().await;
    let point = &daemon.addresses()[0];
    let mut registered = Registered::new(&kinds, point).await;

    let mut matrix = Matrix::default();
    for index in 0..Kind::ALL.len() {
        let mut reader = kinds.connect(Kind::ALL[index], point).await;
        let found = registered.kinds_found(&mut reader).await;
        matrix.only_reads(Kind::ALL[index], found);
        reader.end().await;

        // It is put back before the next one reads: all of them are listed.
        let (kind, mut reader) = registered.0.remove(index);
        let found = registered.kinds_found(&mut reader).await;
        matrix.is_registered(kind, found);
        registered.0.insert(index, (kind, reader));
    }
    for (_, client) in registered.0 {
        client.end().await;
    }
    daemon.stop().await;

    matrix.check_forms();
    matrix.check_readme();
}
