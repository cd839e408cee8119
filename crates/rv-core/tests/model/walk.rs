//! Readers that page through listings, and what they must have seen.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use rv_core::{Paging, Query, Reader, Refusal};
use rv_proto::{
    Cookie, Dialect, DialectSet, DiscoverResponse, Entry, Epoch, RESPONSE_BYTES_MAX, Response,
    Scope, Seq, Status, Time, decode_frame,
};

use crate::harness::{Violation, ensure};
use crate::model::{Held, Model};
use crate::ops::{OddCookie, Sign};
use crate::point::Point;
use crate::pool;

/// Readers in one case.
pub(crate) const SLOTS: usize = 22;

/// Readers that say what they accept: one for each set, the last two with everything.
pub(crate) const MIXED: Range<usize> = 14..SLOTS;

/// The dialects of a page, and the one that its cookie names.
type Decision = (DialectSet, Option<Dialect>);

/// A reader with its cookie.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    reader: Reader,
    scope: Scope,
    cookie: Option<Bytes>,
    /// The dialects of the last page, and whether its entries were marked.
    listing: (DialectSet, bool),
    /// What the cookie says of the dialect.
    remembered: Option<Dialect>,
    /// The sequence numbers that this walk was shown.
    seen: BTreeSet<Seq>,
    /// Those that were expired when a page passed them. They may live again if the clock goes back.
    passed: BTreeSet<Seq>,
    /// Those that were erased. They may live again if the clock goes back and the point restarts.
    erased: BTreeSet<Seq>,
}

impl Walk {
    /// The reader of that number: outsiders by default in each dialect, and peers that register.
    pub(crate) fn new(slot: usize) -> Self {
        let scope = |all: bool| {
            if all {
                Scope::All
            } else {
                Scope::Namespace(pool::namespace(0))
            }
        };
        let outsiders = 2 * Dialect::ALL.len();
        let is_outsider = slot < outsiders || (MIXED.contains(&slot) && slot.is_multiple_of(2));
        let peer = if is_outsider {
            pool::outsider()
        } else {
            pool::peer((slot - outsiders) % pool::PEERS)
        };
        let mut reader = Reader::unknown(peer, Dialect::ALL[slot % Dialect::ALL.len()]);
        if let Some(number) = slot.checked_sub(MIXED.start) {
            let bits = u8::try_from(number + 1).expect("few");
            reader.accepts = DialectSet::from_bits(bits.min(7));
        }
        Self {
            reader,
            scope: scope((slot / Dialect::ALL.len()).is_multiple_of(2)),
            cookie: None,
            listing: (DialectSet::EMPTY, false),
            remembered: None,
            seen: BTreeSet::new(),
            passed: BTreeSet::new(),
            erased: BTreeSet::new(),
        }
    }

    /// Starts again without a cookie.
    pub(crate) fn forget(&mut self) {
        self.cookie = None;
        self.remembered = None;
        self.seen.clear();
        self.passed.clear();
    }

    /// A sign is seen from now on, or no more.
    pub(crate) fn learn(&mut self, sign: Sign) {
        let reader = &mut self.reader;
        match sign {
            Sign::Accepts(dialects) => reader.accepts = dialects,
            Sign::Agent(dialect) => reader.agent = dialect,
            Sign::Closed(has_closed) => reader.has_closed = has_closed,
            Sign::Default(dialect) => reader.dialect_default = dialect,
            Sign::Paging(paging) => reader.paging = paging,
            Sign::Record(dialect) => reader.record = dialect,
            Sign::Shape(dialect) => reader.shape = dialect,
        }
    }

    /// The dialects that the next page must be in, and what its cookie must say of it.
    fn dialects(&self, model: &Model, remembered: Option<Dialect>) -> Decision {
        let reader = &self.reader;
        if !reader.accepts.is_empty() {
            return (reader.accepts, None);
        }
        let told = |dialect: Dialect| (dialect.into(), Some(dialect));
        let guessed = |dialect: Dialect| (dialect.into(), None);
        if let Some(dialect) = model.dialect_of(reader.peer) {
            told(dialect)
        } else if reader.has_closed {
            guessed(Dialect::Legacy)
        } else if reader.record == Some(Dialect::Legacy) {
            told(Dialect::Legacy)
        } else if let Some(dialect) = reader.agent.or(reader.record).or(remembered) {
            told(dialect)
        } else {
            guessed(reader.shape.unwrap_or(reader.dialect_default))
        }
    }

    /// Notes that a registration was due, and is erased.
    pub(crate) fn note_erased(&mut self, seq: Seq) {
        self.erased.insert(seq);
    }

    fn query(&self, entries_max: usize, page_bytes_max: usize) -> Query {
        Query {
            reader: self.reader.clone(),
            scope: self.scope.clone(),
            cookie: self.cookie.clone(),
            entries_max,
            page_bytes_max,
        }
    }

    /// Takes one page and checks it. Says whether it was empty, or the end for one who restarts.
    pub(crate) fn page<P: Point>(
        &mut self,
        (now, point, model): (Time, &P, &Model),
        (entries_max, page_bytes_max): (usize, usize),
    ) -> Result<bool, Violation> {
        let (dialects, remembered) = self.dialects(model, self.remembered);
        let listing = (dialects, !self.reader.accepts.is_empty());
        if listing != self.listing {
            // The listing starts anew, as with the cookie of a foreign epoch.
            self.seen.clear();
            self.passed.clear();
            self.listing = listing;
        }
        self.remembered = remembered;
        let query = self.query(entries_max, page_bytes_max);
        let frame = match point.discover(now, &query) {
            Ok(frame) => frame,
            Err(refusal) => return Err(Violation(format!("own cookie refused: {refusal}"))),
        };
        let response = decode_ok(&frame)?;
        let entries = &response.entries;
        ensure!(
            entries.len() <= entries_max,
            "{} entries of {entries_max}",
            entries.len()
        );
        let fits = frame.len() <= page_bytes_max || entries.len() == 1;
        ensure!(fits, "frame of {} bytes, cap {page_bytes_max}", frame.len());
        for entry in entries {
            let held = self.check_entry(entry, dialects, now, model)?;
            ensure!(
                self.seen.insert(held.seq),
                "{} shown twice in a walk",
                held.seq
            );
        }
        let listed = model
            .held
            .iter()
            .filter(|it| it.is_in(&self.scope) && shows(it, dialects));
        let (live, expired): (Vec<_>, Vec<_>) = listed.partition(|held| held.is_live(now));
        self.passed.extend(expired.iter().map(|held| held.seq));
        let known = [&self.seen, &self.passed, &self.erased];
        let missed = live
            .iter()
            .find(|it| known.iter().all(|seqs| !seqs.contains(&it.seq)));
        if let Some(missed) = missed {
            // More is to come, so this page must have been full.
            ensure!(
                !entries.is_empty(),
                "page is empty, but {} was not shown",
                missed.seq
            );
            let form = missed.sample().best_form(dialects);
            let room = form.map_or(0, |(_, form)| form.len()) + SLACK_BYTES;
            let full = entries.len() == entries_max || frame.len() + room > page_bytes_max;
            ensure!(
                full,
                "page has room for {}, which was not shown",
                missed.seq
            );
        }
        let all_seen = live.iter().all(|it| self.seen.contains(&it.seq));
        let ends = is_restarting(&self.reader, dialects).then_some((missed.is_none(), all_seen));
        self.take_cookie(response.cookie, ends)?;
        Ok(entries.is_empty() || self.cookie.is_none())
    }

    /// The cookie names what is remembered of the dialect. For one who restarts it is empty if all
    /// was seen, and only if nothing was missed.
    fn take_cookie(
        &mut self,
        cookie: Option<Bytes>,
        ends: Option<(bool, bool)>,
    ) -> Result<(), Violation> {
        let is_empty = cookie.as_ref().is_some_and(Bytes::is_empty);
        let (may_end, must_end) = ends.unwrap_or((false, false));
        ensure!(may_end || !is_empty, "no cookie, but more is to come");
        ensure!(is_empty || !must_end, "a cookie, but no more is to come");
        if is_empty {
            self.forget();
            return Ok(());
        }
        let decoded = cookie.as_deref().map(Cookie::decode);
        let named = decoded
            .and_then(Result::ok)
            .and_then(|cookie| cookie.dialect);
        let remembered = self.remembered;
        ensure!(named == remembered, "the cookie names {named:?}");
        self.cookie = cookie;
        Ok(())
    }

    /// The entry is what the model holds, as readers of `dialects` must see it now.
    fn check_entry<'a>(
        &self,
        entry: &Entry,
        dialects: DialectSet,
        now: Time,
        model: &'a Model,
    ) -> Result<&'a Held, Violation> {
        let Entry {
            namespace,
            record,
            ttl_secs,
            verified,
        } = entry;
        let named = |held: &&Held| {
            namespace.as_deref() == Some(held.registered.namespace.as_str().as_bytes())
        };
        let best = |held: &&Held| held.sample().best_form(dialects);
        let shown = |held: &&Held| record.as_deref() == best(held).map(|(_, form)| form);
        let left = |held: &&Held| *ttl_secs == Some(held.ttl_left_secs(now));
        let held = model.held.iter().filter(named).filter(shown).find(left);
        let Some(held) = held.filter(|held| held.is_live(now) && held.is_in(&self.scope)) else {
            return Err(Violation(format!(
                "nothing held is shown {dialects:?} as {entry:?}"
            )));
        };
        let granted_secs = u64::from(held.registered.granted.as_secs());
        let in_bounds = ttl_secs.is_some_and(|secs| (1..=granted_secs).contains(&secs));
        ensure!(in_bounds, "ttl {ttl_secs:?} of granted {granted_secs}");
        let is_signed = best(&held).is_some_and(|(dialect, _)| dialect != Dialect::Plain);
        let mark = (!self.reader.accepts.is_empty()).then_some(is_signed);
        ensure!(*verified == mark, "marked {verified:?}, not {mark:?}");
        Ok(held)
    }

    /// Sends a cookie that does not fit.
    pub(crate) fn odd<P: Point>(
        &self,
        (now, point, model): (Time, &P, &Model),
        odd: OddCookie,
    ) -> Result<(), Violation> {
        let Some(own) = self.cookie.clone() else {
            return Ok(());
        };
        let raw = Cookie::decode(&own).map_err(|error| Violation(error.to_string()))?;
        let changed = |epoch: Epoch, seq: Seq| {
            let scope = self.scope.clone();
            Bytes::from(
                Cookie {
                    dialect: raw.dialect,
                    epoch,
                    seq,
                    scope,
                }
                .encode(),
            )
        };
        let mut query = self.query(1_000, RESPONSE_BYTES_MAX);
        match odd {
            OddCookie::Short(bytes) => query.cookie = Some(own.slice(..bytes)),
            OddCookie::OtherScope => query.scope = Scope::Namespace(pool::namespace(1)),
            OddCookie::BeyondHead => query.cookie = Some(changed(raw.epoch, Seq::MAX)),
            OddCookie::ForeignEpoch => {
                // Its highest bit: the lowest ones tell listings of one log apart.
                let other_life = Epoch::from_bits(raw.epoch.get() ^ (1 << 17));
                query.cookie = Some(changed(other_life, raw.seq));
            }
        }
        let answer = point.discover(now, &query);
        match odd {
            OddCookie::Short(_) => {
                ensure!(
                    matches!(answer, Err(Refusal::Cookie(_))),
                    "short cookie: {answer:?}"
                );
            }
            OddCookie::OtherScope => {
                ensure!(
                    answer == Err(Refusal::CookieScope),
                    "cookie of a scope: {answer:?}"
                );
            }
            OddCookie::BeyondHead | OddCookie::ForeignEpoch => {
                let frame = answer.map_err(|error| Violation(format!("{odd:?}: {error}")))?;
                let shown = decode_ok(&frame)?.entries.len();
                let (dialects, _) = self.dialects(model, None);
                let live = model
                    .held
                    .iter()
                    .filter(|it| it.is_live(now) && it.is_in(&self.scope));
                let count = live.filter(|it| shows(it, dialects)).count();
                ensure!(shown == count, "{odd:?}: {shown} entries of {count}");
            }
        }
        Ok(())
    }
}

/// Whether the last page for this reader has no cookie.
pub(crate) fn is_restarting(reader: &Reader, dialects: DialectSet) -> bool {
    let is_plain = dialects == Dialect::Plain.into();
    reader.paging == Paging::Restarts && reader.accepts.is_empty() && is_plain
}

/// More than an entry and a frame need beside the record.
const SLACK_BYTES: usize = 100;

fn shows(held: &Held, dialects: DialectSet) -> bool {
    held.sample().best_form(dialects).is_some()
}

fn decode_ok(frame: &[u8]) -> Result<DiscoverResponse, Violation> {
    let mut buffer = BytesMut::from(frame);
    let payload = decode_frame(&mut buffer, RESPONSE_BYTES_MAX);
    let Ok(Some(payload)) = payload else {
        return Err(Violation(format!("not one frame: {payload:?}")));
    };
    ensure!(buffer.is_empty(), "{} bytes behind the frame", buffer.len());
    match Response::decode(payload) {
        Ok(Response::Discover(response)) => {
            ensure!(response.status == Status::OK, "status {}", response.status);
            ensure!(response.cookie.is_some(), "no cookie");
            Ok(response)
        }
        other => Err(Violation(format!(
            "not the answer to a DISCOVER: {other:?}"
        ))),
    }
}
