//! The table's entries: who becomes one, who ceases to be, and what is told about them.

use crate::output::{Event, EvictReason, Output};
use crate::peer::{Addresses, Contact, Peer};
use crate::refusal::Refusal;
use crate::table::{Check, Entry, Fingerprint, Source};
use crate::time::Time;

use super::Walk;

impl Walk {
    /// A peer sent us a request. It is alive, whoever it is; it becomes a candidate if addresses
    /// are known. Call it for peers that serve the DHT, not for clients.
    pub fn handle_inbound(&mut self, now: Time, contact: &Contact) {
        let now = self.enter(now);
        self.admit.unbar(&contact.peer);
        self.hear(now, contact, Source::Itself, None);
        self.credit(now, &contact.peer);
        self.advance(now);
    }

    /// A peer that serves the DHT tells where it is reached, by identify for example. It becomes a
    /// candidate. Whether it answers is yet to be seen, so an entry gains addresses and no credit.
    pub fn handle_contact(&mut self, now: Time, contact: &Contact) {
        let now = self.enter(now);
        self.admit.unbar(&contact.peer);
        if !contact.addresses.is_empty() {
            self.hear(now, contact, Source::Itself, None);
        }
        self.advance(now);
    }

    /// The host knows that a peer is alive: a message of any protocol came from it.
    pub fn handle_alive(&mut self, now: Time, peer: &Peer) {
        let now = self.enter(now);
        self.credit(now, peer);
        self.advance(now);
    }

    /// A connection to the peer was opened, or its last one closed. Messages to connected peers
    /// cost no dial.
    pub fn handle_connection(&mut self, now: Time, peer: &Peer, is_open: bool) {
        let now = self.enter(now);
        if !is_open {
            self.connected.remove(peer);
        } else if self.connected.len() < Self::CONNECTED_MAX {
            self.connected.insert(peer.clone());
        }
        self.advance(now);
    }

    /// The peer told, by identify for example, whether it serves the DHT. One that does not, or no
    /// longer does, leaves the table at once.
    pub fn handle_protocols(&mut self, now: Time, peer: &Peer, is_serving: bool) {
        let now = self.enter(now);
        if is_serving {
            self.admit.unbar(peer);
            self.credit(now, peer);
        } else {
            self.not_serving(now, peer);
        }
        self.advance(now);
    }

    /// The host's own table took a peer in by itself. It is checked at once.
    pub fn handle_entry_added(&mut self, now: Time, contact: &Contact) {
        let now = self.enter(now);
        if contact.peer != self.local && self.table.entry(&contact.peer).is_none() {
            let mut entry = self.entry(now, contact.clone(), Source::Itself);
            entry.check = Check::Retry(now);
            self.put_entry(entry);
        }
        self.advance(now);
    }

    /// The host's own table dropped a peer by itself.
    pub fn handle_entry_removed(&mut self, now: Time, peer: &Peer) {
        let now = self.enter(now);
        self.drop_entry(peer);
        self.advance(now);
    }

    /// The host's own table did not take the peer of an `Insert`.
    pub fn handle_insert_refused(&mut self, now: Time, peer: &Peer) {
        let now = self.enter(now);
        if let Some(entry) = self.drop_entry(peer) {
            self.refusals.add(Refusal::TableRefused, 1);
            self.admit.bar(now, &entry.contact());
            if let Some(round) = &mut self.round {
                round.moves.refused(self.local.cpl(peer));
            }
        }
        self.advance(now);
    }

    /// Our own addresses changed: the neighbours should learn of it.
    pub fn handle_local_addresses(&mut self, now: Time) {
        let now = self.enter(now);
        self.explore.hasten_now(now);
        self.advance(now);
    }

    /// The contact as it is kept, addresses that are not wanted left out.
    pub(super) fn judge(&mut self, contact: &Contact) -> Result<Contact, Refusal> {
        let told = &contact.addresses;
        if (told.is_empty() || !told.is_plain()) && self.is_known(contact) {
            return Ok(contact.clone());
        }
        let (policy, refusals) = (self.config.addresses, &mut self.refusals);
        policy.keep(&self.local, contact, |why| refusals.add(why, 1))
    }

    /// Whether the contact is an entry with these very addresses: nothing is to be learnt of it.
    pub(super) fn is_known(&self, contact: &Contact) -> bool {
        let entry = self.table.entry(&contact.peer);
        entry.is_some_and(|entry| entry.addresses.is_shared_with(&contact.addresses))
    }

    /// Takes note of a contact; says whether it was fit to be told of.
    pub(super) fn hear(
        &mut self,
        now: Time,
        contact: &Contact,
        source: Source,
        answered_at: Option<Time>,
    ) -> Option<Contact> {
        let contact = match self.judge(contact) {
            Ok(contact) => contact,
            Err(refusal) => {
                self.refusals.add(refusal, 1);
                return None;
            }
        };
        self.learn(now, &contact, source, answered_at);
        Some(contact)
    }

    /// Takes note of a contact that was judged; says whether it is worth a request.
    pub(super) fn learn(
        &mut self,
        now: Time,
        contact: &Contact,
        source: Source,
        answered_at: Option<Time>,
    ) -> bool {
        if let Some(entry) = self.table.entry_mut(&contact.peer) {
            let further = match source {
                Source::Itself => Addresses::MAX,
                Source::Peer(_) => self.config.admission.addresses_per_source,
            };
            let (joined, lost) = entry.addresses.joined(&contact.addresses, further);
            entry.addresses = joined;
            self.refusals.add(Refusal::AddressesFull, lost);
            return true;
        }
        let contact = contact.clone();
        let spare = crate::admit::Spare {
            contact,
            source,
            heard_at: now,
            answered_at,
        };
        let heard = self.admit.hear(&self.table, spare);
        heard
            .map_err(|refusal| self.refusals.add(refusal, 1))
            .is_ok()
    }

    /// The peer is alive.
    pub(super) fn credit(&mut self, now: Time, peer: &Peer) {
        if let Some(entry) = self.table.entry_mut(peer) {
            self.probe.alive(now, entry);
        }
    }

    /// Makes an entry of a candidate that answered.
    pub(super) fn admit(&mut self, now: Time, contact: Contact, source: Source) {
        let peer = contact.peer.clone();
        let spare = crate::admit::Spare {
            contact: contact.clone(),
            source,
            heard_at: now,
            answered_at: Some(now),
        };
        let is_open = self.admit.check_barred(now, &peer);
        if let Err(refusal) = is_open.and_then(|()| self.admit.check_quotas(&self.table, &spare)) {
            self.refusals.add(refusal, 1);
            return;
        }
        let displaced = self
            .table
            .displaced_by(&peer, self.config.admission.neighbours);
        if let Some(displaced) = displaced.map(|entry| entry.peer.clone()) {
            self.evict(now, &displaced, EvictReason::Displaced);
        }
        let entry = self.entry(now, contact.clone(), source);
        if self.put_entry(entry) {
            self.admit.forget(&peer);
            self.counters.admitted += 1;
            if let Some(round) = &mut self.round {
                round.moves.admitted(self.local.cpl(&peer));
            }
            self.outputs.push_back(Output::Insert(contact));
            self.tell(Event::Admitted(peer));
        } else if let Err(refusal) = self.admit.hear(&self.table, spare) {
            self.refusals.add(refusal, 1);
        }
    }

    /// Drops an entry, here and in the host's table.
    pub(super) fn evict(&mut self, now: Time, peer: &Peer, reason: EvictReason) {
        let Some(entry) = self.drop_entry(peer) else {
            return;
        };
        match reason {
            EvictReason::Dead => {
                self.counters.dead += 1;
                self.admit.failed(now, &entry.contact());
            }
            EvictReason::NotServing => {
                self.counters.not_serving += 1;
                self.admit.bar(now, &entry.contact());
            }
            EvictReason::Displaced => {
                self.counters.displaced += 1;
                let (heard_at, source) = (now, entry.source);
                let answered_at = Some(entry.heard_at);
                let contact = entry.contact();
                let spare = crate::admit::Spare {
                    contact,
                    source,
                    heard_at,
                    answered_at,
                };
                // It lost its place to a nearer one, so it is no candidate for that place.
                let _kept = self.admit.hear(&self.table, spare);
            }
        }
        if let Some(round) = &mut self.round {
            round.moves.evicted(self.local.cpl(peer));
        }
        self.outputs.push_back(Output::Evict {
            peer: peer.clone(),
            reason,
        });
        self.tell(Event::Evicted {
            peer: peer.clone(),
            reason,
        });
        if self.table.len() < self.config.peers_min {
            self.explore.hasten(now, self.targets.rng());
        }
    }

    /// The peer does not serve the DHT, so it is no entry and no candidate.
    pub(super) fn not_serving(&mut self, now: Time, peer: &Peer) {
        let contact = match self.admit.settled(peer) {
            Some(spare) => spare.contact,
            None => Contact {
                peer: peer.clone(),
                addresses: Addresses::none(),
            },
        };
        if self.table.entry(peer).is_some() {
            self.evict(now, peer, EvictReason::NotServing);
        } else {
            self.admit.bar(now, &contact);
        }
        self.refusals.add(Refusal::NotServing, 1);
    }

    fn put_entry(&mut self, entry: Entry) -> bool {
        let is_taken = self.table.insert(entry.clone());
        if is_taken {
            self.probe.enter(&entry);
        }
        is_taken
    }

    fn drop_entry(&mut self, peer: &Peer) -> Option<Entry> {
        let entry = self.table.remove(peer)?;
        self.probe.leave(&entry);
        Some(entry)
    }

    fn entry(&self, now: Time, contact: Contact, source: Source) -> Entry {
        Entry {
            peer: contact.peer,
            addresses: contact.addresses,
            source,
            heard_at: now,
            failed_at: Time::default(),
            check: Check::Quiet(now),
            answer: Fingerprint::default(),
            strikes: 0,
            is_suspected: false,
            epoch: self.outage.epoch(),
        }
    }
}

/// Half of a number's bits, the others mixed in.
pub(super) fn fold(number: u64) -> u32 {
    let mixed = number ^ (number >> 32);
    u32::try_from(mixed & u64::from(u32::MAX)).expect("32 bits are left")
}
