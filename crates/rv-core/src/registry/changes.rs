//! What changed in a scope behind a position of the log.

use std::iter::Peekable;

use libp2p_identity::PeerId;
use rv_proto::{Dialect, DialectSet, Namespace, Scope, Seq, Time};

use super::{Key, Registration, Registry};

/// One name whose readers are told something.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change<'a> {
    /// A peer is there, in this form.
    There(Dialect, &'a Registration),
    /// A peer is there no longer, though its deadline may be ahead.
    Gone(&'a Namespace, PeerId),
}

/// Where a reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Everything up to here was told.
    pub(crate) after: Seq,
    /// Of removals only those behind this position matter: nothing was told before.
    pub(crate) began: Seq,
}

impl Place {
    fn removals_after(self) -> Seq {
        self.after.max(self.began)
    }
}

impl Registry {
    /// Bounds the removals that are remembered for subscribers, see
    /// [`Limits::removals_max`](crate::Limits::removals_max).
    pub fn set_removals_max(&mut self, max: usize) {
        self.removals.set_max(max);
    }

    /// Whether every removal in `scope` is remembered that a reader who stands at `place` was not
    /// told.
    pub(crate) fn covers(&self, scope: &Scope, place: Place) -> bool {
        place.removals_after() >= self.removals.complete_since(scope)
    }

    /// What changed in `scope` behind `place`, in the order of the log, with the position of each.
    ///
    /// Every name is there once at the most, with what is true of it at `now`.
    pub(crate) fn changes<'a>(
        &'a self,
        now: Time,
        scope: &'a Scope,
        dialects: DialectSet,
        place: Place,
    ) -> impl Iterator<Item = (Seq, Change<'a>)> {
        let rows = self.pages.rows(scope, dialects, place.after);
        let there = rows
            .map(|(dialect, held)| (dialect, held.as_ref()))
            .filter(move |(_, held)| !held.is_expired(now))
            .map(|(dialect, held)| (held.seq(), Change::There(dialect, held)));
        let gone = self
            .removals
            .behind(scope, dialects, place.removals_after())
            .filter(move |(_, key)| !self.is_listed(now, key, dialects))
            .map(|(seq, (peer, namespace))| (seq, Change::Gone(namespace, *peer)));
        Merged {
            there: there.peekable(),
            gone: gone.peekable(),
        }
    }

    /// The newest registration in `scope` that readers of `dialects` are shown.
    pub(crate) fn newest<'a>(
        &'a self,
        now: Time,
        scope: &Scope,
        dialect: Dialect,
    ) -> Option<&'a Registration> {
        let mut rows = self.pages.rows_backwards(scope, dialect);
        rows.find(|held| !held.is_expired(now)).map(AsRef::as_ref)
    }

    fn is_listed(&self, now: Time, key: &Key, dialects: DialectSet) -> bool {
        self.by_key.get(key).is_some_and(|held| {
            let is_shown = !held.is_expired(now) && !self.is_hidden(held);
            is_shown && held.servable_dialects().intersects(dialects)
        })
    }
}

/// Two sequences in one order. No position is in both: a name that is there is not gone.
struct Merged<A: Iterator, B: Iterator> {
    there: Peekable<A>,
    gone: Peekable<B>,
}

impl<'a, A, B> Iterator for Merged<A, B>
where
    A: Iterator<Item = (Seq, Change<'a>)>,
    B: Iterator<Item = (Seq, Change<'a>)>,
{
    type Item = (Seq, Change<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let there = self.there.peek().map(|(seq, _)| *seq);
        let gone = self.gone.peek().map(|(seq, _)| *seq);
        if gone.is_some_and(|gone| there.is_none_or(|there| gone < there)) {
            self.gone.next()
        } else {
            self.there.next()
        }
    }
}
