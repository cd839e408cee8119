//! Which points list one peer, and until when.

use std::sync::Arc;

use libp2p_identity::PeerId;
use rv_proto::{Record, Time};

/// What one point says about one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) until: Time,
    pub(super) reported_at: Time,
    pub(super) record: Arc<Record>,
    /// What it takes if nobody else says the same.
    pub(super) bytes: usize,
}

/// The reports of one peer, in no order that shows.
///
/// Most peers are listed by one point, and there are many peers: a map would take a kilobyte for
/// each, five times what its record takes. There are no more reports than points.
#[derive(Clone, Debug, Default)]
pub(super) struct Reports(Vec<(PeerId, Report)>);

impl Reports {
    pub(super) fn get(&self, point: &PeerId) -> Option<&Report> {
        let (_, report) = self.0.iter().find(|(other, _)| other == point)?;
        Some(report)
    }

    /// Returns what it replaces.
    pub(super) fn insert(&mut self, point: PeerId, report: Report) -> Option<Report> {
        if let Some((_, known)) = self.0.iter_mut().find(|(other, _)| *other == point) {
            return Some(std::mem::replace(known, report));
        }
        // One at a time: the room for three more that a vector takes would seldom be used.
        self.0.reserve_exact(1);
        self.0.push((point, report));
        None
    }

    pub(super) fn remove(&mut self, point: &PeerId) -> Option<Report> {
        let place = self.0.iter().position(|(other, _)| other == point)?;
        Some(self.0.swap_remove(place).1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.0.iter().map(|(_, report)| &report.record)
    }

    /// The record that was told last.
    pub(super) fn latest(&self) -> Option<&Arc<Record>> {
        let all = self.0.iter().map(|(_, report)| report);
        let latest = all.max_by_key(|report| report.reported_at)?;
        Some(&latest.record)
    }

    pub(super) fn points(&self) -> impl Iterator<Item = PeerId> {
        self.0.iter().map(|(point, _)| *point)
    }

    /// The last of the deadlines.
    pub(super) fn until(&self) -> Time {
        let all = self.0.iter().map(|(_, report)| report.until);
        all.max().unwrap_or(Time::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(until: u64) -> Report {
        Report {
            until: Time::from_millis(until),
            reported_at: Time::from_millis(until),
            record: Arc::new(Record::plain(&PeerId::random(), &[])),
            bytes: 1,
        }
    }

    #[test]
    fn a_point_has_one_report_of_a_peer_and_the_last_deadline_counts() {
        let (first, second) = (PeerId::random(), PeerId::random());
        let [five, seven, nine] = [report(5), report(7), report(9)];
        let mut reports = Reports::default();
        assert_eq!(reports.until(), Time::ZERO);
        assert_eq!(reports.latest(), None);
        assert_eq!(reports.insert(first, five.clone()), None);
        assert_eq!(reports.insert(second, nine.clone()), None);
        assert_eq!(reports.insert(first, seven.clone()), Some(five));
        assert_eq!(reports.until(), Time::from_millis(9));
        assert_eq!(reports.latest(), Some(&nine.record));
        assert_eq!(reports.points().collect::<Vec<_>>(), [first, second]);
        assert_eq!(reports.len(), 2);

        assert_eq!(reports.remove(&second), Some(nine));
        assert_eq!(reports.remove(&second), None);
        assert_eq!(reports.get(&second), None);
        assert_eq!(reports.get(&first), Some(&seven));
        assert_eq!(reports.until(), Time::from_millis(7));
        assert_eq!(reports.latest(), Some(&seven.record));
        assert_eq!(reports.remove(&first), Some(seven));
        assert!(reports.is_empty());
    }
}
