//! A model of the random walk of py-libp2p 0.8.1 and of the table that it feeds.
//!
//! Its shape, with the place in the released package (`libp2p/`):
//!
//! - A refresh every 120 s (`discovery/random_walk/config.py:6`), the first at once, one at a time
//!   (`discovery/random_walk/rt_refresh_manager.py`, `_do_refresh`): one lookup for each bucket,
//!   three at a time, of which after 120 s nothing more is taken.
//! - Targets are drawn in the key space and hashed by whoever is asked, so they are uniform
//!   (`kad_dht/routing_table.py:69` and `:784`). No lookup of itself.
//! - Lookups in rounds of ten, see [`Lookup`] (`kad_dht/peer_routing.py:173`-`348`).
//! - Who is asked becomes an entry before it answers, who is told of becomes one unasked, and who
//!   cannot be dialled is removed (`kad_dht/peer_routing.py:364`-`383` and `:459`-`462`). At its
//!   end, a refresh adds all nearest peers of its lookups once more, also those that were removed.
//! - Each full bucket is split, up to 256 (`kad_dht/routing_table.py:568`-`582`, `:805`-`827`),
//!   with two entries of one /24 in a bucket at the most. Where none can be split any more, the
//!   model refuses; the original asks the oldest entry first.
//! - Every 5 minutes, up to five entries not seen for an hour are asked, and dropped if they do not
//!   answer (`kad_dht/routing_table.py:869`-`911`). Being told of counts as seen.
//! - Whoever opens a connection and serves becomes an entry (`kad_dht/kad_dht.py:632`).
//!
//! Where a budget is set, the pause between refreshes is what their messages have to be spread
//! over; an application can set it. The forced refresh every ten minutes is left out, because the
//! ones every two minutes leave it nothing to do.

mod lookup;
mod table;

use std::collections::VecDeque;
use std::time::Duration;

use dht_walk::{Contact, Failure, Key, Peer, Seed, Target, Targets, Time};

use crate::walk::kad::Pause;
use crate::walk::model::{Model, Request, Start, What};
use crate::walk::place::head;
use lookup::Lookup;
use table::Table;

/// A node that runs the model.
#[derive(Debug)]
pub struct Py {
    local: Peer,
    targets: Targets,
    pause: Pause,
    table: Table,
    /// Whom it knows by the bootstrap list.
    known: Vec<Contact>,
    outputs: VecDeque<Request<PyId>>,
    refresh: Option<Refresh>,
    refresh_at: Time,
    ping_at: Time,
    lookups: u32,
}

/// Names a request of the model.
#[derive(Clone, Copy, Debug)]
pub enum PyId {
    /// Of a lookup.
    Lookup {
        /// Which lookup.
        lookup: u32,
        /// The asked peer's position.
        peer: u64,
    },
    /// Whether an entry is still there.
    Ping {
        /// Its position.
        peer: u64,
    },
}

#[derive(Debug)]
struct Refresh {
    began_at: Time,
    messages: u32,
    waiting: VecDeque<Target>,
    running: Vec<(u32, Lookup)>,
    found: Vec<Contact>,
}

impl Py {
    const LOOKUPS: usize = 3;
    const TOTAL_TIMEOUT: Duration = Duration::from_secs(120);
    const PING_EVERY: Duration = Duration::from_secs(300);
    const PINGS: usize = 5;
    const K: usize = 20;
    /// Below as many entries, it begins with whomever else it knows.
    const PEERS_MIN: usize = 5;

    fn begin(&mut self, now: Time) {
        let waiting = (0..self.table.buckets()).map(|_| self.targets.uniform());
        let waiting: VecDeque<Target> = waiting.collect();
        let (running, found) = (Vec::new(), Vec::new());
        self.refresh = Some(Refresh {
            began_at: now,
            messages: 0,
            waiting,
            running,
            found,
        });
        self.drive(now);
    }

    fn drive(&mut self, now: Time) {
        // Each pass but the last ends a lookup, of which there are as many as buckets.
        for _ in 0..=Table::BUCKETS_MAX {
            self.begin_lookups(now);
            let Some(refresh) = &mut self.refresh else {
                return;
            };
            if now >= refresh.began_at.saturating_add(Self::TOTAL_TIMEOUT) {
                return self.end(now, false);
            }
            let Some(at) = self.send_rounds(now) else {
                return;
            };
            let Some(refresh) = &mut self.refresh else {
                return;
            };
            let (_, lookup) = refresh.running.swap_remove(at);
            refresh.found.extend(lookup.into_closest());
            if refresh.running.is_empty() && refresh.waiting.is_empty() {
                return self.end(now, true);
            }
        }
    }

    /// Sends what is next in each lookup; gives one that is over, if there is one.
    fn send_rounds(&mut self, now: Time) -> Option<usize> {
        let refresh = self.refresh.as_mut()?;
        for (at, (nth, lookup)) in refresh.running.iter_mut().enumerate() {
            if lookup.is_waiting() {
                continue;
            }
            let Some(round) = lookup.next_round(now) else {
                return Some(at);
            };
            for contact in round {
                refresh.messages += 1;
                self.table.add(now, &contact);
                let peer = head(contact.peer.key());
                let id = PyId::Lookup { lookup: *nth, peer };
                let what = What::Find(lookup.target.clone());
                self.outputs.push_back(Request { id, contact, what });
            }
        }
        None
    }

    fn begin_lookups(&mut self, now: Time) {
        while let Some(refresh) = &mut self.refresh
            && refresh.running.len() < Self::LOOKUPS
            && let Some(target) = refresh.waiting.pop_front()
        {
            let mut known = self.table.nearest(head(target.key()), Self::K);
            if known.len() < Self::PEERS_MIN {
                let new = self
                    .known
                    .iter()
                    .filter(|it| known.iter().all(|is| is.peer != it.peer));
                let new: Vec<Contact> = new.cloned().collect();
                known.extend(new);
            }
            self.lookups += 1;
            let lookup = Lookup::new(now, target, self.local.clone(), known);
            refresh.running.push((self.lookups, lookup));
        }
    }

    fn end(&mut self, now: Time, is_complete: bool) {
        let Some(refresh) = self.refresh.take() else {
            return;
        };
        if is_complete {
            refresh
                .found
                .iter()
                .for_each(|contact| self.table.add(now, contact));
        }
        self.refresh_at = self
            .pause
            .after(refresh.began_at, refresh.messages.max(1))
            .max(now);
    }

    fn ping(&mut self, now: Time) {
        self.ping_at = now.saturating_add(Self::PING_EVERY);
        for contact in self.table.unseen(now, Self::PINGS) {
            let id = PyId::Ping {
                peer: head(contact.peer.key()),
            };
            let what = What::Find(Target::peer(self.local.clone()));
            self.outputs.push_back(Request { id, contact, what });
        }
    }

    fn lookup_mut(&mut self, nth: u32) -> Option<&mut Lookup> {
        let running = &mut self.refresh.as_mut()?.running;
        running
            .iter_mut()
            .find(|(it, _)| *it == nth)
            .map(|(_, lookup)| lookup)
    }
}

impl Model for Py {
    type Id = PyId;
    type Settings = Pause;

    fn join(now: Time, settings: &Pause, local: &Contact, start: Start<'_>) -> Self {
        let others = start.bootstrap.iter().filter(|it| it.peer != local.peer);
        Self {
            local: local.peer.clone(),
            targets: Targets::new(Seed::from_bytes(start.seed)),
            pause: *settings,
            table: Table::new(head(local.peer.key())),
            known: others.cloned().collect(),
            outputs: VecDeque::new(),
            refresh: None,
            refresh_at: now,
            ping_at: now.saturating_add(Self::PING_EVERY),
            lookups: 0,
        }
    }

    fn wake(&mut self, now: Time) {
        if self.ping_at <= now {
            self.ping(now);
        }
        if self.refresh.is_some() {
            self.drive(now);
        } else if self.refresh_at <= now {
            self.begin(now);
        }
    }

    fn wake_at(&self) -> Option<Time> {
        let at = match &self.refresh {
            Some(refresh) => refresh.began_at.saturating_add(Self::TOTAL_TIMEOUT),
            None => self.refresh_at,
        };
        Some(at.min(self.ping_at))
    }

    fn poll(&mut self, _now: Time) -> Option<Request<PyId>> {
        self.outputs.pop_front()
    }

    fn answered(&mut self, now: Time, id: PyId, told: Vec<Contact>) {
        match id {
            PyId::Lookup { lookup, peer: _ } => {
                // After the total time, whatever was under way is cancelled.
                if self.lookup_mut(lookup).is_none() {
                    return;
                }
                for contact in &told {
                    self.table.add(now, contact);
                }
                if let Some(lookup) = self.lookup_mut(lookup) {
                    lookup.answered(told);
                    self.drive(now);
                }
            }
            PyId::Ping { peer } => self.table.seen(now, peer),
        }
    }

    fn failed(&mut self, now: Time, id: PyId, failure: Failure) {
        match id {
            PyId::Lookup { lookup, peer } => {
                // Only a stream that cannot be opened removes a peer.
                if failure != Failure::TimedOut {
                    self.table.remove(peer);
                }
                if let Some(lookup) = self.lookup_mut(lookup) {
                    lookup.answered(Vec::new());
                    self.drive(now);
                }
            }
            PyId::Ping { peer } => self.table.remove(peer),
        }
    }

    fn inbound(&mut self, now: Time, from: &Contact) {
        self.table.add(now, from);
    }

    fn closest(&self, key: &Key, asker: &Peer) -> Vec<Contact> {
        let mut near = self.table.nearest(head(key), Self::K + 1);
        near.retain(|contact| contact.peer != *asker);
        near.truncate(Self::K);
        near
    }

    fn entries(&self, each: &mut dyn FnMut(&Contact)) {
        self.table.contacts().for_each(each);
    }
}
