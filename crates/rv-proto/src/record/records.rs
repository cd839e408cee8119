//! The records of one registration.

use libp2p_identity::PeerId;

use super::{Dialect, DialectSet, Record};

/// One record of a peer in each of one to three dialects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// Not empty; ordered by dialect, none twice; all of one peer.
    sorted: Box<[Record]>,
}

impl Records {
    /// These records together; `None` if there is none, two have the same dialect, or they are not
    /// all of one peer.
    pub fn new(records: impl IntoIterator<Item = Record>) -> Option<Self> {
        let mut places: [Option<Record>; 3] = [None, None, None];
        for record in records {
            let place = &mut places[record.dialect().index()];
            if place.replace(record).is_some() {
                return None;
            }
        }
        let sorted: Box<[Record]> = places.into_iter().flatten().collect();
        let peer = sorted.first()?.peer();
        sorted
            .iter()
            .all(|record| record.peer() == peer)
            .then_some(Self { sorted })
    }

    /// Whose they are.
    pub const fn peer(&self) -> &PeerId {
        self.sorted[0].peer()
    }

    /// The record in that dialect.
    pub fn of(&self, dialect: Dialect) -> Option<&Record> {
        self.iter().find(|record| record.dialect() == dialect)
    }

    /// All of them, in the order of [`Dialect::index`].
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        self.sorted.iter()
    }

    /// The dialects that there is a record in.
    pub fn dialects(&self) -> DialectSet {
        self.iter().map(Record::dialect).collect()
    }

    /// The length of all of them together, in bytes.
    pub fn bytes(&self) -> usize {
        self.iter().map(|record| record.bytes().len()).sum()
    }
}
