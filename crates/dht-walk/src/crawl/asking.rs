//! A peer that is being asked, bucket after bucket, until it has told its whole table.

use std::collections::BTreeSet;

use crate::key::Cpl;
use crate::peer::{Contact, Peer};

#[derive(Clone, Debug)]
pub(super) struct Asking {
    /// The bucket that is asked for.
    pub(super) cpl: Cpl,
    /// Peers that became known by its word.
    pub(super) brought: usize,
    /// Whom it told of, by the heads of their positions.
    told: BTreeSet<u64>,
}

impl Asking {
    pub(super) const fn from(cpl: Cpl) -> Self {
        Self {
            cpl,
            brought: 0,
            told: BTreeSet::new(),
        }
    }

    /// Takes note of an answer; says whether a further one may bring somebody new.
    ///
    /// An answer has those of the table that are nearest to the target: first the bucket that was
    /// asked for, then deeper ones, then those before. Once it reaches the buckets before, it has
    /// all from this one on. Who tells nobody new is done too, unless the bucket alone filled the
    /// answer and could hide what is deeper.
    pub(super) fn has_more(&mut self, peer: &Peer, answer: &[Contact]) -> bool {
        let (mut is_new, mut is_before) = (false, false);
        let (mut is_here, mut is_deeper) = (false, false);
        for contact in answer {
            let Some(cpl) = peer.cpl(&contact.peer) else {
                continue;
            };
            is_new |= self.told.insert(contact.peer.prefix());
            is_here |= cpl == self.cpl;
            is_deeper |= cpl > self.cpl;
            is_before |= cpl < self.cpl;
        }
        let is_hidden = is_here && !is_deeper;
        !is_before && (is_new || is_hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;
    use crate::target::Targets;

    /// Peers of these buckets of a peer.
    fn of_buckets(random: &mut Targets, peer: &Peer, cpls: &[u8]) -> Vec<Contact> {
        let mut contact = |cpl: &u8| {
            let target = random.in_bucket(peer.key(), Cpl::new(*cpl));
            Contact::new(target.expect("a target").as_peer().clone(), [])
        };
        cpls.iter().map(&mut contact).collect()
    }

    #[test]
    fn a_peer_is_done_when_nothing_new_can_come() {
        let mut random = Targets::new(Seed::from_bytes([1; 32]));
        let peer = random.uniform().as_peer().clone();
        let mut told = |cpls: &[u8]| of_buckets(&mut random, &peer, cpls);
        let (near, deep, far) = (told(&[2, 2]), told(&[2, 3]), told(&[2, 1]));
        let has_more = |asking: &mut Asking, answer: &[Contact]| asking.has_more(&peer, answer);

        let mut asking = Asking::from(Cpl::new(2));
        assert!(has_more(&mut asking, &near), "they are new");
        assert!(has_more(&mut asking, &near), "they may hide deeper ones");
        assert!(has_more(&mut asking, &deep), "they are new");
        assert!(!has_more(&mut asking, &deep), "nobody is new");
        assert!(!has_more(&mut asking, &[]), "it has nobody to tell of");
        let mut asking = Asking::from(Cpl::new(2));
        assert!(
            !has_more(&mut asking, &far),
            "all from bucket 2 on are told"
        );
    }
}
