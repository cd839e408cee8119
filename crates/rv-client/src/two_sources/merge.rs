//! Which peers are told, and when walks begin. It has no IO and no clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use dht_walk::Contact;
use libp2p_identity::PeerId;
use rv_core::client::Discovered;
use rv_proto::Record;

use crate::discovery::is_newer;

use super::Sighting;

/// What both sources gave until now.
#[derive(Debug)]
pub(super) struct Merge {
    limit: usize,
    told: BTreeMap<PeerId, Told>,
    /// Walks that may begin yet.
    walks_left: u32,
    /// Whether the points have had their turn.
    is_walks_turn: bool,
}

#[derive(Debug)]
enum Told {
    Registered(Arc<Record>),
    Walked,
}

impl Merge {
    pub(super) fn new(limit: usize, walks_max: u32) -> Self {
        Self {
            limit,
            told: BTreeMap::new(),
            walks_left: walks_max,
            is_walks_turn: false,
        }
    }

    /// Whether as many peers were told as are wanted.
    pub(super) fn is_full(&self) -> bool {
        self.told.len() >= self.limit
    }

    /// A point listed a peer. Gives what is to be told.
    pub(super) fn registered(&mut self, found: Discovered) -> Option<Sighting> {
        let peer = found.peer();
        let is_news = match self.told.get(&peer) {
            Some(Told::Registered(told)) => is_newer(told, &found.record),
            Some(Told::Walked) => true,
            None => !self.is_full(),
        };
        is_news.then(|| {
            let record = Arc::clone(&found.record);
            self.told.insert(peer, Told::Registered(record));
            Sighting::Registered(found)
        })
    }

    /// A walk heard of a peer. Gives what is to be told.
    pub(super) fn walked(&mut self, contact: Contact) -> Option<Sighting> {
        let peer = contact.peer.id();
        let is_news = !self.is_full() && !self.told.contains_key(&peer);
        is_news.then(|| {
            self.told.insert(peer, Told::Walked);
            Sighting::Walked(contact)
        })
    }

    /// The points gave all they have, or failed.
    pub(super) fn points_ended(&mut self) {
        self.is_walks_turn = true;
    }

    /// The points took too long. What they give later is told nevertheless.
    pub(super) fn patience_ended(&mut self) {
        self.is_walks_turn = true;
    }

    /// Whether a walk begins now; it is counted then.
    pub(super) fn begin_walk(&mut self) -> bool {
        let may_begin = self.is_walks_turn && !self.is_full() && self.walks_left > 0;
        if may_begin {
            self.walks_left -= 1;
        }
        may_begin
    }
}

#[cfg(test)]
mod tests {
    use dht_walk::Peer;
    use libp2p_identity::Keypair;
    use rv_proto::{Dialect, Namespace, PeerRecord, Time, UnverifiedRecord};

    use super::*;

    fn key(byte: u8) -> Keypair {
        Keypair::ed25519_from_bytes([byte; 32]).expect("32 bytes are a key")
    }

    fn registered(byte: u8, seq: u64) -> Discovered {
        let key = key(byte);
        let record = PeerRecord {
            peer: key.public().into(),
            seq,
            addresses: vec!["/ip4/203.0.113.7/tcp/1".parse().expect("an address")],
        };
        let sealed = record.seal(Dialect::Standard, &key).expect("signed");
        let record = UnverifiedRecord::parse(sealed).and_then(UnverifiedRecord::verify);
        Discovered {
            namespace: Namespace::new("ns").expect("a namespace"),
            record: Arc::new(record.expect("a good record")),
            until: Time::from_millis(u64::MAX),
        }
    }

    fn walked(byte: u8) -> Contact {
        let address = "/ip4/203.0.113.8/tcp/1".parse().expect("an address");
        Contact::new(Peer::new(key(byte).public().into()), [address])
    }

    #[test]
    fn each_peer_is_told_once_and_again_with_more_than_was_told() {
        let mut merge = Merge::new(10, 3);
        let (sighted, old, new) = (walked(1), registered(1, 1), registered(1, 2));
        let told = |sighting: Option<Sighting>| sighting.map(|it| it.is_registered());
        assert_eq!(told(merge.walked(sighted.clone())), Some(false));
        assert_eq!(told(merge.walked(sighted.clone())), None);
        assert_eq!(told(merge.registered(old.clone())), Some(true));
        assert_eq!(told(merge.registered(old.clone())), None);
        assert_eq!(told(merge.walked(sighted)), None, "less than is known");
        assert_eq!(told(merge.registered(new)), Some(true));
        assert_eq!(told(merge.registered(old)), None);
    }

    #[test]
    fn a_limit_counts_peers_of_both_sources_and_a_better_record_is_no_further_peer() {
        let mut merge = Merge::new(2, 3);
        assert!(merge.registered(registered(1, 1)).is_some());
        assert!(!merge.is_full());
        assert!(merge.walked(walked(2)).is_some());
        assert!(merge.is_full());
        assert_eq!(merge.walked(walked(3)), None);
        assert_eq!(merge.registered(registered(3, 1)), None);
        assert!(merge.registered(registered(2, 1)).is_some());
        assert!(merge.registered(registered(1, 2)).is_some());
        assert!(Merge::new(0, 3).is_full());
    }

    #[test]
    fn walks_begin_when_the_points_gave_too_few_or_took_too_long() {
        let mut merge = Merge::new(1, 2);
        assert!(!merge.begin_walk(), "the points come first");
        merge.points_ended();
        assert!(merge.begin_walk());
        assert!(merge.begin_walk());
        assert!(!merge.begin_walk(), "two were allowed");

        let mut late = Merge::new(1, 2);
        late.patience_ended();
        assert!(late.begin_walk());

        let mut enough = Merge::new(1, 2);
        assert!(enough.registered(registered(1, 1)).is_some());
        enough.points_ended();
        assert!(!enough.begin_walk());
    }
}
