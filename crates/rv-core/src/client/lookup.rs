//! One discovery at one or more points, merged.

use std::collections::BTreeMap;
use std::sync::Arc;

use libp2p_identity::PeerId;
use rv_proto::{DialectSet, Namespace, Record, Scope, Time};

use super::cache::is_newer;
use super::entry::{CheckedEntry, CheckedPage};
use super::listing::{Listing, Step};
use super::{
    Bound, Cause, ClientConfig, DiscoverOptions, Discovered, Failure, Listed, Pages, RequestId,
    Wanted,
};

/// The machine of one call of `discover`.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    scope: Scope,
    options: DiscoverOptions,
    legs: BTreeMap<PeerId, Leg>,
    /// What was told: the records are shared with whom they were told to.
    seen: BTreeMap<(Namespace, PeerId), Arc<Record>>,
    /// When the first point was done: the others are stragglers since.
    succeeded_at: Option<Time>,
}

/// The lookup at one point.
#[derive(Clone, Debug)]
struct Leg {
    listing: Listing,
    flight: Option<RequestId>,
    done: Option<Listed>,
}

impl Lookup {
    pub(super) fn new(
        now: Time,
        scope: &Scope,
        options: DiscoverOptions,
        points: impl IntoIterator<Item = PeerId>,
    ) -> Self {
        let leg = |point| {
            let listing = Listing::new(now, options.cookie.clone());
            let (flight, done) = (None, None);
            (
                point,
                Leg {
                    listing,
                    flight,
                    done,
                },
            )
        };
        Self {
            scope: scope.clone(),
            legs: points.into_iter().map(leg).collect(),
            options,
            seen: BTreeMap::new(),
            succeeded_at: None,
        }
    }

    /// Makes the next request to a point, which is then out as `id`.
    pub(super) fn next(
        &mut self,
        config: &ClientConfig,
        point: &PeerId,
        accepts: DialectSet,
        id: RequestId,
    ) -> Option<Wanted> {
        let limit = self.room().min(config.page_entries);
        let leg = self.legs.get_mut(point)?;
        if leg.flight.is_some() || leg.done.is_some() {
            return None;
        }
        leg.flight = Some(id);
        Some(Wanted::Discover {
            scope: self.scope.clone(),
            limit,
            cookie: leg.listing.cookie().cloned(),
            accepts,
        })
    }

    /// Takes a page, and returns what of it is new to this lookup, and whether there is more to ask
    /// the point; `None` if nobody waited for it.
    pub(super) fn take_page(
        &mut self,
        now: Time,
        config: &ClientConfig,
        point: &PeerId,
        id: RequestId,
        page: &CheckedPage,
    ) -> Option<(Vec<Discovered>, bool)> {
        let leg = self.legs.get_mut(point)?;
        leg.flight.take_if(|flight| *flight == id)?;
        let step = leg.listing.take_page(now, config, page);
        let mut found = Vec::new();
        for entry in &page.entries {
            if self.room() == 0 {
                break;
            }
            found.extend(self.tell(now, entry));
        }
        let step = match step {
            Step::Next if self.options.pages == Pages::One => Step::End(None),
            Step::Next if self.room() == 0 => Step::End(None),
            Step::Next if self.seen.len() >= config.listing_entries_max => {
                let max = config.listing_entries_max;
                Step::End(Some(Bound::Entries { max }.into()))
            }
            step @ (Step::Next | Step::End(_)) => step,
        };
        let goes_on = self.step(point, step);
        Some((found, goes_on))
    }

    /// Takes a failure, and returns whether there is more to ask the point. `id` is the request
    /// that failed, if one was out.
    pub(super) fn take_failure(
        &mut self,
        now: Time,
        point: &PeerId,
        id: Option<RequestId>,
        cause: Cause,
    ) -> bool {
        let Some(leg) = self.legs.get_mut(point) else {
            return false;
        };
        if leg.flight != id || leg.done.is_some() {
            return false;
        }
        leg.flight = None;
        let step = match self.options.pages {
            Pages::All => leg.listing.take_failure(now, cause),
            // Who pages by hand is told that the cookie is refused.
            Pages::One => Step::End(Some(cause)),
        };
        self.step(point, step)
    }

    /// Gives up on all that is not done, as nothing more is wanted of anybody, and returns the
    /// requests that are still out.
    pub(super) fn give_up(&mut self) -> Vec<RequestId> {
        self.end_rest(|_| None)
    }

    /// Gives up on the points that had their time.
    pub(super) fn give_up_late(&mut self, now: Time, config: &ClientConfig) {
        let max = config.straggler_wait_total;
        let is_over = self
            .succeeded_at
            .is_some_and(|at| at.saturating_add(max) <= now);
        self.end_rest(|leg| {
            // Who gave pages until then is alive, and its listing can be gone on with.
            Some(if is_over && leg.listing.pages() > 0 {
                Bound::Wait { max }.into()
            } else {
                Failure::TimedOut.into()
            })
        });
    }

    fn end_rest(&mut self, cause: impl Fn(&Leg) -> Option<Cause>) -> Vec<RequestId> {
        let points: Vec<_> = self.legs.keys().copied().collect();
        let mut out = Vec::new();
        for point in points {
            if let Some(leg) = self.legs.get_mut(&point)
                && leg.done.is_none()
            {
                out.extend(leg.flight.take());
                let cause = cause(leg);
                self.step(&point, Step::End(cause));
            }
        }
        out
    }

    /// Gives up on one point.
    pub(super) fn drop_point(&mut self, point: &PeerId, cause: &Cause) {
        if let Some(leg) = self.legs.get_mut(point)
            && leg.done.is_none()
        {
            leg.flight = None;
            self.step(point, Step::End(Some(cause.clone())));
        }
    }

    /// Whether nothing more is wanted of anybody.
    pub(super) fn is_full(&self) -> bool {
        self.room() == 0
    }

    pub(super) fn is_done(&self) -> bool {
        self.legs.values().all(|leg| leg.done.is_some())
    }

    /// Until when the points that are not done are waited for from now on; `None` while none is
    /// done.
    pub(super) fn stragglers_until(&mut self, now: Time, config: &ClientConfig) -> Option<Time> {
        if !self.has_succeeded() {
            return None;
        }
        let since = *self.succeeded_at.get_or_insert(now);
        let pause_end = now.saturating_add(config.straggler_wait);
        Some(pause_end.min(since.saturating_add(config.straggler_wait_total)))
    }

    /// Whether one point answered to the end, or to a bound of our own.
    fn has_succeeded(&self) -> bool {
        let mut done = self.legs.values().filter_map(|leg| leg.done.as_ref());
        done.any(|listed| matches!(listed.cause, None | Some(Cause::Bound(_))))
    }

    pub(super) fn into_listed(self) -> Vec<Listed> {
        self.legs.into_values().filter_map(|leg| leg.done).collect()
    }

    fn room(&self) -> usize {
        let limit = self.options.limit.unwrap_or(usize::MAX);
        limit.saturating_sub(self.seen.len())
    }

    fn tell(&mut self, now: Time, entry: &CheckedEntry) -> Option<Discovered> {
        let key = (entry.namespace.clone(), *entry.record.peer());
        let is_news = match self.seen.get(&key) {
            Some(told) => is_newer(told, &entry.record),
            None => true,
        };
        if !is_news {
            return None;
        }
        self.seen.insert(key, Arc::clone(&entry.record));
        Some(Discovered {
            namespace: entry.namespace.clone(),
            record: Arc::clone(&entry.record),
            until: now.saturating_add(entry.ttl.as_duration()),
        })
    }

    fn step(&mut self, point: &PeerId, step: Step) -> bool {
        let (Some(leg), Step::End(cause)) = (self.legs.get_mut(point), step) else {
            return true;
        };
        leg.done = Some(Listed {
            point: *point,
            pages: leg.listing.pages(),
            entries: leg.listing.usable(),
            cookie: leg.listing.cookie().cloned(),
            cause,
        });
        false
    }
}
