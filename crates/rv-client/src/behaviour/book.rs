//! The addresses of found peers, for whoever dials them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use rv_core::client::{CacheLimits, Discovered};
use rv_proto::{Record, Time};

/// Found peers by their id, each with the newest of its records.
pub(super) struct Book {
    peers: BTreeMap<PeerId, (Time, Arc<Record>)>,
    deadlines: BTreeSet<(Time, PeerId)>,
    bytes: usize,
    peers_max: usize,
    bytes_max: usize,
}

impl Book {
    pub(super) const fn new(peers_max: usize, bytes_max: usize) -> Self {
        Self {
            peers: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            bytes: 0,
            peers_max,
            bytes_max,
        }
    }

    /// Takes in a found peer. Returns whether its addresses are news.
    pub(super) fn add(&mut self, now: Time, found: &Discovered) -> bool {
        if found.until <= now || self.peers_max == 0 {
            return false;
        }
        let peer = found.peer();
        let known = self.peers.get(&peer).filter(|(until, _)| *until > now);
        let (until, record, is_news) = match known {
            Some((until, record)) if !is_newer(record, &found.record) => {
                (found.until.max(*until), Arc::clone(record), false)
            }
            Some((_, record)) => {
                let is_news = record.addresses() != found.addresses();
                (found.until, Arc::clone(&found.record), is_news)
            }
            None => (found.until, Arc::clone(&found.record), true),
        };
        self.insert(peer, until, record);
        is_news && self.peers.contains_key(&peer)
    }

    fn insert(&mut self, peer: PeerId, until: Time, record: Arc<Record>) {
        self.bytes += bytes_of(&record);
        if let Some((before, replaced)) = self.peers.insert(peer, (until, record)) {
            self.deadlines.remove(&(before, peer));
            self.bytes -= bytes_of(&replaced);
        }
        self.deadlines.insert((until, peer));
        while (self.peers.len() > self.peers_max || self.bytes > self.bytes_max)
            && let Some((_, peer)) = self.deadlines.pop_first()
        {
            if let Some((_, removed)) = self.peers.remove(&peer) {
                self.bytes -= bytes_of(&removed);
            }
        }
    }

    /// Where a found peer is reached.
    pub(super) fn addresses(&self, now: Time, peer: &PeerId) -> &[Multiaddr] {
        match self.peers.get(peer) {
            Some((until, record)) if *until > now => record.addresses(),
            Some(_) | None => &[],
        }
    }

    pub(super) fn clear(&mut self) {
        self.peers.clear();
        self.deadlines.clear();
        self.bytes = 0;
    }
}

/// What a found peer counts for.
fn bytes_of(record: &Record) -> usize {
    CacheLimits::PEER_BYTES + CacheLimits::bytes_of_record(record)
}

/// The units of `seq` differ between dialects, so across them the later one counts; as it does
/// where there is none.
fn is_newer(old: &Record, new: &Record) -> bool {
    old.dialect() != new.dialect() || old.seq() < new.seq() || new.seq().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p_identity::Keypair;
    use rv_proto::{Dialect, Namespace, PeerRecord, UnverifiedRecord};

    const NOW: Time = Time::from_millis(1_000);

    fn found(key: &Keypair, seq: u64, port: u16, until_millis: u64) -> Discovered {
        let record = PeerRecord {
            peer: key.public().into(),
            seq,
            addresses: vec![
                format!("/ip4/203.0.113.7/tcp/{port}")
                    .parse()
                    .expect("good"),
            ],
        };
        let sealed = record.seal(Dialect::Standard, key).expect("signed");
        let record = UnverifiedRecord::parse(sealed).and_then(UnverifiedRecord::verify);
        Discovered {
            namespace: Namespace::new("ns").expect("a namespace"),
            record: Arc::new(record.expect("good")),
            until: Time::from_millis(until_millis),
        }
    }

    #[test]
    fn only_the_newest_record_counts_until_its_deadline() {
        let key = Keypair::generate_ed25519();
        let peer = key.public().into();
        let mut book = Book::new(10, usize::MAX);
        assert!(book.add(NOW, &found(&key, 5, 1, 9_000)));
        assert!(!book.add(NOW, &found(&key, 5, 1, 9_500)), "nothing new");
        assert!(book.add(NOW, &found(&key, 6, 2, 9_000)));
        assert!(!book.add(NOW, &found(&key, 5, 1, 9_500)), "an older one");
        let newest: Multiaddr = "/ip4/203.0.113.7/tcp/2".parse().expect("good");
        assert_eq!(book.addresses(NOW, &peer), [newest]);
        assert_eq!(book.addresses(Time::from_millis(9_500), &peer), []);
    }

    #[test]
    fn a_full_book_leaves_out_who_is_listed_for_the_shortest_time() {
        let keys: Vec<_> = (0..3).map(|_| Keypair::generate_ed25519()).collect();
        let mut book = Book::new(2, usize::MAX);
        for (key, until) in keys.iter().zip([9_000, 5_000, 7_000]) {
            book.add(NOW, &found(key, 1, 1, until));
        }
        let known = keys.iter().map(|key| {
            let peer = key.public().into();
            !book.addresses(NOW, &peer).is_empty()
        });
        assert_eq!(known.collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn a_book_is_bounded_by_bytes_too() {
        let keys: Vec<_> = (0..4).map(|_| Keypair::generate_ed25519()).collect();
        let found = |index: usize, until| found(&keys[index], 1, 1, until);
        let of_three = (0..3).map(|index| bytes_of(&found(index, 9_000).record));
        let mut book = Book::new(10, of_three.sum());
        let known = |book: &Book| {
            let peers = keys.iter().map(|key| key.public().into());
            let known: Vec<_> = peers
                .map(|peer| !book.addresses(NOW, &peer).is_empty())
                .collect();
            known
        };
        for (index, until) in [9_000, 5_000, 7_000].into_iter().enumerate() {
            assert!(book.add(NOW, &found(index, until)));
            assert!(!book.add(NOW, &found(index, until)), "it is there");
        }
        assert_eq!(known(&book), [true, true, true, false]);
        assert!(book.add(NOW, &found(3, 8_000)));
        assert_eq!(known(&book), [true, false, true, true]);
        book.clear();
        assert_eq!(book.bytes, 0);
    }

    #[test]
    fn of_unsigned_records_the_later_one_counts() {
        let peer = Keypair::generate_ed25519().public().into();
        let plain = |port: u16| {
            let address = format!("/ip4/203.0.113.7/tcp/{port}");
            let address: Multiaddr = address.parse().expect("good");
            let mut it = found(&Keypair::generate_ed25519(), 1, 1, 9_000);
            it.record = Arc::new(Record::plain(&peer, std::slice::from_ref(&address)));
            (it, address)
        };
        let ((first, _), (second, address)) = (plain(1), plain(2));
        let mut book = Book::new(2, usize::MAX);
        assert!(book.add(NOW, &first));
        assert!(book.add(NOW, &second));
        assert!(!book.add(NOW, &second), "nothing new");
        assert_eq!(book.addresses(NOW, &peer), [address]);
    }
}
