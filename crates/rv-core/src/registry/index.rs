//! The order in which readers page: by sequence number, per scope and dialect.

use std::collections::BTreeMap;
use std::sync::Arc;

use rv_proto::{Dialect, Namespace, Scope, Seq};

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

    /// The registrations in `scope` that readers of `dialect` are shown, from behind `after` on.
    pub(super) fn rows(
        &self,
        scope: &Scope,
        dialect: Dialect,
        after: Seq,
    ) -> impl Iterator<Item = &Arc<Registration>> {
        let id = match scope {
            Scope::All => Some(ScopeId::ALL),
            Scope::Namespace(namespace) => self.scopes.get(namespace).map(|entry| entry.id),
        };
        let range = id.zip(after.next()).map(|(scope, first)| {
            let first = Row {
                scope,
                dialect,
                seq: first,
            };
            self.rows.range(
                first..=Row {
                    seq: Seq::MAX,
                    ..first
                },
            )
        });
        range
            .into_iter()
            .flatten()
            .map(|(_, registration)| registration)
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
