//! Connections: which request goes over which, and who is to be dialled.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use libp2p_identity::PeerId;
use libp2p_swarm::{ConnectionId, DialError};
use multiaddr::Multiaddr;

use crate::output::{Failure, RequestId};
use crate::peer::{Addresses, Contact, Peer};

/// All connections of the swarm, and all requests that are out; these the walk bounds.
#[derive(Debug, Default)]
pub(super) struct Links {
    peers: BTreeMap<PeerId, Link>,
    requests: BTreeMap<RequestId, Sent>,
    /// Our own dials. Each ends with an event of the swarm.
    dials: BTreeMap<PeerId, ConnectionId>,
    acts: VecDeque<Act>,
}

/// A connected peer.
#[derive(Debug)]
struct Link {
    connections: BTreeSet<ConnectionId>,
    /// Where it listens, as far as it said so or we dialled it there.
    addresses: Addresses,
    /// Whether it said that it serves the DHT.
    is_serving: bool,
}

#[derive(Debug)]
struct Sent {
    peer: PeerId,
    addresses: Addresses,
    key: Vec<u8>,
    /// The connection that it went over; `None` while there is none.
    over: Option<ConnectionId>,
    /// A connection closed under it.
    is_lost: bool,
}

/// What the behaviour does next.
#[derive(Debug)]
pub(super) enum Act {
    Cancel(PeerId, ConnectionId, RequestId),
    /// Dial the peer, then call [`Links::dialled`].
    Dial(PeerId, Addresses),
    Fail(PeerId, RequestId, Failure),
    Send(PeerId, ConnectionId, RequestId, Vec<u8>),
}

impl Links {
    pub(super) fn poll(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    pub(super) fn is_connected(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    pub(super) fn ask(&mut self, id: RequestId, contact: &Contact, key: Vec<u8>) {
        let sent = Sent {
            peer: contact.peer.id(),
            addresses: contact.addresses.clone(),
            key,
            over: None,
            is_lost: false,
        };
        self.requests.insert(id, sent);
        self.forward(id);
    }

    /// Whether the request went over a connection, and waits for its answer.
    pub(super) fn is_under_way(&self, id: RequestId) -> bool {
        let sent = self.requests.get(&id);
        sent.is_some_and(|sent| sent.over.is_some())
    }

    /// Takes out a request that `peer` answered, or failed to. Returns whether it was out there.
    pub(super) fn settle(&mut self, id: RequestId, peer: &PeerId) -> bool {
        let is_out = self.requests.get(&id).is_some_and(|it| it.peer == *peer);
        if is_out {
            self.requests.remove(&id);
        }
        is_out
    }

    /// A dial that is under way for it alone goes on: a swarm cannot take it back.
    pub(super) fn cancel(&mut self, id: RequestId) {
        if let Some(Sent { peer, over, .. }) = self.requests.remove(&id)
            && let Some(connection) = over
        {
            self.acts.push_back(Act::Cancel(peer, connection, id));
        }
    }

    /// Our dial is under way.
    pub(super) fn dialled(&mut self, peer: PeerId, connection: ConnectionId) {
        self.dials.insert(peer, connection);
    }

    /// A connection is there: what waits for one goes over it. Returns whether it is the peer's
    /// first.
    pub(super) fn connected(&mut self, peer: PeerId, connection: ConnectionId) -> bool {
        let is_first = !self.is_connected(&peer);
        let link = self.peers.entry(peer).or_insert_with(|| Link {
            connections: BTreeSet::new(),
            addresses: Addresses::none(),
            is_serving: false,
        });
        link.connections.insert(connection);
        self.dials.remove(&peer);
        for id in self.waiting(&peer) {
            self.forward(id);
        }
        is_first
    }

    /// A connection closed: what was out on it goes over another, once, or fails. Returns whether
    /// it was the peer's last.
    pub(super) fn disconnected(&mut self, peer: PeerId, connection: ConnectionId) -> bool {
        if let Some(link) = self.peers.get_mut(&peer) {
            link.connections.remove(&connection);
            if link.connections.is_empty() {
                self.peers.remove(&peer);
            }
        }
        let is_on = |sent: &Sent| sent.peer == peer && sent.over == Some(connection);
        let on: Vec<RequestId> = self
            .requests
            .iter()
            .filter(|(_, sent)| is_on(sent))
            .map(|(id, _)| *id)
            .collect();
        for id in on {
            let Some(sent) = self.requests.get_mut(&id) else {
                continue;
            };
            sent.over = None;
            // It may have closed for want of use just when the request was given to it.
            if std::mem::replace(&mut sent.is_lost, true) {
                self.fail(id, Failure::Broken);
            } else {
                self.forward(id);
            }
        }
        !self.is_connected(&peer)
    }

    /// A dial failed, ours or that of another behaviour.
    pub(super) fn dial_failed(&mut self, peer: PeerId, dial: ConnectionId, error: &DialError) {
        let is_ours = self.dials.get(&peer) == Some(&dial);
        if is_ours {
            self.dials.remove(&peer);
        }
        // Somebody else dials, and how that ends will be told.
        let others_dial = matches!(error, DialError::DialPeerConditionFalse(_));
        if self.is_connected(&peer) || others_dial {
            return;
        }
        let waiting = self.waiting(&peer);
        if is_ours {
            tracing::debug!(%peer, %error, "cannot reach a peer of the DHT");
            for id in waiting {
                self.fail(id, Failure::Unreachable);
            }
        } else if let Some(id) = waiting.first() {
            // Others may have tried other addresses than we would.
            self.forward(*id);
        }
    }

    /// A connected peer is reached there.
    pub(super) fn note_address(&mut self, peer: &PeerId, address: Multiaddr) {
        if let Some(link) = self.peers.get_mut(peer) {
            let one: Addresses = [address].into_iter().collect();
            link.addresses = link.addresses.joined(&one, 1).0;
        }
    }

    /// A connected peer said whether it serves the DHT, and where it listens.
    pub(super) fn note_identity(&mut self, peer: &PeerId, is_serving: bool, listens: &Addresses) {
        if let Some(link) = self.peers.get_mut(peer) {
            link.is_serving = is_serving;
            if !listens.is_empty() {
                link.addresses = listens.clone();
            }
        }
    }

    pub(super) fn note_serving(&mut self, peer: &PeerId, is_serving: bool) {
        if let Some(link) = self.peers.get_mut(peer) {
            link.is_serving = is_serving;
        }
    }

    /// What is known of where a connected peer listens.
    pub(super) fn addresses(&self, peer: &PeerId) -> Addresses {
        let link = self.peers.get(peer);
        link.map_or_else(Addresses::none, |link| link.addresses.clone())
    }

    /// Connected peers that serve the DHT and can be told to others.
    pub(super) fn serving(&self) -> impl Iterator<Item = Contact> {
        let serving = |link: &Link| link.is_serving && !link.addresses.is_empty();
        let peers = self.peers.iter().filter(move |(_, link)| serving(link));
        peers.map(|(id, link)| Contact {
            peer: Peer::new(*id),
            addresses: link.addresses.clone(),
        })
    }

    fn waiting(&self, peer: &PeerId) -> Vec<RequestId> {
        let requests = self.requests.iter();
        let waiting = requests.filter(|(_, sent)| sent.peer == *peer && sent.over.is_none());
        waiting.map(|(id, _)| *id).collect()
    }

    fn fail(&mut self, id: RequestId, failure: Failure) {
        if let Some(sent) = self.requests.remove(&id) {
            self.acts.push_back(Act::Fail(sent.peer, id, failure));
        }
    }

    /// Gives a request to a connection; without one, the peer is dialled, once for all that wait.
    fn forward(&mut self, id: RequestId) {
        let Some(sent) = self.requests.get_mut(&id) else {
            return;
        };
        let peer = sent.peer;
        match self.peers.get(&peer).and_then(|it| it.connections.last()) {
            Some(connection) => {
                sent.over = Some(*connection);
                let act = Act::Send(peer, *connection, id, sent.key.clone());
                self.acts.push_back(act);
            }
            None if self.dials.contains_key(&peer) => {}
            None => {
                let is_same = |act: &Act| matches!(act, Act::Dial(it, _) if *it == peer);
                if !self.acts.iter().any(is_same) {
                    self.acts.push_back(Act::Dial(peer, sent.addresses.clone()));
                }
            }
        }
    }
}
