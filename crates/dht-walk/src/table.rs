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
    buckets: Vec<Bucket>,
    /// Of all entries that have one, in order: how many there are of one is asked for each
    /// candidate.
    groups: Vec<Group>,
    len: usize,
}

/// Entries, and beside them what they are looked for by. Each contact of each answer is looked for,
/// and the heads of a bucket are five cache lines, its entries thirty.
#[derive(Clone, Debug, Default)]
struct Bucket {
    heads: Vec<Head>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    /// Of the peer's position.
    prefix: u64,
    /// Of its addresses when it became an entry.
    group: Option<Group>,
}

/// A peer of the table.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(crate) peer: Peer,
    pub(crate) addresses: Addresses,
    pub(crate) source: Source,
    pub(crate) heard_at: Time,
    /// When it last failed to answer.
    pub(crate) failed_at: Time,
    pub(crate) check: Check,
    /// Of the last answer, and how it was asked: who answers everything alike is found out.
    pub(crate) answer: Fingerprint,
    pub(crate) strikes: u8,
    /// Somebody who should know of it does not, since it was heard last.
    pub(crate) is_suspected: bool,
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
    /// Somebody who should know of it does not, as was heard at this time.
    Suspected(Time),
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

impl Bucket {
    fn len(&self) -> usize {
        self.heads.len()
    }

    fn position(&self, peer: &Peer) -> Option<usize> {
        let same = |(_, (head, entry)): &(usize, (&Head, &Entry))| {
            head.prefix == peer.prefix() && entry.peer == *peer
        };
        let mut numbered = self.heads.iter().zip(&self.entries).enumerate();
        numbered.find(same).map(|(at, _)| at)
    }

    fn push(&mut self, entry: Entry, max: usize) {
        let (prefix, group) = (entry.peer.prefix(), entry.addresses.group());
        reserve_one(&mut self.heads, max);
        self.heads.push(Head { prefix, group });
        reserve_one(&mut self.entries, max);
        self.entries.push(entry);
    }

    fn remove(&mut self, at: usize) -> Entry {
        self.heads.remove(at);
        self.entries.remove(at)
    }

    /// Each entry with the head of its distance to a position.
    fn from(&self, here: u64) -> impl Iterator<Item = (u64, &Entry)> {
        let distances = self.heads.iter().map(move |head| head.prefix ^ here);
        distances.zip(&self.entries)
    }
}

impl Table {
    pub(crate) const fn new(local: Peer, bucket_size: usize) -> Self {
        let buckets = Vec::new();
        let groups = Vec::new();
        Self {
            local,
            bucket_size,
            buckets,
            groups,
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
        self.buckets.get(cpl.index()).map_or(&[], |it| &it.entries)
    }

    fn entries_in(&self, cpl: Cpl) -> usize {
        self.buckets.get(cpl.index()).map_or(0, Bucket::len)
    }

    /// All entries, farthest bucket first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.buckets.iter().flat_map(|bucket| &bucket.entries)
    }

    /// The entry of a peer.
    pub fn entry(&self, peer: &Peer) -> Option<&Entry> {
        let bucket = self.buckets.get(self.local.cpl(peer)?.index())?;
        bucket.entries.get(bucket.position(peer)?)
    }

    /// The deepest bucket that holds a peer.
    pub fn deepest(&self) -> Option<Cpl> {
        let at = self.buckets.iter().rposition(|bucket| bucket.len() > 0)?;
        u8::try_from(at).ok().map(Cpl::new)
    }

    /// The entries nearest to a position, nearest first.
    ///
    /// This is what a node answers a FIND_NODE with.
    pub fn closest(&self, key: &Key, count: usize) -> Vec<&Entry> {
        let mut near = Vec::with_capacity(self.len.min(4 * self.bucket_size));
        self.gather(key, count, &mut near);
        let order = |left: &(u64, &Entry), right: &(u64, &Entry)| {
            let distance = |entry: &Entry| entry.peer.distance(key);
            let by_prefix = left.0.cmp(&right.0);
            by_prefix.then_with(|| distance(left.1).cmp(&distance(right.1)))
        };
        if near.len() > count && count > 0 {
            near.select_nth_unstable_by(count - 1, order);
        }
        near.truncate(count);
        near.sort_unstable_by(order);
        near.into_iter().map(|(_, entry)| entry).collect()
    }

    /// All entries of as many buckets as hold `count`, nearest buckets first: the bucket that the
    /// position falls into, then all deeper ones, then the shallower ones one by one.
    fn gather<'a>(&'a self, key: &Key, count: usize, near: &mut Vec<(u64, &'a Entry)>) {
        let here = key.prefix();
        let at = self
            .local
            .key()
            .cpl(key)
            .map_or(self.buckets.len(), Cpl::index);
        if let Some(bucket) = self.buckets.get(at) {
            near.extend(bucket.from(here));
        }
        if near.len() >= count {
            return;
        }
        for bucket in self.buckets.iter().skip(at.saturating_add(1)) {
            near.extend(bucket.from(here));
        }
        for bucket in self.buckets.iter().take(at).rev() {
            if near.len() >= count {
                return;
            }
            near.extend(bucket.from(here));
        }
    }

    /// The entries no farther from a position than that, both by their heads.
    pub(crate) fn within(&self, here: u64, farthest: u64) -> impl Iterator<Item = &Entry> {
        let at = (self.local.prefix() ^ here).leading_zeros() as usize;
        let shared = farthest.leading_zeros() as usize;
        // All that share so many bits with the position are in its bucket, unless they share as
        // many with us.
        let count = if shared > at { 1 } else { usize::MAX };
        let buckets = self.buckets.iter().skip(shared.min(at)).take(count);
        let entries = buckets.flat_map(move |bucket| bucket.from(here));
        let near = entries.filter(move |(distance, _)| *distance <= farthest);
        near.map(|(_, entry)| entry)
    }

    /// How many entries are nearer to us than this peer.
    pub fn rank(&self, peer: &Peer) -> usize {
        let Some(cpl) = self.local.cpl(peer) else {
            return 0;
        };
        let here = self.local.prefix();
        let far = peer.prefix() ^ here;
        let is_nearer = |(near, entry): &(u64, &Entry)| {
            *near < far || (*near == far && self.is_nearer(&entry.peer, peer))
        };
        let bucket = self.buckets.get(cpl.index());
        let nearer = bucket.map_or(0, |bucket| bucket.from(here).filter(is_nearer).count());
        self.deeper_than(cpl) + nearer
    }

    /// How many entries are in buckets nearer to us than that one.
    fn deeper_than(&self, cpl: Cpl) -> usize {
        let deeper = self.buckets.iter().skip(cpl.index() + 1);
        deeper.map(Bucket::len).sum()
    }

    fn is_nearer(&self, left: &Peer, right: &Peer) -> bool {
        Peer::nearer(&self.local, left, right) == Ordering::Less
    }

    pub(crate) fn has_room(&self, cpl: Cpl) -> bool {
        self.has_room_for(cpl, 1)
    }

    pub(crate) fn has_room_for(&self, cpl: Cpl, count: usize) -> bool {
        self.entries_in(cpl) + count <= self.bucket_size
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
        let nearness = |left: &(u64, &Entry), right: &(u64, &Entry)| {
            let nearer = || Peer::nearer(&self.local, &left.1.peer, &right.1.peer);
            left.0.cmp(&right.0).then_with(nearer)
        };
        let bucket = self.buckets.get(cpl.index())?;
        let (_, farthest) = bucket.from(self.local.prefix()).max_by(nearness)?;
        let is_neighbour = self.is_nearer(peer, &farthest.peer) && self.rank(peer) < neighbours;
        is_neighbour.then_some(farthest)
    }

    pub(crate) fn entry_mut(&mut self, peer: &Peer) -> Option<&mut Entry> {
        let cpl = self.local.cpl(peer)?;
        let bucket = self.buckets.get_mut(cpl.index())?;
        let at = bucket.position(peer)?;
        bucket.entries.get_mut(at)
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
            self.buckets.resize_with(cpl.index() + 1, Bucket::default);
        }
        if let Some(group) = entry.addresses.group() {
            let at = self.groups.partition_point(|it| *it < group);
            self.groups.insert(at, group);
        }
        self.buckets[cpl.index()].push(entry, self.bucket_size);
        self.len += 1;
        true
    }

    pub(crate) fn remove(&mut self, peer: &Peer) -> Option<Entry> {
        let cpl = self.local.cpl(peer)?;
        let bucket = self.buckets.get_mut(cpl.index())?;
        let at = bucket.position(peer)?;
        self.len -= 1;
        if let Some(group) = bucket.heads[at].group
            && let Ok(at) = self.groups.binary_search(&group)
        {
            self.groups.remove(at);
        }
        Some(bucket.remove(at))
    }

    /// How many entries of a bucket, and of the table, are in a group of addresses.
    pub(crate) fn in_group(&self, cpl: Cpl, group: Group) -> (usize, usize) {
        let begin = self.groups.partition_point(|it| *it < group);
        let same = self.groups[begin..].iter().take_while(|it| **it == group);
        let in_table = same.count();
        if in_table == 0 {
            return (0, 0);
        }
        let of_group = |head: &&Head| head.group == Some(group);
        let in_bucket = |bucket: &Bucket| bucket.heads.iter().filter(of_group).count();
        let bucket = self.buckets.get(cpl.index());
        (bucket.map_or(0, in_bucket), in_table)
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
