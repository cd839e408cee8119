//! What nodes answer: the truth, or not.

use dht_walk::multiaddr::Multiaddr;
use dht_walk::{Contact, Targets};

/// How a node behaves towards those who ask it. All of them tend a table and walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// Asks, but does not serve.
    Client,
    /// Answers from its table.
    Honest,
    /// Serves, and lies.
    Liar(Lie),
    /// One of many ids of one hand, which tells of nobody but the others.
    Sybil,
}

/// How a liar lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// It tells of peers that do not exist, at addresses where nobody is.
    Garbage,
    /// It tells of the right peers, at its own address.
    Poison,
}

/// What a liar answers instead.
pub(crate) fn lie(
    kind: Lie,
    own: &Contact,
    honest: Vec<Contact>,
    ids: &mut Targets,
) -> Vec<Contact> {
    match kind {
        Lie::Garbage => (0..20).map(|_| nobody(ids)).collect(),
        Lie::Poison => {
            let poisoned = honest.into_iter();
            let own: Vec<Multiaddr> = own.addresses.as_slice().to_vec();
            poisoned
                .map(|it| Contact::new(it.peer, own.iter().cloned()))
                .collect()
        }
    }
}

/// A peer that never was, somewhere.
fn nobody(ids: &mut Targets) -> Contact {
    let peer = ids.uniform().as_peer().clone();
    let [_, high, low, ..] = *peer.key().as_bytes();
    let text = format!("/ip4/98.{high}.{low}.1/tcp/4001");
    Contact::new(peer, [text.parse().expect("an address")])
}
