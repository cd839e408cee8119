//! What becomes of a request: out of its client, over the link, to its point, and back.

use rv_core::client::{Failure, Output, Pushed, RequestId, Wanted};
use rv_proto::{Request, Response, Scope, Status};

use super::World;
use crate::client::case::Link;
use crate::client::network::{Network, Outcome, Parcel};
use crate::client::node::Out;
use crate::client::point::{Reply, shifted};
use crate::client::samples::{number_of, number_of_point, point_peer};
use crate::client::seen::{Seen, Sent};

impl World {
    /// How long it takes until a dial is refused.
    const REFUSED_MILLIS: u64 = 1_000;

    pub(super) fn answer_in(
        &mut self,
        millis: u64,
        client: usize,
        point: usize,
        id: RequestId,
        outcome: Outcome,
    ) {
        let at = shifted(self.now, millis.cast_signed());
        let parcel = Parcel::Outcome {
            client,
            point,
            id,
            outcome,
        };
        self.network.send(at, parcel);
    }

    pub(super) fn deliver(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Connected { client, point } => self.connected(client, point),
            Parcel::Outcome {
                client,
                point,
                id,
                outcome,
            } => {
                self.settle(client, point, id, outcome);
            }
            Parcel::PointUp { point, keeps_store } => {
                let it = &mut self.points[point];
                let lasts_longer = it.restart(keeps_store);
                it.is_up = true;
                let lasts_longer_millis = u64::try_from(lasts_longer).unwrap_or(0);
                self.seen.push(Seen::Forgot {
                    point,
                    lasts_longer_millis,
                });
            }
            Parcel::Request {
                client,
                point,
                id,
                sent,
                bytes,
                connection,
            } => {
                let is_lost =
                    connection.is_some() && connection != self.network.connection(client, point);
                if self.points[point].is_up && !is_lost {
                    let request = Request::decode(bytes).expect("our own request");
                    self.ask(client, point, id, sent, &request);
                }
            }
        }
    }

    fn connected(&mut self, client: usize, point: usize) {
        let node = &mut self.nodes[client];
        if node.is_gone || self.network.connection(client, point).is_none() {
            return;
        }
        let clock = node.clock(self.now);
        node.client.handle_connected(clock, point_peer(point));
        if self.shape.has_identify {
            let (agent, protocols) = self.points[point].identify();
            node.client
                .handle_identified(clock, point_peer(point), agent, protocols);
        }
        self.carry_out(client);
    }

    /// Gives the client what it waits for, and also what it does not wait for.
    fn settle(&mut self, client: usize, point: usize, id: RequestId, outcome: Outcome) {
        let node = &mut self.nodes[client];
        if node.is_gone {
            return;
        }
        let clock = node.clock(self.now);
        let out = node.out.remove(&id);
        match outcome {
            Outcome::Failure(failure) => {
                node.pushed.remove(&id);
                node.client.handle_failure(clock, id, failure);
            }
            Outcome::Response(response) => {
                if let (Some(out), true) = (out, is_begun(&response)) {
                    node.pushed.insert(id, out);
                }
                node.client.handle_response(clock, id, *response);
            }
            Outcome::Update(update) => {
                let Some(Out { wanted, .. }) = node.pushed.get(&id) else {
                    return;
                };
                let pushed = Pushed::update(Some(&node.peer), wanted, *update);
                node.client.handle_pushed(clock, id, pushed);
            }
            Outcome::Written => node.client.handle_written(clock, id),
        }
        self.seen.push(Seen::Answered { client, point });
        self.carry_out(client);
    }

    pub(super) fn carry_out(&mut self, client: usize) {
        while let Some(output) = self.nodes[client].client.poll_output() {
            match output {
                Output::Cancel { id } => {
                    self.nodes[client].out.remove(&id);
                    self.nodes[client].pushed.remove(&id);
                    self.streams
                        .retain(|(of, _, it), _| (*of, *it) != (client, id));
                }
                Output::Event(event) => self.seen.push(Seen::Told { client, event }),
                Output::Request { id, point, request } => {
                    self.send(client, number_of_point(point), id, &request);
                }
            }
        }
        self.nodes[client].rest(self.now);
    }

    /// How a link is now.
    pub(super) fn link(&self, point: usize) -> Link {
        if self.is_calm() || (point == 0 && !self.shape.is_first_lossy) {
            return Link::default();
        }
        self.shape.link
    }

    fn send(&mut self, client: usize, point: usize, id: RequestId, wanted: &Wanted) {
        let sent = sent_of(wanted);
        self.seen.push(Seen::Sent {
            client,
            point,
            id,
            sent,
        });
        let node = &mut self.nodes[client];
        let out = Out {
            point,
            wanted: wanted.clone(),
        };
        node.out.insert(id, out);
        let bytes = bytes::Bytes::from(node.sealed_request(wanted).encode());
        let mut dice = self.network.dice(client, point);
        if !self.points[point].is_up {
            // Refused, or nobody says anything.
            if dice.chance(60) {
                let outcome = Outcome::Failure(Failure::Unreachable);
                self.answer_in(Self::REFUSED_MILLIS, client, point, id, outcome);
            }
            return;
        }
        let link = self.link(point);
        let (connection, is_new) = self.network.connect(client, point);
        let may_lose = self.network.may_lose(client, point, sent);
        let fate = Network::fate(&mut dice, &link, link.lost, may_lose);
        if fate.is_lost() {
            self.network.note_loss(client, point, sent);
        }
        let dial = if is_new { dice.within(5, 50) } else { 0 };
        if is_new {
            let at = shifted(self.now, dial.cast_signed());
            self.network.send(at, Parcel::Connected { client, point });
        }
        for delay in fate.delays_millis {
            let at = shifted(self.now, (dial + delay).cast_signed());
            let connection = (!fate.is_late).then_some(connection);
            let bytes = bytes.clone();
            let parcel = Parcel::Request {
                client,
                point,
                id,
                sent,
                bytes,
                connection,
            };
            self.network.send(at, parcel);
        }
    }

    /// A request reached a point.
    fn ask(&mut self, client: usize, point: usize, id: RequestId, sent: Sent, request: &Request) {
        let node = &self.nodes[client];
        let is_late = !node.out.contains_key(&id);
        let reply = self.points[point].ask(self.now, node.peer, request);
        self.note_write(client, point, sent, is_late, &reply);
        let mut subscription = None;
        let outcome = match reply {
            Reply::EndOfStream => Outcome::Failure(Failure::EndOfStream),
            Reply::Read => Outcome::Written,
            Reply::Response(response) => Outcome::Response(response),
            Reply::Subscribed(begun) => {
                subscription = Some(begun.1);
                Outcome::Response(Box::new(begun.0))
            }
        };
        let link = self.link(point);
        let mut dice = self.network.dice(client, point);
        let may_lose = self.network.may_lose(client, point, sent);
        let fate = Network::fate(&mut dice, &link, link.answers_lost, may_lose);
        if fate.is_lost() {
            self.network.note_loss(client, point, sent);
        } else {
            self.network.note_answer(client, point, sent);
        }
        if let Some(subscription) = subscription.filter(|_| !is_late)
            && let Some(delay) = fate.delays_millis.first()
        {
            let behind = shifted(self.now, delay.cast_signed());
            self.begin_stream((client, point, id), subscription, behind);
        }
        for delay in fate.delays_millis {
            self.answer_in(delay, client, point, id, outcome.clone());
        }
    }

    fn note_write(
        &mut self,
        client: usize,
        point: usize,
        sent: Sent,
        is_late: bool,
        reply: &Reply,
    ) {
        match (sent, reply) {
            (Sent::Register { name }, Reply::Response(response)) => {
                if let Response::Register(granted) = &**response
                    && granted.status == Status::OK
                {
                    let ttl_secs = granted.ttl_secs.unwrap_or_default();
                    let seen = Seen::Granted {
                        client,
                        point,
                        name,
                        ttl_secs,
                        is_late,
                    };
                    self.seen.push(seen);
                }
            }
            (Sent::Unregister { name }, Reply::Read) => {
                self.seen.push(Seen::Removed {
                    client,
                    point,
                    name,
                    is_late,
                });
            }
            (
                Sent::Register { .. }
                | Sent::Unregister { .. }
                | Sent::Discover { .. }
                | Sent::Subscribe { .. },
                _,
            ) => {}
        }
    }
}

/// Whether a subscription is begun with it.
fn is_begun(response: &Response) -> bool {
    matches!(response, Response::Subscribe(it) if it.status == Status::OK)
}

fn sent_of(wanted: &Wanted) -> Sent {
    let in_scope = |scope: &Scope| match scope {
        Scope::All => usize::MAX,
        Scope::Namespace(it) => number_of(it),
    };
    match wanted {
        Wanted::Discover { scope, .. } => Sent::Discover {
            name: in_scope(scope),
        },
        Wanted::Register { namespace, .. } => Sent::Register {
            name: number_of(namespace),
        },
        Wanted::Subscribe { scope, .. } => Sent::Subscribe {
            name: in_scope(scope),
        },
        Wanted::Unregister { namespace } => Sent::Unregister {
            name: number_of(namespace),
        },
    }
}
