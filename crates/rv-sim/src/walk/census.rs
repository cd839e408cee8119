//! How good tables are, measured against who is really there.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::walk::conduct::Conduct;
use crate::walk::figures::{bucket, ratio};
use crate::walk::model::Model;
use crate::walk::network::{Network, Node};
use crate::walk::place::{Slot, head};

/// The size of a bucket, and of an answer.
const K: usize = 20;

/// Who is there, in the order of their positions.
#[derive(Debug)]
pub struct Census {
    heads: Vec<u64>,
    /// Those of them that are no newcomers.
    settled: Vec<u64>,
}

/// What some tables are like together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quality {
    /// Tables that were looked at.
    pub tables: u64,
    /// Their entries.
    pub entries: u64,
    /// Entries that nobody answers for: gone, without a right address, or a client.
    pub stale: u64,
    /// Of those, the ones in buckets that hold as many as they can.
    pub have: u64,
    /// Peers that the tables could hold, each bucket up to its size.
    pub exist: u64,
    /// Tables that hold all of the 20 nearest peers.
    pub aware: u64,
    /// Tables of nodes that are no newcomers.
    pub settled: u64,
    /// Of those, the ones that hold all of the 20 nearest peers that are no newcomers.
    pub settled_aware: u64,
    /// Entries that answer but lie, or are Sybils.
    pub hostile: u64,
}

impl Census {
    /// Who came so short a while ago is a newcomer: it still looks for its neighbours, and they
    /// cannot all know it.
    pub const NEWCOMER: Duration = Duration::from_secs(60);

    /// Counts everybody who serves honestly.
    pub fn of<M: Model>(network: &Network<M>) -> Self {
        Self::where_node(network, |node| node.conduct == Conduct::Honest)
    }

    /// Counts everybody who serves and is wanted.
    pub fn where_node<M: Model>(
        network: &Network<M>,
        is_wanted: impl Fn(&Node<M>) -> bool,
    ) -> Self {
        let nodes = network.serving().map(|(_, node)| node);
        let mut wanted: Vec<&Node<M>> = nodes.filter(|node| is_wanted(node)).collect();
        let here = |node: &&Node<M>| head(node.contact.peer.key());
        wanted.sort_unstable_by_key(here);
        let settled = wanted.iter().filter(|node| is_settled(network, node));
        Self {
            settled: settled.map(here).collect(),
            heads: wanted.iter().map(here).collect(),
        }
    }

    /// How many share exactly `cpl` bits with a position.
    fn in_bucket(&self, here: u64, cpl: u32) -> usize {
        bucket(&self.heads, |it| *it, here, cpl).len()
    }

    /// The 20 nearest to a position, itself left out.
    pub fn nearest(&self, here: u64) -> Vec<u64> {
        nearest_of(&self.heads, here)
    }

    /// Looks at these nodes' tables; those that are gone count for nothing.
    pub fn quality<M: Model>(
        &self,
        network: &Network<M>,
        slots: impl IntoIterator<Item = Slot>,
    ) -> Quality {
        let mut sum = Quality::default();
        for slot in slots {
            self.look_at(network, slot, &mut sum);
        }
        sum
    }

    fn look_at<M: Model>(&self, network: &Network<M>, slot: Slot, sum: &mut Quality) {
        let node = &network.nodes[slot as usize];
        let Some(model) = &node.model else {
            return;
        };
        let here = head(node.contact.peer.key());
        let mut have = [0_usize; 64];
        let mut known = BTreeSet::new();
        model.entries(&mut |contact| {
            sum.entries += 1;
            let reached = network
                .reach(contact)
                .map(|slot| &network.nodes[slot as usize]);
            match reached.map(|node| node.conduct) {
                None | Some(Conduct::Client) => sum.stale += 1,
                Some(Conduct::Liar(_) | Conduct::Sybil) => sum.hostile += 1,
                Some(Conduct::Honest) => {
                    let there = head(contact.peer.key());
                    have[((here ^ there).leading_zeros() as usize).min(63)] += 1;
                    known.insert(there);
                }
            }
        });
        for (cpl, have) in (0..63).zip(have) {
            let exist = self.in_bucket(here, cpl).min(K);
            sum.exist += exist as u64;
            sum.have += have.min(exist) as u64;
        }
        sum.tables += 1;
        let knows = |near: Vec<u64>| u64::from(near.iter().all(|it| known.contains(it)));
        sum.aware += knows(self.nearest(here));
        if is_settled(network, node) {
            sum.settled += 1;
            sum.settled_aware += knows(nearest_of(&self.settled, here));
        }
    }
}

/// The 20 of these positions, which are in order, that are nearest to `here`.
fn nearest_of(heads: &[u64], here: u64) -> Vec<u64> {
    // The longest prefix that is shared by enough of them.
    let mut range = heads;
    for bits in 1..=63 {
        let low_bits = u64::MAX >> bits;
        let first = range.partition_point(|it| *it < here & !low_bits);
        let last = range.partition_point(|it| *it <= here | low_bits);
        if last - first <= K {
            break;
        }
        range = &range[first..last];
    }
    let mut near: Vec<u64> = range.iter().copied().filter(|it| *it != here).collect();
    near.sort_unstable_by_key(|it| it ^ here);
    near.truncate(K);
    near
}

fn is_settled<M: Model>(network: &Network<M>, node: &Node<M>) -> bool {
    network.now().saturating_since(node.joined_at) >= Census::NEWCOMER
}

impl Quality {
    /// Adds what was seen elsewhere, or at another time.
    pub fn add(&mut self, other: &Self) {
        self.tables += other.tables;
        self.entries += other.entries;
        self.stale += other.stale;
        self.have += other.have;
        self.exist += other.exist;
        self.aware += other.aware;
        self.settled += other.settled;
        self.settled_aware += other.settled_aware;
        self.hostile += other.hostile;
    }

    /// Entries that nobody answers for, as a share of all.
    pub fn stale_share(&self) -> f64 {
        ratio(self.stale, self.entries)
    }

    /// Live entries, as a share of those that the tables could hold.
    pub fn fill(&self) -> f64 {
        ratio(self.have, self.exist)
    }

    /// Tables that hold all of the 20 nearest peers, as a share.
    pub fn aware_share(&self) -> f64 {
        ratio(self.aware, self.tables)
    }

    /// Tables that hold all of the 20 nearest peers, as a share, newcomers left out on both sides.
    pub fn settled_aware_share(&self) -> f64 {
        ratio(self.settled_aware, self.settled)
    }

    /// Liars and Sybils among the entries, as a share.
    pub fn hostile_share(&self) -> f64 {
        ratio(self.hostile, self.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dice;

    #[test]
    fn nearest_and_buckets_are_those_of_a_plain_search() {
        let mut dice = Dice::new(5);
        for count in [3, 20, 21, 500] {
            let mut heads: Vec<u64> = (0..count).map(|_| dice.roll()).collect();
            heads.sort_unstable();
            let census = Census {
                heads: heads.clone(),
                settled: Vec::new(),
            };
            for here in [heads[0], heads[heads.len() - 1], dice.roll()] {
                let mut plain: Vec<u64> = heads.iter().copied().filter(|it| *it != here).collect();
                plain.sort_unstable_by_key(|it| it ^ here);
                let of_bucket = |cpl| {
                    plain
                        .iter()
                        .filter(|it| (*it ^ here).leading_zeros() == cpl)
                        .count()
                };
                for cpl in 0..20 {
                    assert_eq!(census.in_bucket(here, cpl), of_bucket(cpl), "{count} {cpl}");
                }
                plain.truncate(20);
                assert_eq!(census.nearest(here), plain, "{count}");
            }
        }
    }
}
