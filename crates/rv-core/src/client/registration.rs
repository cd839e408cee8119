//! One registration at one point: made, renewed, moved, tried again, taken out.

mod leaving;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use multiaddr::Multiaddr;
use rv_proto::{Dialect, DialectSet, Namespace, Status, Time, Ttl, TtlError};

use super::dialect::{Tongue, is_about_dialect, stored_seq};
use super::time::{Dice, doubled};
use super::{Breach, Cause, ClientConfig, RequestId, Wanted};

/// The machine of one (point, namespace).
///
/// One request of it is out at a time, apart from a REGISTER that was out when it was told to
/// leave: whatever becomes of that one, an UNREGISTER follows it.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    namespace: Namespace,
    goal: Goal,
    flight: Option<Flight>,
    /// REGISTERs that are still out though nobody wants them.
    orphans: BTreeSet<RequestId>,
    /// An orphan was granted, so it has to be taken out again.
    leave_again: bool,
    held: Option<Held>,
    next_at: Option<Time>,
    attempt: Attempt,
    failures: u32,
    /// Renewals because of outages, one not long after the other.
    renewals: u32,
    seq_above: Option<u64>,
    last_sent_at: Option<Time>,
    last_failure: Option<(Time, Cause)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    Left { attempts: u32 },
    Registered { ttl: Ttl },
}

#[derive(Clone, Debug)]
struct Flight {
    id: RequestId,
    sent_at: Time,
    kind: FlightKind,
}

#[derive(Clone, Debug)]
enum FlightKind {
    Register {
        dialect: Dialect,
        addresses: Arc<[Multiaddr]>,
    },
    Unregister,
}

/// What a point granted.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) ttl: Ttl,
    pub(super) until: Time,
    pub(super) refresh_at: Option<Time>,
    addresses: Arc<[Multiaddr]>,
}

/// One attempt is one or more REGISTERs in quick succession: other dialects, a higher `seq`.
#[derive(Clone, Debug, Default)]
struct Attempt {
    dialect: Option<Dialect>,
    tried: DialectSet,
    first_cause: Option<Cause>,
    stale_retries: u32,
}

/// What the machine needs to know of the world.
pub(super) struct Context<'a> {
    pub(super) now: Time,
    pub(super) config: &'a ClientConfig,
    pub(super) dice: &'a mut Dice,
    pub(super) tongue: &'a mut Tongue,
    pub(super) addresses: &'a Arc<[Multiaddr]>,
    /// Whether the addresses are about to be registered anew anyway.
    pub(super) addresses_unsettled: bool,
}

/// What the machine sends next.
#[derive(Debug)]
pub(super) enum Next {
    NoAddress,
    Nothing,
    Send { request: Wanted, timeout: Duration },
}

/// What an answer came to.
#[derive(Debug)]
pub(super) enum Settled {
    /// Granted, though a later call asked for something else, which follows at once.
    GrantedBefore,
    Granted,
    /// The attempt failed; the next is at [`Registration::next_at`].
    Failed(Cause),
    LeaveFailed(Cause),
    Left,
    /// The attempt goes on.
    Open,
}

/// How the point took a request.
#[derive(Debug)]
pub(super) enum Reply {
    Failed(Cause),
    Granted { ttl_secs: Option<u64> },
    Written,
}

impl Registration {
    pub(super) fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            goal: Goal::Left { attempts: 0 },
            flight: None,
            orphans: BTreeSet::new(),
            leave_again: false,
            held: None,
            next_at: None,
            attempt: Attempt::default(),
            failures: 0,
            renewals: 0,
            seq_above: None,
            last_sent_at: None,
            last_failure: None,
        }
    }

    /// Wants to be registered, from now on and for this long each time.
    pub(super) fn want(&mut self, now: Time, ttl: Ttl) {
        self.goal = Goal::Registered { ttl };
        self.leave_again = false;
        self.attempt = Attempt::default();
        self.failures = 0;
        self.next_at = Some(now);
    }

    /// Tries again sooner what failed because the point could not be reached: it can be after all.
    pub(super) fn hurry(&mut self, now: Time, config: &ClientConfig) {
        let failed_for_the_point = match &self.last_failure {
            Some((_, Cause::Failed(failure))) => failure.is_of_point(),
            Some(_) | None => false,
        };
        if let (true, Some(next_at)) = (failed_for_the_point, self.next_at) {
            let rested_at = self
                .last_sent_at
                .map(|at| at.saturating_add(config.backoff_min));
            self.next_at = Some(next_at.min(rested_at.unwrap_or(now).max(now)));
        }
    }

    /// Registers anew if it is registered at all: the point was away, and may be back without its
    /// memory. The pauses between such renewals double, and one steady time forgets them.
    pub(super) fn point_returned(&mut self, now: Time, config: &ClientConfig) {
        let may_be_lost = self.is_wanted() && self.held.is_some() && self.flight.is_none();
        let (true, Some(next_at)) = (may_be_lost, self.next_at) else {
            return;
        };
        let sent_at = self.last_sent_at.unwrap_or(now);
        let longest = self.pause_cap(config);
        if now.saturating_since(sent_at) >= longest.saturating_mul(2) {
            self.renewals = 0;
        }
        let pause = doubled(config.backoff_min, self.renewals, longest);
        let renew_at = sent_at.saturating_add(pause).max(now);
        if renew_at < next_at {
            self.next_at = Some(renew_at);
            self.renewals = self.renewals.saturating_add(1);
        }
    }

    /// Registers if it waits for an address.
    pub(super) fn address_found(&mut self, now: Time, addresses: &Arc<[Multiaddr]>) {
        let has_waited = matches!(self.last_failure, Some((_, Cause::NoAddress)));
        if self.is_wanted() && has_waited && !addresses.is_empty() && self.flight.is_none() {
            self.next_at = Some(now);
        }
    }

    /// Registers anew if it is registered with other addresses, or waits for some. After a failure
    /// that is left to the next attempt: changes are no way round its pause.
    pub(super) fn addresses_settled(&mut self, now: Time, addresses: &Arc<[Multiaddr]>) {
        self.address_found(now, addresses);
        if !self.is_wanted() || addresses.is_empty() || self.flight.is_some() {
            return;
        }
        let is_resting = self.failures > 0 && self.next_at.is_some();
        let has_moved = |held: &Held| held.addresses != *addresses;
        if !is_resting && self.held.as_ref().is_some_and(has_moved) {
            self.next_at = Some(now);
        }
    }

    /// Registers anew if it is registered at all: the point understands more now.
    pub(super) fn extension_announced(&mut self, now: Time) {
        if self.is_wanted() && self.held.is_some() && self.flight.is_none() {
            self.next_at = Some(now);
        }
    }

    /// When the next request is due; `None` while one is out.
    pub(super) fn due_at(&self) -> Option<Time> {
        if self.flight.is_some() {
            return None;
        }
        self.next_at
    }

    /// Makes the next request, which is then out as `id`.
    pub(super) fn next(&mut self, context: &Context<'_>, id: RequestId) -> Next {
        let Context { now, config, .. } = *context;
        if self.flight.is_some() || self.next_at.is_none_or(|at| at > now) {
            return Next::Nothing;
        }
        self.next_at = None;
        let (kind, request, timeout) = match self.goal {
            Goal::Left { .. } => {
                let namespace = self.namespace.clone();
                let request = Wanted::Unregister { namespace };
                (FlightKind::Unregister, request, config.request_timeout)
            }
            Goal::Registered { .. } if context.addresses.is_empty() => {
                self.last_failure = Some((now, Cause::NoAddress));
                return Next::NoAddress;
            }
            Goal::Registered { ttl } => {
                let tongue = &context.tongue;
                let dialect = self.attempt.dialect.unwrap_or_else(|| tongue.dialect());
                self.attempt.tried.insert(dialect);
                let addresses = Arc::clone(context.addresses);
                let request = Wanted::Register {
                    namespace: self.namespace.clone(),
                    ttl,
                    dialect,
                    counterpart: tongue.counterpart(),
                    seq_above: self.seq_above,
                    addresses: Arc::clone(&addresses),
                };
                let timeout = self.register_timeout(config, ttl);
                (
                    FlightKind::Register { dialect, addresses },
                    request,
                    timeout,
                )
            }
        };
        self.flight = Some(Flight {
            id,
            sent_at: now,
            kind,
        });
        self.last_sent_at = Some(now);
        Next::Send { request, timeout }
    }

    /// Takes what became of a request.
    pub(super) fn settle(
        &mut self,
        context: &mut Context<'_>,
        id: RequestId,
        reply: Reply,
    ) -> Settled {
        if self.orphans.remove(&id) {
            return self.settle_orphan(context.now, &reply);
        }
        let Some(flight) = self.flight.take_if(|flight| flight.id == id) else {
            return Settled::Open;
        };
        match (flight.kind, reply) {
            (FlightKind::Register { dialect, addresses }, Reply::Granted { ttl_secs }) => {
                match self.read_ttl(ttl_secs) {
                    Ok(ttl) => {
                        context.tongue.granted(dialect);
                        let is_asked_anew = self.next_at.is_some();
                        self.hold(context, flight.sent_at, ttl, addresses);
                        if is_asked_anew {
                            Settled::GrantedBefore
                        } else {
                            Settled::Granted
                        }
                    }
                    Err(cause) => self.attempt_failed(context, cause),
                }
            }
            (FlightKind::Register { .. }, Reply::Failed(cause)) => {
                self.attempt_failed(context, cause)
            }
            (FlightKind::Register { .. }, Reply::Written) => {
                self.attempt_failed(context, Breach::WrongResponse.into())
            }
            (FlightKind::Unregister, Reply::Written | Reply::Granted { .. }) => {
                self.written(context.now)
            }
            (FlightKind::Unregister, Reply::Failed(cause)) => self.leave_failed(context, cause),
        }
    }

    /// Whether the deadline is past; it is not registered any more then, and without refresh
    /// not wanted any more.
    pub(super) fn lapse(&mut self, now: Time) -> bool {
        let Some(held) = self.held.take_if(|held| held.until <= now) else {
            return false;
        };
        if held.refresh_at.is_none() && self.flight.is_none() && self.next_at.is_none() {
            let attempts = ClientConfig::UNREGISTER_ATTEMPTS_MAX;
            self.goal = Goal::Left { attempts };
        }
        true
    }

    pub(super) const fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    pub(super) const fn last_failure(&self) -> Option<&(Time, Cause)> {
        self.last_failure.as_ref()
    }

    pub(super) const fn is_wanted(&self) -> bool {
        matches!(self.goal, Goal::Registered { .. })
    }

    /// Whether there is nothing left to do, so that it can be forgotten.
    pub(super) fn is_over(&self) -> bool {
        !self.is_wanted()
            && self.flight.is_none()
            && self.orphans.is_empty()
            && self.next_at.is_none()
    }

    /// The longest pause after a failure that may pass by itself.
    pub(super) fn pause_cap(&self, config: &ClientConfig) -> Duration {
        match self.goal {
            Goal::Left { .. } => config.backoff_max,
            Goal::Registered { ttl } => {
                let share = self.life(ttl).as_duration() / ClientConfig::TTL_SHARES;
                share.clamp(config.backoff_min, config.backoff_max)
            }
        }
    }

    /// How long its next REGISTER is waited for; `None` if none follows.
    pub(super) fn patience(&self, config: &ClientConfig) -> Option<Duration> {
        match self.goal {
            Goal::Left { .. } => None,
            Goal::Registered { ttl } => Some(self.register_timeout(config, ttl)),
        }
    }

    fn register_timeout(&self, config: &ClientConfig, asked: Ttl) -> Duration {
        let share = self.life(asked).as_duration() / ClientConfig::TTL_SHARES;
        let least = config.request_timeout_min;
        share.clamp(least, config.request_timeout.max(least))
    }

    /// How long the registration lasts at the point, in the worst case: where a shorter ttl is
    /// asked for than was granted, a REGISTER whose answer was lost may have cut it.
    fn life(&self, asked: Ttl) -> Ttl {
        self.held.as_ref().map_or(asked, |held| held.ttl.min(asked))
    }

    /// A ttl above what the protocol allows is a number without meaning: what was asked for is
    /// taken instead, so that the refresh rather comes too early. proto3 leaves out no ttl but 0,
    /// and no known point grants that, so an absent one is taken in the same way.
    fn read_ttl(&self, ttl_secs: Option<u64>) -> Result<Ttl, Cause> {
        let asked = match self.goal {
            Goal::Registered { ttl } => ttl,
            Goal::Left { .. } => ClientConfig::TTL_DEFAULT,
        };
        match ttl_secs.map(Ttl::from_secs) {
            Some(Ok(ttl)) => Ok(ttl),
            Some(Err(TtlError::Zero)) => Err(Breach::TtlZero.into()),
            Some(Err(TtlError::TooLong { .. })) | None => Ok(asked),
        }
    }

    fn hold(
        &mut self,
        context: &mut Context<'_>,
        sent_at: Time,
        ttl: Ttl,
        addresses: Arc<[Multiaddr]>,
    ) {
        let config = context.config;
        let pause = refresh_after(config, context.dice, ttl);
        let refresh_at = config.refresh.then(|| sent_at.saturating_add(pause));
        let is_outdated = addresses != *context.addresses && !context.addresses_unsettled;
        self.held = Some(Held {
            ttl,
            until: sent_at.saturating_add(ttl.as_duration()),
            refresh_at,
            addresses,
        });
        self.attempt = Attempt::default();
        self.failures = 0;
        self.last_failure = None;
        // What was asked for while the request was out is kept.
        let asked_at = self.next_at;
        self.next_at = match (is_outdated, asked_at) {
            (true, _) => Some(context.now),
            (false, Some(at)) => Some(at),
            (false, None) => refresh_at,
        };
    }

    fn attempt_failed(&mut self, context: &mut Context<'_>, cause: Cause) -> Settled {
        let Context { now, config, .. } = *context;
        if self.next_at.is_some() {
            // A later call asked for something else, which follows at once.
            self.attempt = Attempt::default();
            return Settled::Open;
        }
        if let Some(stored) = stored_seq(&cause)
            && stored <= ClientConfig::SEQ_STORED_MAX
            && self.attempt.stale_retries < ClientConfig::STALE_RETRIES_MAX
        {
            self.attempt.stale_retries += 1;
            self.seq_above = self.seq_above.max(Some(stored));
            self.next_at = Some(now);
            return Settled::Open;
        }
        let is_about_seq = stored_seq(&cause).is_some();
        if !is_about_seq
            && let Some(dialect) = context.tongue.alternative(&cause, self.attempt.tried)
        {
            self.attempt.dialect = Some(dialect);
            self.attempt.first_cause.get_or_insert(cause);
            self.next_at = Some(now);
            return Settled::Open;
        }
        let attempt = std::mem::take(&mut self.attempt);
        if !is_about_seq {
            context.tongue.failed(&cause);
        }
        // What another dialect than the right one was refused with says nothing.
        let cause = match attempt.first_cause {
            Some(first) if is_about_dialect(&cause) => first,
            Some(_) | None => cause,
        };
        self.failures = self.failures.saturating_add(1);
        let cap = match &cause {
            Cause::Refused(Status::INTERNAL_ERROR | Status::UNAVAILABLE, _) | Cause::Failed(_) => {
                self.pause_cap(config)
            }
            Cause::Refused(..)
            | Cause::Bound(_)
            | Cause::Closed
            | Cause::NoAddress
            | Cause::Withdrawn => config.backoff_max,
        };
        let pause = context.dice.pause(config.backoff_min, self.failures, cap);
        self.next_at = Some(now.saturating_add(pause));
        self.last_failure = Some((now, cause.clone()));
        Settled::Failed(cause)
    }
}

/// Between 13/16 and 7/8 of the ttl, so that peers which registered together do not all come back
/// together; the margin before the deadline in any case.
fn refresh_after(config: &ClientConfig, dice: &mut Dice, ttl: Ttl) -> Duration {
    let whole = ttl.as_duration();
    let drawn = whole * 7 / 8 - dice.up_to(whole / 16);
    let latest = whole - config.refresh_margin.min(whole / 4);
    // A ttl near 1 s cannot be kept up without a request after the other.
    drawn.min(latest).max(config.backoff_min)
}
