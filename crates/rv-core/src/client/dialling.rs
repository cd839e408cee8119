//! Whom of the found peers to dial, and when: for applications that want company without flooding
//! the network, the router at home, or a stranger.
//!
//! A [`Dialler`] is a machine of its own beside [`Client`](super::Client): it reads no clock and
//! opens no connection.
//!
//! # How a shell drives it
//!
//! 1. Hand in what points list ([`Dialler::handle_listed`]) and every peer that is connected or
//!    not any more, whoever dialled it.
//! 2. Carry out each [`Dial`] that [`Dialler::poll_dial`] gives, and tell how it ended
//!    ([`Dialler::handle_dial_ended`]): once for each, or its place stays taken.
//! 3. Ask [`Dialler::poll_timeout`] for the next time to poll.
//!
//! # Rules
//!
//! - Never more dials at a time, or in a minute, than the configuration says.
//! - Never ourselves, nor who is connected or being dialled.
//! - Never an address that is [`Place::Nowhere`], and one that is [`Place::Local`] only if that is
//!   allowed. The address of a relayed peer is judged by its relay.
//! - A peer is dialled at its newest record; a signed one counts as newer than an unsigned one.
//! - A peer that failed is left alone, for twice as long each time.
//! - Points take turns: who lists 100,000 peers delays those of the others by one dial each.
//! - Every map is bounded by [`DiallingConfig`], apart from who is connected, which is as many as
//!   the swarm takes.

mod config;
mod names;
mod past;
mod place;
mod queue;
mod rate;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol};
use rv_proto::{Namespace, Record, Time};

pub use config::{DiallingConfig, DiallingConfigError};
pub use place::Place;

use super::time::{Dice, Timeline};
use past::Past;
use place::leads_to;
use queue::{Candidate, Queue};
use rate::Rate;

/// Decides whom of the found peers to dial, and when.
///
/// See the [module](self) for how it is driven.
#[derive(Clone, Debug)]
pub struct Dialler {
    config: DiallingConfig,
    local: PeerId,
    dice: Dice,
    timeline: Timeline,
    rate: Rate,
    queue: Queue,
    /// Being dialled, with what is known of them if they are still listed.
    dials: BTreeMap<PeerId, Option<Candidate>>,
    connected: BTreeMap<PeerId, Connected>,
    past: Past,
}

#[derive(Clone, Debug)]
struct Connected {
    since: Time,
    /// What was found of it, to dial it again when the connection is gone.
    found: Option<Candidate>,
}

/// A dial to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// Whom.
    pub peer: PeerId,
    /// Where, at least one; in the order of the record.
    pub addresses: Vec<Multiaddr>,
    /// Whether the peer signed them. If not, they are what a point says.
    pub is_verified: bool,
}

/// How a dial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialEnd {
    /// With a connection.
    Connected,
    /// Without one.
    Failed,
    /// It was not made: somebody else dials that peer.
    NotMade,
}

/// What became of a listed peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is connected or being dialled; the record is kept for later.
    Busy,
    /// There is no room for it.
    Full,
    /// It is not to be dialled: ourselves, of another namespace, not listed any more, or unsigned
    /// where that is not allowed.
    NotWanted,
    /// It has no address that may be dialled.
    NoAddress,
    /// It waits to be dialled.
    Waiting,
}

/// What a dialler did. Told by the shell that carries its dials out.
#[derive(Clone, Debug, PartialEq)]
pub enum DialEvent {
    /// A found peer is connected.
    Connected {
        /// Who.
        peer: PeerId,
    },
    /// A found peer could not be reached.
    Failed {
        /// Who.
        peer: PeerId,
        /// How often in a row.
        failures: u32,
        /// It is dialled again from then on, as long as it is listed.
        retry_at: Time,
    },
    /// A found peer is being dialled.
    Started(Dial),
}

impl Dialler {
    /// A dialler of the peer `local`. `seed` spreads its pauses; it should differ from peer to
    /// peer.
    ///
    /// # Errors
    ///
    /// If the bounds contradict each other.
    pub fn new(
        config: DiallingConfig,
        local: PeerId,
        seed: u64,
    ) -> Result<Self, DiallingConfigError> {
        config.validate()?;
        Ok(Self {
            rate: Rate::new(&config),
            config,
            local,
            dice: Dice::new(seed),
            timeline: Timeline::default(),
            queue: Queue::default(),
            dials: BTreeMap::new(),
            connected: BTreeMap::new(),
            past: Past::default(),
        })
    }

    /// Takes note that the point `source` lists a peer until a deadline.
    pub fn handle_listed(
        &mut self,
        now: Time,
        source: PeerId,
        namespace: &Namespace,
        record: &Arc<Record>,
        until: Time,
    ) -> Taken {
        let left = until.saturating_since(now);
        let now = self.enter(now);
        let peer = *record.peer();
        let namespaces = self.config.namespaces.as_ref();
        let is_of_interest = namespaces.is_none_or(|wanted| wanted.contains(namespace));
        let is_trusted = self.config.unverified_addresses || record.dialect().is_signed();
        if peer == self.local || left.is_zero() || !is_of_interest || !is_trusted {
            return Taken::NotWanted;
        }
        if self.addresses(record).next().is_none() {
            return Taken::NoAddress;
        }
        let candidate = Candidate {
            record: Arc::clone(record),
            until: now.saturating_add(left),
            sources: BTreeSet::from([source]),
        };
        if let Some(found) = self.dials.get_mut(&peer) {
            merge(found, candidate);
            return Taken::Busy;
        }
        if let Some(connected) = self.connected.get_mut(&peer) {
            merge(&mut connected.found, candidate);
            return Taken::Busy;
        }
        let rested_at = self.past.until(&peer).unwrap_or(now);
        let (ready_at, candidate) = match self.queue.take(&peer) {
            Some((ready_at, mut known)) => {
                known.merge(candidate);
                (ready_at, known)
            }
            None => (rested_at.max(now), candidate),
        };
        let max = self.config.waiting_max;
        if self.queue.insert(max, peer, candidate, ready_at) {
            Taken::Waiting
        } else {
            Taken::Full
        }
    }

    /// Takes note that a peer is connected, whoever dialled it.
    pub fn handle_connected(&mut self, now: Time, peer: PeerId) {
        let now = self.enter(now);
        let found = self.queue.take(&peer).map(|(_, candidate)| candidate);
        let connected = self.connected.entry(peer).or_insert(Connected {
            since: now,
            found: None,
        });
        if let Some(found) = found {
            merge(&mut connected.found, found);
        }
    }

    /// Takes note that the last connection to a peer is gone.
    pub fn handle_disconnected(&mut self, now: Time, peer: PeerId) {
        let now = self.enter(now);
        let Some(Connected { since, found }) = self.connected.remove(&peer) else {
            return;
        };
        let Some(found) = found else {
            return;
        };
        if now.saturating_since(since) >= self.config.lasting_min {
            self.past.forget(&peer);
        }
        let (config, dice) = (&self.config, &mut self.dice);
        let ready_at = self.past.add(now, config, dice, peer);
        self.wait_again(now, peer, Some(found), ready_at);
    }

    /// Takes note of how a dial ended. Returns what is to be told about it.
    pub fn handle_dial_ended(
        &mut self,
        now: Time,
        peer: PeerId,
        end: DialEnd,
    ) -> Option<DialEvent> {
        let now = self.enter(now);
        let found = self.dials.remove(&peer)?;
        if end == DialEnd::Connected {
            self.connected.entry(peer).or_insert(Connected {
                since: now,
                found: None,
            });
        }
        if let Some(connected) = self.connected.get_mut(&peer) {
            if let Some(found) = found {
                merge(&mut connected.found, found);
            }
            // A dial that failed beside a connection that somebody else made is no failure.
            return (end == DialEnd::Connected).then_some(DialEvent::Connected { peer });
        }
        let (config, dice) = (&self.config, &mut self.dice);
        let ready_at = match end {
            DialEnd::Connected | DialEnd::Failed => self.past.add(now, config, dice, peer),
            DialEnd::NotMade => self.past.pause(now, config, dice, peer),
        };
        let failures = self.past.failures(&peer);
        self.wait_again(now, peer, found, ready_at);
        (end == DialEnd::Failed).then_some(DialEvent::Failed {
            peer,
            failures,
            retry_at: self.timeline.leave(ready_at),
        })
    }

    /// The next dial to make. It is under way until [`handle_dial_ended`](Self::handle_dial_ended).
    pub fn poll_dial(&mut self, now: Time) -> Option<Dial> {
        let now = self.enter(now);
        if self.is_busy() || self.rate.ready_at() > now {
            return None;
        }
        let (peer, candidate) = self.queue.next(now)?;
        let dial = Dial {
            peer,
            addresses: self.addresses(&candidate.record).collect(),
            is_verified: candidate.record.dialect().is_signed(),
        };
        self.rate.take(now);
        self.dials.insert(peer, Some(candidate));
        Some(dial)
    }

    /// When to call [`poll_dial`](Self::poll_dial) again, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.is_busy() {
            return None;
        }
        let ready_at = self.queue.ready_at()?;
        let at = ready_at.max(self.rate.ready_at());
        Some(self.timeline.leave(at))
    }

    /// Forgets what one point listed and no other.
    pub fn forget_source(&mut self, source: PeerId) {
        self.queue.forget_source(source);
        let connected = self.connected.values_mut().map(|it| &mut it.found);
        for found in self.dials.values_mut().chain(connected) {
            if let Some(candidate) = found {
                candidate.sources.remove(&source);
            }
            found.take_if(|candidate| candidate.sources.is_empty());
        }
    }

    /// Forgets everybody who waits: nobody is dialled until more is listed.
    pub fn clear(&mut self) {
        self.queue.clear();
        let connected = self.connected.values_mut().map(|it| &mut it.found);
        for found in self.dials.values_mut().chain(connected) {
            *found = None;
        }
    }

    /// How many peers wait to be dialled.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How many dials are under way.
    pub fn in_flight(&self) -> usize {
        self.dials.len()
    }

    /// How many found peers are connected, whoever dialled them.
    pub fn connected(&self) -> usize {
        let found = |it: &&Connected| it.found.is_some();
        self.connected.values().filter(found).count()
    }

    /// How many peers are remembered to have failed.
    pub fn failed(&self) -> usize {
        self.past.len()
    }

    fn enter(&mut self, now: Time) -> Time {
        let now = self.timeline.enter(now);
        self.queue.expire(now);
        self.past.expire(now, &self.config);
        now
    }

    /// Whether there is no place for another dial.
    fn is_busy(&self) -> bool {
        let is_enough = |target| self.connected() + self.dials.len() >= target;
        self.dials.len() >= self.config.dials_in_flight_max
            || self.config.connected_target.is_some_and(is_enough)
    }

    fn wait_again(&mut self, now: Time, peer: PeerId, found: Option<Candidate>, ready_at: Time) {
        if let Some(found) = found.filter(|found| found.until > now) {
            let max = self.config.waiting_max;
            self.queue.insert(max, peer, found, ready_at);
        }
    }

    /// The addresses of a record that may be dialled.
    fn addresses<'a>(&'a self, record: &'a Record) -> impl Iterator<Item = Multiaddr> + 'a {
        let addresses = record.addresses().iter();
        let usable = addresses.filter(|address| {
            let is_place = match Place::of(address) {
                Place::Internet => true,
                Place::Local => self.config.local_addresses,
                Place::Nowhere => false,
            };
            let is_named = || address.iter().any(|part| is_name(&part));
            is_place
                && (self.config.named_addresses || !is_named())
                && leads_to(address, &self.local, record.peer())
        });
        usable.take(self.config.addresses_max).cloned()
    }
}

fn merge(known: &mut Option<Candidate>, found: Candidate) {
    match known {
        Some(known) => known.merge(found),
        None => *known = Some(found),
    }
}

const fn is_name(part: &Protocol<'_>) -> bool {
    matches!(
        part,
        Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)
    )
}
