//! One listing of a scope at one point, page after page, to its end or to a bound.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bytes::Bytes;
use libp2p_identity::PeerId;
use rv_proto::{Namespace, Status, Time};

use super::entry::{CheckedEntry, CheckedPage};
use super::{Bound, Breach, CacheLimits, Cause, ClientConfig, PeerCache};

/// The machine of one listing.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    cookie: Option<Bytes>,
    is_full: bool,
    began_at: Time,
    /// When what is listed began, which a refused cookie makes later than the listing.
    started_at: Time,
    restarted: bool,
    pages: usize,
    entries: usize,
    /// Of the usable entries.
    bytes: usize,
    usable: usize,
    repeated_pages: usize,
    last_count: usize,
    seen: BTreeMap<(Namespace, PeerId), Seen>,
}

/// What an entry was when it was seen: to tell a renewed one from the same again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    record: u64,
    until: Time,
}

/// What comes after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    End(Option<Cause>),
    Next,
}

impl Listing {
    /// Pages of nothing but repetitions that one listing may have. A peer that registers twice in
    /// a few seconds makes one.
    const REPEATED_PAGES_MAX: usize = 2;

    /// From `cookie` on, or from the start.
    pub(super) fn new(now: Time, cookie: Option<Bytes>) -> Self {
        Self {
            is_full: cookie.is_none(),
            cookie,
            began_at: now,
            started_at: now,
            restarted: false,
            pages: 0,
            entries: 0,
            bytes: 0,
            usable: 0,
            repeated_pages: 0,
            last_count: 0,
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn take_page(
        &mut self,
        now: Time,
        config: &ClientConfig,
        page: &CheckedPage,
    ) -> Step {
        self.pages += 1;
        self.entries += page.count;
        self.usable += page.entries.len();
        let repeats = page
            .entries
            .iter()
            .filter(|entry| self.is_repeat(now, entry));
        let is_repeated = !page.entries.is_empty() && repeats.count() == page.entries.len();
        self.repeated_pages += usize::from(is_repeated);
        let last_count = std::mem::replace(&mut self.last_count, page.count);
        for entry in &page.entries {
            self.bytes += CacheLimits::bytes_of(&entry.namespace, &entry.record);
            let key = (entry.namespace.clone(), *entry.record.peer());
            self.seen.insert(key, Seen::new(now, entry));
        }
        let asked_with = std::mem::replace(&mut self.cookie, page.cookie.clone());
        let Some(cookie) = &self.cookie else {
            return Step::End(None);
        };
        let broken = if cookie.len() > config.cookie_bytes_max {
            Some(Breach::CookieTooLong {
                bytes: cookie.len(),
            })
        } else if page.count > 0 && asked_with.as_ref() == Some(cookie) {
            Some(Breach::CookieUnchanged)
        } else if self.repeated_pages > Self::REPEATED_PAGES_MAX {
            Some(Breach::RepeatedPage)
        } else {
            None
        };
        if let Some(breach) = broken {
            self.cookie = None;
            return Step::End(Some(breach.into()));
        }
        // canvas lists the newest first and puts the cookie at the oldest of them: each page is the
        // one before without its end, and nothing else ever comes.
        if page.count == 0 || (is_repeated && page.count < last_count) {
            return Step::End(None);
        }
        let (entries, pages) = (config.listing_entries_max, config.listing_pages_max);
        if self.entries > entries {
            return Step::End(Some(Bound::Entries { max: entries }.into()));
        }
        if self.bytes > config.listing_bytes_max {
            let max = config.listing_bytes_max;
            return Step::End(Some(Bound::Bytes { max }.into()));
        }
        if self.pages >= pages {
            return Step::End(Some(Bound::Pages { max: pages }.into()));
        }
        let max = config.listing_time_max;
        if now.saturating_since(self.began_at) >= max {
            return Step::End(Some(Bound::Time { max }.into()));
        }
        Step::Next
    }

    /// A refused cookie is dropped, and the listing starts anew: once, as it has none then.
    pub(super) fn take_failure(&mut self, now: Time, cause: Cause) -> Step {
        let is_of_cookie = matches!(cause, Cause::Refused(Status::INVALID_COOKIE, _));
        if !is_of_cookie {
            return Step::End(Some(cause));
        }
        let had_cookie = self.cookie.take().is_some();
        if !had_cookie || self.restarted {
            return Step::End(Some(cause));
        }
        self.restarted = true;
        self.is_full = true;
        self.started_at = now;
        self.seen.clear();
        Step::Next
    }

    pub(super) const fn cookie(&self) -> Option<&Bytes> {
        self.cookie.as_ref()
    }

    /// Since when everything is listed, if it is.
    pub(super) fn full_since(&self) -> Option<Time> {
        self.is_full.then_some(self.started_at)
    }

    pub(super) const fn pages(&self) -> usize {
        self.pages
    }

    pub(super) const fn usable(&self) -> usize {
        self.usable
    }

    fn is_repeat(&self, now: Time, entry: &CheckedEntry) -> bool {
        let key = (entry.namespace.clone(), *entry.record.peer());
        let Some(seen) = self.seen.get(&key) else {
            return false;
        };
        let again = Seen::new(now, entry);
        let later_by = again.until.saturating_since(seen.until).as_secs();
        seen.record == again.record && later_by < PeerCache::RENEWAL_MIN_SECS
    }
}

impl Seen {
    fn new(now: Time, entry: &CheckedEntry) -> Self {
        let mut hasher = DefaultHasher::new();
        entry.record.bytes().hash(&mut hasher);
        Self {
            record: hasher.finish(),
            until: now.saturating_add(entry.ttl.as_duration()),
        }
    }
}
