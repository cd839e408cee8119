//! Nodes on one virtual clock, and the wires between them.
//!
//! A request reaches whoever stands at one of the contact's addresses, if that is the peer that is
//! meant. It takes a round trip, three with a dial; nobody at the address costs the time of a dial.
//! It is answered from the asked node's own table at the moment it arrives.

use dht_walk::{Contact, Failure, Key, Peer, Seed, Target, Targets, Time};

use crate::Dice;
use crate::walk::conditions::Conditions;
use crate::walk::conduct::{Conduct, lie};
use crate::walk::model::{Model, Request, Start, What};
use crate::walk::place::{Slot, contact, crowded_contact, slot_at};
use crate::walk::queue::Queue;

/// A network of nodes that tend their tables alike.
#[derive(Debug)]
pub struct Network<M: Model> {
    now: Time,
    queue: Queue<Event<M::Id>>,
    pub(crate) nodes: Vec<Node<M>>,
    settings: M::Settings,
    pub(crate) conditions: Conditions,
    /// Whom everybody knows: the first nodes, which never leave.
    bootstrap: Vec<Contact>,
    /// Where Sybils begin.
    crowd_at: Slot,
    pub(crate) ids: Targets,
    dice: Dice,
    seeds: Dice,
    tally: Tally,
}

/// A node, present or gone.
#[derive(Debug)]
pub struct Node<M> {
    /// Who and where it is.
    pub contact: Contact,
    /// What it answers.
    pub conduct: Conduct,
    /// Its table; none once it is gone.
    pub model: Option<M>,
    /// Nothing reaches it, nor leaves it.
    pub is_cut: bool,
    /// FIND_NODE requests that it sent.
    pub messages: u32,
    /// When it came.
    pub joined_at: Time,
    wake_at: Time,
    connections: Vec<(Slot, Time)>,
}

/// What was sent, by everybody together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// FIND_NODE requests.
    pub messages: u64,
    /// Connections that were dialled, or tried to be.
    pub dials: u64,
}

#[derive(Debug)]
enum Event<Id> {
    Arrive {
        from: Slot,
        to: Slot,
        id: Id,
        target: Option<Target>,
        is_dial: bool,
    },
    Fail {
        from: Slot,
        id: Id,
        failure: Failure,
    },
    Join,
    Leave(Slot),
    Wake(Slot),
}

impl<M: Model> Network<M> {
    /// A network without nodes, of this seed.
    pub fn new(seed: u64, settings: M::Settings, conditions: Conditions) -> Self {
        let mut seeds = Dice::fork(seed, 1);
        Self {
            now: Time::from_millis(0),
            queue: Queue::new(),
            nodes: Vec::new(),
            settings,
            conditions,
            bootstrap: Vec::new(),
            crowd_at: Slot::MAX,
            ids: Targets::new(Seed::from_bytes(bytes(&mut seeds))),
            dice: Dice::fork(seed, 2),
            seeds,
            tally: Tally::default(),
        }
    }

    /// The virtual time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// What was sent.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// So many nodes that everybody knows, and that never leave, join at once.
    pub fn found(&mut self, count: u32) {
        let founders: Vec<Peer> = (0..count)
            .map(|_| self.ids.uniform().as_peer().clone())
            .collect();
        let numbered = founders.iter().zip(0..);
        self.bootstrap = numbered.map(|(peer, slot)| contact(peer, slot)).collect();
        for peer in founders {
            self.join_as(peer, Conduct::Honest);
        }
    }

    /// So many nodes join, evenly over a span, and stay for a life each.
    pub fn populate(&mut self, count: u32, over: std::time::Duration) {
        let span = u64::try_from(over.as_millis()).expect("a span of days");
        for nth in 0..u64::from(count) {
            let millis = self.now.as_millis() + span * nth / u64::from(count);
            self.queue.plan(Time::from_millis(millis), Event::Join);
        }
    }

    /// A node joins now.
    pub fn join(&mut self, conduct: Conduct) -> Slot {
        let peer = self.ids.uniform().as_peer().clone();
        self.join_as(peer, conduct)
    }

    /// A node of this id joins now.
    pub fn join_as(&mut self, peer: Peer, conduct: Conduct) -> Slot {
        let slot = Slot::try_from(self.nodes.len()).expect("fewer nodes than addresses");
        let contact = match conduct {
            Conduct::Sybil => {
                self.crowd_at = self.crowd_at.min(slot);
                let nth = u16::try_from(slot - self.crowd_at).expect("fewer Sybils than ports");
                crowded_contact(&peer, nth)
            }
            Conduct::Client | Conduct::Honest | Conduct::Liar(_) => contact(&peer, slot),
        };
        let seed = bytes(&mut self.seeds);
        let start = Start {
            seed,
            bootstrap: &self.bootstrap,
        };
        let model = Some(M::join(self.now, &self.settings, &contact, start));
        self.nodes.push(Node {
            contact,
            conduct,
            model,
            is_cut: false,
            messages: 0,
            joined_at: self.now,
            wake_at: Time::from_millis(u64::MAX),
            connections: Vec::new(),
        });
        let is_founder = (slot as usize) < self.bootstrap.len();
        if let Some(life) = self
            .conditions
            .life(&mut self.seeds)
            .filter(|_| !is_founder)
        {
            self.queue
                .plan(self.now.saturating_add(life), Event::Leave(slot));
        }
        self.settle(slot);
        slot
    }

    /// A node is gone, and answers nobody.
    pub fn leave(&mut self, slot: Slot) {
        let node = &mut self.nodes[slot as usize];
        (node.model, node.connections) = (None, Vec::new());
    }

    /// All that happens in a span.
    pub fn run(&mut self, span: std::time::Duration) {
        let end = self.now.saturating_add(span);
        while let Some((at, event)) = self.queue.next(end) {
            self.now = at;
            self.happen(event);
        }
        self.now = end;
    }

    fn happen(&mut self, event: Event<M::Id>) {
        match event {
            Event::Arrive {
                from,
                to,
                id,
                target,
                is_dial,
            } => {
                self.arrive(from, to, id, target, is_dial);
            }
            Event::Fail { from, id, failure } => self.fail(from, id, failure),
            Event::Join => {
                self.join(Conduct::Honest);
            }
            Event::Leave(slot) => {
                // Whoever was made to leave before does not leave again.
                if self.nodes[slot as usize].model.is_some() {
                    self.leave(slot);
                    self.join(Conduct::Honest);
                }
            }
            Event::Wake(slot) => {
                let node = &mut self.nodes[slot as usize];
                if node.wake_at == self.now {
                    node.wake_at = Time::from_millis(u64::MAX);
                    if let Some(model) = &mut node.model {
                        model.wake(self.now);
                    }
                    self.settle(slot);
                }
            }
        }
    }

    /// Does something to a node's model, and what follows from it.
    pub fn with<T>(&mut self, slot: Slot, work: impl FnOnce(Time, &mut M) -> T) -> Option<T> {
        let now = self.now;
        let done = self.nodes[slot as usize]
            .model
            .as_mut()
            .map(|model| work(now, model));
        self.settle(slot);
        done
    }

    /// Sends what a node wants to send, and arranges for its next wake-up.
    fn settle(&mut self, slot: Slot) {
        let at = slot as usize;
        while let Some(request) = self.nodes[at]
            .model
            .as_mut()
            .and_then(|it| it.poll(self.now))
        {
            self.send(slot, request);
        }
        let node = &mut self.nodes[at];
        let Some(wake_at) = node.model.as_ref().and_then(Model::wake_at) else {
            return;
        };
        let wake_at = wake_at.max(self.now);
        if wake_at < node.wake_at {
            node.wake_at = wake_at;
            self.queue.plan(wake_at, Event::Wake(slot));
        }
    }

    fn send(&mut self, from: Slot, request: Request<M::Id>) {
        let Request { id, contact, what } = request;
        let target = match what {
            What::Dial => None,
            What::Find(target) => Some(target),
        };
        self.tally.messages += u64::from(target.is_some());
        self.nodes[from as usize].messages += u32::from(target.is_some());
        let now = self.now;
        let is_cut = self.nodes[from as usize].is_cut;
        let to = self
            .reach(&contact)
            .filter(|to| !is_cut && !self.nodes[*to as usize].is_cut);
        let Some(to) = to else {
            self.tally.dials += 1;
            let at = now.saturating_add(self.conditions.dial_timeout);
            return self.queue.plan(
                at,
                Event::Fail {
                    from,
                    id,
                    failure: Failure::Unreachable,
                },
            );
        };
        if self.dice.below(10_000) < self.conditions.lost_of_10000 {
            let at = now.saturating_add(self.conditions.request_timeout);
            return self.queue.plan(
                at,
                Event::Fail {
                    from,
                    id,
                    failure: Failure::TimedOut,
                },
            );
        }
        let round_trip = self.conditions.round_trip(&mut self.dice);
        let is_dial = !self.touch(from, to);
        self.tally.dials += u64::from(is_dial);
        let trips = if is_dial { 3 } else { 1 };
        let at = now.saturating_add(round_trip * trips);
        self.queue.plan(
            at,
            Event::Arrive {
                from,
                to,
                id,
                target,
                is_dial,
            },
        );
    }

    /// Who is reached at a contact's addresses: the peer that is meant, or nobody.
    pub fn reach(&self, contact: &Contact) -> Option<Slot> {
        let addresses = contact.addresses.as_slice().iter();
        let slots = addresses.filter_map(|address| slot_at(address, self.crowd_at));
        let is_meant = |slot: &Slot| {
            let node = self.nodes.get(*slot as usize);
            node.is_some_and(|it| it.model.is_some() && it.contact.peer == contact.peer)
        };
        slots.take(8).find(is_meant)
    }

    /// Uses a connection, or opens it; says whether there was one.
    fn touch(&mut self, from: Slot, to: Slot) -> bool {
        let (now, idle) = (self.now, self.conditions.idle_timeout);
        let until = now.saturating_add(idle);
        let connections = &mut self.nodes[from as usize].connections;
        connections.retain(|(_, until)| *until > now);
        if let Some(connection) = connections.iter_mut().find(|(peer, _)| *peer == to) {
            connection.1 = until;
            return true;
        }
        connections.push((to, until));
        let beyond = &mut self.nodes[to as usize].connections;
        if beyond.len() == beyond.capacity() {
            // Whoever never asks would otherwise keep all that it was ever asked by.
            beyond.retain(|(_, until)| *until > now);
        }
        beyond.push((from, until));
        false
    }

    fn arrive(&mut self, from: Slot, to: Slot, id: M::Id, target: Option<Target>, is_dial: bool) {
        let asker = &self.nodes[from as usize];
        if asker.model.is_none() {
            return;
        }
        let asker = asker.contact.clone();
        let serves = self.nodes[from as usize].conduct != Conduct::Client;
        let node = &self.nodes[to as usize];
        if node.model.is_none() || node.is_cut || self.nodes[from as usize].is_cut {
            return self.fail(from, id, Failure::Broken);
        }
        if node.conduct == Conduct::Client {
            return self.fail(from, id, Failure::NotServing);
        }
        let told = target.map(|target| self.answer(to, target.key(), &asker.peer));
        if is_dial && serves {
            self.with(to, |now, model| model.inbound(now, &asker));
        }
        self.with(from, |now, model| {
            model.answered(now, id, told.unwrap_or_default())
        });
    }

    fn answer(&mut self, to: Slot, key: &Key, asker: &Peer) -> Vec<Contact> {
        let node = &self.nodes[to as usize];
        let honest = node.model.as_ref().map(|model| model.closest(key, asker));
        match node.conduct {
            Conduct::Client | Conduct::Honest => honest.unwrap_or_default(),
            Conduct::Liar(kind) => {
                let own = node.contact.clone();
                lie(kind, &own, honest.unwrap_or_default(), &mut self.ids)
            }
            Conduct::Sybil => self.nearest_sybils(key),
        }
    }

    fn nearest_sybils(&self, key: &Key) -> Vec<Contact> {
        let crowd = self.nodes.iter().skip(self.crowd_at as usize);
        let sybils = crowd.filter(|node| node.conduct == Conduct::Sybil);
        let mut sybils: Vec<&Contact> = sybils.map(|node| &node.contact).collect();
        sybils.sort_by_key(|contact| contact.peer.distance(key));
        sybils.into_iter().take(20).cloned().collect()
    }

    fn fail(&mut self, from: Slot, id: M::Id, failure: Failure) {
        self.with(from, |now, model| model.failed(now, id, failure));
    }

    /// The nodes that are there and serve the DHT.
    pub fn serving(&self) -> impl Iterator<Item = (Slot, &Node<M>)> {
        (0..).zip(&self.nodes).filter(|(_, node)| node.is_serving())
    }
}

impl<M> Node<M> {
    /// Whether it is there and answers questions.
    pub fn is_serving(&self) -> bool {
        self.model.is_some() && self.conduct != Conduct::Client
    }
}

fn bytes(dice: &mut Dice) -> [u8; 32] {
    let mut bytes = [0; 32];
    for chunk in bytes.chunks_exact_mut(8) {
        chunk.copy_from_slice(&dice.roll().to_be_bytes());
    }
    bytes
}
