//! Which dialect a reader is answered in, and where its listing goes on.

use rv_proto::{Cookie, CookieError, Dialect, DialectSet, Epoch, RawCookie, Seq};

use super::{Query, Registry};
use crate::Refusal;

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

/// What decided a reader's dialect, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The reader said what it accepts.
    Accepts,
    /// The reader's own live registrations.
    Registrations,
    /// The cookie that it brought back.
    Cookie,
    /// Nothing is known: the configured default.
    Default,
}

impl Reading {
    fn new(dialects: impl Into<DialectSet>, source: Source) -> Self {
        Self {
            dialects: dialects.into(),
            source,
            after: Seq::ZERO,
        }
    }

    /// Whether entries say what was verified, which only readers of the extension understand.
    pub(super) fn is_marked(self) -> bool {
        self.source == Source::Accepts
    }

    /// What the next cookie says of the dialect: a default is no decision, so it is not carried on.
    /// What a reader accepts, it says with each request.
    pub(super) fn decided(self) -> Option<Dialect> {
        match self.source {
            Source::Registrations | Source::Cookie => self.dialects.iter().next(),
            Source::Accepts | Source::Default => None,
        }
    }

    /// The epoch in a cookie of this reading.
    ///
    /// A position in a listing of some dialects means nothing in one of others. Where the cookie
    /// does not name the dialect, its epoch depends on it instead.
    pub(super) fn cookie_epoch(self, epoch: Epoch) -> Epoch {
        const OF_ACCEPTED: u32 = 8;
        let salt = match self.source {
            Source::Accepts => OF_ACCEPTED | u32::from(self.dialects.to_bits()),
            Source::Registrations | Source::Cookie => 0,
            Source::Default => {
                let dialect = self.dialects.iter().next();
                dialect.map_or(0, |dialect| dialect.index() as u32)
            }
        };
        Epoch::from_bits(epoch.get() ^ salt)
    }
}

/// Reads the cookie and decides.
///
/// A cookie of ours for another scope is refused, and so is one that is too short to be a cookie.
/// Any other that does not fit (of another epoch, not ours, of other dialects, beyond the head)
/// starts the listing anew: there are clients that keep a refused cookie for ever.
pub(super) fn read(registry: &Registry, query: &Query) -> Result<Reading, Refusal> {
    let undecided = if query.accepts.is_empty() {
        Reading::new(query.dialect_default, Source::Default)
    } else {
        Reading::new(query.accepts, Source::Accepts)
    };
    let cookie = position(registry, query, undecided)?;
    let remembered = cookie.and_then(|cookie| cookie.dialect);
    let reading = if undecided.source == Source::Accepts {
        undecided
    } else if let Some(dialect) = registry.dialect_of_peer(query.reader) {
        Reading::new(dialect, Source::Registrations)
    } else if let Some(dialect) = remembered {
        Reading::new(dialect, Source::Cookie)
    } else {
        undecided
    };
    let after = match cookie {
        Some(cookie) if cookie.dialect == reading.decided() => cookie.seq,
        Some(_) | None => Seq::ZERO,
    };
    Ok(Reading { after, ..reading })
}

/// The cookie, if it is a position in this log and, unless it names its dialect, in a listing for
/// such a reader.
fn position<'a>(
    registry: &Registry,
    query: &'a Query,
    undecided: Reading,
) -> Result<Option<RawCookie<'a>>, Refusal> {
    let Some(bytes) = query.cookie.as_deref().filter(|bytes| !bytes.is_empty()) else {
        return Ok(None);
    };
    let cookie = Cookie::decode(bytes).map_err(|error: CookieError| Refusal::Cookie(error))?;
    let ours = match cookie.dialect {
        Some(_) => registry.epoch(),
        None => undecided.cookie_epoch(registry.epoch()),
    };
    if cookie.epoch != ours || cookie.seq > registry.head() {
        return Ok(None);
    }
    if cookie.namespace != query.scope.namespace_bytes() {
        return Err(Refusal::CookieScope);
    }
    Ok(Some(cookie))
}
