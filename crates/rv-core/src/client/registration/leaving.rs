//! How a registration is taken out, whatever is still under way.

use rv_proto::Time;

use super::{Context, FlightKind, Goal, Registration, Reply, Settled};
use crate::client::{Cause, ClientConfig, Failure};

impl Registration {
    /// Wants to be out.
    pub(in crate::client) fn leave(&mut self, now: Time) {
        self.goal = Goal::Left { attempts: 0 };
        self.held = None;
        self.failures = 0;
        self.last_failure = None;
        match self.flight.as_ref().map(|flight| (flight.id, &flight.kind)) {
            Some((id, FlightKind::Register { .. })) => {
                self.orphans.insert(id);
                self.flight = None;
                self.next_at = Some(now);
            }
            Some((_, FlightKind::Unregister)) => self.next_at = None,
            None => self.next_at = Some(now),
        }
    }

    /// The point could not be asked, because it cannot be reached.
    pub(in crate::client) fn blocked(&mut self, failure: &Failure) -> Settled {
        let Goal::Left { attempts } = &mut self.goal else {
            return Settled::Open;
        };
        *attempts += 1;
        if *attempts >= ClientConfig::UNREGISTER_ATTEMPTS_MAX {
            self.next_at = None;
        }
        Settled::LeaveFailed(failure.clone().into())
    }

    pub(super) fn written(&mut self, now: Time) -> Settled {
        if self.is_wanted() {
            return Settled::Open;
        }
        if self.leave_again {
            self.leave_again = false;
            self.next_at = Some(now);
        }
        self.settle_left()
    }

    pub(super) fn leave_failed(&mut self, context: &mut Context<'_>, cause: Cause) -> Settled {
        let Goal::Left { attempts } = &mut self.goal else {
            return Settled::Open;
        };
        *attempts += 1;
        self.leave_again = false;
        let (attempts, config) = (*attempts, context.config);
        if attempts < ClientConfig::UNREGISTER_ATTEMPTS_MAX {
            let pause = context
                .dice
                .pause(config.backoff_min, attempts, config.backoff_max);
            self.next_at = Some(context.now.saturating_add(pause));
        }
        self.last_failure = Some((context.now, cause.clone()));
        Settled::LeaveFailed(cause)
    }

    pub(super) fn settle_orphan(&mut self, now: Time, reply: &Reply) -> Settled {
        if self.is_wanted() {
            return Settled::Open;
        }
        if may_have_registered(reply) {
            match &self.flight {
                Some(_) => self.leave_again = true,
                None => self.next_at = Some(self.next_at.map_or(now, |at| at.min(now))),
            }
        }
        self.settle_left()
    }

    fn settle_left(&self) -> Settled {
        if self.is_over() {
            Settled::Left
        } else {
            Settled::Open
        }
    }
}

fn may_have_registered(reply: &Reply) -> bool {
    match reply {
        Reply::Granted { .. } | Reply::Written => true,
        Reply::Failed(Cause::Failed(failure)) => match failure {
            Failure::Broken(_)
            | Failure::ConnectionLost
            | Failure::EndOfStream
            | Failure::TimedOut => true,
            Failure::Unreachable | Failure::Unsigned | Failure::Unsupported => false,
        },
        Reply::Failed(
            Cause::Bound(_)
            | Cause::Closed
            | Cause::NoAddress
            | Cause::Refused(..)
            | Cause::Withdrawn,
        ) => false,
    }
}
