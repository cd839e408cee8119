//! The client of rendezvous points: stays registered, discovers, and survives points that die, lie
//! or speak another dialect.
//!
//! [`Client`] is made of small machines: one for each registration at each point, one for each
//! watched scope at each point, one for each discovery, and what all of them learned of a point.
//! It reads no clock and signs nothing. A shell carries its requests to the points and their
//! answers back.
//!
//! # How a shell drives it
//!
//! 1. Hand in what happened, with the time: `handle_*`, or one of the calls of the application.
//! 2. Call [`Client::poll_output`] until it gives `None`, and carry each output out.
//! 3. Ask [`Client::poll_timeout`] for the next time to call [`Client::handle_timeout`].
//!
//! Each [`Output::Request`] but a [`Wanted::Subscribe`] is answered once, by
//! [`Client::handle_response`] (or [`Client::handle_checked`]), [`Client::handle_written`] or
//! [`Client::handle_failure`]. Answers that come late, twice, or to nothing that was asked are
//! ignored. The client ends requests by itself when they take too long. A subscription stays: the
//! answer to it and each update go to [`Client::handle_pushed`], and it ends with the last of
//! these, with a failure, or with an [`Output::Cancel`].
//!
//! A shell that keeps streams open tries a new one before it says [`Failure::EndOfStream`]: where
//! an old stream ended says nothing about the request.
//!
//! `now` may jump. A step back counts as no time, and so does what passed between it and the call
//! before; a step forward counts as that much time. What nobody can
//! see is a step back after which no call comes before the clock has caught up: a shell whose clock
//! may be set uses a monotonic one.
//!
//! # Rules
//!
//! - A registration is refreshed from the ttl that was *granted*: between 13/16 and 7/8 of it, and
//!   not later than a margin before its deadline. A granted ttl of 0 is a breach of the protocol;
//!   one above 72 h is read as the one that was asked for.
//! - Failures are followed by pauses that double up to a cap. Where a ttl is short, so is the cap.
//! - After an outage, that is when a point answers again that could not be reached or let all that
//!   was out go unanswered, what is registered there is renewed once: it may have been restarted
//!   without its memory. The pauses between such renewals double, up to one of
//!   [`ClientConfig::TTL_SHARES`] of the ttl. A new connection alone is no outage, as idle ones
//!   close and each poll makes another. So a point that restarts without its memory between two
//!   requests is noticed at the next refresh, not before.
//! - A point that cannot be reached is tried by one request at a time, on behalf of all; but a
//!   REGISTER waits for no other that may take longer than itself, nor for any that is none. What
//!   the application asks for tries at once, and so does [`Client::handle_connected`].
//! - A point that dies delays nobody: the machines of others do not know of it, and a discovery
//!   waits for slow points only for a moment after the first is done.
//! - A listing ends at the end of the list, or at a [`Bound`] on its entries, bytes, pages or time:
//!   with a cookie to go on with, which a watch does at its next poll.
//! - While addresses go on changing they are registered ever more seldom, and a point that refused
//!   is asked again after its pause, not sooner because of them.
//! - Records that are signed are verified here. Unsigned ones are taken for what a point says.
//! - Every map is bounded by [`ClientConfig`].

mod addresses;
mod answers;
mod cache;
mod calls;
mod config;
mod dialect;
pub mod dialling;
mod drive;
mod entry;
mod event;
mod failure;
mod listing;
mod lookup;
mod operation;
mod point;
mod push;
mod pushed;
mod registration;
mod status;
mod time;
mod views;
mod wanted;
mod watch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use rv_proto::{Namespace, Response, Scope, Time, Ttl};

pub use cache::{Added, Change, PeerCache};
pub use config::{CacheLimits, ClientConfig, ClientConfigError};
pub use entry::{Checked, Skip, Skipped};
pub use event::{Discovered, Event, GoneReason, Grant, Listed, Output};
pub use failure::{Bound, Breach, Cause, Failure};
pub use pushed::Pushed;
pub use status::{
    DiscoverOptions, Pages, PointStatus, Reach, RegisterOptions, RegistrationStatus, StartError,
    Target, TimeoutReason, WatchStatus,
};
pub use wanted::{OperationId, RequestId, Wanted};

use operation::Operation;
use point::{Point, Work};
use time::{Agenda, Dice, Timeline};

/// The client of any number of points.
///
/// See the [module](self) for how it is driven.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    local: PeerId,
    dice: Dice,
    timeline: Timeline,
    addresses: Arc<[Multiaddr]>,
    moves: addresses::Moves,
    points: BTreeMap<PeerId, Point>,
    /// What is registered at every point, also at those that are added later.
    wishes: BTreeMap<Namespace, Ttl>,
    watched: BTreeSet<Scope>,
    operations: BTreeMap<OperationId, Operation>,
    requests: BTreeMap<RequestId, Pending>,
    /// Subscriptions that are open.
    pushes: BTreeMap<RequestId, push::Open>,
    cache: PeerCache,
    agenda: Agenda,
    outputs: VecDeque<Output>,
    ids: u64,
    is_closed: bool,
}

/// A request that is out.
#[derive(Debug)]
struct Pending {
    point: PeerId,
    work: Work,
    request: Wanted,
}

impl Client {
    /// A client of the peer `local`, without points.
    ///
    /// `seed` spreads this client's requests over time; it should differ from peer to peer.
    ///
    /// # Errors
    ///
    /// If the bounds contradict each other.
    pub fn new(config: ClientConfig, local: PeerId, seed: u64) -> Result<Self, ClientConfigError> {
        config.validate()?;
        Ok(Self {
            cache: PeerCache::new(config.cache),
            config,
            local,
            dice: Dice::new(seed),
            timeline: Timeline::default(),
            addresses: Arc::from([]),
            moves: addresses::Moves::default(),
            points: BTreeMap::new(),
            wishes: BTreeMap::new(),
            watched: BTreeSet::new(),
            operations: BTreeMap::new(),
            requests: BTreeMap::new(),
            pushes: BTreeMap::new(),
            agenda: Agenda::default(),
            outputs: VecDeque::new(),
            ids: 0,
            is_closed: false,
        })
    }

    /// Takes the answer to a request, and verifies the records in it.
    pub fn handle_response(&mut self, now: Time, id: RequestId, response: Response) {
        if let Some(pending) = self.requests.get(&id) {
            if let Wanted::Subscribe { .. } = pending.request {
                return self.handle_pushed(now, id, Pushed::response(response));
            }
            let unwanted = (!self.config.lists_own).then_some(&self.local);
            let checked = Checked::new(unwanted, &pending.request, response);
            self.handle_checked(now, id, checked);
        }
    }

    /// Takes the answer to a request, verified before.
    pub fn handle_checked(&mut self, now: Time, id: RequestId, checked: Checked) {
        let now = self.timeline.enter(now);
        self.answered(now, id, checked.answer);
    }

    /// Takes note that an UNREGISTER is written, which is all that can be known of it.
    ///
    /// A shell that can tell should wait until the point has closed its side too: a request on
    /// another stream might overtake it otherwise.
    pub fn handle_written(&mut self, now: Time, id: RequestId) {
        let is_unregister = self
            .requests
            .get(&id)
            .is_some_and(|pending| matches!(pending.request, Wanted::Unregister { .. }));
        if is_unregister {
            self.handle_checked(now, id, Checked::written());
        }
    }

    /// Takes note that a request has no answer that can be used.
    pub fn handle_failure(&mut self, now: Time, id: RequestId, failure: Failure) {
        let now = self.timeline.enter(now);
        self.failed(now, id, failure);
    }

    /// Takes note of a connection to a point: what waited for one is tried at once. What stands
    /// there is left as it is.
    pub fn handle_connected(&mut self, now: Time, point: PeerId) {
        let now = self.timeline.enter(now);
        if let Some(it) = self.points.get_mut(&point) {
            it.knock(now);
            it.hurry(now, &self.config);
            self.reschedule_all(now, point);
        }
    }

    /// Takes what a point says about itself in identify: it tells which dialect it speaks.
    pub fn handle_identified(&mut self, now: Time, point: PeerId, agent: &str, protocols: &[&str]) {
        let now = self.timeline.enter(now);
        if let Some(it) = self.points.get_mut(&point)
            && it.tongue.identified(agent, protocols)
        {
            for registration in it.registrations.values_mut() {
                registration.extension_announced(now);
            }
            self.reschedule_all(now, point);
        }
    }

    /// Does what is due. It may be called at any time.
    pub fn handle_timeout(&mut self, now: Time) {
        let now = self.timeline.enter(now);
        for task in self.agenda.take_due(now) {
            self.fire(now, task);
        }
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), and why. Any other call may change
    /// it.
    pub fn poll_timeout(&self) -> Option<(Time, TimeoutReason)> {
        let (at, reason) = self.agenda.first()?;
        Some((self.timeline.leave(at), reason))
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    const fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }
}
