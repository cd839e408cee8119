//! What is known of a reader, apart from what it registered.

use libp2p_identity::PeerId;
use rv_proto::{Dialect, DialectSet};

use crate::{Paging, Rules};

/// Who asks, and every sign of the dialect that it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Who asks: its registrations are a sign too.
    pub peer: PeerId,
    /// The dialects that it says it parses: it is a reader of the extension. Empty if it did not
    /// say.
    pub accepts: DialectSet,
    /// Whether it closed a stream for writing right behind its request, as rust's clients alone do.
    pub has_closed: bool,
    /// The dialect of the signed record that it sent in identify.
    pub record: Option<Dialect>,
    /// The dialect of programs with its agent.
    pub agent: Option<Dialect>,
    /// How programs with its agent page.
    pub paging: Paging,
    /// The dialect of those that make such requests as it made on this connection.
    pub shape: Option<Dialect>,
    /// The dialect if nothing else tells it.
    pub dialect_default: Dialect,
}

/// What decided a reader's dialect, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The reader said what it accepts.
    Accepts,
    /// The reader's own live registrations.
    Registrations,
    /// It closed the stream for writing right behind its request.
    Closed,
    /// The record that it sent in identify.
    Record,
    /// The agent that it named in identify.
    Agent,
    /// The cookie that it brought back.
    Cookie,
    /// The shape of its requests.
    Shape,
    /// Nothing is known: the configured default.
    Default,
}

impl Source {
    /// All of them, the strongest first.
    pub const ALL: [Self; 8] = [
        Self::Accepts,
        Self::Registrations,
        Self::Closed,
        Self::Record,
        Self::Agent,
        Self::Cookie,
        Self::Shape,
        Self::Default,
    ];

    /// The name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepts => "accepts",
            Self::Registrations => "registrations",
            Self::Closed => "closed",
            Self::Record => "record",
            Self::Agent => "agent",
            Self::Cookie => "cookie",
            Self::Shape => "shape",
            Self::Default => "default",
        }
    }

    /// Whether it is so weak that it is worth to wait for what identify says.
    pub(crate) const fn is_guess(self) -> bool {
        matches!(self, Self::Shape | Self::Default)
    }

    /// Whether the next cookie names the dialect. What is said or seen with each request need not
    /// be remembered, and a guess must not be.
    pub(super) const fn is_remembered(self) -> bool {
        match self {
            Self::Registrations | Self::Record | Self::Agent | Self::Cookie => true,
            Self::Accepts | Self::Closed | Self::Shape | Self::Default => false,
        }
    }
}

impl Reader {
    /// A reader of whom nothing is known.
    pub fn unknown(peer: PeerId, dialect_default: Dialect) -> Self {
        Self {
            peer,
            accepts: DialectSet::EMPTY,
            has_closed: false,
            record: None,
            agent: None,
            paging: Paging::default(),
            shape: None,
            dialect_default,
        }
    }

    /// The most bytes of a page for it.
    ///
    /// One who takes a page that is shorter than it asked for as the last one gets longer pages, so
    /// that a full page is full by count.
    pub(crate) fn page_bytes_max(&self, rules: &Rules) -> usize {
        match self.paging {
            Paging::Resumes => rules.page_bytes_max,
            Paging::Restarts => rules.page_bytes_max.saturating_mul(Rules::LONG_PAGE_FACTOR),
        }
    }

    /// What decides, strongest first. `registered` is the dialect of its registrations,
    /// `remembered` that of its cookie.
    ///
    /// A legacy record in identify is rust's, whatever the agent. A standard one may also come from
    /// go, whose rendezvous client reads plain records all the same, so the agent is asked first.
    pub(super) fn decide(
        &self,
        registered: Option<Dialect>,
        remembered: Option<Dialect>,
    ) -> (Dialect, Source) {
        let closed = self.has_closed.then_some(Dialect::Legacy);
        let legacy_record = self.record.filter(|dialect| *dialect == Dialect::Legacy);
        let signs = [
            (registered, Source::Registrations),
            (closed, Source::Closed),
            (legacy_record, Source::Record),
            (self.agent, Source::Agent),
            (self.record, Source::Record),
            (remembered, Source::Cookie),
            (self.shape, Source::Shape),
        ];
        let mut told = signs.into_iter();
        let found = told.find_map(|(dialect, source)| Some((dialect?, source)));
        found.unwrap_or((self.dialect_default, Source::Default))
    }
}
