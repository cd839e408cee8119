//! The reference: what a point must do, by plain lists that are scanned from end to end.

use std::collections::VecDeque;

use libp2p_identity::PeerId;
use rv_core::{Limits, Operation, Refusal, Verdict};
use rv_proto::{Dialect, Fact, Namespace, Origin, Registered, Removed, Scope, Seq, Time};

use crate::point::WriteNumber;
use crate::pool::{Sample, sample_of};

/// A fault that an implementation is known to have had, or might have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Readers that do not know the extension are told what was verified.
    AllMarked,
    /// A listing goes on where it was, though the reader's dialect is another now.
    ChangedDialectGoesOn,
    /// What a cookie remembers is stronger than what identify says.
    CookieBeforeIdentify,
    /// The other dialects' records are shown to whoever asks.
    DialectsMixed,
    /// A reader of several dialects is shown a registration in each of them.
    EachFormShown,
    /// Registrations are shown until they are erased.
    ExpiredShown,
    /// A failed append leaves its writes in the sums.
    FailureLeavesTrace,
    /// A cookie carries on what was a guess.
    GuessRemembered,
    /// Limits are judged on what is applied: writes in flight slip past together.
    InFlightNotCounted,
    /// A reader that restarts gets a cookie with the end of its listing.
    LastCookieShown,
    /// One more than the limit.
    OffByOneTotal,
    /// The cookie counts entries instead of naming a place.
    OffsetCookie,
    /// A full page's cookie names the end of the log.
    PageSkipsRest,
    /// Unsigned records are said to be verified.
    PlainMarkedVerified,
    /// A reader of several dialects is shown the unsigned record where a signed one is there.
    PlainPreferred,
    /// A refresh leaves the old registration behind.
    RefreshLeaks,
    /// A refresh at the limit is refused.
    RefreshRefusedAtLimit,
    /// A removal is forgotten by a restart.
    RemovalForgotten,
    /// A fact that comes again is applied again.
    ReplayedTwice,
    /// A record's `seq` is compared with that of another dialect.
    StaleAcrossDialects,
    /// With the clock set back, more is left than was granted.
    TtlGrows,
}

/// A registration that is held.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) seq: Seq,
    pub(crate) registered: Registered,
}

impl Held {
    pub(crate) fn is_live(&self, now: Time) -> bool {
        self.registered.expires_at > now
    }

    pub(crate) fn sample(&self) -> &'static Sample {
        sample_of(&self.registered.records)
    }

    pub(crate) fn is_in(&self, scope: &Scope) -> bool {
        match scope {
            Scope::All => true,
            Scope::Namespace(namespace) => *namespace == self.registered.namespace,
        }
    }

    /// Rounded up to seconds.
    pub(crate) fn ttl_left_secs(&self, now: Time) -> u64 {
        let left_millis = self
            .registered
            .expires_at
            .as_millis()
            .saturating_sub(now.as_millis());
        let granted_secs = u64::from(self.registered.granted.as_secs());
        left_millis.div_ceil(1_000).min(granted_secs)
    }
}

/// A write that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) number: WriteNumber,
    pub(crate) facts: VecDeque<Fact>,
    pub(crate) verdict: Verdict,
}

/// The state of a point.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) fault: Option<Fault>,
    pub(crate) limits: Limits,
    pub(crate) held: Vec<Held>,
    pub(crate) in_flight: VecDeque<Write>,
    /// How many of the writes in flight the journal has.
    pub(crate) appending: Option<usize>,
    pub(crate) stalled: bool,
    pub(crate) applied: Seq,
    /// What [`Fault::FailureLeavesTrace`] leaves.
    ghosts: Vec<Registered>,
}

impl Model {
    pub(crate) fn new(limits: Limits, fault: Option<Fault>) -> Self {
        Self {
            fault,
            limits,
            held: Vec::new(),
            in_flight: VecDeque::new(),
            appending: None,
            stalled: false,
            applied: Seq::ZERO,
            ghosts: Vec::new(),
        }
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    pub(crate) fn apply(&mut self, seq: Seq, fact: Fact) {
        if seq <= self.applied && !self.has(Fault::ReplayedTwice) {
            return;
        }
        self.applied = self.applied.max(seq);
        let refresh = matches!(fact, Fact::Registered(_));
        if !(refresh && self.has(Fault::RefreshLeaks)) {
            self.held.retain(|held| !is_of(&held.registered, &fact));
        }
        if let Fact::Registered(registered) = fact {
            self.held.push(Held { seq, registered });
        }
    }

    /// What is held once everything in flight is applied.
    pub(crate) fn planned(&self) -> Vec<Registered> {
        let mut planned: Vec<_> = self
            .held
            .iter()
            .map(|held| held.registered.clone())
            .collect();
        if self.has(Fault::InFlightNotCounted) {
            return planned;
        }
        for fact in self.in_flight.iter().flat_map(|write| &write.facts) {
            planned.retain(|registered| !is_of(registered, fact));
            if let Fact::Registered(registered) = fact {
                planned.push(registered.clone());
            }
        }
        planned.extend(self.ghosts.iter().cloned());
        planned
    }

    /// Every reason why this write cannot be. None: it must be accepted.
    pub(crate) fn reasons(&self, now: Time, peer: PeerId, operation: &Operation) -> Vec<Refusal> {
        let mut reasons = Vec::new();
        if self.stalled {
            reasons.push(Refusal::Store);
        }
        let Operation::Register {
            namespace,
            records,
            origin,
            ..
        } = operation
        else {
            return reasons;
        };
        if self.in_flight.len() >= self.limits.pending_max {
            reasons.push(Refusal::Busy);
        }
        let planned = self.planned();
        let held = planned
            .iter()
            .find(|it| it.peer == peer && it.namespace == *namespace);
        for dialect in [Dialect::Legacy, Dialect::Standard] {
            let Some(seq) = records.of(dialect).and_then(|record| record.seq()) else {
                continue;
            };
            let live = held.filter(|held| held.expires_at > now);
            let stored = live.and_then(|held| self.stored_seq(held, dialect));
            if let Some(stored) = stored.filter(|stored| *stored > seq) {
                reasons.push(Refusal::StaleRecord { seq, stored });
            }
        }
        self.reasons_of_room(
            &planned,
            held,
            (peer, *origin, records.bytes()),
            &mut reasons,
        );
        reasons
    }

    fn stored_seq(&self, held: &Registered, dialect: Dialect) -> Option<u64> {
        if self.has(Fault::StaleAcrossDialects) {
            return held.records.iter().filter_map(|record| record.seq()).max();
        }
        held.records.of(dialect).and_then(|record| record.seq())
    }

    fn reasons_of_room(
        &self,
        planned: &[Registered],
        held: Option<&Registered>,
        (peer, origin, bytes): (PeerId, Option<Origin>, usize),
        reasons: &mut Vec<Refusal>,
    ) {
        let limits = &self.limits;
        let count =
            |fits: &dyn Fn(&Registered) -> bool| planned.iter().filter(|it| fits(it)).count();
        let takes_place = held.is_none() || self.has(Fault::RefreshRefusedAtLimit);
        if takes_place && count(&|it| it.peer == peer) >= limits.registrations_per_peer {
            reasons.push(Refusal::PeerFull {
                limit: limits.registrations_per_peer,
            });
        }
        let slack = usize::from(self.has(Fault::OffByOneTotal));
        if takes_place && planned.len() >= limits.registrations_total + slack {
            reasons.push(Refusal::Full);
        }
        let of_origin = count(&|it| it.origin == origin);
        if origin.is_some() && held.is_none() && of_origin >= limits.registrations_per_origin {
            reasons.push(Refusal::OriginFull {
                limit: limits.registrations_per_origin,
            });
        }
        let others: usize = planned.iter().map(|it| it.records.bytes()).sum();
        let replaced = held.map_or(0, |held| held.records.bytes());
        let after = (others - replaced + bytes) as u64;
        if bytes > replaced && after > limits.record_bytes_total {
            reasons.push(Refusal::Full);
        }
    }

    /// The facts that a write makes, and what it becomes once they are durable.
    pub(crate) fn facts(
        &self,
        now: Time,
        peer: PeerId,
        operation: &Operation,
    ) -> (Vec<Fact>, Verdict) {
        match operation {
            Operation::Register {
                namespace,
                records,
                ttl,
                origin,
            } => {
                let fact = Fact::Registered(Registered {
                    namespace: namespace.clone(),
                    peer,
                    records: records.clone(),
                    granted: *ttl,
                    expires_at: now.saturating_add(ttl.as_duration()),
                    origin: self.charged(peer, namespace, *origin),
                });
                (vec![fact], Verdict::Registered { ttl: *ttl })
            }
            Operation::Unregister { scope } => {
                let facts = self.removals(peer, scope);
                let count = facts.len();
                (facts, Verdict::Unregistered { count })
            }
        }
    }

    /// The network that a registration counts for: a refresh that comes from a full one stays
    /// where it was.
    fn charged(
        &self,
        peer: PeerId,
        namespace: &Namespace,
        origin: Option<Origin>,
    ) -> Option<Origin> {
        let planned = self.planned();
        let held = planned
            .iter()
            .find(|it| it.peer == peer && it.namespace == *namespace);
        let of_origin = planned.iter().filter(|it| it.origin == origin).count();
        match held {
            Some(held)
                if origin.is_some()
                    && held.origin != origin
                    && of_origin >= self.limits.registrations_per_origin =>
            {
                held.origin
            }
            _ => origin,
        }
    }

    /// The facts that an UNREGISTER makes.
    fn removals(&self, peer: PeerId, scope: &Scope) -> Vec<Fact> {
        let in_scope = |namespace: &Namespace| match scope {
            Scope::All => true,
            Scope::Namespace(wanted) => wanted == namespace,
        };
        let planned = self.planned().into_iter();
        let gone = planned.filter(|it| it.peer == peer && in_scope(&it.namespace));
        gone.map(
            |Registered {
                 namespace,
                 expires_at,
                 ..
             }| {
                Fact::Removed(Removed {
                    namespace,
                    peer,
                    expires_at,
                })
            },
        )
        .collect()
    }

    /// The facts of the next append, and how many writes they are.
    pub(crate) fn next_batch(&self) -> Option<(usize, Vec<Fact>)> {
        if self.appending.is_some() || self.in_flight.is_empty() {
            return None;
        }
        let facts = self
            .in_flight
            .iter()
            .flat_map(|write| &write.facts)
            .cloned()
            .collect();
        Some((self.in_flight.len(), facts))
    }

    /// Applies the next facts in flight.
    pub(crate) fn commit(&mut self, seqs: &[Seq]) -> Vec<(WriteNumber, Verdict)> {
        let mut verdicts = Vec::new();
        for seq in seqs {
            let Some(write) = self.in_flight.front_mut() else {
                break;
            };
            let Some(fact) = write.facts.pop_front() else {
                break;
            };
            let done = write.facts.is_empty();
            self.apply(*seq, fact);
            if done && let Some(write) = self.in_flight.pop_front() {
                verdicts.push((write.number, write.verdict));
                self.appending = self.appending.map(|left| left - 1).filter(|left| *left > 0);
            }
        }
        self.stalled &= self.appending.is_some();
        verdicts
    }

    pub(crate) fn fail(&mut self) -> Vec<WriteNumber> {
        self.appending = None;
        self.stalled = false;
        let failed: Vec<_> = self.in_flight.drain(..).collect();
        if self.has(Fault::FailureLeavesTrace) {
            let facts = failed.iter().flat_map(|write| &write.facts);
            self.ghosts.extend(facts.filter_map(|fact| match fact {
                Fact::Registered(registered) => Some(registered.clone()),
                Fact::Removed(_) => None,
            }));
        }
        failed.iter().map(|write| write.number).collect()
    }

    pub(crate) fn stall(&mut self) -> (Vec<WriteNumber>, Vec<WriteNumber>) {
        self.stalled = true;
        let behind = self.in_flight.split_off(self.appending.unwrap_or(0));
        let numbers = |writes: &VecDeque<Write>| writes.iter().map(|write| write.number).collect();
        (numbers(&self.in_flight), numbers(&behind))
    }

    pub(crate) fn is_in_flight(&self, held: &Held) -> bool {
        let mut facts = self.in_flight.iter().flat_map(|write| &write.facts);
        facts.any(|fact| is_of(&held.registered, fact))
    }

    pub(crate) fn restart(&mut self, mut kept: Vec<(Seq, Fact)>, head: Seq) {
        kept.sort_by_key(|(seq, _)| *seq);
        *self = Self::new(self.limits.clone(), self.fault);
        for (seq, fact) in kept {
            let removed = matches!(fact, Fact::Removed(_));
            if !(removed && self.has(Fault::RemovalForgotten)) {
                self.apply(seq, fact);
            }
        }
        self.applied = head;
    }

    /// The strictest dialect that a peer registered in.
    pub(crate) fn dialect_of(&self, peer: PeerId) -> Option<Dialect> {
        let speaks = |dialect: &Dialect| {
            let mut own = self.held.iter().filter(|held| held.registered.peer == peer);
            own.any(|held| held.registered.records.of(*dialect).is_some())
        };
        Dialect::ALL.into_iter().find(speaks)
    }
}

fn is_of(registered: &Registered, fact: &Fact) -> bool {
    registered.peer == *fact.peer() && registered.namespace == *fact.namespace()
}
