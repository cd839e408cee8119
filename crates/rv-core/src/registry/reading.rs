//! Which dialect a reader is answered in, and where its listing goes on.

use rv_proto::{Cookie, CookieError, Dialect, DialectSet, Epoch, RawCookie, Seq};

use super::{Query, Registry, Source};
use crate::{Paging, Refusal};

/// How a DISCOVER is read: the outcome of everything known about the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The dialects of the answer: one, unless the reader said itself what it accepts.
    pub dialects: DialectSet,
    /// What decided it.
    pub source: Source,
    /// Where the listing goes on: behind this sequence number.
    pub after: Seq,
}

impl Registry {
    /// How `query` is read, without answering it.
    ///
    /// A cookie of ours for another scope is refused, and so is one that is too short to be a
    /// cookie. Any other that does not fit (of another epoch, not ours, of a listing in other
    /// dialects, beyond the head) starts the listing anew: there are clients that keep a refused
    /// cookie for ever.
    ///
    /// # Errors
    ///
    /// [`Refusal::Cookie`] and [`Refusal::CookieScope`].
    pub fn reading(&self, query: &Query) -> Result<Reading, Refusal> {
        let cookie = self.position(query)?;
        let reader = &query.reader;
        let (dialects, source) = if reader.accepts.is_empty() {
            let remembered = cookie.and_then(|(cookie, _)| cookie.dialect);
            let (dialect, source) = reader.decide(self.dialect_of_peer(reader.peer), remembered);
            (dialect.into(), source)
        } else {
            (reader.accepts, Source::Accepts)
        };
        let reading = Reading {
            dialects,
            source,
            after: Seq::ZERO,
        };
        let after = match cookie {
            Some((cookie, listing)) if listing.lists_as(reading.listing()) => cookie.seq,
            Some(_) | None => Seq::ZERO,
        };
        Ok(Reading { after, ..reading })
    }

    /// Where a subscription goes on: the position of a cookie that an earlier one gave, to a reader
    /// who accepted the same. `None` begins anew.
    ///
    /// The cookie of a DISCOVER does not do: who left while its pages were read may be in them.
    pub(crate) fn resumption(&self, query: &Query) -> Result<Option<Seq>, Refusal> {
        let wanted = Listing::live(query.reader.accepts);
        let cookie = self.position(query)?;
        let told = cookie.filter(|(_, listing)| *listing == wanted);
        Ok(told.map(|(cookie, _)| cookie.seq))
    }

    /// The cookie and the listing that it is a position of, if it is one of this log.
    fn position<'a>(&self, query: &'a Query) -> Result<Option<(RawCookie<'a>, Listing)>, Refusal> {
        let Some(bytes) = query.cookie.as_deref().filter(|bytes| !bytes.is_empty()) else {
            return Ok(None);
        };
        let cookie = Cookie::decode(bytes).map_err(|error: CookieError| Refusal::Cookie(error))?;
        let salt = cookie.epoch.get() ^ self.epoch.get();
        let Some(listing) = Listing::of_cookie(cookie.dialect, salt) else {
            return Ok(None);
        };
        if cookie.seq > self.head {
            return Ok(None);
        }
        if cookie.namespace != query.scope.namespace_bytes() {
            return Err(Refusal::CookieScope);
        }
        Ok(Some((cookie, listing)))
    }
}

impl Reading {
    /// Whether identify could make another answer of it: what was decided is a guess, or go and py
    /// are still to be told apart.
    pub(crate) fn hangs_on_identify(self) -> bool {
        self.source.is_guess() || self.dialects == Dialect::Plain.into()
    }

    /// Whether the end of the listing has no cookie: a reader of signed records would drop it, and
    /// who says what it accepts knows better.
    pub(super) fn restarts(self, paging: Paging) -> bool {
        paging == Paging::Restarts && !self.is_marked() && self.dialects == Dialect::Plain.into()
    }

    /// Whether entries say what was verified, which only readers of the extension understand.
    pub(super) fn is_marked(self) -> bool {
        self.source == Source::Accepts
    }

    /// What the next cookie says of the dialect, and the epoch that is in it.
    pub(super) fn cookie_head(self, epoch: Epoch) -> (Option<Dialect>, Epoch) {
        let dialect = self.dialects.iter().next();
        let dialect = dialect.filter(|_| self.source.is_remembered());
        let salt = match dialect {
            Some(_) => 0,
            None => self.listing().salt(),
        };
        (dialect, Epoch::from_bits(epoch.get() ^ salt))
    }

    fn listing(self) -> Listing {
        Listing {
            dialects: self.dialects,
            is_marked: self.is_marked(),
            is_live: false,
        }
    }
}

/// What a position is a position in: behind it, a listing in other dialects would skip entries.
///
/// A cookie that does not name the dialect has it in the lowest bits of its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listing {
    dialects: DialectSet,
    is_marked: bool,
    /// Whether who left was told as well.
    is_live: bool,
}

/// The epoch in the cookies of a subscription.
pub(crate) fn live_epoch(epoch: Epoch, accepts: DialectSet) -> Epoch {
    Epoch::from_bits(epoch.get() ^ Listing::live(accepts).salt())
}

impl Listing {
    const MARKED: u32 = 8;
    const LIVE: u32 = 16;

    fn of_cookie(named: Option<Dialect>, salt: u32) -> Option<Self> {
        if let Some(dialect) = named {
            return (salt == 0).then_some(Self::of_one(dialect));
        }
        let unnamed = Dialect::ALL.map(Self::of_one).into_iter();
        let marked = (1..=DialectSet::ALL.to_bits()).map(|bits| Self {
            dialects: DialectSet::from_bits(bits),
            is_marked: true,
            is_live: false,
        });
        let live =
            (1..=DialectSet::ALL.to_bits()).map(|bits| Self::live(DialectSet::from_bits(bits)));
        unnamed
            .chain(marked)
            .chain(live)
            .find(|listing| listing.salt() == salt)
    }

    fn of_one(dialect: Dialect) -> Self {
        Self {
            dialects: dialect.into(),
            is_marked: false,
            is_live: false,
        }
    }

    fn live(accepts: DialectSet) -> Self {
        Self {
            dialects: accepts,
            is_marked: true,
            is_live: true,
        }
    }

    /// Whether a position in this listing is one in `other`, as far as who is there goes.
    fn lists_as(self, other: Self) -> bool {
        (self.dialects, self.is_marked) == (other.dialects, other.is_marked)
    }

    fn salt(self) -> u32 {
        let bits = u32::from(self.dialects.to_bits());
        if self.is_live {
            Self::LIVE | Self::MARKED | bits
        } else if self.is_marked {
            Self::MARKED | bits
        } else {
            // One dialect alone, by its index: the bits are 1, 2 or 4.
            bits >> 1
        }
    }
}
