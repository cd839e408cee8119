//! The order in which readers page: by sequence number, per scope and dialect.

use std::collections::{BTreeMap, btree_map};
use std::iter::Peekable;
use std::sync::Arc;

use rv_proto::{Dialect, DialectSet, Namespace, Scope, Seq};

use super::Registration;

/// One tree of rows for all scopes and dialects, so that every listing is one range of it.
#[derive(Clone, Debug, Default)]
pub(super) struct PageIndex {
    scopes: BTreeMap<Namespace, ScopeEntry>,
    rows: BTreeMap<Row, Arc<Registration>>,
    scopes_made: u64,
}

#[derive(Clone, Copy, Debug)]
struct ScopeEntry {
    id: ScopeId,
    registrations: usize,
}

/// A namespace by number, so that rows stay small. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ScopeId(u64);

impl ScopeId {
    const ALL: Self = Self(0);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    scope: ScopeId,
    dialect: Dialect,
    seq: Seq,
}

/// The listing in one dialect.
type RowsOfOne<'a> = Peekable<btree_map::Range<'a, Row, Arc<Registration>>>;

/// Up to three listings merged in the order of their sequence numbers.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    /// By [`Dialect::index`], which is also the order of preference.
    ranges: [Option<RowsOfOne<'a>>; 3],
}

impl<'a> Iterator for Rows<'a> {
    type Item = (Dialect, &'a Arc<Registration>);

    fn next(&mut self) -> Option<Self::Item> {
        let ranges = self.ranges.iter_mut().flatten();
        let seqs = ranges.filter_map(|range| range.peek().map(|(row, _)| row.seq));
        let first = seqs.min()?;
        let mut best = None;
        for range in self.ranges.iter_mut().flatten() {
            if let Some((row, registration)) = range.next_if(|(row, _)| row.seq == first) {
                best.get_or_insert((row.dialect, registration));
            }
        }
        best
    }
}

impl PageIndex {
    pub(super) fn insert(&mut self, registration: &Arc<Registration>) {
        let id = self.enter(registration.namespace());
        for row in rows_of(id, registration) {
            self.rows.insert(row, Arc::clone(registration));
        }
    }

    pub(super) fn remove(&mut self, registration: &Registration) {
        let Some(entry) = self.scopes.get_mut(registration.namespace()) else {
            return;
        };
        let id = entry.id;
        entry.registrations -= 1;
        if entry.registrations == 0 {
            self.scopes.remove(registration.namespace());
        }
        for row in rows_of(id, registration) {
            self.rows.remove(&row);
        }
    }

    /// The registrations in `scope` that readers of these dialects are shown, from behind `after`
    /// on: each once, with the first of the dialects that it has a form in.
    pub(super) fn rows(&self, scope: &Scope, dialects: DialectSet, after: Seq) -> Rows<'_> {
        let start = self.id(scope).zip(after.next());
        let range = |dialect| {
            let (scope, seq) = start.filter(|_| dialects.contains(dialect))?;
            let first = Row {
                scope,
                dialect,
                seq,
            };
            let last = Row {
                seq: Seq::MAX,
                ..first
            };
            Some(self.rows.range(first..=last).peekable())
        };
        Rows {
            ranges: Dialect::ALL.map(range),
        }
    }

    /// The registrations in `scope` that readers of `dialect` are shown, the newest first.
    pub(super) fn rows_backwards(
        &self,
        scope: &Scope,
        dialect: Dialect,
    ) -> impl Iterator<Item = &Arc<Registration>> {
        let id = self.id(scope);
        let range = id.map(|scope| {
            let first = Row {
                scope,
                dialect,
                seq: Seq::ZERO,
            };
            let last = Row {
                seq: Seq::MAX,
                ..first
            };
            self.rows.range(first..=last).rev()
        });
        range
            .into_iter()
            .flatten()
            .map(|(_, registration)| registration)
    }

    fn id(&self, scope: &Scope) -> Option<ScopeId> {
        match scope {
            Scope::All => Some(ScopeId::ALL),
            Scope::Namespace(namespace) => self.scopes.get(namespace).map(|entry| entry.id),
        }
    }

    pub(super) fn namespaces(&self) -> impl ExactSizeIterator<Item = (&Namespace, usize)> {
        self.scopes
            .iter()
            .map(|(namespace, entry)| (namespace, entry.registrations))
    }

    /// How many rows there are, for checks of consistency.
    pub(super) fn row_count(&self) -> usize {
        self.rows.len()
    }

    fn enter(&mut self, namespace: &Namespace) -> ScopeId {
        if let Some(entry) = self.scopes.get_mut(namespace) {
            entry.registrations += 1;
            return entry.id;
        }
        self.scopes_made += 1;
        let id = ScopeId(self.scopes_made);
        self.scopes.insert(
            namespace.clone(),
            ScopeEntry {
                id,
                registrations: 1,
            },
        );
        id
    }
}

fn rows_of(id: ScopeId, registration: &Registration) -> impl Iterator<Item = Row> {
    let seq = registration.seq();
    let dialects = registration.servable_dialects();
    [ScopeId::ALL, id].into_iter().flat_map(move |scope| {
        dialects.iter().map(move |dialect| Row {
            scope,
            dialect,
            seq,
        })
    })
}
