//! The rules on writes: what is judged, against what, in which order.

use libp2p_identity::PeerId;
use rv_proto::{Dialect, Fact, Registered, Removed, Scope, Time};

use super::overlay::Effect;
use super::{Append, Operation, Verdict, Writer};
use crate::Refusal;
use crate::registry::{Key, Registry};

impl Writer {
    /// The facts that `operation` becomes, and its verdict once they are durable.
    pub(super) fn judge(
        &mut self,
        now: Time,
        registry: &Registry,
        peer: PeerId,
        operation: Operation,
    ) -> Result<(Vec<Fact>, Verdict), Refusal> {
        if self.draining {
            return Err(Refusal::Draining);
        }
        if matches!(self.append, Append::Stalled { .. }) {
            return Err(Refusal::Store);
        }
        match operation {
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
                let registered = self.judge_register(now, registry, wanted)?;
                Ok((
                    vec![Fact::Registered(registered)],
                    Verdict::Registered { ttl },
                ))
            }
            // Never busy: it has no answer that could say so, and what it can add is bounded by
            // what is held.
            Operation::Unregister { scope } => {
                let facts = self.removals(registry, peer, &scope);
                let verdict = Verdict::Unregistered { count: facts.len() };
                Ok((facts, verdict))
            }
        }
    }

    /// Notes facts as in flight, each on top of those before.
    pub(super) fn overlay_facts(&mut self, registry: &Registry, facts: &[Fact]) {
        for fact in facts {
            let key = (*fact.peer(), fact.namespace().clone());
            let before = self.held(registry, &key);
            self.overlay.add(key, before.as_ref(), fact);
        }
    }

    fn judge_register(
        &mut self,
        now: Time,
        registry: &Registry,
        mut wanted: Registered,
    ) -> Result<Registered, Refusal> {
        if self.pending.len() >= self.limits.pending_max {
            return Err(Refusal::Busy);
        }
        if !self.rate.admit(now, wanted.peer) {
            return Err(Refusal::RateLimited);
        }
        let key = (wanted.peer, wanted.namespace.clone());
        let held = self.held(registry, &key);
        check_record_seqs(now, held.as_ref(), &wanted)?;
        self.check_room(registry, held.as_ref(), &wanted)?;
        self.charge_origin(registry, held.as_ref(), &mut wanted)?;
        Ok(wanted)
    }

    /// Whether there is room for `wanted` in the place of `held`.
    fn check_room(
        &self,
        registry: &Registry,
        held: Option<&Effect>,
        wanted: &Registered,
    ) -> Result<(), Refusal> {
        let limits = &self.limits;
        let in_sight = held.is_some_and(|held| held.in_sight);
        let of_peer = self.overlay.count_of_peer(registry, wanted.peer);
        if !in_sight && of_peer >= limits.registrations_per_peer {
            return Err(Refusal::PeerFull {
                limit: limits.registrations_per_peer,
            });
        }
        if held.is_none() && self.overlay.count(registry) >= limits.registrations_total {
            return Err(Refusal::Full);
        }
        let bytes_before = held.map_or(0, |held| held.record_bytes);
        let grows_by = wanted.records.bytes().saturating_sub(bytes_before);
        let bytes = self.overlay.record_bytes(registry) + grows_by as u64;
        if grows_by > 0 && bytes > limits.record_bytes_total {
            return Err(Refusal::Full);
        }
        Ok(())
    }

    /// Charges the network that `wanted` comes from; if that is full, a refresh goes on being
    /// charged to the network of `held`.
    fn charge_origin(
        &self,
        registry: &Registry,
        held: Option<&Effect>,
        wanted: &mut Registered,
    ) -> Result<(), Refusal> {
        let limit = self.limits.registrations_per_origin;
        let held = held.filter(|held| held.in_sight);
        match (wanted.origin, held) {
            (None, _) => Ok(()),
            (Some(origin), Some(held)) if held.origin == Some(origin) => Ok(()),
            (Some(origin), _) if self.overlay.count_of_origin(registry, origin) < limit => Ok(()),
            (Some(_), Some(held)) => {
                wanted.origin = held.origin;
                Ok(())
            }
            (Some(_), None) => Err(Refusal::OriginFull { limit }),
        }
    }

    fn removals(&self, registry: &Registry, peer: PeerId, scope: &Scope) -> Vec<Fact> {
        let keys = match scope {
            Scope::All => self.overlay.keys_of(registry, peer),
            Scope::Namespace(namespace) => vec![(peer, namespace.clone())],
        };
        let removal = |key: Key| {
            let expires_at = self.held(registry, &key)?.expires_at;
            let (peer, namespace) = key;
            Some(Fact::Removed(Removed {
                namespace,
                peer,
                expires_at,
            }))
        };
        keys.into_iter().filter_map(removal).collect()
    }

    /// What will be held under `key` once everything in flight is applied.
    fn held(&self, registry: &Registry, key: &Key) -> Option<Effect> {
        match self.overlay.effect(key) {
            Some(effect) => effect.clone(),
            None => {
                let held = registry.registration(key.0, &key.1)?;
                Some(Effect::of_registration(held, !registry.is_hidden(held)))
            }
        }
    }
}

/// A record must not be older than the one of the same dialect that it replaces.
fn check_record_seqs(now: Time, held: Option<&Effect>, wanted: &Registered) -> Result<(), Refusal> {
    for dialect in [Dialect::Legacy, Dialect::Standard] {
        let seq = wanted.records.of(dialect).and_then(|record| record.seq());
        let stored = held.and_then(|held| held.live_record_seq(now, dialect));
        if let (Some(seq), Some(stored)) = (seq, stored)
            && seq < stored
        {
            return Err(Refusal::StaleRecord { seq, stored });
        }
    }
    Ok(())
}
