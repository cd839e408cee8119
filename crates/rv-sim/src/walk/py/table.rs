//! The routing table of py-libp2p 0.8.1, `kad_dht/routing_table.py`.

use std::time::Duration;

use dht_walk::multiaddr::Protocol;
use dht_walk::{Contact, Time};

use crate::walk::place::head;

/// Buckets that split as they fill.
#[derive(Debug)]
pub(super) struct Table {
    here: u64,
    /// By the first position that falls into it.
    buckets: Vec<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    first: u64,
    last: u64,
    /// Seen longest ago first.
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    contact: Contact,
    seen_at: Time,
}

impl Table {
    const BUCKET_SIZE: usize = 20;
    pub(super) const BUCKETS_MAX: usize = 256;
    const PER_SUBNET: usize = 2;
    const UNSEEN: Duration = Duration::from_secs(3_600);

    pub(super) fn new(here: u64) -> Self {
        let whole = Bucket {
            first: 0,
            last: u64::MAX,
            entries: Vec::new(),
        };
        Self {
            here,
            buckets: vec![whole],
        }
    }

    pub(super) fn buckets(&self) -> usize {
        self.buckets.len()
    }

    pub(super) fn contacts(&self) -> impl Iterator<Item = &Contact> {
        self.buckets
            .iter()
            .flat_map(|bucket| &bucket.entries)
            .map(|entry| &entry.contact)
    }

    fn bucket_of(&self, there: u64) -> usize {
        self.buckets.partition_point(|bucket| bucket.last < there)
    }

    /// Adds a peer, or marks it as seen.
    pub(super) fn add(&mut self, now: Time, contact: &Contact) {
        let there = head(contact.peer.key());
        if there == self.here {
            return;
        }
        let mut at = self.bucket_of(there);
        if self.buckets[at].seen(now, there) {
            return;
        }
        while self.buckets[at].entries.len() >= Self::BUCKET_SIZE {
            if self.buckets.len() >= Self::BUCKETS_MAX {
                return;
            }
            self.split(at);
            at = self.bucket_of(there);
        }
        let entries = &mut self.buckets[at].entries;
        let subnet = subnet(contact);
        let of_subnet = entries
            .iter()
            .filter(|it| subnet.is_some() && self::subnet(&it.contact) == subnet);
        if of_subnet.count() < Self::PER_SUBNET {
            entries.push(Entry {
                contact: contact.clone(),
                seen_at: now,
            });
        }
    }

    fn split(&mut self, at: usize) {
        let bucket = &mut self.buckets[at];
        let middle = bucket.first + (bucket.last - bucket.first) / 2;
        let all = std::mem::take(&mut bucket.entries);
        let is_low = |entry: &Entry| head(entry.contact.peer.key()) <= middle;
        let (low, high) = all.into_iter().partition(is_low);
        let upper = Bucket {
            first: middle + 1,
            last: bucket.last,
            entries: high,
        };
        (bucket.last, bucket.entries) = (middle, low);
        self.buckets.insert(at + 1, upper);
    }

    pub(super) fn seen(&mut self, now: Time, there: u64) {
        let at = self.bucket_of(there);
        self.buckets[at].seen(now, there);
    }

    pub(super) fn remove(&mut self, there: u64) {
        let at = self.bucket_of(there);
        self.buckets[at]
            .entries
            .retain(|entry| head(entry.contact.peer.key()) != there);
    }

    /// The first few that were not seen for an hour.
    pub(super) fn unseen(&self, now: Time, count: usize) -> Vec<Contact> {
        let entries = self.buckets.iter().flat_map(|bucket| &bucket.entries);
        let is_old = |entry: &&Entry| now.saturating_since(entry.seen_at) > Self::UNSEEN;
        entries
            .filter(is_old)
            .take(count)
            .map(|entry| entry.contact.clone())
            .collect()
    }

    /// The nearest entries, nearest first: those of as long a common prefix as holds enough.
    pub(super) fn nearest(&self, there: u64, count: usize) -> Vec<Contact> {
        let mut range = &self.buckets[..];
        for bits in 1..=63 {
            let low_bits = u64::MAX >> bits;
            let first = range.partition_point(|it| it.last < there & !low_bits);
            let last = range.partition_point(|it| it.first <= there | low_bits);
            // Only whole buckets: one that is wider than the prefix would come in part.
            let narrowed = &range[first..last];
            let is_whole = narrowed
                .first()
                .is_some_and(|it| it.first >= there & !low_bits)
                && narrowed
                    .last()
                    .is_some_and(|it| it.last <= there | low_bits);
            let held: usize = narrowed.iter().map(|it| it.entries.len()).sum();
            if !is_whole || held < count {
                break;
            }
            range = narrowed;
        }
        let entries = range.iter().flat_map(|bucket| &bucket.entries);
        let mut near: Vec<(u64, &Contact)> = entries
            .map(|it| (head(it.contact.peer.key()) ^ there, &it.contact))
            .collect();
        near.sort_unstable_by_key(|(distance, _)| *distance);
        near.into_iter()
            .take(count)
            .map(|(_, contact)| contact.clone())
            .collect()
    }
}

impl Bucket {
    fn seen(&mut self, now: Time, there: u64) -> bool {
        let is_it = |entry: &Entry| head(entry.contact.peer.key()) == there;
        let Some(at) = self.entries.iter().position(is_it) else {
            return false;
        };
        let mut entry = self.entries.remove(at);
        entry.seen_at = now;
        self.entries.push(entry);
        true
    }
}

/// The /24 of a contact.
fn subnet(contact: &Contact) -> Option<u32> {
    match contact.addresses.as_slice().first()?.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.to_bits() >> 8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use dht_walk::{Seed, Targets};

    use super::*;
    use crate::walk::place::contact;

    #[test]
    fn full_buckets_split_and_the_nearest_are_found_across_them() {
        let mut ids = Targets::new(Seed::from_bytes([4; 32]));
        let mut table = Table::new(7);
        let all: Vec<Contact> = (0..500)
            .map(|at| contact(ids.uniform().as_peer(), at))
            .collect();
        for contact in &all {
            table.add(Time::from_millis(0), contact);
        }
        assert_eq!(table.contacts().count(), 500);
        assert!(table.buckets() > 25);
        for there in [0, u64::MAX, 1 << 40, 0x1234_5678_9abc_def0] {
            let mut plain = all.clone();
            plain.sort_by_key(|it| head(it.peer.key()) ^ there);
            assert_eq!(table.nearest(there, 20), plain[..20]);
        }
    }
}
