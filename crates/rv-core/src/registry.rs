//! The applied state: who is registered where, until when, and in which dialects.

mod changes;
mod digest;
mod discover;
mod forms;
mod index;
mod invariants;
mod reader;
mod reading;
mod registration;
mod removals;
mod replay;

use std::collections::BTreeMap;
use std::sync::Arc;

use libp2p_identity::PeerId;
use rv_proto::{
    Dialect, DialectSet, Epoch, Fact, Namespace, Origin, Registered, Removed, Seq, Time,
};

pub(crate) use changes::{Change, Place};
pub use digest::Digest;
pub use discover::{Page, Query};
pub use reader::{Reader, Source};
pub use reading::Reading;
pub(crate) use reading::live_epoch;
pub use registration::Registration;
pub use replay::Replay;

use index::PageIndex;
use removals::Removals;

/// The registrations of a point, as the log's facts made them.
///
/// # Contract
///
/// - [`apply`](Self::apply) takes facts in the order of their sequence numbers and never refuses;
///   rules were judged by the [`Writer`](crate::Writer). A fact that was applied before is ignored.
/// - [`discover`](Self::discover) reads and changes nothing, not even a counter.
/// - An expired registration is invisible at once. [`hide`](Self::hide) takes it out of the
///   listings and the counts, so that nobody steps over it; [`erase`](Self::erase) forgets it.
///
/// # Cost
///
/// With n registrations: `apply` and `erase` O(log n), `discover` O(log n + page), nothing per
/// cookie, no timer per registration, nothing for a namespace in which nobody is registered.
#[derive(Clone, Debug)]
pub struct Registry {
    epoch: Epoch,
    head: Seq,
    applied: Seq,
    by_key: BTreeMap<Key, Arc<Registration>>,
    by_expiry: BTreeMap<(Time, Seq), Arc<Registration>>,
    hidden: BTreeMap<(Time, Seq), Arc<Registration>>,
    pages: PageIndex,
    owners: BTreeMap<PeerId, Owner>,
    origins: BTreeMap<Origin, usize>,
    record_bytes: u64,
    removals: Removals,
}

/// One registration's name: a peer in a namespace.
pub(crate) type Key = (PeerId, Namespace);

/// What all registrations of one peer in sight add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Owner {
    registrations: usize,
    by_dialect: [usize; 3],
}

impl Registry {
    /// An empty registry of a new log.
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            head: Seq::ZERO,
            applied: Seq::ZERO,
            by_key: BTreeMap::new(),
            by_expiry: BTreeMap::new(),
            hidden: BTreeMap::new(),
            pages: PageIndex::default(),
            owners: BTreeMap::new(),
            origins: BTreeMap::new(),
            record_bytes: 0,
            removals: Removals::default(),
        }
    }

    /// Starts to rebuild a registry from what a journal kept.
    pub fn replay() -> Replay {
        Replay::new()
    }

    /// Applies one fact of the log and returns the registration that it replaced or removed.
    ///
    /// Facts come in the order of their sequence numbers, which may have gaps. A fact at or below
    /// [`applied`](Self::applied) was applied before and changes nothing.
    pub fn apply(&mut self, seq: Seq, fact: Fact) -> Option<Arc<Registration>> {
        if seq <= self.applied {
            return None;
        }
        self.applied = seq;
        self.head = self.head.max(seq);
        let (key, before) = match fact {
            Fact::Registered(registered) => {
                let key = (registered.peer, registered.namespace.clone());
                (key, self.put(seq, registered))
            }
            Fact::Removed(Removed {
                namespace, peer, ..
            }) => {
                let key = (peer, namespace);
                let before = self.take(&key);
                (key, before)
            }
        };
        let held = self.by_key.get(&key).map(AsRef::as_ref);
        self.removals.note(seq, key, before.as_deref(), held);
        before
    }

    /// Notes that the log holds facts up to `head`, applied here or not.
    ///
    /// Cookies up to `head` are then known to be of this log: a replica that lags behind answers
    /// them with an empty page instead of a full listing.
    pub fn note_head(&mut self, head: Seq) {
        self.head = self.head.max(head);
    }

    /// Registrations that are due at `now`: the hidden ones first, and the earliest deadline first
    /// among each.
    pub fn due(&self, now: Time) -> impl Iterator<Item = &Arc<Registration>> {
        let hidden = self
            .hidden
            .values()
            .take_while(move |held| held.is_expired(now));
        hidden.chain(self.due_in_sight(now))
    }

    /// Registrations that are due at `now` and not hidden yet, the earliest deadline first.
    pub fn due_in_sight(&self, now: Time) -> impl Iterator<Item = &Arc<Registration>> {
        self.by_expiry
            .values()
            .take_while(move |held| held.is_expired(now))
    }

    /// Takes an expired registration out of every listing and out of the counts of its peer and
    /// its network, but keeps it and its place among all registrations.
    ///
    /// Not to be undone, so only a clock that never goes back may decide on it.
    pub fn hide(&mut self, registration: &Registration) {
        let deadline = deadline(registration);
        if let Some(held) = self.by_expiry.remove(&deadline) {
            self.leave_sight(&held);
            self.hidden.insert(deadline, held);
        }
    }

    /// Whether a registration was hidden.
    pub fn is_hidden(&self, registration: &Registration) -> bool {
        self.hidden.contains_key(&deadline(registration))
    }

    /// Forgets a registration if it is still the one that is held under its name.
    ///
    /// Expiry is not a fact: every copy of the log knows the deadline.
    pub fn erase(&mut self, registration: &Registration) -> bool {
        let key = (registration.peer(), registration.namespace().clone());
        self.holds(registration) && self.take(&key).is_some()
    }

    fn holds(&self, registration: &Registration) -> bool {
        let held = self.registration(registration.peer(), registration.namespace());
        held.is_some_and(|held| held.seq() == registration.seq())
    }

    /// The log that sequence numbers and cookies belong to.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The last sequence number that the log is known to hold.
    pub fn head(&self) -> Seq {
        self.head
    }

    /// The last sequence number that was applied.
    pub fn applied(&self) -> Seq {
        self.applied
    }

    /// How many registrations are held, hidden ones included.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Bytes of all records held.
    pub fn record_bytes(&self) -> u64 {
        self.record_bytes
    }

    /// The earliest deadline.
    pub fn next_expiry(&self) -> Option<Time> {
        let first = |deadlines: &BTreeMap<(Time, Seq), _>| {
            deadlines
                .first_key_value()
                .map(|((expires_at, _), _)| *expires_at)
        };
        first(&self.hidden)
            .into_iter()
            .chain(first(&self.by_expiry))
            .min()
    }

    /// The registration of `peer` in `namespace`, expired or not.
    pub fn registration(&self, peer: PeerId, namespace: &Namespace) -> Option<&Registration> {
        self.by_key
            .get(&(peer, namespace.clone()))
            .map(AsRef::as_ref)
    }

    /// All registrations of `peer`, by namespace, expired or not.
    pub fn registrations_of(&self, peer: PeerId) -> impl Iterator<Item = &Registration> {
        let from_first = self.by_key.range((peer, first_namespace())..);
        let of_peer = from_first.take_while(move |((owner, _), _)| *owner == peer);
        of_peer.map(|(_, held)| held.as_ref())
    }

    /// How many registrations `peer` holds, hidden ones left out.
    pub fn count_of_peer(&self, peer: PeerId) -> usize {
        self.owners
            .get(&peer)
            .map_or(0, |owner| owner.registrations)
    }

    /// How many registrations came from `origin`, hidden ones left out.
    pub fn count_of_origin(&self, origin: Origin) -> usize {
        self.origins.get(&origin).copied().unwrap_or(0)
    }

    /// Every namespace with the number of its registrations, hidden ones left out, in order of
    /// their names.
    pub fn namespaces(&self) -> impl Iterator<Item = (&Namespace, usize)> {
        self.pages.namespaces()
    }

    /// How many namespaces there are.
    pub fn namespace_count(&self) -> usize {
        self.pages.namespaces().len()
    }

    /// The dialect of a peer's own registrations: the strictest, when there are several.
    ///
    /// A peer that registered legacy records is a rust client, which reads nothing else.
    pub fn dialect_of_peer(&self, peer: PeerId) -> Option<Dialect> {
        let owner = self.owners.get(&peer)?;
        Dialect::ALL
            .into_iter()
            .find(|dialect| owner.by_dialect[dialect.index()] > 0)
    }

    fn put(&mut self, seq: Seq, registered: Registered) -> Option<Arc<Registration>> {
        let key = (registered.peer, registered.namespace.clone());
        let replaced = self.take(&key);
        let registration = Arc::new(Registration::new(seq, registered));
        self.enter_sight(&registration);
        self.by_expiry
            .insert(deadline(&registration), Arc::clone(&registration));
        self.record_bytes += registration.record_bytes() as u64;
        self.by_key.insert(key, registration);
        replaced
    }

    fn take(&mut self, key: &Key) -> Option<Arc<Registration>> {
        let registration = self.by_key.remove(key)?;
        let deadline = deadline(&registration);
        self.record_bytes -= registration.record_bytes() as u64;
        if self.hidden.remove(&deadline).is_none() {
            self.by_expiry.remove(&deadline);
            self.leave_sight(&registration);
        }
        Some(registration)
    }

    fn enter_sight(&mut self, registration: &Arc<Registration>) {
        self.pages.insert(registration);
        let owner = self.owners.entry(registration.peer()).or_default();
        owner.registrations += 1;
        for dialect in registration.registered_dialects().iter() {
            owner.by_dialect[dialect.index()] += 1;
        }
        if let Some(origin) = registration.origin() {
            *self.origins.entry(origin).or_default() += 1;
        }
    }

    fn leave_sight(&mut self, registration: &Registration) {
        self.pages.remove(registration);
        if let Some(owner) = self.owners.get_mut(&registration.peer()) {
            owner.subtract(registration.registered_dialects());
            if owner.registrations == 0 {
                self.owners.remove(&registration.peer());
            }
        }
        if let Some(origin) = registration.origin() {
            subtract_origin(&mut self.origins, origin);
        }
    }
}

/// The first of all namespaces in their order.
pub(crate) fn first_namespace() -> Namespace {
    Namespace::new("\0").expect("one byte of UTF-8 is a namespace")
}

/// A registration's place in the order of expiry.
fn deadline(registration: &Registration) -> (Time, Seq) {
    (registration.expires_at(), registration.seq())
}

impl Owner {
    fn subtract(&mut self, dialects: DialectSet) {
        self.registrations -= 1;
        for dialect in dialects.iter() {
            self.by_dialect[dialect.index()] -= 1;
        }
    }
}

fn subtract_origin(origins: &mut BTreeMap<Origin, usize>, origin: Origin) {
    if let Some(count) = origins.get_mut(&origin) {
        *count -= 1;
        if *count == 0 {
            origins.remove(&origin);
        }
    }
}
