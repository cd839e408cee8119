//! What the programs of the peers print.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use serde_json::Value;

pub(super) fn parse(line: &str) -> Value {
    match serde_json::from_str(line) {
        Ok(value) => value,
        Err(error) => panic!("not JSON: {line}: {error}"),
    }
}

pub(super) fn read_peers(answer: &Value) -> BTreeMap<PeerId, BTreeSet<Multiaddr>> {
    let shown = answer["peers"].as_array().expect("an array");
    let peers: BTreeMap<_, _> = shown.iter().map(read_peer).collect();
    assert_eq!(peers.len(), shown.len(), "nobody twice");
    peers
}

/// A peer, and its addresses without the peer id at their end.
pub(super) fn read_peer(value: &Value) -> (PeerId, BTreeSet<Multiaddr>) {
    let peer: PeerId = text(&value["peer"]).parse().expect("a peer id");
    let addresses = value["addresses"].as_array().expect("an array");
    let address = |value: &Value| {
        let address: Multiaddr = text(value).parse().expect("an address");
        match address.iter().last() {
            Some(last) if last == Protocol::P2p(peer) => {
                let parts = address.iter().take(address.iter().count() - 1);
                parts.collect()
            }
            _ => address,
        }
    };
    (peer, addresses.iter().map(address).collect())
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
