//! What must hold between the indexes, whatever was applied.

use std::collections::BTreeMap;

use super::{Owner, Registry};

impl Registry {
    /// Recounts every index from the registrations. For tests and simulations: O(n).
    ///
    /// # Panics
    ///
    /// When an index and the registrations differ.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        let mut owners = BTreeMap::<_, Owner>::new();
        let mut origins = BTreeMap::new();
        let mut namespaces = BTreeMap::new();
        let (mut bytes, mut rows, mut hidden, mut in_sight) = (0, 0, 0, 0);
        for ((peer, namespace), held) in &self.by_key {
            assert_eq!(
                (peer, namespace),
                (&held.peer(), held.namespace()),
                "held under its name"
            );
            assert!(
                held.seq() <= self.applied,
                "no registration is ahead of the log"
            );
            bytes += held.record_bytes() as u64;
            if self.is_hidden(held) {
                hidden += 1;
                continue;
            }
            in_sight += 1;
            let deadline = (held.expires_at(), held.seq());
            assert!(
                self.by_expiry.contains_key(&deadline),
                "every registration in sight has one deadline"
            );
            let owner = owners.entry(*peer).or_default();
            owner.registrations += 1;
            for dialect in held.registered_dialects().iter() {
                owner.by_dialect[dialect.index()] += 1;
            }
            if let Some(origin) = held.origin() {
                *origins.entry(origin).or_default() += 1;
            }
            *namespaces.entry(namespace).or_default() += 1;
            rows += 2 * held.servable_dialects().iter().count();
        }
        assert!(
            self.applied <= self.head,
            "nothing is applied beyond the log's head"
        );
        assert_eq!(
            self.by_expiry.len(),
            in_sight,
            "one deadline for each registration in sight"
        );
        assert_eq!(
            self.hidden.len(),
            hidden,
            "nothing is hidden that is not held"
        );
        assert_eq!(self.owners, owners, "owners");
        assert_eq!(self.origins, origins, "origins");
        assert_eq!(
            self.namespaces().collect::<BTreeMap<_, usize>>(),
            namespaces,
            "namespaces"
        );
        assert_eq!(self.record_bytes, bytes, "bytes of records");
        assert_eq!(
            self.pages.row_count(),
            rows,
            "one row per scope and servable dialect"
        );
        self.removals.check();
    }
}
