//! The one place where writes are judged, in order, before they become facts.

mod judge;
mod overlay;
mod rate;

use std::collections::VecDeque;
use std::sync::Arc;

use libp2p_identity::PeerId;
use rv_proto::{Fact, Namespace, Origin, Records, Scope, Seq, Time, Ttl};

use crate::registry::{Registration, Registry};
use crate::{Limits, Refusal};
use overlay::Overlay;
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
/// from every limit on counts; one that comes from a network which is full stays charged to the
/// network that it was charged to before. A record that is larger than the one that it replaces
/// needs room like any other.
#[derive(Debug)]
pub struct Writer {
    limits: Limits,
    rate: RateLimit,
    pending: VecDeque<Pending>,
    overlay: Overlay,
    append: Append,
    tickets: u64,
    draining: bool,
    pressed: bool,
}

#[derive(Debug)]
struct Pending {
    ticket: Ticket,
    facts: VecDeque<Fact>,
    verdict: Verdict,
}

/// What the journal has of the pending writes: so many of the first ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Append {
    Idle,
    InFlight {
        writes: usize,
    },
    /// In flight, and nobody knows when it will be decided.
    Stalled {
        writes: usize,
    },
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
            append: Append::Idle,
            tickets: 0,
            draining: false,
            pressed: false,
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
        match self.judge(now, registry, peer, operation) {
            Ok((facts, verdict)) if facts.is_empty() => Submitted::Done(verdict),
            Ok((facts, verdict)) => {
                self.overlay_facts(registry, &facts);
                self.tickets += 1;
                let ticket = Ticket(self.tickets);
                self.pending.push_back(Pending {
                    ticket,
                    facts: facts.into(),
                    verdict,
                });
                Submitted::Pending(ticket)
            }
            Err(refusal) => {
                self.pressed |= refusal == Refusal::Full;
                Submitted::Done(Verdict::Refused(refusal))
            }
        }
    }

    /// Whether a REGISTER of `peer` would meet its rate limit. To be asked before a signature is
    /// checked, which costs more than all the rest.
    pub fn is_rate_limited(&self, now: Time, peer: PeerId) -> bool {
        !self.rate.has_token(now, peer)
    }

    /// Charges `peer` for a REGISTER that is not submitted, because its signature is wrong.
    pub fn charge(&mut self, now: Time, peer: PeerId) {
        self.rate.admit(now, peer);
    }

    /// The facts of the next append, in order; `None` while one is in flight or nothing waits.
    pub fn next_batch(&mut self) -> Option<Vec<Fact>> {
        if self.is_appending() {
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
        self.append = Append::InFlight { writes };
        Some(facts)
    }

    /// Notes that a batch without facts is in flight, which a journal needs to forget something.
    /// It ends as every batch does. False while another is in flight.
    pub fn begin_without_facts(&mut self) -> bool {
        let is_idle = !self.is_appending();
        if is_idle {
            self.append = Append::InFlight { writes: 0 };
        }
        is_idle
    }

    /// Applies durable facts of the batch in flight and returns the verdicts that became final.
    ///
    /// `seqs` are the sequence numbers of the batch's facts in order. A long batch may be applied
    /// in several calls, each with the next part of its sequence numbers, so that a lock on the
    /// registry is held for a bounded time.
    ///
    /// # Panics
    ///
    /// If there are more sequence numbers than facts in the batch.
    pub fn apply(&mut self, registry: &mut Registry, seqs: &[Seq]) -> Vec<(Ticket, Verdict)> {
        let mut writes = self.writes_in_flight();
        let mut verdicts = Vec::new();
        for seq in seqs {
            assert!(writes > 0, "one sequence number for each fact of the batch");
            let write = self
                .pending
                .front_mut()
                .expect("a write in flight is pending");
            let fact = write.facts.pop_front().expect("a pending write has a fact");
            let is_done = write.facts.is_empty();
            self.overlay.settle(&fact);
            registry.apply(*seq, fact);
            if is_done
                && let Some(Pending {
                    ticket, verdict, ..
                }) = self.pending.pop_front()
            {
                verdicts.push((ticket, verdict));
                writes -= 1;
            }
        }
        self.append = match self.append {
            _ if writes == 0 => Append::Idle,
            Append::Idle | Append::InFlight { .. } => Append::InFlight { writes },
            Append::Stalled { .. } => Append::Stalled { writes },
        };
        verdicts
    }

    /// The append of the batch in flight failed, so all that was judged on it fails as well.
    ///
    /// Returns the writes that changed nothing. Nothing is judged on a batch without facts.
    pub fn fail(&mut self) -> Vec<Ticket> {
        let writes = self.writes_in_flight();
        self.append = Append::Idle;
        if writes == 0 {
            return Vec::new();
        }
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
        let writes = self.writes_in_flight();
        if self.is_appending() {
            self.append = Append::Stalled { writes };
        }
        let behind = self.pending.split_off(writes);
        self.overlay = Overlay::default();
        let facts: Vec<_> = self
            .pending
            .iter()
            .flat_map(|write| &write.facts)
            .cloned()
            .collect();
        self.overlay_facts(registry, &facts);
        let tickets =
            |writes: &VecDeque<Pending>| writes.iter().map(|write| write.ticket).collect();
        (tickets(&self.pending), tickets(&behind))
    }

    /// Whether a batch is in flight.
    pub fn is_appending(&self) -> bool {
        self.append != Append::Idle
    }

    /// Refuses every further write.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// The facts that are not applied yet, in the order in which they will be.
    pub fn pending_facts(&self) -> impl Iterator<Item = &Fact> {
        self.pending.iter().flat_map(|write| &write.facts)
    }

    /// How many writes wait.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Whether a write was refused because the point is full, and nothing was erased since.
    ///
    /// A point that is full of expired registrations should erase some even if it would wait
    /// otherwise.
    pub fn is_pressed(&self) -> bool {
        self.pressed
    }

    /// Takes up to `max` registrations that are due at `now` out of sight, and returns how many
    /// there were. What a fact in flight would replace stays, for it was judged by its place.
    pub fn hide_due(&self, now: Time, registry: &mut Registry, max: usize) -> usize {
        let due = registry
            .due_in_sight(now)
            .filter(|held| !self.overlay.touches(held));
        let due: Vec<_> = due.take(max).cloned().collect();
        due.iter().for_each(|held| registry.hide(held));
        due.len()
    }

    /// Erases up to `max` registrations that are due at `now`, and returns them.
    ///
    /// One that a fact in flight would replace keeps its place until that fact is applied: it was
    /// judged as a refresh.
    pub fn erase_due(
        &mut self,
        now: Time,
        registry: &mut Registry,
        max: usize,
    ) -> Vec<Arc<Registration>> {
        let due = registry.due(now).filter(|held| !self.overlay.touches(held));
        let due: Vec<_> = due.take(max).cloned().collect();
        for held in &due {
            registry.erase(held);
        }
        self.pressed = false;
        due
    }

    fn writes_in_flight(&self) -> usize {
        match self.append {
            Append::Idle => 0,
            Append::InFlight { writes } | Append::Stalled { writes } => writes,
        }
    }
}
