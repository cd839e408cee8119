//! The routing table: a bucket of peers for each number of shared bits.
//!
//! Every entry has answered us. Near the own position a bucket prefers the nearest peers, so that
//! a node knows all its neighbours and not only `k` of each bucket.

use std::cmp::Ordering;

use crate::address::Group;
use crate::key::{Cpl, Key};
use crate::peer::{Addresses, Contact, Peer};
use crate::time::Time;

/// A routing table.
#[derive(Clone, Debug)]
pub struct Table {
    local: Peer,
    bucket_size: usize,
    /// By shared bits; as many as there are up to the deepest that ever held a peer.
    buckets: Vec<Vec<Entry>>,
    len: usize,
}

/// A peer of the table.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(crate) peer: Peer,
    pub(crate) addresses: Addresses,
    pub(crate) source: Source,
    pub(crate) group: Option<Group>,
    pub(crate) heard_at: Time,
    /// When it last failed to answer.
    pub(crate) failed_at: Time,
    pub(crate) check: Check,
    /// Of the last answer, and how it was asked: who answers everything alike is found out.
    pub(crate) answer: Fingerprint,
    pub(crate) strikes: u8,
    /// The outage in which the strikes were counted; those of an earlier one do not count.
    pub(crate) epoch: u8,
}

/// Who told us of a peer first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The peer itself, or the own configuration: no quota.
    Itself,
    /// Another peer, by the head of its position.
    Peer(u64),
}

/// Where an entry stands in the order of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    InFlight,
    /// Queued under this time, which may be earlier than when it was heard last.
    Quiet(Time),
    Retry(Time),
}

/// Hashes of an answer and of the question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) question: u32,
    pub(crate) answer: u32,
}

impl Entry {
    /// The peer.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Where it is dialled.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// When it was last known to be alive.
    pub fn heard_at(&self) -> Time {
        self.heard_at
    }

    /// Failures in a row since then.
    pub fn strikes(&self) -> u8 {
        self.strikes
    }

    /// The peer with its addresses.
    pub fn contact(&self) -> Contact {
        let (peer, addresses) = (self.peer.clone(), self.addresses.clone());
        Contact { peer, addresses }
    }
}

impl Table {
    pub(crate) const fn new(local: Peer, bucket_size: usize) -> Self {
        let buckets = Vec::new();
        Self {
            local,
            bucket_size,
            buckets,
            len: 0,
        }
    }

    /// Entries in all buckets.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The peer whose table it is.
    pub fn local(&self) -> &Peer {
        &self.local
    }

    /// The entries of one bucket.
    pub fn bucket(&self, cpl: Cpl) -> &[Entry] {
        self.buckets.get(cpl.index()).map_or(&[], Vec::as_slice)
    }

    /// All entries, farthest bucket first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.buckets.iter().flatten()
    }

    /// The entry of a peer.
    pub fn entry(&self, peer: &Peer) -> Option<&Entry> {
        let bucket = self.bucket(self.local.cpl(peer)?);
        bucket.iter().find(|entry| entry.peer == *peer)
    }

    /// The deepest bucket that holds a peer.
    pub fn deepest(&self) -> Option<Cpl> {
        let at = self.buckets.iter().rposition(|bucket| !bucket.is_empty())?;
        u8::try_from(at).ok().map(Cpl::new)
    }

    /// The entries nearest to a position, nearest first.
    ///
    /// This is what a node answers a FIND_NODE with.
    pub fn closest(&self, key: &Key, count: usize) -> Vec<&Entry> {
        let here = key.prefix();
        let mut near: Vec<&Entry> = Vec::with_capacity(self.len.min(4 * self.bucket_size));
        self.gather(key, count, &mut near);
        let order = |left: &&Entry, right: &&Entry| {
            let by_prefix = (left.peer.prefix() ^ here).cmp(&(right.peer.prefix() ^ here));
            by_prefix.then_with(|| left.peer.distance(key).cmp(&right.peer.distance(key)))
        };
        if near.len() > count && count > 0 {
            near.select_nth_unstable_by(count - 1, order);
        }
        near.truncate(count);
        near.sort_unstable_by(order);
        near
    }

    /// All entries of as many buckets as hold `count`, nearest buckets first: the bucket that the
    /// position falls into, then all deeper ones, then the shallower ones one by one.
    fn gather<'a>(&'a self, key: &Key, count: usize, near: &mut Vec<&'a Entry>) {
        let at = self
            .local
            .key()
            .cpl(key)
            .map_or(self.buckets.len(), Cpl::index);
        if let Some(bucket) = self.buckets.get(at) {
            near.extend(bucket);
        }
        if near.len() >= count {
            return;
        }
        near.extend(self.buckets.iter().skip(at.saturating_add(1)).flatten());
        for bucket in self.buckets.iter().take(at).rev() {
            if near.len() >= count {
                return;
            }
            near.extend(bucket);
        }
    }

    /// How many entries are nearer to us than this peer.
    pub fn rank(&self, peer: &Peer) -> usize {
        let Some(cpl) = self.local.cpl(peer) else {
            return 0;
        };
        let nearer = |entry: &&Entry| self.is_nearer(&entry.peer, peer);
        self.deeper_than(cpl) + self.bucket(cpl).iter().filter(nearer).count()
    }

    /// How many entries are in buckets nearer to us than that one.
    fn deeper_than(&self, cpl: Cpl) -> usize {
        let deeper = self.buckets.iter().skip(cpl.index() + 1);
        deeper.map(Vec::len).sum()
    }

    fn is_nearer(&self, left: &Peer, right: &Peer) -> bool {
        Peer::nearer(&self.local, left, right) == Ordering::Less
    }

    pub(crate) fn has_room(&self, cpl: Cpl) -> bool {
        self.has_room_for(cpl, 1)
    }

    pub(crate) fn has_room_for(&self, cpl: Cpl, count: usize) -> bool {
        self.bucket(cpl).len() + count <= self.bucket_size
    }

    /// Who has to leave a full bucket for this peer, where it is one of the `neighbours` nearest.
    pub(crate) fn displaced_by(&self, peer: &Peer, neighbours: usize) -> Option<&Entry> {
        let cpl = self.local.cpl(peer)?;
        if self.has_room(cpl) {
            return None;
        }
        let deeper = self.deeper_than(cpl);
        if deeper >= neighbours {
            return None;
        }
        let nearness = |l: &&Entry, r: &&Entry| Peer::nearer(&self.local, &l.peer, &r.peer);
        let farthest = self.bucket(cpl).iter().max_by(nearness)?;
        let is_neighbour = self.is_nearer(peer, &farthest.peer) && self.rank(peer) < neighbours;
        is_neighbour.then_some(farthest)
    }

    pub(crate) fn entry_mut(&mut self, peer: &Peer) -> Option<&mut Entry> {
        let cpl = self.local.cpl(peer)?;
        let bucket = self.buckets.get_mut(cpl.index())?;
        bucket.iter_mut().find(|entry| entry.peer == *peer)
    }

    /// Puts an entry in, unless there is no room, it is there, or it is ourselves.
    pub(crate) fn insert(&mut self, entry: Entry) -> bool {
        let Some(cpl) = self.local.cpl(&entry.peer) else {
            return false;
        };
        if !self.has_room(cpl) || self.entry(&entry.peer).is_some() {
            return false;
        }
        if self.buckets.len() <= cpl.index() {
            self.buckets.resize_with(cpl.index() + 1, Vec::new);
        }
        let bucket = &mut self.buckets[cpl.index()];
        reserve_one(bucket, self.bucket_size);
        bucket.push(entry);
        self.len += 1;
        true
    }

    pub(crate) fn remove(&mut self, peer: &Peer) -> Option<Entry> {
        let cpl = self.local.cpl(peer)?;
        let bucket = self.buckets.get_mut(cpl.index())?;
        let at = bucket.iter().position(|entry| entry.peer == *peer)?;
        self.len -= 1;
        Some(bucket.remove(at))
    }

    /// How many entries of a bucket, and of the table, are in a group of addresses.
    pub(crate) fn in_group(&self, cpl: Cpl, group: Group) -> (usize, usize) {
        let of_group = |entry: &&Entry| entry.group == Some(group);
        let in_bucket = self.bucket(cpl).iter().filter(of_group).count();
        (in_bucket, self.iter().filter(of_group).count())
    }

    /// How many entries of a bucket a source told us of.
    pub(crate) fn told_by_source(&self, cpl: Cpl, source: Source) -> usize {
        let bucket = self.bucket(cpl).iter();
        bucket.filter(|entry| entry.source == source).count()
    }
}

/// Makes room for one more in a list that never holds more than `max`. Doubling alone would leave
/// a third of the room of 20 entries unused, in each bucket of each table.
pub(crate) fn reserve_one<T>(list: &mut Vec<T>, max: usize) {
    if list.len() == list.capacity() {
        let doubled = list.len().max(4).min(max.saturating_sub(list.len()));
        list.reserve_exact(doubled.max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_list_has_no_room_to_spare() {
        let mut list = Vec::new();
        let mut rooms = Vec::new();
        for at in 0..20 {
            reserve_one(&mut list, 20);
            list.push(at);
            rooms.push(list.capacity());
        }
        rooms.dedup();
        assert_eq!(rooms, [4, 8, 16, 20]);
        reserve_one(&mut list, 20);
        assert_eq!(list.capacity(), 21, "whoever goes beyond pays for it");
    }
}
