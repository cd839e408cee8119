//! What one connection shows of its peer, to tell which dialect it reads.

use libp2p_identity::PeerId;
use rv_proto::{Dialect, DialectSet, RegisterRequest, Time, UnregisterRequest, classify};

use crate::registry::Reader;
use crate::{Agents, Paging, Rules};

/// The signs that were seen on one connection.
#[derive(Debug)]
pub(super) struct Known {
    has_closed: bool,
    record: Option<Dialect>,
    agent: Option<Dialect>,
    paging: Paging,
    shape: Option<Dialect>,
    wait: Wait,
}

/// The one time that readers of this connection are kept waiting for identify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    NotBegun,
    Until(Time),
    Over,
}

impl Known {
    pub(super) fn new(rules: &Rules) -> Self {
        Self {
            has_closed: false,
            record: None,
            agent: None,
            paging: Paging::default(),
            shape: None,
            wait: if rules.identify_wait.is_zero() {
                Wait::Over
            } else {
                Wait::NotBegun
            },
        }
    }

    pub(super) fn identified(&mut self, agents: &Agents, agent: &str, record: Option<Dialect>) {
        self.agent = agents.dialect(agent);
        self.paging = Paging::of_agent(agent);
        self.record = record;
        self.wait = Wait::Over;
    }

    /// A request that more could have followed was the last of its stream.
    pub(super) fn closed(&mut self) {
        self.has_closed = true;
    }

    /// Whatever becomes of a REGISTER, it shows a dialect. Who sends two can say what it reads.
    pub(super) fn registers(&mut self, request: &RegisterRequest) {
        let record = request
            .record
            .as_deref()
            .filter(|_| request.counterpart.is_none());
        let shown = record.and_then(|record| classify(record).ok());
        self.shape = shown.or(self.shape);
    }

    /// Only go and py name themselves, in a field that was removed.
    pub(super) fn unregisters(&mut self, request: &UnregisterRequest) {
        if request.peer.as_ref().is_some_and(|id| !id.is_empty()) {
            self.shape.get_or_insert(Dialect::Plain);
        }
    }

    /// Only go asks for a subscription without saying what it accepts.
    pub(super) fn subscribes(&mut self) {
        self.shape.get_or_insert(Dialect::Plain);
    }

    pub(super) fn reader(&self, peer: PeerId, accepts: DialectSet, rules: &Rules) -> Reader {
        Reader {
            peer,
            accepts,
            has_closed: self.has_closed,
            record: self.record,
            agent: self.agent,
            paging: self.paging,
            shape: self.shape,
            dialect_default: rules.dialect_default,
        }
    }

    /// Whether a reader might have to wait for identify.
    pub(super) fn may_wait(&self, accepts: DialectSet) -> bool {
        self.wait != Wait::Over && accepts.is_empty() && !self.has_closed
    }

    /// Begins the wait, unless it was begun before. Returns whether it still lasts.
    pub(super) fn waits(&mut self, now: Time, rules: &Rules) -> bool {
        if self.wait == Wait::NotBegun {
            self.wait = Wait::Until(now.saturating_add(rules.identify_wait));
        }
        if self.wait_until().is_some_and(|until| until <= now) {
            self.wait = Wait::Over;
        }
        self.wait != Wait::Over
    }

    /// When the wait is over, if one was begun.
    pub(super) fn wait_until(&self) -> Option<Time> {
        match self.wait {
            Wait::Until(until) => Some(until),
            Wait::NotBegun | Wait::Over => None,
        }
    }
}
