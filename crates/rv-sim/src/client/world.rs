//! The network with everybody in it, on one clock.

mod exchange;
mod streams;

use rv_core::client::{ClientConfig, DiscoverOptions, Failure, RegisterOptions, Target};
use rv_proto::{Scope, Time, Ttl};

use super::case::{Action, Case, Shape};
use super::network::{Network, Outcome, Parcel};
use super::node::Node;
use super::point::Point;
use super::samples::name;
use super::seen::{Call, Seen};
use streams::Streams;

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
    streams: Streams,
    seen: Vec<Seen>,
}

impl World {
    /// When every case starts: late enough for clocks that are set back.
    pub const START: Time = Time::from_millis(1_000_000_000_000);

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
            streams: Streams::new(),
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
        let streams = self.next_push_at();
        timers.chain(self.network.next_at()).chain(streams).min()
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
        self.push();
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
                node.pushed.clear();
                self.streams.retain(|(it, ..), _| *it != client);
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
        self.streams
            .retain(|(of, at, _), _| (*of, *at) != (client, point));
        let mut dice = self.network.dice(client, point);
        let node = &self.nodes[client];
        let waiting = node.out.iter().chain(&node.pushed);
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
}
