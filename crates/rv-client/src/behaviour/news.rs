//! Addresses of found peers that are to be told to sibling behaviours.

use std::collections::VecDeque;
use std::sync::Arc;

use libp2p_core::Multiaddr;
use libp2p_identity::PeerId;
use rv_proto::Record;

/// What is not told yet.
///
/// A page may have some hundred thousand addresses. Each is an event to every sibling behaviour,
/// and while a behaviour has events a swarm turns to nothing else.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Records whose addresses from that one on are to be told.
    records: VecDeque<(Arc<Record>, usize)>,
    /// Addresses told since the rest of the swarm had its turn.
    row: usize,
}

/// Addresses told in a row before the rest of the swarm has its turn.
const ROW_MAX: usize = 32;

impl News {
    pub(super) fn push(&mut self, record: Arc<Record>) {
        self.records.push_back((record, 0));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The next address, or `None` once in a while, when it is the turn of others.
    pub(super) fn next_in_row(&mut self) -> Option<(PeerId, Multiaddr)> {
        if self.row < ROW_MAX
            && let Some(next) = self.next()
        {
            self.row += 1;
            return Some(next);
        }
        self.row = 0;
        None
    }

    fn next(&mut self) -> Option<(PeerId, Multiaddr)> {
        while let Some((record, index)) = self.records.front_mut() {
            if let Some(address) = record.addresses().get(*index) {
                *index += 1;
                return Some((*record.peer(), address.clone()));
            }
            self.records.pop_front();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u8, addresses: usize) -> Arc<Record> {
        let key = libp2p_identity::Keypair::ed25519_from_bytes([number; 32]).expect("32 bytes");
        let address = |port| {
            format!("/ip4/203.0.113.7/tcp/{port}")
                .parse()
                .expect("good")
        };
        let addresses: Vec<Multiaddr> = (1..=addresses).map(address).collect();
        Arc::new(Record::plain(&key.public().to_peer_id(), &addresses))
    }

    #[test]
    fn others_have_their_turn_after_some_addresses_and_none_is_lost() {
        let mut news = News::default();
        news.push(record(1, 40));
        news.push(record(2, 0));
        news.push(record(3, 30));
        let mut rows = Vec::new();
        while !news.is_empty() {
            rows.push(std::iter::from_fn(|| news.next_in_row()).count());
        }
        assert_eq!(rows, [32, 32, 6]);
        assert_eq!(news.next_in_row(), None);
    }
}
