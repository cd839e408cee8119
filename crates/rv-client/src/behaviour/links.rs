//! Connections to points: which request goes over which, and who is to be dialled.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use libp2p_identity::PeerId;
use libp2p_swarm::{ConnectionId, DialError};
use rv_core::client::{Failure, RequestId, Wanted};

use crate::handler::Message;

/// All connections of the swarm, and all requests that are out.
#[derive(Default)]
pub(super) struct Links {
    peers: BTreeMap<PeerId, BTreeSet<ConnectionId>>,
    requests: BTreeMap<RequestId, Sent>,
    /// Our own dials.
    dials: BTreeMap<PeerId, ConnectionId>,
    acts: VecDeque<Act>,
}

struct Sent {
    point: PeerId,
    message: Message,
    /// The connection that it went over; `None` while there is none.
    over: Option<ConnectionId>,
    /// Connections that closed under it.
    lost: u32,
}

impl Sent {
    /// What is true of it after this failure: where a connection closed under it, it may have
    /// arrived, though it could not be sent again.
    fn told(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Unreachable if self.lost > 0 => Failure::ConnectionLost,
            failure => failure,
        }
    }
}

/// What the behaviour does next.
pub(super) enum Act {
    Cancel(PeerId, ConnectionId, RequestId),
    /// Dial the point, then call [`Links::dialled`].
    Dial(PeerId),
    Fail(RequestId, Failure),
    Send(PeerId, ConnectionId, RequestId, Message),
}

/// A connection may close, for want of use, just when a request is given to it. That often, the
/// request goes over another one.
const LOST_MAX: u32 = 1;

impl Links {
    pub(super) fn poll(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    pub(super) fn is_connected(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    pub(super) fn connections(&self, peer: &PeerId) -> Vec<ConnectionId> {
        self.peers
            .get(peer)
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }

    pub(super) fn send(&mut self, id: RequestId, point: PeerId, message: Message) {
        let sent = Sent {
            point,
            message,
            over: None,
            lost: 0,
        };
        self.requests.insert(id, sent);
        self.forward(id);
    }

    /// Whether a request is out at `peer`.
    pub(super) fn is_out(&self, id: RequestId, peer: &PeerId) -> bool {
        self.requests.get(&id).is_some_and(|it| it.point == *peer)
    }

    /// Takes out a request that is answered. Returns whether it was out at `peer`.
    pub(super) fn settle(&mut self, id: RequestId, peer: &PeerId) -> bool {
        let is_out = self.is_out(id, peer);
        if is_out {
            self.requests.remove(&id);
        }
        is_out
    }

    /// Takes out a request that failed at `peer`, and says how; `None` if it was not out there.
    pub(super) fn failed(
        &mut self,
        id: RequestId,
        peer: &PeerId,
        failure: Failure,
    ) -> Option<Failure> {
        let sent = self.requests.get(&id).filter(|it| it.point == *peer)?;
        let failure = sent.told(failure);
        self.requests.remove(&id);
        Some(failure)
    }

    pub(super) fn cancel(&mut self, id: RequestId) {
        if let Some(Sent { point, over, .. }) = self.requests.remove(&id)
            && let Some(connection) = over
        {
            self.acts.push_back(Act::Cancel(point, connection, id));
        }
    }

    /// Our dial to a point is under way.
    pub(super) fn dialled(&mut self, point: PeerId, connection: ConnectionId) {
        self.dials.insert(point, connection);
    }

    /// A connection is there: what waits for one goes over it.
    pub(super) fn connected(&mut self, peer: PeerId, connection: ConnectionId) {
        self.peers.entry(peer).or_default().insert(connection);
        self.dials.remove(&peer);
        for id in self.waiting(&peer) {
            self.forward(id);
        }
    }

    /// A connection closed: what was out on it goes over another, or fails.
    pub(super) fn disconnected(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(all) = self.peers.get_mut(&peer) {
            all.remove(&connection);
            if all.is_empty() {
                self.peers.remove(&peer);
            }
        }
        let mut lost = Vec::new();
        for (id, sent) in &mut self.requests {
            if sent.point == peer && sent.over == Some(connection) {
                sent.over = None;
                sent.lost += 1;
                lost.push((*id, sent.lost));
            }
        }
        for (id, times) in lost {
            if times > LOST_MAX || self.is_subscription(id) {
                self.fail(id);
            } else {
                self.forward(id);
            }
        }
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
            tracing::debug!(%peer, %error, "cannot reach the point");
            for id in waiting {
                self.fail(id);
            }
        } else if let Some(id) = waiting.first() {
            // Others may have tried other addresses than we would.
            self.forward(*id);
        }
    }

    /// A subscription that was told something must not begin again unnoticed.
    fn is_subscription(&self, id: RequestId) -> bool {
        let sent = self.requests.get(&id);
        sent.is_some_and(|it| matches!(it.message.wanted, Wanted::Subscribe { .. }))
    }

    fn waiting(&self, peer: &PeerId) -> Vec<RequestId> {
        let requests = self.requests.iter();
        let waiting = requests.filter(|(_, sent)| sent.point == *peer && sent.over.is_none());
        waiting.map(|(id, _)| *id).collect()
    }

    fn fail(&mut self, id: RequestId) {
        if let Some(sent) = self.requests.remove(&id) {
            let failure = sent.told(Failure::Unreachable);
            self.acts.push_back(Act::Fail(id, failure));
        }
    }

    /// Gives a request to a connection; without one, the point is dialled, once for all that wait.
    fn forward(&mut self, id: RequestId) {
        let Some(sent) = self.requests.get_mut(&id) else {
            return;
        };
        let point = sent.point;
        match self.peers.get(&point).and_then(BTreeSet::last) {
            Some(connection) => {
                sent.over = Some(*connection);
                let message = sent.message.clone();
                let act = Act::Send(point, *connection, id, message);
                self.acts.push_back(act);
            }
            None if self.dials.contains_key(&point) => {}
            None => {
                let is_known = |act: &Act| matches!(act, Act::Dial(peer) if *peer == point);
                if !self.acts.iter().any(is_known) {
                    self.acts.push_back(Act::Dial(point));
                }
            }
        }
    }
}
