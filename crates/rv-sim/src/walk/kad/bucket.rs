//! A bucket of `libp2p-kad` 0.49.0, `kbucket/bucket.rs`.
//!
//! Its entries stand from the one that was connected longest ago to the one connected last. Here,
//! an entry counts as connected for as long as an idle connection lasts since it was used.

use std::time::Duration;

use dht_walk::{Contact, Time};

use crate::walk::place::head;

/// Up to 20 entries, and one that waits for a place.
#[derive(Clone, Debug, Default)]
pub(super) struct Bucket {
    /// Used longest ago first.
    entries: Vec<Entry>,
    pending: Option<Pending>,
}

#[derive(Clone, Debug)]
struct Entry {
    contact: Contact,
    /// None: added by its address, never connected.
    used_at: Option<Time>,
}

#[derive(Clone, Debug)]
struct Pending {
    contact: Contact,
    used_at: Time,
    replaces_at: Time,
}

/// What became of a peer that is connected.
#[derive(Clone, Debug)]
pub(super) enum Inserted {
    /// All entries are connected, or somebody waits already.
    Full,
    /// It is an entry, or waits, already.
    Known,
    /// It is an entry now.
    New,
    /// It waits until the first entry was found to be gone.
    Pending {
        /// The entry that is dialled.
        disconnected: Contact,
    },
}

impl Entry {
    fn is_connected(&self, now: Time) -> bool {
        self.used_at
            .is_some_and(|at| now < at.saturating_add(Bucket::IDLE))
    }
}

impl Bucket {
    const CAPACITY: usize = 20;
    /// `kbucket/bucket.rs`, `pending_timeout` of the default.
    const PENDING: Duration = Duration::from_secs(60);
    /// `libp2p-swarm`'s default.
    const IDLE: Duration = Duration::from_secs(10);

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All entries. Whoever waits takes its place when the bucket is next used.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Contact> {
        self.entries.iter().map(|entry| &entry.contact)
    }

    /// A peer that is not connected, by its address.
    pub(super) fn add_address(&mut self, contact: &Contact) {
        if self.entries.len() < Self::CAPACITY {
            self.entries.insert(
                0,
                Entry {
                    contact: contact.clone(),
                    used_at: None,
                },
            );
        }
    }

    /// A peer is connected.
    pub(super) fn connected(&mut self, now: Time, contact: &Contact) -> Inserted {
        self.apply_pending(now);
        if self.reconnected(now, head(contact.peer.key())) {
            return Inserted::Known;
        }
        if let Some(pending) = self
            .pending
            .as_mut()
            .filter(|it| it.contact.peer == contact.peer)
        {
            pending.used_at = now;
            return Inserted::Known;
        }
        let (contact, used_at) = (contact.clone(), Some(now));
        if self.entries.len() < Self::CAPACITY {
            self.entries.push(Entry { contact, used_at });
            return Inserted::New;
        }
        if self.pending.is_some() || self.entries[0].is_connected(now) {
            return Inserted::Full;
        }
        let replaces_at = now.saturating_add(Self::PENDING);
        self.pending = Some(Pending {
            contact,
            used_at: now,
            replaces_at,
        });
        Inserted::Pending {
            disconnected: self.entries[0].contact.clone(),
        }
    }

    /// An entry is connected; says whether there is one.
    pub(super) fn reconnected(&mut self, now: Time, there: u64) -> bool {
        let is_it = |entry: &Entry| head(entry.contact.peer.key()) == there;
        let Some(at) = self.entries.iter().position(is_it) else {
            return false;
        };
        let mut entry = self.entries.remove(at);
        if at == 0 {
            self.pending = None;
        }
        entry.used_at = Some(now);
        self.entries.push(entry);
        true
    }

    /// An application removes a peer.
    pub(super) fn remove(&mut self, there: u64) {
        let is_it = |contact: &Contact| head(contact.peer.key()) == there;
        self.entries.retain(|entry| !is_it(&entry.contact));
        self.pending.take_if(|pending| is_it(&pending.contact));
    }

    /// Gives whoever has waited long enough its place.
    pub(super) fn apply_pending(&mut self, now: Time) {
        let is_due = |pending: &mut Pending| pending.replaces_at <= now;
        let Some(pending) = self.pending.take_if(is_due) else {
            return;
        };
        if self.entries.len() >= Self::CAPACITY {
            if self.entries[0].is_connected(now) {
                return;
            }
            self.entries.remove(0);
        }
        let at = self
            .entries
            .partition_point(|it| it.used_at <= Some(pending.used_at));
        let (contact, used_at) = (pending.contact, Some(pending.used_at));
        self.entries.insert(at, Entry { contact, used_at });
    }
}

#[cfg(test)]
mod tests {
    use dht_walk::{Seed, Targets};

    use super::*;
    use crate::walk::place::contact;

    fn secs(secs: u64) -> Time {
        Time::from_millis(secs * 1_000)
    }

    #[test]
    fn a_full_bucket_gives_its_oldest_place_after_a_minute_unless_that_one_comes_back() {
        let mut ids = Targets::new(Seed::from_bytes([3; 32]));
        let peers: Vec<Contact> = (0..22)
            .map(|at| contact(ids.uniform().as_peer(), at))
            .collect();
        let mut bucket = Bucket::default();
        for peer in &peers[..20] {
            assert!(matches!(bucket.connected(secs(0), peer), Inserted::New));
        }
        assert!(matches!(
            bucket.connected(secs(9), &peers[20]),
            Inserted::Full
        ));
        let is_pending =
            |it| matches!(it, Inserted::Pending { disconnected } if disconnected == peers[0]);
        assert!(is_pending(bucket.connected(secs(20), &peers[20])));
        assert!(matches!(
            bucket.connected(secs(21), &peers[21]),
            Inserted::Full
        ));
        assert!(
            bucket.reconnected(secs(22), head(peers[0].peer.key())),
            "it came back"
        );
        let Inserted::Pending { disconnected } = bucket.connected(secs(90), &peers[20]) else {
            panic!("nobody waits any more");
        };
        assert_eq!(disconnected, peers[1]);
        assert!(matches!(
            bucket.connected(secs(151), &peers[21]),
            Inserted::Pending { .. }
        ));
        let entries: Vec<&Contact> = bucket.entries().collect();
        assert_eq!(entries.len(), 20);
        assert!(entries.contains(&&peers[20]) && !entries.contains(&&peers[1]));
    }
}
