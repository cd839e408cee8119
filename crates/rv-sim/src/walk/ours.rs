//! The core itself, `dht_walk::Walk`, as a node of the network.

use dht_walk::{Config, Contact, Failure, Key, Output, Peer, RequestId, Seed, Time, Walk};

use crate::walk::model::{Model, Request, Start, What};

/// A node that runs the core, as an embedder would.
#[derive(Debug)]
pub struct Ours {
    /// The core.
    pub walk: Box<Walk>,
}

impl Model for Ours {
    type Id = RequestId;
    type Settings = Config;

    fn join(now: Time, settings: &Config, local: &Contact, start: Start<'_>) -> Self {
        let seed = Seed::from_bytes(start.seed);
        let walk = Walk::new(now, settings.clone(), local.peer.clone(), seed);
        let mut walk = Box::new(walk.expect("the experiment's bounds make sense"));
        walk.set_bootstrap(now, start.bootstrap.to_vec());
        Self { walk }
    }

    fn wake(&mut self, now: Time) {
        self.walk.handle_timeout(now);
    }

    fn wake_at(&self) -> Option<Time> {
        self.walk.poll_timeout().map(|(at, _)| at)
    }

    fn poll(&mut self, now: Time) -> Option<Request<RequestId>> {
        while let Some(output) = self.walk.poll_output() {
            match output {
                Output::FindNode {
                    id,
                    contact,
                    target,
                } => {
                    let what = What::Find(target);
                    return Some(Request { id, contact, what });
                }
                // A host that knows nobody but the bootstrap list.
                Output::AskSeeds(source) => self.walk.handle_seeds(now, source, Vec::new()),
                Output::Cancel(_)
                | Output::CancelLookup(_)
                | Output::Event(_)
                | Output::Evict { .. }
                | Output::Insert(_)
                | Output::Lookup { .. } => {}
            }
        }
        None
    }

    fn answered(&mut self, now: Time, id: RequestId, told: Vec<Contact>) {
        self.walk.handle_answer(now, id, told);
    }

    fn failed(&mut self, now: Time, id: RequestId, failure: Failure) {
        self.walk.handle_failure(now, id, failure);
    }

    fn inbound(&mut self, now: Time, from: &Contact) {
        self.walk.handle_inbound(now, from);
    }

    fn closest(&self, key: &Key, asker: &Peer) -> Vec<Contact> {
        let nearest = self.walk.table().closest(key, 21);
        let others = nearest.into_iter().filter(|entry| entry.peer() != asker);
        others.take(20).map(|entry| entry.contact()).collect()
    }

    fn entries(&self, each: &mut dyn FnMut(&Contact)) {
        self.walk
            .table()
            .iter()
            .for_each(|entry| each(&entry.contact()));
    }
}
