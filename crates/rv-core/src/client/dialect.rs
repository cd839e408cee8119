//! Which dialect a point is registered at in, learned from what it says.

use rv_proto::{Dialect, DialectSet, EXTENSION_PROTOCOL, Status};

use super::{Cause, Failure};
use crate::Agents;

/// What is known of one point's dialect.
///
/// An announced extension decides. Else it is what was granted before, else what the agent's name
/// hints at, else standard; and when that is refused in a way that means the wrong dialect, the
/// one that such points speak. What was granted before is given up only when it fails twice in a
/// row, so that one odd answer changes nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Tongue {
    announced: bool,
    hint: Option<Dialect>,
    learned: Option<Dialect>,
    doubts: u32,
}

/// Protocols that only one implementation speaks, with what it registers.
const PROTOCOLS: [(&str, Dialect); 2] = [
    ("/rendezvous/sync/inmem/", Dialect::Plain),
    ("/canvas/rendezvous/", Dialect::Standard),
];

impl Tongue {
    /// Takes what identify says. Returns whether the extension is announced now and was not
    /// before.
    pub(super) fn identified(&mut self, agent: &str, protocols: &[&str]) -> bool {
        let was_announced = self.announced;
        self.announced = protocols.contains(&EXTENSION_PROTOCOL);
        let by_protocol = PROTOCOLS
            .iter()
            .find(|(prefix, _)| protocols.iter().any(|name| name.starts_with(prefix)));
        let by_protocol = by_protocol.map(|(_, dialect)| *dialect);
        let hint = by_protocol.or_else(|| Agents::default().named(agent));
        // Another implementation runs there now: what the one before granted says nothing.
        if let (Some(before), Some(now)) = (self.hint, hint)
            && before != now
        {
            self.learned = None;
        }
        self.hint = hint.or(self.hint);
        self.announced && !was_announced
    }

    pub(super) const fn has_extension(&self) -> bool {
        self.announced
    }

    /// What an attempt starts with.
    pub(super) fn dialect(&self) -> Dialect {
        if self.announced {
            return Dialect::Standard;
        }
        self.learned.or(self.hint).unwrap_or(Dialect::Standard)
    }

    /// The second dialect of the same record.
    pub(super) fn counterpart(&self) -> Option<Dialect> {
        self.announced.then_some(Dialect::Legacy)
    }

    /// What to try after `cause`, if that may mean the wrong dialect and it was not tried yet.
    pub(super) fn alternative(&self, cause: &Cause, tried: DialectSet) -> Option<Dialect> {
        if self.announced || (self.learned.is_some() && self.doubts == 0) {
            return None;
        }
        let is_untried = |dialect: &Dialect| !tried.contains(*dialect);
        suggested(cause).iter().copied().find(is_untried)
    }

    pub(super) fn granted(&mut self, dialect: Dialect) {
        self.learned = Some(dialect);
        self.doubts = 0;
    }

    /// An attempt failed for good. Only what may mean the wrong dialect is a reason to doubt.
    pub(super) fn failed(&mut self, cause: &Cause) {
        if is_about_dialect(cause) {
            self.doubts = self.doubts.saturating_add(1);
        }
    }
}

/// Whether the cause may mean the wrong dialect.
pub(super) const fn is_about_dialect(cause: &Cause) -> bool {
    !suggested(cause).is_empty()
}

/// What to try next, the likeliest first. go answers an envelope with 101 and py with 200; a point
/// that wants an envelope answers a plain record with 101; rust closes the stream on all but its
/// own.
const fn suggested(cause: &Cause) -> &'static [Dialect] {
    match cause {
        Cause::Refused(Status::INVALID_SIGNED_PEER_RECORD, _) => {
            &[Dialect::Plain, Dialect::Standard]
        }
        Cause::Refused(Status::NOT_AUTHORIZED, _) => &[Dialect::Plain],
        Cause::Failed(Failure::EndOfStream) => &[Dialect::Legacy],
        Cause::Refused(..)
        | Cause::Failed(_)
        | Cause::Bound(_)
        | Cause::Closed
        | Cause::NoAddress
        | Cause::Withdrawn => &[],
    }
}

/// The stored `seq` that the text of a refused record names.
pub(super) fn stored_seq(cause: &Cause) -> Option<u64> {
    let Cause::Refused(Status::INVALID_SIGNED_PEER_RECORD, text) = cause else {
        return None;
    };
    let (_, rest) = text.split_once("stored seq ")?;
    let end = rest.find(|it: char| !it.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().ok()
}
