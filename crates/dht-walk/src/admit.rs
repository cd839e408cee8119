//! Who may become an entry.
//!
//! What others tell of is a rumour. A contact waits among the spares of its bucket until there is
//! room; then it is asked itself, and is admitted if it answers. So an entry's place is filled
//! anew as soon as it is empty, by somebody who is there.

use std::collections::BTreeMap;

use crate::config::AdmissionConfig;
use crate::key::Cpl;
use crate::peer::{Addresses, Contact, Peer};
use crate::refusal::Refusal;
use crate::table::{Source, Table, reserve_one};
use crate::time::Time;

/// Spares, and who failed lately.
#[derive(Clone, Debug)]
pub(crate) struct Admit {
    config: AdmissionConfig,
    /// By bucket; within it, heard latest last.
    spares: Vec<Vec<Spare>>,
    /// Those who would have a place in a full bucket, because they are near.
    near: Vec<Spare>,
    /// Candidates that are being asked, and those of each bucket.
    verifying: BTreeMap<Peer, Spare>,
    failed: BTreeMap<u64, Failed>,
}

/// A contact that is no entry.
#[derive(Clone, Debug)]
pub(crate) struct Spare {
    pub(crate) contact: Contact,
    pub(crate) source: Source,
    pub(crate) heard_at: Time,
    /// When it answered us, if it did.
    pub(crate) answered_at: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    until: Time,
    addresses: u64,
    /// How often it failed under other addresses than before.
    rumours: u8,
    /// Even an answer does not help: it does not serve, or the host does not want it.
    is_barred: bool,
}

impl Admit {
    /// How often a peer that failed is tried again at once because it is told of with other
    /// addresses. Whoever invents addresses costs us that many messages for each peer.
    const RUMOURS_MAX: u8 = 3;

    /// Near candidates that wait: as many as there are neighbours in a bucket.
    const NEAR_MAX: usize = 20;

    pub(crate) const fn new(config: AdmissionConfig) -> Self {
        Self {
            config,
            spares: Vec::new(),
            near: Vec::new(),
            verifying: BTreeMap::new(),
            failed: BTreeMap::new(),
        }
    }

    /// Takes note of a contact that is no entry.
    pub(crate) fn hear(&mut self, table: &Table, spare: Spare) -> Result<(), Refusal> {
        let peer = &spare.contact.peer;
        let Some(cpl) = table.local().cpl(peer) else {
            return Err(Refusal::OwnId);
        };
        if self.verifying.contains_key(peer) {
            return Ok(());
        }
        self.check_failed(&spare)?;
        if table.displaced_by(peer, self.config.neighbours).is_some() {
            Self::keep(&mut self.near, spare, Self::NEAR_MAX);
            return Ok(());
        }
        if self.spares.len() <= cpl.index() {
            self.spares.resize_with(cpl.index() + 1, Vec::new);
        }
        Self::keep(
            &mut self.spares[cpl.index()],
            spare,
            self.config.spares_per_bucket,
        );
        Ok(())
    }

    fn check_failed(&mut self, spare: &Spare) -> Result<(), Refusal> {
        let prefix = spare.contact.peer.prefix();
        let Some(failed) = self.failed.get_mut(&prefix) else {
            return Ok(());
        };
        let is_past = failed.until <= spare.heard_at;
        if failed.is_barred && !is_past {
            return Err(Refusal::RecentlyFailed);
        }
        if is_past || spare.source == Source::Itself {
            self.failed.remove(&prefix);
            return Ok(());
        }
        let addresses = fingerprint(&spare.contact);
        if failed.addresses == addresses || failed.rumours >= Self::RUMOURS_MAX {
            return Err(Refusal::RecentlyFailed);
        }
        failed.addresses = addresses;
        failed.rumours += 1;
        Ok(())
    }

    /// Whether it is of no use even if it answers.
    pub(crate) fn check_barred(&self, now: Time, peer: &Peer) -> Result<(), Refusal> {
        let failed = self.failed.get(&peer.prefix());
        let is_barred = failed.is_some_and(|failed| failed.is_barred && failed.until > now);
        if is_barred {
            Err(Refusal::RecentlyFailed)
        } else {
            Ok(())
        }
    }

    fn keep(spares: &mut Vec<Spare>, spare: Spare, max: usize) {
        let same = |it: &Spare| it.contact.peer == spare.contact.peer;
        if let Some(at) = spares.iter().position(same) {
            spares[at..].rotate_left(1);
            let Some(known) = spares.last_mut() else {
                return;
            };
            known.answered_at = known.answered_at.max(spare.answered_at);
            // Who told first stays responsible, and what it told stays.
            let (addresses, further) = (&mut known.contact.addresses, Addresses::MAX);
            *addresses = addresses.joined(&spare.contact.addresses, further).0;
            known.heard_at = spare.heard_at;
            return;
        }
        if spares.len() >= max {
            if max == 0 {
                return;
            }
            // One that answered is worth more than one that was only told of.
            let rumour = spares.iter().position(|it| it.answered_at.is_none());
            match rumour {
                Some(at) => {
                    spares.remove(at);
                }
                None if spare.answered_at.is_some() => {
                    spares.remove(0);
                }
                None => return,
            }
        }
        reserve_one(spares, max);
        spares.push(spare);
    }

    /// The next candidate whom there is room for; deepest buckets first, because what is near is
    /// rare.
    pub(crate) fn next(&mut self, table: &Table, mut refuse: impl FnMut(Refusal)) -> Option<Spare> {
        if self.verifying.len() >= self.config.verifying_max {
            return None;
        }
        while let Some(spare) = self.near.pop() {
            let peer = &spare.contact.peer;
            let is_wanted = table.displaced_by(peer, self.config.neighbours).is_some()
                || table
                    .local()
                    .cpl(peer)
                    .is_some_and(|cpl| table.has_room(cpl));
            if is_wanted && self.is_open(table, &spare, &mut refuse) {
                return Some(spare);
            }
        }
        for at in (0..self.spares.len()).rev() {
            let cpl = Cpl::new(u8::try_from(at).ok()?);
            while !self.spares[at].is_empty() && self.has_room(table, cpl) {
                let best = |it: &Spare| it.answered_at.is_some();
                let newest = self.spares[at].len() - 1;
                let pick = self.spares[at].iter().rposition(best).unwrap_or(newest);
                let spare = self.spares[at].remove(pick);
                if self.is_open(table, &spare, &mut refuse) {
                    return Some(spare);
                }
            }
        }
        None
    }

    /// Whether somebody waits whom there is room for.
    pub(crate) fn has_next(&self, table: &Table) -> bool {
        if self.verifying.len() >= self.config.verifying_max {
            return false;
        }
        let mut numbered = (0..=u8::MAX).map(Cpl::new).zip(&self.spares);
        !self.near.is_empty()
            || numbered.any(|(cpl, spares)| !spares.is_empty() && self.has_room(table, cpl))
    }

    /// Room that is not promised to somebody who is being asked.
    fn has_room(&self, table: &Table, cpl: Cpl) -> bool {
        if !table.has_room(cpl) {
            return false;
        }
        let promised = self.verifying.keys();
        let promised = promised
            .filter(|peer| table.local().cpl(peer) == Some(cpl))
            .count();
        table.has_room_for(cpl, promised + 1)
    }

    fn is_open(&self, table: &Table, spare: &Spare, refuse: &mut impl FnMut(Refusal)) -> bool {
        if table.entry(&spare.contact.peer).is_some() {
            return false;
        }
        match self.check_quotas(table, spare) {
            Ok(()) => true,
            Err(refusal) => {
                refuse(refusal);
                false
            }
        }
    }

    /// Whether one source, or one network of addresses, would get too much of a bucket.
    pub(crate) fn check_quotas(&self, table: &Table, spare: &Spare) -> Result<(), Refusal> {
        let Some(cpl) = table.local().cpl(&spare.contact.peer) else {
            return Err(Refusal::OwnId);
        };
        if let Source::Peer(_) = spare.source
            && table.told_by_source(cpl, spare.source) >= self.config.per_source_max
        {
            return Err(Refusal::SourceQuota);
        }
        if let Some(group) = spare.contact.addresses.group() {
            let (in_bucket, in_table) = table.in_group(cpl, group);
            if in_bucket >= self.config.group_per_bucket_max
                || in_table >= self.config.group_per_table_max
            {
                return Err(Refusal::GroupQuota);
            }
        }
        Ok(())
    }

    /// Whether an answer of that time is proof enough.
    pub(crate) fn is_proven(&self, now: Time, spare: &Spare) -> bool {
        let is_fresh = |at| now.saturating_since(at) <= self.config.answer_fresh;
        spare.answered_at.is_some_and(is_fresh)
    }

    pub(crate) fn asked(&mut self, spare: Spare) {
        self.verifying.insert(spare.contact.peer.clone(), spare);
    }

    /// The candidate is not being asked any more; it answered, failed, or was given up.
    pub(crate) fn settled(&mut self, peer: &Peer) -> Option<Spare> {
        self.verifying.remove(peer)
    }

    pub(crate) fn verifying(&self) -> usize {
        self.verifying.len()
    }

    /// Is not to be tried again for a while.
    pub(crate) fn failed(&mut self, now: Time, contact: &Contact) {
        let prefix = contact.peer.prefix();
        let (until, addresses) = (
            now.saturating_add(self.config.failed_pause),
            fingerprint(contact),
        );
        let rumours = self.failed.get(&prefix).map_or(0, |failed| failed.rumours);
        if !self.failed.contains_key(&prefix) && self.failed.len() >= self.config.failed_max {
            let first = self.failed.iter().min_by_key(|(_, failed)| failed.until);
            if let Some(first) = first.map(|(prefix, _)| *prefix) {
                self.failed.remove(&first);
            }
        }
        if self.config.failed_max > 0 {
            let is_barred = false;
            self.failed.insert(
                prefix,
                Failed {
                    until,
                    addresses,
                    rumours,
                    is_barred,
                },
            );
        }
        self.forget(&contact.peer);
    }

    /// Is not to be an entry for a while, whatever it answers.
    pub(crate) fn bar(&mut self, now: Time, contact: &Contact) {
        self.failed(now, contact);
        if let Some(failed) = self.failed.get_mut(&contact.peer.prefix()) {
            failed.is_barred = true;
        }
    }

    /// Shows by itself that it serves.
    pub(crate) fn unbar(&mut self, peer: &Peer) {
        self.failed.remove(&peer.prefix());
    }

    /// Takes a peer from the spares.
    pub(crate) fn forget(&mut self, peer: &Peer) {
        self.near.retain(|spare| spare.contact.peer != *peer);
        for spares in &mut self.spares {
            spares.retain(|spare| spare.contact.peer != *peer);
        }
    }

    /// Forgets who failed: after an outage nobody knows who did.
    pub(crate) fn pardon(&mut self) {
        self.failed.clear();
    }
}

/// Tells two lists of addresses apart, whatever their order.
fn fingerprint(contact: &Contact) -> u64 {
    let hash = |address: &multiaddr::Multiaddr| fnv(address.as_ref());
    let each = contact.addresses.as_slice().iter().map(hash);
    each.fold(0, u64::wrapping_add)
}

/// The hash of Fowler, Noll and Vo, 64 bits. Whoever finds two lists of the same hash has
/// prevented one retry.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
