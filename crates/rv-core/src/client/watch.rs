//! One watched scope at one point: polled often while things change, seldom while they do not.

use std::time::Duration;

use bytes::Bytes;
use rv_proto::{DialectSet, Scope, Time};

use super::listing::Listing;
use super::push::Push;
use super::time::Dice;
use super::{Cause, ClientConfig, RequestId, Wanted};

/// The machine of one (point, scope).
#[derive(Clone, Debug)]
pub(super) struct Watch {
    scope: Scope,
    cookie: Option<Bytes>,
    /// When everything is to be listed anew.
    relist_at: Time,
    interval: Duration,
    next_at: Option<Time>,
    flight: Option<RequestId>,
    listing: Option<Listing>,
    changes: usize,
    /// What the listing under way found so far was forgotten.
    is_stale: bool,
    last_failure: Option<(Time, Cause)>,
    pub(super) push: Push,
}

impl Watch {
    pub(super) fn new(now: Time, config: &ClientConfig, scope: Scope) -> Self {
        Self {
            scope,
            cookie: None,
            relist_at: now,
            interval: config.poll_min,
            next_at: Some(now),
            flight: None,
            listing: None,
            changes: 0,
            is_stale: false,
            last_failure: None,
            push: Push::default(),
        }
    }

    /// When the next request is due; `None` while one is out.
    pub(super) fn due_at(&self) -> Option<Time> {
        if self.flight.is_some() {
            return None;
        }
        if self.listing.is_some() {
            return self.next_at;
        }
        self.next_at.into_iter().chain(self.push.due_at()).min()
    }

    /// Makes the next request, which is then out as `id`.
    pub(super) fn next(
        &mut self,
        now: Time,
        config: &ClientConfig,
        accepts: DialectSet,
        id: RequestId,
    ) -> Option<Wanted> {
        if self.due_at().is_none_or(|at| at > now) {
            return None;
        }
        self.flight = Some(id);
        let subscribe_at = self.push.due_at().filter(|_| self.listing.is_none());
        if subscribe_at.is_some_and(|at| at <= now) {
            return Some(self.push.request(&self.scope));
        }
        self.next_at = None;
        let cookie = self.cookie.take_if(|_| self.relist_at > now);
        let listing = self.listing.get_or_insert_with(|| {
            self.changes = 0;
            Listing::new(now, cookie)
        });
        Some(Wanted::Discover {
            scope: self.scope.clone(),
            limit: config.page_entries,
            cookie: listing.cookie().cloned(),
            accepts,
        })
    }

    /// The listing that `id` asks a page for; the request is not out any more then.
    pub(super) fn landed(&mut self, id: RequestId) -> Option<&mut Listing> {
        self.flight.take_if(|flight| *flight == id)?;
        self.listing.as_mut()
    }

    /// The listing goes on.
    pub(super) fn go_on(&mut self, now: Time) {
        self.next_at = Some(now);
    }

    pub(super) fn note_changes(&mut self, changes: usize) {
        self.changes += changes;
    }

    /// The listing is over. `first_deadline` is the earliest of what the point lists.
    pub(super) fn finish(
        &mut self,
        now: Time,
        config: &ClientConfig,
        dice: &mut Dice,
        first_deadline: Option<Time>,
        cause: Option<Cause>,
    ) {
        if let Some(listing) = self.listing.take() {
            let is_complete = listing.full_since().is_some() && cause.is_none();
            if is_complete {
                self.relist_at = now.saturating_add(config.relist_interval);
            }
            // A full listing that was cut by a failure starts anew: only a whole one shows who is
            // gone. One that ran into a bound goes on, or it would never show the rest.
            let is_bound = matches!(cause, Some(Cause::Bound(_)));
            if is_bound {
                self.relist_at = now.saturating_add(config.relist_interval);
            }
            self.cookie = listing.cookie().cloned();
        }
        let has_news = cause.is_none() && self.changes > 0;
        self.interval = if has_news {
            config.poll_min
        } else {
            self.interval.saturating_mul(2).min(config.poll_max)
        };
        self.last_failure = cause.map(|cause| (now, cause));
        // Whoever is still there has refreshed by then, and is not to be told gone for a moment.
        let lead = config.poll_lead;
        let until_first = first_deadline.map(|at| at.saturating_since(now).saturating_sub(lead));
        let needed = until_first.map_or(self.interval, |it| it.max(config.poll_min));
        let pause = self.interval.min(needed);
        let pause = pause - dice.up_to(pause / 8);
        self.next_at = Some(now.saturating_add(pause));
        if std::mem::take(&mut self.is_stale) {
            self.relist(now);
        }
    }

    /// A subscription brought something: it does not fail.
    pub(super) fn pushed(&mut self) {
        self.last_failure = None;
    }

    /// The subscription that was out as `id` is over.
    pub(super) fn unsubscribed(&mut self, id: RequestId) {
        self.flight.take_if(|flight| *flight == id);
    }

    /// Goes on with polls after a subscription that told everything up to its cookie.
    pub(super) fn poll_now(&mut self, now: Time, config: &ClientConfig) {
        if let Some(cookie) = self.push.cookie() {
            self.cookie = Some(cookie.clone());
            self.relist_at = now.saturating_add(config.relist_interval);
        }
        self.interval = config.poll_min;
        self.next_at = Some(now);
    }

    /// Polls now, because the point can be reached after all.
    pub(super) fn hurry(&mut self, now: Time, config: &ClientConfig) {
        let failed_for_the_point = match &self.last_failure {
            Some((_, Cause::Failed(failure))) => failure.is_of_point(),
            Some(_) | None => false,
        };
        if let (true, Some(at), Some((failed_at, _))) =
            (failed_for_the_point, self.next_at, &self.last_failure)
        {
            let rested_at = failed_at.saturating_add(config.backoff_min);
            self.next_at = Some(at.min(rested_at.max(now)));
        }
    }

    /// Lists everything anew, because what was listed is forgotten.
    pub(super) fn relist(&mut self, now: Time) {
        self.push.forget();
        if self.listing.is_some() {
            self.is_stale = true;
            return;
        }
        self.relist_at = now;
        self.cookie = None;
        self.next_at = Some(now);
    }

    pub(super) const fn last_failure(&self) -> Option<&(Time, Cause)> {
        self.last_failure.as_ref()
    }
}
