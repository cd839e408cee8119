//! Who was listed and is not any more, for those who were told before.

use std::collections::BTreeMap;

use libp2p_identity::PeerId;
use rv_proto::{DialectSet, Namespace, Scope, Seq, Time};

use super::{Key, Registration};

/// The last removals, as far back as there is room.
///
/// A removal is kept for each name whose readers may hold more than is true: the registration was
/// taken off before its deadline, was replaced by one with an earlier deadline, or by one that has
/// no form in a dialect in which it had one. Each name has one place at the most, so that a peer
/// who comes and goes all the time pushes nobody out.
#[derive(Clone, Debug)]
pub(super) struct Removals {
    max: usize,
    /// Behind this position none is missing in any namespace.
    complete_since: Seq,
    forgotten: Forgotten,
    by_key: BTreeMap<Key, Removal>,
    by_seq: BTreeMap<Seq, Key>,
    by_namespace: BTreeMap<(Namespace, Seq), PeerId>,
}

/// Behind which position none is missing in one namespace: the last that was evicted there.
///
/// There are as many of these marks as removals at the most. The oldest goes first, and then stands
/// for all namespaces without a mark.
#[derive(Clone, Debug, Default)]
struct Forgotten {
    elsewhere: Seq,
    by_namespace: BTreeMap<Namespace, Seq>,
    by_seq: BTreeMap<Seq, Namespace>,
}

/// What readers may hold of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Removal {
    seq: Seq,
    /// Whose readers may hold it.
    dialects: DialectSet,
    /// Until when, at the longest.
    until: Time,
}

impl Default for Removals {
    fn default() -> Self {
        Self {
            max: Self::MAX_DEFAULT,
            complete_since: Seq::ZERO,
            forgotten: Forgotten::default(),
            by_key: BTreeMap::new(),
            by_seq: BTreeMap::new(),
            by_namespace: BTreeMap::new(),
        }
    }
}

impl Removals {
    pub(super) const MAX_DEFAULT: usize = 16_384;

    /// Bounds how many are kept.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
        self.evict();
    }

    /// Forgets all: readers up to `seq` are told of nothing before it.
    pub(super) fn start_at(&mut self, seq: Seq) {
        let max = self.max;
        *self = Self {
            max,
            complete_since: seq,
            forgotten: Forgotten {
                elsewhere: seq,
                ..Forgotten::default()
            },
            ..Self::default()
        };
    }

    /// The position behind which none in `scope` is missing.
    pub(super) fn complete_since(&self, scope: &Scope) -> Seq {
        match scope {
            Scope::All => self.complete_since,
            Scope::Namespace(name) => self.forgotten.complete_since(name),
        }
    }

    /// Takes note that the fact at `seq` put `now` in the place of `before`, under one name.
    pub(super) fn note(
        &mut self,
        seq: Seq,
        key: Key,
        before: Option<&Registration>,
        now: Option<&Registration>,
    ) {
        let earlier = self.by_key.remove(&key);
        if let Some(earlier) = earlier {
            self.by_seq.remove(&earlier.seq);
            self.by_namespace.remove(&(key.1.clone(), earlier.seq));
        }
        let told = earlier
            .map(|it| (it.dialects, it.until))
            .into_iter()
            .chain(before.map(|it| (it.servable_dialects(), it.expires_at())));
        let Some((mut dialects, until)) =
            told.reduce(|(all, until), (more, later)| (all.union(more), until.max(later)))
        else {
            return;
        };
        if let Some(now) = now
            && now.expires_at() >= until
        {
            dialects = dialects.difference(now.servable_dialects());
        }
        if dialects.is_empty() {
            return;
        }
        self.by_seq.insert(seq, key.clone());
        self.by_namespace.insert((key.1.clone(), seq), key.0);
        let removal = Removal {
            seq,
            dialects,
            until,
        };
        self.by_key.insert(key, removal);
        self.evict();
    }

    /// The removals in `scope` behind `after`, in order, that readers of any of `dialects` may have
    /// missed.
    pub(super) fn behind<'a>(
        &'a self,
        scope: &'a Scope,
        dialects: DialectSet,
        after: Seq,
    ) -> impl Iterator<Item = (Seq, &'a Key)> {
        let start = after.next();
        let all = start
            .filter(|_| *scope == Scope::All)
            .map(|first| self.by_seq.range(first..));
        let named = start.and_then(|first| match scope {
            Scope::All => None,
            Scope::Namespace(name) => {
                let last = (name.clone(), Seq::MAX);
                Some(self.by_namespace.range((name.clone(), first)..=last))
            }
        });
        let of_name = named
            .into_iter()
            .flatten()
            .filter_map(|((_, seq), _)| Some((*seq, self.by_seq.get(seq)?)));
        let of_all = all.into_iter().flatten().map(|(seq, key)| (*seq, key));
        of_name.chain(of_all).filter(move |(_, key)| {
            let removal = self.by_key.get(*key);
            removal.is_some_and(|removal| removal.dialects.intersects(dialects))
        })
    }

    fn evict(&mut self) {
        while self.by_seq.len() > self.max
            && let Some((seq, key)) = self.by_seq.pop_first()
        {
            self.complete_since = seq;
            self.by_namespace.remove(&(key.1.clone(), seq));
            self.by_key.remove(&key);
            self.forgotten.note(seq, key.1);
        }
        self.forgotten.evict(self.max);
    }

    /// Checks that all indexes have the same.
    ///
    /// # Panics
    ///
    /// When they differ.
    pub(super) fn check(&self) {
        assert_eq!(self.by_key.len(), self.by_seq.len(), "one place each");
        assert_eq!(self.by_key.len(), self.by_namespace.len(), "in one scope");
        for (key, removal) in &self.by_key {
            assert_eq!(self.by_seq.get(&removal.seq), Some(key), "at its place");
            assert!(removal.seq > self.complete_since, "none before the rest");
        }
        assert!(self.by_key.len() <= self.max, "within the bound");
        self.forgotten.check();
        assert!(self.forgotten.by_seq.len() <= self.max, "and so are marks");
    }
}

impl Forgotten {
    fn complete_since(&self, namespace: &Namespace) -> Seq {
        let mark = self.by_namespace.get(namespace);
        mark.copied().unwrap_or(self.elsewhere)
    }

    /// The removal at `seq` is evicted. The oldest is first.
    fn note(&mut self, seq: Seq, namespace: Namespace) {
        if let Some(before) = self.by_namespace.insert(namespace.clone(), seq) {
            self.by_seq.remove(&before);
        }
        self.by_seq.insert(seq, namespace);
    }

    fn evict(&mut self, max: usize) {
        while self.by_seq.len() > max
            && let Some((seq, namespace)) = self.by_seq.pop_first()
        {
            self.elsewhere = seq;
            self.by_namespace.remove(&namespace);
        }
    }

    fn check(&self) {
        assert_eq!(self.by_namespace.len(), self.by_seq.len(), "one mark each");
        for (namespace, seq) in &self.by_namespace {
            assert_eq!(self.by_seq.get(seq), Some(namespace), "at its place");
            assert!(*seq > self.elsewhere, "behind those without one");
        }
    }
}
