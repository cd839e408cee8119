//! A model of rust's `libp2p-kad` 0.49.0 that tends its table by its own bootstrap.
//!
//! Its shape, with the place in the published source:
//!
//! - Bootstrap every 5 minutes (`behaviour.rs:235`), and 500 ms after an insertion while the table
//!   holds fewer than 20 (`behaviour.rs:1441`, `bootstrap.rs:10`).
//! - It looks up itself, then one target for each bucket beyond the nearest that is not empty, one
//!   after the other; a target is the best of 16 random ids (`behaviour.rs:1469`-`1497`). A lookup
//!   of itself that times out ends it (`behaviour.rs:1690`-`1717`).
//! - Lookups as in `query/peers/closest.rs`, see [`query`]; each ends after 60 s (`query.rs`).
//! - Only who was dialled and speaks the protocol is inserted (`behaviour.rs:1326`-`1437`); an
//!   application adds the address that identify tells of who dialled us, as the crate's
//!   documentation asks for (`behaviour.rs:581`).
//! - Buckets as in `kbucket/bucket.rs`, see [`bucket`]: nobody is dropped but the entry that was
//!   connected longest ago, when somebody connected waits for the place, and a dial fails for 60 s.
//! - A failed request changes nothing in the table (`behaviour.rs:1986`-`2015`).
//!
//! Where a budget is set, the pause between bootstraps is what their messages have to be spread
//! over; an application can set it (`behaviour.rs:414`).
//!
//! Inside the behaviour of `dht-walk` it is [`prepared`](Kad::prepared): who is connected is told
//! of and not inserted (`behaviour.rs:1372`), and no bootstrap is periodic (`behaviour.rs:414`).

mod bucket;
mod query;

use std::collections::VecDeque;
use std::time::Duration;

use dht_walk::{Contact, Failure, Key, Peer, Seed, Target, Targets, Time};

use crate::walk::model::{Model, Request, Start, What};
use crate::walk::place::head;
use bucket::{Bucket, Inserted};
use query::{Next, Query};

/// A node that runs the model.
#[derive(Debug)]
pub struct Kad {
    here: u64,
    local: Peer,
    targets: Targets,
    pause: Pause,
    buckets: Vec<Bucket>,
    outputs: VecDeque<Request<KadId>>,
    bootstrap: Option<Bootstrap>,
    periodic_at: Time,
    throttled_at: Option<Time>,
    queries: u32,
    lookups: Lookups,
    /// None: who is connected is inserted.
    told: Option<Told>,
}

/// Lookups that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lookups {
    /// How many.
    pub ended: u64,
    /// Their requests.
    pub requests: u64,
}

impl Lookups {
    /// One more.
    pub fn add(&mut self, requests: u32) {
        self.ended += 1;
        self.requests += u64::from(requests);
    }
}

/// What a prepared kad tells.
#[derive(Debug, Default)]
struct Told {
    routable: VecDeque<Contact>,
    lookups: VecDeque<(Peer, u32)>,
}

/// How the model paces its bootstraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Every so often.
    Every(Duration),
    /// So that so many messages an hour are spent.
    MessagesPerHour(u32),
    /// None but those of a table with few entries.
    Never,
}

impl Pause {
    /// `libp2p-kad`'s default.
    pub const KAD: Self = Self::Every(Duration::from_secs(300));

    /// py-libp2p's default.
    pub const PY: Self = Self::Every(Duration::from_secs(120));

    /// When the next one is due, after one that began at a time and sent so many messages.
    pub(crate) fn after(self, began_at: Time, messages: u32) -> Time {
        match self {
            Self::Every(pause) => began_at.saturating_add(pause),
            Self::Never => Time::from_millis(u64::MAX),
            Self::MessagesPerHour(budget) => {
                let millis = u64::from(messages) * 3_600_000 / u64::from(budget.max(1));
                began_at.saturating_add(Duration::from_millis(millis))
            }
        }
    }
}

/// Names a request of the model.
#[derive(Clone, Copy, Debug)]
pub enum KadId {
    /// Whether the entry connected longest ago can be reached.
    Dial {
        /// The entry's position.
        entry: u64,
    },
    /// Of a lookup.
    Query {
        /// Which lookup.
        query: u32,
        /// The asked peer's position.
        peer: u64,
    },
}

#[derive(Debug)]
struct Bootstrap {
    began_at: Time,
    messages: u32,
    /// Of the lookup that runs.
    requests: u32,
    nth: u32,
    query: Query,
    is_own: bool,
    remaining: VecDeque<Target>,
}

impl Kad {
    const QUERY_TIMEOUT: Duration = Duration::from_secs(60);
    const THROTTLE: Duration = Duration::from_millis(500);
    const TARGET_TRIES: usize = 16;
    const K: usize = 20;

    fn cpl(&self, there: u64) -> Option<usize> {
        let differing = self.here ^ there;
        (differing != 0).then(|| differing.leading_zeros() as usize)
    }

    fn bucket_mut(&mut self, cpl: usize) -> &mut Bucket {
        if self.buckets.len() <= cpl {
            self.buckets.resize_with(cpl + 1, Bucket::default);
        }
        &mut self.buckets[cpl]
    }

    /// A peer is connected, and speaks the protocol.
    fn connected(&mut self, now: Time, contact: &Contact) {
        let there = head(contact.peer.key());
        let Some(cpl) = self.cpl(there) else {
            return;
        };
        if let Some(told) = &mut self.told {
            told.routable.push_back(contact.clone());
            self.bucket_mut(cpl).reconnected(now, there);
            return;
        }
        match self.bucket_mut(cpl).connected(now, contact) {
            Inserted::New => self.on_low_peers(now),
            Inserted::Full | Inserted::Known => {}
            Inserted::Pending { disconnected } => {
                let id = KadId::Dial {
                    entry: head(disconnected.peer.key()),
                };
                let (contact, what) = (disconnected, What::Dial);
                self.outputs.push_back(Request { id, contact, what });
            }
        }
    }

    /// Lookups of bootstraps that ended.
    pub fn lookups(&self) -> Lookups {
        self.lookups
    }

    /// A kad as `dht_walk::swarm::prepare` leaves it.
    pub(super) fn prepared(now: Time, local: &Contact, seed: [u8; 32]) -> Self {
        let bootstrap = &[];
        let mut kad = Self::join(now, &Pause::Never, local, Start { seed, bootstrap });
        kad.told = Some(Told::default());
        kad.throttled_at = None;
        kad
    }

    /// An application adds a peer that is connected; says whether it is an entry.
    pub(super) fn insert(&mut self, now: Time, contact: &Contact) -> bool {
        let Some(cpl) = self.cpl(head(contact.peer.key())) else {
            return false;
        };
        match self.bucket_mut(cpl).connected(now, contact) {
            Inserted::New => {
                self.on_low_peers(now);
                true
            }
            Inserted::Known => true,
            Inserted::Full | Inserted::Pending { .. } => {
                self.remove(&contact.peer);
                false
            }
        }
    }

    /// An application removes a peer.
    pub(super) fn remove(&mut self, peer: &Peer) {
        let there = head(peer.key());
        if let Some(cpl) = self.cpl(there) {
            self.bucket_mut(cpl).remove(there);
        }
    }

    /// A peer that is connected and could be inserted.
    pub(super) fn next_routable(&mut self) -> Option<Contact> {
        self.told.as_mut()?.routable.pop_front()
    }

    /// What a lookup of a bootstrap that ended was for, and its requests.
    pub(super) fn next_lookup(&mut self) -> Option<(Peer, u32)> {
        self.told.as_mut()?.lookups.pop_front()
    }

    fn on_low_peers(&mut self, now: Time) {
        let entries: usize = self.buckets.iter().map(Bucket::len).sum();
        if entries < Self::K {
            self.throttled_at = Some(now.saturating_add(Self::THROTTLE));
        }
    }

    fn nearest(&self, there: u64, count: usize) -> Vec<Contact> {
        let entries = self.buckets.iter().flat_map(|bucket| bucket.entries());
        let mut near: Vec<(u64, &Contact)> = entries
            .map(|it| (head(it.peer.key()) ^ there, it))
            .collect();
        if near.len() > count {
            near.select_nth_unstable_by_key(count, |(distance, _)| *distance);
            near.truncate(count);
        }
        near.sort_unstable_by_key(|(distance, _)| *distance);
        near.into_iter()
            .map(|(_, contact)| contact.clone())
            .collect()
    }

    fn query(&mut self, now: Time, target: Target) -> Query {
        self.buckets
            .iter_mut()
            .for_each(|bucket| bucket.apply_pending(now));
        let known = self.nearest(head(target.key()), Self::K);
        self.queries += 1;
        Query::new(
            target,
            self.here,
            known,
            now.saturating_add(Self::QUERY_TIMEOUT),
        )
    }

    fn begin(&mut self, now: Time) {
        self.throttled_at = None;
        if self.buckets.iter().all(|bucket| bucket.len() == 0) {
            self.periodic_at = self.pause.after(now, 1);
            return;
        }
        let query = self.query(now, Target::peer(self.local.clone()));
        self.bootstrap = Some(Bootstrap {
            began_at: now,
            messages: 0,
            requests: 0,
            nth: self.queries,
            query,
            is_own: true,
            remaining: VecDeque::new(),
        });
        self.drive(now);
    }

    /// One target for each bucket beyond the nearest that is not empty.
    fn bucket_targets(&mut self) -> VecDeque<Target> {
        let nearest = self.buckets.iter().rposition(|bucket| bucket.len() > 0);
        let mut targets = VecDeque::new();
        for cpl in (0..nearest.unwrap_or(0)).rev() {
            let mut target = self.targets.uniform();
            for _ in 0..Self::TARGET_TRIES {
                if self.cpl(head(target.key())) == Some(cpl) {
                    break;
                }
                target = self.targets.uniform();
            }
            targets.push_back(target);
        }
        targets
    }

    fn drive(&mut self, now: Time) {
        loop {
            let Some(run) = &mut self.bootstrap else {
                return;
            };
            let is_late = now >= run.query.ends_at;
            let next = if is_late {
                Next::Finished
            } else {
                run.query.next(now)
            };
            match next {
                Next::Ask(contact) => {
                    run.messages += 1;
                    run.requests += 1;
                    let peer = head(contact.peer.key());
                    let id = KadId::Query {
                        query: run.nth,
                        peer,
                    };
                    let what = What::Find(run.query.target.clone());
                    self.outputs.push_back(Request { id, contact, what });
                }
                Next::Wait => return,
                Next::Finished => self.next_query(now, is_late),
            }
        }
    }

    fn next_query(&mut self, now: Time, is_late: bool) {
        let Some(run) = &mut self.bootstrap else {
            return;
        };
        let requests = std::mem::take(&mut run.requests);
        self.lookups.add(requests);
        if let Some(told) = &mut self.told {
            let target = run.query.target.as_peer().clone();
            told.lookups.push_back((target, requests));
        }
        if std::mem::take(&mut run.is_own) && !is_late {
            let targets = self.bucket_targets();
            if let Some(run) = &mut self.bootstrap {
                run.remaining = targets;
            }
        }
        let next = self
            .bootstrap
            .as_mut()
            .and_then(|run| run.remaining.pop_front());
        let Some(target) = next else {
            if let Some(run) = self.bootstrap.take() {
                self.periodic_at = self.pause.after(run.began_at, run.messages).max(now);
            }
            return;
        };
        let query = self.query(now, target);
        let nth = self.queries;
        if let Some(run) = &mut self.bootstrap {
            (run.query, run.nth) = (query, nth);
        }
    }
}

impl Model for Kad {
    type Id = KadId;
    type Settings = Pause;

    fn join(now: Time, settings: &Pause, local: &Contact, start: Start<'_>) -> Self {
        let mut kad = Self {
            here: head(local.peer.key()),
            local: local.peer.clone(),
            targets: Targets::new(Seed::from_bytes(start.seed)),
            pause: *settings,
            buckets: Vec::new(),
            outputs: VecDeque::new(),
            bootstrap: None,
            periodic_at: settings.after(now, 1),
            throttled_at: None,
            queries: 0,
            lookups: Lookups::default(),
            told: None,
        };
        for contact in start.bootstrap {
            if let Some(cpl) = kad.cpl(head(contact.peer.key())) {
                kad.bucket_mut(cpl).add_address(contact);
            }
        }
        kad.on_low_peers(now);
        kad
    }

    fn wake(&mut self, now: Time) {
        if self.bootstrap.is_some() {
            return self.drive(now);
        }
        let is_throttled = self.throttled_at.is_some_and(|at| at <= now);
        if is_throttled || self.periodic_at <= now {
            self.begin(now);
        }
    }

    fn wake_at(&self) -> Option<Time> {
        match &self.bootstrap {
            Some(run) => Some(run.query.wake_at()),
            None => Some(
                self.throttled_at
                    .map_or(self.periodic_at, |at| at.min(self.periodic_at)),
            ),
        }
    }

    fn poll(&mut self, _now: Time) -> Option<Request<KadId>> {
        self.outputs.pop_front()
    }

    fn answered(&mut self, now: Time, id: KadId, told: Vec<Contact>) {
        match id {
            KadId::Dial { entry } => {
                if let Some(cpl) = self.cpl(entry) {
                    self.bucket_mut(cpl).reconnected(now, entry);
                }
            }
            KadId::Query { query, peer } => {
                let run = self.bootstrap.as_mut().filter(|run| run.nth == query);
                let contact = run.and_then(|run| run.query.answered(peer, told));
                if let Some(contact) = contact {
                    self.connected(now, &contact);
                }
                self.drive(now);
            }
        }
    }

    fn failed(&mut self, now: Time, id: KadId, _failure: Failure) {
        if let KadId::Query { query, peer } = id
            && let Some(run) = self.bootstrap.as_mut().filter(|run| run.nth == query)
        {
            run.query.failed(peer);
            self.drive(now);
        }
    }

    fn inbound(&mut self, now: Time, from: &Contact) {
        self.connected(now, from);
    }

    fn closest(&self, key: &Key, asker: &Peer) -> Vec<Contact> {
        let mut near = self.nearest(head(key), Self::K + 1);
        near.retain(|contact| contact.peer != *asker);
        near.truncate(Self::K);
        near
    }

    fn entries(&self, each: &mut dyn FnMut(&Contact)) {
        for bucket in &self.buckets {
            bucket.entries().for_each(&mut *each);
        }
    }
}
