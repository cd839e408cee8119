//! The core around a kad, as `dht_walk::swarm::Behaviour` puts them together.
//!
//! The walk decides who is an entry, and the kad has the same ones. What the kad does by itself
//! goes on: it bootstraps while it has fewer than twenty entries and one enters. Whom it meets by
//! that is a candidate of the walk, and its lookups are charged to the walk's budget.

use dht_walk::{Config, Contact, Event, Failure, Key, Output, Peer, RequestId, Seed, Time, Walk};

use crate::walk::kad::{Kad, KadId, Lookups};
use crate::walk::model::{Model, Request, Start, What};

/// A node that runs the core around a kad.
#[derive(Debug)]
pub struct Wrapped {
    /// The core.
    pub walk: Box<Walk>,
    kad: Kad,
    lookups: Lookups,
}

/// Names a request of either.
#[derive(Clone, Copy, Debug)]
pub enum WrappedId {
    /// The walk's.
    Walk(RequestId),
    /// The kad's.
    Kad(KadId),
}

impl Wrapped {
    /// Lookups that ended, those of the kad's bootstraps among them.
    pub fn lookups(&self) -> Lookups {
        let of_kad = self.kad.lookups();
        Lookups {
            ended: self.lookups.ended + of_kad.ended,
            requests: self.lookups.requests + of_kad.requests,
        }
    }

    /// Tells the walk what the kad told.
    fn observe(&mut self, now: Time) {
        while let Some(contact) = self.kad.next_routable() {
            self.walk.handle_contact(now, &contact);
        }
        while let Some((target, requests)) = self.kad.next_lookup() {
            self.walk.handle_host_lookup(now, &target, requests);
        }
    }
}

impl Model for Wrapped {
    type Id = WrappedId;
    type Settings = Config;

    fn join(now: Time, settings: &Config, local: &Contact, start: Start<'_>) -> Self {
        let seed = Seed::from_bytes(start.seed);
        let config = settings.clone();
        let walk = Walk::new(now, config, local.peer.clone(), seed);
        let mut walk = Box::new(walk.expect("the experiment's bounds make sense"));
        walk.set_bootstrap(now, start.bootstrap.to_vec());
        let kad = Kad::prepared(now, local, start.seed.map(|byte| !byte));
        Self {
            walk,
            kad,
            lookups: Lookups::default(),
        }
    }

    fn wake(&mut self, now: Time) {
        if self.walk.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.walk.handle_timeout(now);
        }
        self.kad.wake(now);
        self.observe(now);
    }

    fn wake_at(&self) -> Option<Time> {
        let of_walk = self.walk.poll_timeout().map(|(at, _)| at);
        of_walk.into_iter().chain(self.kad.wake_at()).min()
    }

    fn poll(&mut self, now: Time) -> Option<Request<WrappedId>> {
        while let Some(output) = self.walk.poll_output() {
            match output {
                Output::FindNode {
                    id,
                    contact,
                    target,
                } => {
                    let (id, what) = (WrappedId::Walk(id), What::Find(target));
                    return Some(Request { id, contact, what });
                }
                // A host that knows nobody but the bootstrap list.
                Output::AskSeeds(source) => self.walk.handle_seeds(now, source, Vec::new()),
                Output::Insert(contact) => {
                    if !self.kad.insert(now, &contact) {
                        self.walk.handle_insert_refused(now, &contact.peer);
                    }
                }
                Output::Evict { peer, .. } => self.kad.remove(&peer),
                Output::Event(Event::LookupEnded { report, .. }) => {
                    self.lookups.add(report.requests);
                }
                Output::Cancel(_)
                | Output::CancelLookup(_)
                | Output::Event(_)
                | Output::Lookup { .. } => {}
            }
        }
        let Request { id, contact, what } = self.kad.poll(now)?;
        let id = WrappedId::Kad(id);
        Some(Request { id, contact, what })
    }

    fn answered(&mut self, now: Time, id: WrappedId, told: Vec<Contact>) {
        match id {
            WrappedId::Walk(id) => self.walk.handle_answer(now, id, told),
            WrappedId::Kad(id) => {
                self.kad.answered(now, id, told);
                self.observe(now);
            }
        }
    }

    fn failed(&mut self, now: Time, id: WrappedId, failure: Failure) {
        match id {
            WrappedId::Walk(id) => self.walk.handle_failure(now, id, failure),
            WrappedId::Kad(id) => {
                self.kad.failed(now, id, failure);
                self.observe(now);
            }
        }
    }

    fn inbound(&mut self, now: Time, from: &Contact) {
        self.kad.inbound(now, from);
        self.observe(now);
    }

    fn closest(&self, key: &Key, asker: &Peer) -> Vec<Contact> {
        self.kad.closest(key, asker)
    }

    fn entries(&self, each: &mut dyn FnMut(&Contact)) {
        self.kad.entries(each);
    }
}
