//! Which dialect a reader is answered in, and where its listing goes on.

use rv_proto::{Cookie, CookieError, Dialect, Epoch, RawCookie, Seq};

use super::{Query, Registry};
use crate::Refusal;

/// How a DISCOVER is read: the outcome of everything known about the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The dialect of the answer.
    pub dialect: Dialect,
    /// What decided it.
    pub source: Source,
    /// Where the listing goes on: behind this sequence number.
    pub after: Seq,
}

/// What decided a reader's dialect, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The reader's own live registrations.
    Registrations,
    /// The cookie that it brought back.
    Cookie,
    /// Nothing is known: the configured default.
    Default,
}

impl Reading {
    /// What the next cookie says of the dialect: a default is no decision, so it is not carried on.
    pub(super) fn decided(self) -> Option<Dialect> {
        match self.source {
            Source::Registrations | Source::Cookie => Some(self.dialect),
            Source::Default => None,
        }
    }
}

/// Reads the cookie and decides.
///
/// A cookie of ours for another scope is refused, and so is one that is too short to be a cookie.
/// Any other that does not fit (of another epoch, not ours, of another dialect, beyond the head)
/// starts the listing anew: there are clients that keep a refused cookie for ever.
pub(super) fn read(registry: &Registry, query: &Query) -> Result<Reading, Refusal> {
    let cookie = position(registry, query)?;
    let registered = registry.dialect_of_peer(query.reader);
    let remembered = cookie.as_ref().and_then(|cookie| cookie.dialect);
    let (dialect, source) = match (registered, remembered) {
        (Some(dialect), _) => (dialect, Source::Registrations),
        (None, Some(dialect)) => (dialect, Source::Cookie),
        (None, None) => (query.dialect_default, Source::Default),
    };
    let start = Reading {
        dialect,
        source,
        after: Seq::ZERO,
    };
    let after = match cookie {
        Some(cookie) if cookie.dialect == start.decided() => cookie.seq,
        Some(_) | None => Seq::ZERO,
    };
    Ok(Reading { after, ..start })
}

fn position(registry: &Registry, query: &Query) -> Result<Option<Cookie>, Refusal> {
    let Some(bytes) = query.cookie.as_deref().filter(|bytes| !bytes.is_empty()) else {
        return Ok(None);
    };
    let RawCookie {
        dialect,
        epoch,
        seq,
        namespace,
    } = Cookie::decode(bytes).map_err(|error: CookieError| Refusal::Cookie(error))?;
    let ours = cookie_epoch(registry.epoch(), dialect, query.dialect_default);
    if epoch != ours || seq > registry.head() {
        return Ok(None);
    }
    if namespace != query.scope.namespace_bytes() {
        return Err(Refusal::CookieScope);
    }
    Ok(Some(Cookie {
        dialect,
        epoch,
        seq,
        scope: query.scope.clone(),
    }))
}

/// The epoch in a cookie. Positions in a listing of a default dialect mean nothing in another, so a
/// default that the operator changed is another epoch.
pub(super) fn cookie_epoch(epoch: Epoch, decided: Option<Dialect>, default: Dialect) -> Epoch {
    let salt = match (decided, default) {
        (Some(_), _) | (None, Dialect::Legacy) => 0,
        (None, Dialect::Standard) => 1,
        (None, Dialect::Plain) => 2,
    };
    Epoch::from_bits(epoch.get() ^ salt)
}
