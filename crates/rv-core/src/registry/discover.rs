//! One page of a listing.

use bytes::Bytes;
use rv_proto::{Cookie, Scope, Time, encode_discover_page_frame};

use super::{Reader, Reading, Registry};
use crate::Refusal;

/// What a DISCOVER asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Who asks.
    pub reader: Reader,
    /// What is listed.
    pub scope: Scope,
    /// The cookie of the page before, as the reader sent it. Empty is the same as none.
    pub cookie: Option<Bytes>,
    /// The most entries, at least 1.
    pub entries_max: usize,
    /// The most bytes of the answer's frame.
    pub page_bytes_max: usize,
}

/// The answer to a DISCOVER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    entries: Vec<u8>,
    count: usize,
    cookie: Cookie,
    is_cookie_shown: bool,
    is_taken_for_all: bool,
    reading: Reading,
}

/// What a frame holds beside its entries and cookie: two length prefixes, types, status.
const FRAME_OVERHEAD_BYTES: usize = 64;

impl Registry {
    /// The next page for `query` at `now`.
    ///
    /// Every sequence number behind the cookie and up to the new one was looked at in this call,
    /// on one state: what is not in the page is expired, is gone, has a newer sequence number, or
    /// has no form in the reader's dialect. A page is full by count or by bytes; the next starts
    /// right behind its last entry.
    ///
    /// A reader that accepts several dialects is shown each registration once, in the best form
    /// that it accepts: signed before plain, and of both signed ones legacy.
    ///
    /// # Errors
    ///
    /// [`Refusal::Cookie`] and [`Refusal::CookieScope`].
    pub fn discover(&self, now: Time, query: &Query) -> Result<Page, Refusal> {
        let reading = self.reading(query)?;
        let (dialect, epoch) = reading.cookie_head(self.epoch);
        let mut page = Page {
            entries: Vec::new(),
            count: 0,
            cookie: Cookie {
                dialect,
                epoch,
                seq: self.applied.max(reading.after),
                scope: query.scope.clone(),
            },
            is_cookie_shown: !reading.restarts(query.reader.paging),
            is_taken_for_all: false,
            reading,
        };
        let around = FRAME_OVERHEAD_BYTES + page.cookie.encoded_len();
        let entries_bytes_max = query.page_bytes_max.saturating_sub(around);
        let mut last = reading.after;
        let rows = self
            .pages
            .rows(&query.scope, reading.dialects, reading.after);
        for (dialect, registration) in rows {
            if registration.is_expired(now) {
                continue;
            }
            let Some(entry) = registration.encoded(dialect) else {
                continue;
            };
            let ttl_secs = registration.ttl_left_secs(now);
            let entry_bytes = if reading.is_marked() {
                entry.len_marked_with_ttl(ttl_secs)
            } else {
                entry.len_with_ttl(ttl_secs)
            };
            let full = page.count >= query.entries_max
                || page.entries.len() + entry_bytes > entries_bytes_max;
            if full && page.count > 0 {
                page.cookie.seq = last;
                page.is_cookie_shown = true;
                page.is_taken_for_all =
                    page.count < query.entries_max && reading.restarts(query.reader.paging);
                break;
            }
            if reading.is_marked() {
                // What was signed was verified before it was registered.
                let verified = dialect.is_signed();
                entry.append_marked_to(ttl_secs, verified, &mut page.entries);
            } else {
                entry.append_to(ttl_secs, &mut page.entries);
            }
            page.count += 1;
            last = registration.seq();
        }
        Ok(page)
    }
}

impl Page {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing is new.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether its reader takes it for the end of the listing though more follows: it was cut by
    /// its bytes, and the reader goes by the count.
    pub fn is_taken_for_all(&self) -> bool {
        self.is_taken_for_all
    }

    /// Where the next page starts.
    pub fn cookie(&self) -> &Cookie {
        &self.cookie
    }

    /// How the question was read.
    pub fn reading(&self) -> Reading {
        self.reading
    }

    /// The whole answer, ready for the stream, length prefix included.
    ///
    /// The cookie is in it, but empty on the last page of a reader that restarts.
    pub fn to_frame(&self) -> Vec<u8> {
        let cookie = self.is_cookie_shown.then(|| self.cookie.encode());
        encode_discover_page_frame(&self.entries, &cookie.unwrap_or_default())
    }
}
