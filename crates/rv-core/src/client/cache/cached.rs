//! One cached peer: its record, and who lists it.

use std::sync::Arc;

use libp2p_identity::PeerId;
use rv_proto::{Namespace, Record, Time};

use super::reports::{Report, Reports};
use crate::client::{CacheLimits, Discovered};

/// A peer in a namespace.
#[derive(Clone, Debug)]
pub(super) struct Cached {
    record: Arc<Record>,
    reports: Reports,
    /// The record is another one since nobody said so.
    is_news: bool,
}

impl Cached {
    /// Not listed yet.
    pub(super) fn new(record: Arc<Record>) -> Self {
        Self {
            record,
            reports: Reports::default(),
            is_news: false,
        }
    }

    /// Takes a record into account. Returns whether the one that is kept says something else now,
    /// and the record, shared with whoever told the same.
    pub(super) fn offer(&mut self, record: Arc<Record>) -> (bool, Arc<Record>) {
        let known = self.records().find(|known| known.bytes() == record.bytes());
        let record = known.map_or(record, Arc::clone);
        let was_news = std::mem::take(&mut self.is_news);
        if !is_newer(&self.record, &record) {
            return (was_news, record);
        }
        let says_else = differs(&self.record, &record);
        self.record = Arc::clone(&record);
        (was_news || says_else, record)
    }

    /// Returns what it replaces.
    pub(super) fn replace_report(&mut self, point: PeerId, report: Report) -> Option<Report> {
        self.reports.insert(point, report)
    }

    /// Forgets what a point says. An unsigned record is what a point says: it goes with it. A
    /// signed one is what the peer says, whoever told it.
    pub(super) fn remove_report(&mut self, point: &PeerId) -> Option<Report> {
        let report = self.reports.remove(point)?;
        let is_told = |record| self.reports.records().any(|it| Arc::ptr_eq(it, record));
        if !self.record.dialect().is_signed()
            && !is_told(&self.record)
            && let Some(latest) = self.reports.latest()
        {
            self.is_news |= differs(&self.record, latest);
            self.record = Arc::clone(latest);
        }
        Some(report)
    }

    pub(super) fn report(&self, point: &PeerId) -> Option<&Report> {
        self.reports.get(point)
    }

    pub(super) fn points(&self) -> Vec<PeerId> {
        self.reports.points().collect()
    }

    pub(super) fn is_unlisted(&self) -> bool {
        self.reports.is_empty()
    }

    /// The last of the deadlines.
    pub(super) fn until(&self) -> Time {
        self.reports.until()
    }

    /// What it takes: each report, and each record once.
    pub(super) fn bytes(&self, namespace: &Namespace) -> usize {
        let of_records = self.records().enumerate().map(|(index, record)| {
            let is_shared = self.records().take(index).any(|it| Arc::ptr_eq(it, record));
            if is_shared {
                0
            } else {
                CacheLimits::bytes_of_record(record)
            }
        });
        let of_report = CacheLimits::REPORT_BYTES + namespace.as_str().len();
        let of_reports = self.reports.len() * of_report;
        CacheLimits::PEER_BYTES + of_reports + of_records.sum::<usize>()
    }

    pub(super) fn discovered(&self, namespace: &Namespace, until: Time) -> Discovered {
        Discovered {
            namespace: namespace.clone(),
            record: Arc::clone(&self.record),
            until,
        }
    }

    fn records(&self) -> impl Iterator<Item = &Arc<Record>> {
        std::iter::once(&self.record).chain(self.reports.records())
    }
}

fn differs(old: &Record, new: &Record) -> bool {
    old.addresses() != new.addresses() || old.dialect() != new.dialect()
}

/// Whether `new` takes the place of `old`.
pub(in crate::client) fn is_newer(old: &Record, new: &Record) -> bool {
    match (old.dialect().is_signed(), new.dialect().is_signed()) {
        (true, true) => new.seq() > old.seq(),
        (false, true) => true,
        (true, false) => false,
        (false, false) => new.addresses() != old.addresses(),
    }
}
