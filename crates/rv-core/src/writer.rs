//! The one place where writes are judged, in order, before they become facts.

mod overlay;
mod rate;

use std::collections::VecDeque;
use std::sync::Arc;

use libp2p_identity::PeerId;
use rv_proto::{
    Dialect, Fact, Namespace, Origin, Records, Registered, Removed, Scope, Seq, Time, Ttl,
};

use crate::registry::{Key, Registration, Registry};
use crate::{Limits, Refusal};
use overlay::{Effect, Overlay};
use rate::RateLimit;

/// What a peer wants changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Be listed in `namespace`, with these records and nothing else.
    Register {
        /// Where.
        namespace: Namespace,
        /// The verified records.
        records: Records,
        /// For how long.
        ttl: Ttl,
        /// The network that the request came from, unless it is exempt.
        origin: Option<Origin>,
    },
    /// Be listed there no longer.
    Unregister {
        /// One namespace, or all of the peer's.
        scope: Scope,
    },
}

/// A write that waits for its facts to be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// What became of a submitted write at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It was accepted; its verdict comes from [`Writer::apply`] or [`Writer::fail`].
    Pending(Ticket),
    /// It needs no fact: it was refused, or there was nothing to remove.
    Done(Verdict),
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Registered, durable and visible.
    Registered {
        /// The ttl that was granted.
        ttl: Ttl,
    },
    /// So many registrations were removed, durably and visibly.
    Unregistered {
        /// How many.
        count: usize,
    },
    /// Nothing was changed.
    Refused(Refusal),
}

/// Judges writes against the applied state and every fact still in flight.
///
/// # Contract
///
/// [`submit`](Self::submit) in the order of arrival; [`next_batch`](Self::next_batch) hands out the
/// facts for one atomic append, and no second batch until the first was applied or failed. So
/// whatever is judged on facts of a batch is appended after it, and a failed append fails all that
/// was judged on it.
///
/// # Limits
///
/// A refresh, which is a REGISTER of a name that the peer holds, takes no new place and is exempt
/// from every limit on counts. Registrations that are expired but not erased hold their place.
#[derive(Debug)]
pub struct Writer {
    limits: Limits,
    rate: RateLimit,
    pending: VecDeque<Pending>,
    overlay: Overlay,
    batch: Option<BatchProgress>,
    tickets: u64,
    draining: bool,
    pressed: bool,
    stalled: bool,
}

#[derive(Debug)]
struct Pending {
    ticket: Ticket,
    facts: VecDeque<Fact>,
    verdict: Verdict,
}

/// The batch that the journal has: how many of the pending writes are in it.
#[derive(Clone, Copy, Debug)]
struct BatchProgress {
    writes: usize,
}

impl Writer {
    /// The most facts in one batch, unless a single write has more (an UNREGISTER of everything
    /// removes up to `registrations_per_peer`). It bounds how long readers wait for a batch to be
    /// applied, and how much one failed append can fail.
    pub const BATCH_FACTS_MAX: usize = 256;

    /// A writer with nothing in flight.
    pub fn new(limits: Limits) -> Self {
        Self {
            rate: RateLimit::new(&limits),
            limits,
            pending: VecDeque::new(),
            overlay: Overlay::default(),
            batch: None,
            tickets: 0,
            draining: false,
            pressed: false,
            stalled: false,
        }
    }

    /// Judges one write of `peer`.
    pub fn submit(
        &mut self,
        now: Time,
        registry: &Registry,
        peer: PeerId,
        operation: Operation,
    ) -> Submitted {
        let judged = match operation {
            Operation::Register {
                namespace,
                records,
                ttl,
                origin,
            } => {
                let expires_at = now.saturating_add(ttl.as_duration());
                let granted = ttl;
                let wanted = Registered {
                    namespace,
                    peer,
                    records,
                    granted,
                    expires_at,
                    origin,
                };
                self.judge_register(now, registry, &wanted).map(|()| {
                    let verdict = Verdict::Registered { ttl };
                    (vec![Fact::Registered(wanted)], verdict)
                })
            }
            Operation::Unregister { scope } => self.judge_admission().map(|()| {
                let facts = self.removals(registry, peer, &scope);
                let verdict = Verdict::Unregistered { count: facts.len() };
                (facts, verdict)
            }),
        };
        match judged {
            Ok((facts, verdict)) if facts.is_empty() => Submitted::Done(verdict),
            Ok((facts, verdict)) => Submitted::Pending(self.enqueue(registry, facts, verdict)),
            Err(refusal) => {
                self.pressed |= refusal == Refusal::Full;
                Submitted::Done(Verdict::Refused(refusal))
            }
        }
    }

    /// The facts of the next append, in order; `None` while one is in flight or nothing waits.
    pub fn next_batch(&mut self) -> Option<Vec<Fact>> {
        if self.batch.is_some() {
            return None;
        }
        let mut facts = Vec::new();
        let mut writes = 0;
        for pending in &self.pending {
            if writes > 0 && facts.len() + pending.facts.len() > Self::BATCH_FACTS_MAX {
                break;
            }
            facts.extend(pending.facts.iter().cloned());
            writes += 1;
        }
        if facts.is_empty() {
            return None;
        }
        self.batch = Some(BatchProgress { writes });
        Some(facts)
    }

    /// Applies durable facts of the batch in flight and returns the verdicts that became final.
    ///
    /// `seqs` are the sequence numbers of the batch's facts in order. A long batch may be applied
    /// in several calls, each with the next part of its sequence numbers, so that a lock on the
    /// registry is held for a bounded time.
    pub fn apply(&mut self, registry: &mut Registry, seqs: &[Seq]) -> Vec<(Ticket, Verdict)> {
        let mut verdicts = Vec::new();
        for seq in seqs {
            let Some(batch) = &mut self.batch else { break };
            let Some(pending) = self.pending.front_mut() else {
                break;
            };
            if let Some(fact) = pending.facts.pop_front() {
                self.overlay.settle(&fact);
                registry.apply(*seq, fact);
            }
            if pending.facts.is_empty() {
                batch.writes -= 1;
                let done = batch.writes == 0;
                if let Some(Pending {
                    ticket, verdict, ..
                }) = self.pending.pop_front()
                {
                    verdicts.push((ticket, verdict));
                }
                if done {
                    self.batch = None;
                    self.stalled = false;
                }
            }
        }
        verdicts
    }

    /// The append of the batch in flight failed, so all that was judged on it fails as well.
    ///
    /// Returns the writes that changed nothing.
    pub fn fail(&mut self) -> Vec<Ticket> {
        self.batch = None;
        self.stalled = false;
        self.overlay = Overlay::default();
        self.pending
            .drain(..)
            .map(|pending| pending.ticket)
            .collect()
    }

    /// Nobody knows what became of the batch in flight. It stays in flight until
    /// [`apply`](Self::apply) or [`fail`](Self::fail), and every write is refused meanwhile.
    ///
    /// Returns the writes of the batch, whose outcome is unknown, and the writes behind it, which
    /// changed nothing.
    pub fn stall(&mut self, registry: &Registry) -> (Vec<Ticket>, Vec<Ticket>) {
        self.stalled = true;
        let writes = self.batch.map_or(0, |batch| batch.writes);
        let behind = self.pending.split_off(writes);
        let tickets =
            |writes: &VecDeque<Pending>| writes.iter().map(|pending| pending.ticket).collect();
        let (unknown, failed) = (tickets(&self.pending), tickets(&behind));
        self.overlay = Overlay::default();
        let facts: Vec<_> = self
            .pending
            .iter()
            .flat_map(|write| &write.facts)
            .cloned()
            .collect();
        self.overlay_facts(registry, &facts);
        (unknown, failed)
    }

    /// Whether a batch is in flight.
    pub fn is_appending(&self) -> bool {
        self.batch.is_some()
    }

    /// Refuses every further write.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// How many writes wait.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Whether a write was refused because the point is full since this was last asked.
    ///
    /// A point that is full of expired registrations should erase them even if it would wait
    /// otherwise.
    pub fn take_pressure(&mut self) -> bool {
        std::mem::take(&mut self.pressed)
    }

    /// Erases up to `max` registrations that are due at `now`, and returns them.
    ///
    /// One that a fact in flight would replace keeps its place until that fact is applied: it was
    /// judged as a refresh.
    pub fn erase_due(
        &self,
        now: Time,
        registry: &mut Registry,
        max: usize,
    ) -> Vec<Arc<Registration>> {
        let mut due = registry.due(now, max);
        due.retain(|held| {
            !self
                .overlay
                .touches(&(held.peer(), held.namespace().clone()))
        });
        due.retain(|held| registry.erase(held));
        due
    }

    fn judge_admission(&self) -> Result<(), Refusal> {
        if self.draining {
            return Err(Refusal::Draining);
        }
        if self.stalled {
            return Err(Refusal::Store);
        }
        if self.pending.len() >= self.limits.pending_max {
            return Err(Refusal::Busy);
        }
        Ok(())
    }

    fn judge_register(
        &mut self,
        now: Time,
        registry: &Registry,
        wanted: &Registered,
    ) -> Result<(), Refusal> {
        self.judge_admission()?;
        let key = (wanted.peer, wanted.namespace.clone());
        let held = self.held(registry, &key);
        for dialect in [Dialect::Legacy, Dialect::Standard] {
            let seq = wanted.records.of(dialect).and_then(|record| record.seq());
            let stored = held
                .as_ref()
                .and_then(|held| held.live_record_seq(now, dialect));
            if let (Some(seq), Some(stored)) = (seq, stored)
                && seq < stored
            {
                return Err(Refusal::StaleRecord { seq, stored });
            }
        }
        if !self.rate.admit(now, wanted.peer) {
            return Err(Refusal::RateLimited);
        }
        self.judge_room(registry, held.as_ref(), wanted)
    }

    /// Whether there is room for `wanted` in the place of `held`.
    fn judge_room(
        &self,
        registry: &Registry,
        held: Option<&Effect>,
        wanted: &Registered,
    ) -> Result<(), Refusal> {
        let limits = &self.limits;
        if held.is_none() {
            let of_peer = self.overlay.count_of_peer(registry, wanted.peer);
            if of_peer >= limits.registrations_per_peer {
                return Err(Refusal::PeerFull {
                    limit: limits.registrations_per_peer,
                });
            }
            if self.overlay.count(registry) >= limits.registrations_total {
                return Err(Refusal::Full);
            }
        }
        if let Some(origin) = wanted.origin
            && held.is_none_or(|held| held.origin != Some(origin))
            && self.overlay.count_of_origin(registry, origin) >= limits.registrations_per_origin
        {
            return Err(Refusal::OriginFull {
                limit: limits.registrations_per_origin,
            });
        }
        let grows_by = wanted
            .records
            .bytes()
            .saturating_sub(held.map_or(0, |held| held.record_bytes));
        let bytes = self.overlay.record_bytes(registry) + grows_by as u64;
        if grows_by > 0 && bytes > limits.record_bytes_total {
            return Err(Refusal::Full);
        }
        Ok(())
    }

    fn removals(&self, registry: &Registry, peer: PeerId, scope: &Scope) -> Vec<Fact> {
        let keys = match scope {
            Scope::All => self.overlay.keys_of(registry, peer),
            Scope::Namespace(namespace) => vec![(peer, namespace.clone())],
        };
        let removal = |key: Key| {
            let held = self.held(registry, &key)?;
            let (peer, namespace) = key;
            Some(Fact::Removed(Removed {
                namespace,
                peer,
                expires_at: held.expires_at,
            }))
        };
        keys.into_iter().filter_map(removal).collect()
    }

    /// What will be held under `key` once everything in flight is applied.
    fn held(&self, registry: &Registry, key: &Key) -> Option<Effect> {
        match self.overlay.effect(key) {
            Some(effect) => effect.clone(),
            None => registry
                .registration(key.0, &key.1)
                .map(Effect::of_registration),
        }
    }

    fn enqueue(&mut self, registry: &Registry, facts: Vec<Fact>, verdict: Verdict) -> Ticket {
        self.overlay_facts(registry, &facts);
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.pending.push_back(Pending {
            ticket,
            facts: facts.into(),
            verdict,
        });
        ticket
    }

    fn overlay_facts(&mut self, registry: &Registry, facts: &[Fact]) {
        for fact in facts {
            let key = (*fact.peer(), fact.namespace().clone());
            let before = self.held(registry, &key);
            self.overlay.add(key, before.as_ref(), fact);
        }
    }
}
