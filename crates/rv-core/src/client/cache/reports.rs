//! Which points list one peer, and until when.

use libp2p_identity::PeerId;
use rv_proto::Time;

/// What one point says about one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) until: Time,
    pub(super) reported_at: Time,
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
            reported_at: Time::ZERO,
        }
    }

    #[test]
    fn a_point_has_one_report_of_a_peer_and_the_last_deadline_counts() {
        let (first, second) = (PeerId::random(), PeerId::random());
        let mut reports = Reports::default();
        assert_eq!(reports.until(), Time::ZERO);
        assert_eq!(reports.insert(first, report(5)), None);
        assert_eq!(reports.insert(second, report(9)), None);
        assert_eq!(reports.insert(first, report(7)), Some(report(5)));
        assert_eq!(reports.until(), Time::from_millis(9));
        assert_eq!(reports.points().collect::<Vec<_>>(), [first, second]);

        assert_eq!(reports.remove(&second), Some(report(9)));
        assert_eq!(reports.remove(&second), None);
        assert_eq!(reports.get(&second), None);
        assert_eq!(reports.get(&first), Some(&report(7)));
        assert_eq!(reports.until(), Time::from_millis(7));
        assert_eq!(reports.remove(&first), Some(report(7)));
        assert!(reports.is_empty());
    }
}
