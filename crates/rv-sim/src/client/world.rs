//! The network with everybody in it, on one clock.

use libp2p_identity::PeerId;
use rv_core::client::{
    ClientConfig, DiscoverOptions, Failure, Output, RegisterOptions, RequestId, Target, Wanted,
};
use rv_proto::{Namespace, Request, Response, Scope, Status, Time, Ttl};

use super::case::{Action, Case, Link, Shape};
use super::network::{Network, Outcome, Parcel};
use super::node::{Node, Out};
use super::point::{Point, Reply};
use super::samples::{POINTS_MAX, name, point_peer};
use super::seen::{Call, Seen, Sent};

/// Everybody, everything on its way, and the time.
#[derive(Debug)]
pub struct World {
    /// The true time.
    pub now: Time,
    /// The clients, by number.
    pub nodes: Vec<Node>,
    /// The points, by number.
    pub points: Vec<Point>,
    pub(crate) shape: Shape,
    network: Network,
    seen: Vec<Seen>,
}

impl World {
    /// When every case starts: late enough for clocks that are set back.
    pub const START: Time = Time::from_millis(1_000_000_000_000);

    /// How long it takes until a dial is refused.
    const REFUSED_MILLIS: u64 = 1_000;

    /// The network of a case at its start.
    pub fn new(case: &Case, config: &ClientConfig) -> Self {
        let shape = case.shape.clone();
        let now = Self::START;
        let nodes = (0..shape.clients).map(|number| {
            let seed = case.seed.wrapping_add(number as u64);
            let mut node = Node::new(now, number, config.clone(), seed);
            node.start(now, shape.points.len(), shape.names);
            node
        });
        let kinds = shape.points.iter();
        Self {
            now,
            nodes: nodes.collect(),
            points: kinds
                .map(|kind| Point::new(*kind, shape.page_entries_max))
                .collect(),
            network: Network::new(case.seed, shape.names),
            seen: Vec::new(),
            shape,
        }
    }

    /// What was seen since the last call.
    pub fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    /// Whether the faults are over.
    pub fn is_calm(&self) -> bool {
        self.now >= self.at_secs(self.shape.calm_at_secs)
    }

    /// That many seconds after the start.
    pub fn at_secs(&self, secs: u64) -> Time {
        Time::from_millis(Self::START.as_millis() + secs * 1_000)
    }

    /// When something happens next by itself.
    pub fn next_at(&self) -> Option<Time> {
        let timers = self.nodes.iter().filter(|node| !node.is_gone);
        let timers = timers.filter_map(|node| node.wake_at);
        timers.chain(self.network.next_at()).min()
    }

    /// Goes on to `now`, and does what is due then.
    pub fn advance(&mut self, now: Time) {
        self.now = self.now.max(now);
        while let Some(parcel) = self.network.take_due(self.now) {
            self.deliver(parcel);
        }
        for number in 0..self.nodes.len() {
            let node = &mut self.nodes[number];
            if !node.is_gone && node.wake_at.is_some_and(|at| at <= self.now) {
                let clock = node.clock(self.now);
                node.client.handle_timeout(clock);
                self.carry_out(number);
            }
        }
    }

    /// Carries out what every client wants at the start.
    pub fn begin(&mut self) {
        for number in 0..self.nodes.len() {
            self.carry_out(number);
        }
    }

    /// Lets something happen.
    pub fn act(&mut self, action: &Action) {
        match *action {
            Action::ConnectionLost { client, point } => self.lose_connection(client, point),
            Action::PointRestart {
                point,
                down_secs,
                keeps_store,
            } => {
                self.points[point].is_up = false;
                for client in 0..self.nodes.len() {
                    self.lose_connection(client, point);
                }
                let at = self
                    .now
                    .saturating_add(std::time::Duration::from_secs(down_secs));
                self.network
                    .send(at, Parcel::PointUp { point, keeps_store });
            }
            Action::PointClock { point, step_secs } => {
                self.points[point].wall_ahead_millis += step_secs * 1_000;
            }
            Action::Address { client, .. }
            | Action::ClientClock { client, .. }
            | Action::Crash { client }
            | Action::Discover { client, .. }
            | Action::Register { client, .. }
            | Action::Unregister { client, .. } => {
                if !self.nodes[client].is_gone {
                    self.act_at(client, action);
                    self.carry_out(client);
                }
            }
        }
    }

    fn act_at(&mut self, client: usize, action: &Action) {
        let now = self.now;
        let node = &mut self.nodes[client];
        let clock = node.clock(now);
        let call = match *action {
            Action::Address { port, .. } => {
                node.move_to(now, port);
                Some(Call::Move)
            }
            Action::ClientClock { step_secs, .. } => {
                node.step(now, step_secs);
                None
            }
            Action::Crash { .. } => {
                node.is_gone = true;
                node.out.clear();
                Some(Call::Crash)
            }
            Action::Discover { name: number, .. } => {
                let scope = Scope::Namespace(name(number));
                let options = DiscoverOptions::default();
                let started = node.client.discover(clock, Target::Every, &scope, options);
                let operation = started.expect("room for a discovery");
                Some(Call::Discover { operation })
            }
            Action::Register {
                name: number,
                ttl_secs,
                ..
            } => {
                let options = RegisterOptions {
                    ttl: Some(Ttl::from_secs(ttl_secs).expect("a ttl")),
                    wait_for_address: false,
                };
                let client = &mut node.client;
                let started = client.register(clock, Target::Every, name(number), options);
                started.expect("room for a registration");
                Some(Call::Register {
                    name: number,
                    ttl_secs,
                })
            }
            Action::Unregister { name: number, .. } => {
                let client = &mut node.client;
                let started = client.unregister(clock, Target::Every, &name(number));
                let operation = started.expect("room for an unregistration");
                Some(Call::Unregister {
                    operation,
                    name: number,
                })
            }
            Action::ConnectionLost { .. }
            | Action::PointRestart { .. }
            | Action::PointClock { .. } => None,
        };
        self.seen
            .extend(call.map(|call| Seen::Called { client, call }));
    }

    /// What is on the connection is lost, and who waits is told or not.
    fn lose_connection(&mut self, client: usize, point: usize) {
        self.network.disconnect(client, point);
        let mut dice = self.network.dice(client, point);
        let waiting = self.nodes[client].out.iter();
        let waiting: Vec<_> = waiting
            .filter(|(_, out)| out.point == point)
            .map(|(id, _)| *id)
            .collect();
        if dice.chance(30) {
            return;
        }
        for id in waiting {
            let outcome = Outcome::Failure(Failure::EndOfStream);
            self.answer_in(Network::DELAY_MILLIS_MIN, client, point, id, outcome);
        }
    }

    fn answer_in(
        &mut self,
        millis: u64,
        client: usize,
        point: usize,
        id: RequestId,
        outcome: Outcome,
    ) {
        let at = super::point::shifted(self.now, millis.cast_signed());
        let parcel = Parcel::Outcome {
            client,
            point,
            id,
            outcome,
        };
        self.network.send(at, parcel);
    }

    fn deliver(&mut self, parcel: Parcel) {
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
        node.out.remove(&id);
        let clock = node.clock(self.now);
        match outcome {
            Outcome::Failure(failure) => node.client.handle_failure(clock, id, failure),
            Outcome::Response(response) => node.client.handle_response(clock, id, *response),
            Outcome::Written => node.client.handle_written(clock, id),
        }
        self.seen.push(Seen::Answered { client, point });
        self.carry_out(client);
    }

    fn carry_out(&mut self, client: usize) {
        while let Some(output) = self.nodes[client].client.poll_output() {
            match output {
                Output::Cancel { id } => {
                    self.nodes[client].out.remove(&id);
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
    fn link(&self, point: usize) -> Link {
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
        node.out.insert(id, Out { point });
        let bytes = bytes::Bytes::from(node.to_request(wanted).encode());
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
            let at = super::point::shifted(self.now, dial.cast_signed());
            self.network.send(at, Parcel::Connected { client, point });
        }
        for delay in fate.delays_millis {
            let at = super::point::shifted(self.now, (dial + delay).cast_signed());
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
        let outcome = match reply {
            Reply::EndOfStream => Outcome::Failure(Failure::EndOfStream),
            Reply::Read => Outcome::Written,
            Reply::Response(response) => Outcome::Response(response),
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
            (Sent::Register { .. } | Sent::Unregister { .. } | Sent::Discover { .. }, _) => {}
        }
    }
}

/// The number of a namespace.
pub(crate) fn number_of(namespace: &Namespace) -> usize {
    let number = namespace.as_str().rsplit('-').next();
    number
        .and_then(|it| it.parse().ok())
        .expect("one of our names")
}

/// The number of a point.
pub(crate) fn number_of_point(point: PeerId) -> usize {
    let mut numbers = 0..POINTS_MAX;
    let number = numbers.find(|number| point_peer(*number) == point);
    number.expect("one of our points")
}

fn sent_of(wanted: &Wanted) -> Sent {
    match wanted {
        Wanted::Discover {
            scope: Scope::All, ..
        } => Sent::Discover { name: usize::MAX },
        Wanted::Discover {
            scope: Scope::Namespace(it),
            ..
        } => Sent::Discover {
            name: number_of(it),
        },
        Wanted::Register { namespace, .. } => Sent::Register {
            name: number_of(namespace),
        },
        Wanted::Unregister { namespace } => Sent::Unregister {
            name: number_of(namespace),
        },
    }
}
