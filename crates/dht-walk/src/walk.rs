//! All machines together.
//!
//! One pass over what is due follows each input: `advance` runs out requests whose time is up, then
//! spends the budget on what can wait least. Whatever cannot be done now leaves a time to wake up
//! at, with its reason.

mod answers;
mod entries;
mod forecast;
mod lookups;
mod rounds;
mod suspects;
mod tend;
mod views;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::admit::Admit;
use crate::budget::{Budget, Priority};
use crate::config::{Config, ConfigError};
use crate::explore::Explore;
use crate::key::Cpl;
use crate::outage::Outage;
use crate::output::{Event, LookupId, Output, RequestId, TimeoutReason};
use crate::peer::{Contact, Peer};
use crate::probe::Probe;
use crate::refusal::Refusals;
use crate::reseed::Reseed;
use crate::rng::{Rng, Seed};
use crate::size::Size;
use crate::table::Table;
use crate::target::{Target, Targets};
use crate::time::Time;

pub use forecast::SweepForecast;
pub use lookups::Found;
pub use rounds::Busy;
pub use views::Counters;

/// Keeps a routing table full of live peers.
///
/// Tell it what comes in with the `handle_*` methods, in any order. After each, take what is to be
/// done from [`poll_output`](Self::poll_output) until there is nothing, and arrange for
/// [`handle_timeout`](Self::handle_timeout) at [`poll_timeout`](Self::poll_timeout), which may have
/// changed. Waking it early does no harm.
///
/// The walk has a table of its own, which a node without another one may answer from. `Insert` and
/// `Evict` keep the host's table the same.
#[derive(Debug)]
pub struct Walk {
    config: Config,
    local: Peer,
    targets: Targets,
    is_running: bool,
    now: Time,

    table: Table,
    admit: Admit,
    budget: Budget,
    explore: Explore,
    outage: Outage,
    probe: Probe,
    reseed: Reseed,
    size: Size,

    requests: BTreeMap<RequestId, Request>,
    connected: BTreeSet<Peer>,
    /// Seeds that wait to be asked.
    seeds: VecDeque<Contact>,
    /// What checks ask for, by bucket, and for how many checks more.
    check_targets: Vec<Option<(Target, usize)>>,
    round: Option<Box<rounds::Round>>,
    waiting: VecDeque<rounds::Planned>,
    lookups: BTreeMap<LookupId, lookups::Running>,
    lookup_costs: forecast::LookupCosts,
    ids: u64,

    outputs: VecDeque<Output>,
    wake: Option<(Time, TimeoutReason)>,
    refusals: Refusals,
    counters: Counters,
}

/// A FIND_NODE without an answer yet.
#[derive(Clone, Debug)]
struct Request {
    contact: Contact,
    sent_at: Time,
    what_for: WhatFor,
    /// The head of the target's position.
    target: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhatFor {
    /// Whether an entry is alive.
    Check,
    Lookup(LookupId),
    /// Whether a candidate is, or a seed.
    Verify,
}

impl Walk {
    /// Outputs that wait to be polled, above which nothing new is begun. A host polls all of them
    /// after each input; one that does not must not fill the memory.
    pub const OUTPUTS_MAX: usize = 1_024;

    /// Connected peers that are remembered. Others count as a dial.
    pub const CONNECTED_MAX: usize = 4_096;

    /// A walk around `local`.
    ///
    /// # Errors
    ///
    /// When the bounds make no sense.
    pub fn new(now: Time, config: Config, local: Peer, seed: Seed) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            targets: Targets::from_rng(Rng::new(seed)),
            is_running: true,
            now,
            table: Table::new(local.clone(), config.bucket_size),
            admit: Admit::new(config.admission),
            budget: Budget::new(now, &config.budget),
            explore: Explore::new(now, config.refresh),
            outage: Outage::new(now, &config.checks),
            probe: Probe::new(config.checks),
            reseed: Reseed::new(),
            size: Size::default(),
            requests: BTreeMap::new(),
            connected: BTreeSet::new(),
            seeds: VecDeque::new(),
            check_targets: Vec::new(),
            round: None,
            waiting: VecDeque::new(),
            lookups: BTreeMap::new(),
            lookup_costs: forecast::LookupCosts::default(),
            ids: 0,
            outputs: VecDeque::new(),
            wake: Some((now, TimeoutReason::Refresh)),
            refusals: Refusals::default(),
            counters: Counters::default(),
            config,
            local,
        })
    }

    /// Works again after [`stop`](Self::stop).
    pub fn start(&mut self, now: Time) {
        let now = self.enter(now);
        self.is_running = true;
        self.advance(now);
    }

    /// Ends what runs, at once; rounds are reported with what they found. The table stays.
    pub fn stop(&mut self, now: Time) {
        let now = self.enter(now);
        self.is_running = false;
        self.stop_rounds(now);
        self.cancel_requests();
        self.seeds.clear();
        self.wake = None;
    }

    /// It is later: does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        let now = self.enter(now);
        self.advance(now);
    }

    /// The next thing to do or to know.
    pub fn poll_output(&mut self) -> Option<Output> {
        let was_full = self.outputs.len() >= Self::OUTPUTS_MAX;
        let output = self.outputs.pop_front();
        if was_full && self.is_running {
            self.wake_at(self.now, TimeoutReason::Outputs);
        }
        output
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), and what for; `None` where only an
    /// input can bring something new.
    pub fn poll_timeout(&self) -> Option<(Time, TimeoutReason)> {
        self.wake
    }

    /// A time that goes back counts as no time.
    fn enter(&mut self, now: Time) -> Time {
        self.now = self.now.max(now);
        self.now
    }

    /// Does all that is due, as far as the budget goes.
    fn advance(&mut self, now: Time) {
        self.wake = None;
        if !self.is_running {
            return;
        }
        self.budget.fill(now);
        self.expire_requests(now);
        self.drive_rounds(now);
        self.tend_outage(now);
        self.tend_retries(now);
        self.tend_candidates(now);
        self.tend_seeds(now);
        self.tend_entries(now);
        // Who waited for seeds learns here that there are none.
        if self.round.is_none() && !self.waiting.is_empty() {
            self.drive_rounds(now);
        }
        self.begin_rounds(now);
        if let Some(request) = self.requests.values().next() {
            let ends_at = request
                .sent_at
                .saturating_add(self.config.lookup.request_timeout);
            self.wake_at(ends_at, TimeoutReason::Request);
        }
    }

    /// Wakes up at this time, unless it does so before.
    fn wake_at(&mut self, at: Time, reason: TimeoutReason) {
        let next = (at, reason);
        self.wake = Some(self.wake.map_or(next, |wake| wake.min(next)));
    }

    /// Whether a request may go out: the budget's doing, or that of those without an answer. Where
    /// it may not, the time when it may is noted.
    fn may_ask(&mut self, now: Time, contact: &Contact, priority: Priority) -> bool {
        let dials = u32::from(!self.connected.contains(&contact.peer));
        self.may_spend(now, 1, dials, priority)
    }

    /// See [`Self::may_ask`].
    fn may_spend(&mut self, now: Time, messages: u32, dials: u32, priority: Priority) -> bool {
        if self.is_busy() {
            return false;
        }
        let ready_at = self.budget.ready_at(now, messages, dials, priority);
        if ready_at > now {
            self.wake_at(ready_at, TimeoutReason::Budget);
        }
        ready_at <= now
    }

    /// Whether nothing can be begun before something ends. What ends brings the next pass itself.
    fn is_busy(&self) -> bool {
        self.requests.len() >= self.config.budget.in_flight_max
            || self.outputs.len() >= Self::OUTPUTS_MAX
    }

    fn ask(&mut self, now: Time, contact: Contact, target: Target, what_for: WhatFor) {
        let with_dial = !self.connected.contains(&contact.peer);
        self.budget.take(with_dial);
        let id = RequestId(self.next_id());
        let request = Request {
            contact: contact.clone(),
            sent_at: now,
            what_for,
            target: target.as_peer().prefix(),
        };
        self.requests.insert(id, request);
        self.outputs.push_back(Output::FindNode {
            id,
            contact,
            target,
        });
    }

    fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// What an entry is asked for when it is checked: near ones for our neighbours, others for
    /// somebody in their own bucket, so that each check brings contacts where they are needed.
    fn check_target(&mut self, peer: &Peer) -> Target {
        let itself = Target::peer(self.local.clone());
        let Some(cpl) = self.local.cpl(peer) else {
            return itself;
        };
        if cpl > Targets::CPL_MAX || self.table.rank(peer) < self.config.bucket_size {
            return itself;
        }
        if let Some(near) = self.known_to(peer, cpl) {
            return Target::peer(near);
        }
        self.bucket_target(cpl).unwrap_or(itself)
    }

    /// A target in the bucket; a fresh one after as many checks as the bucket has places.
    fn bucket_target(&mut self, cpl: Cpl) -> Option<Target> {
        if self.check_targets.len() <= cpl.index() {
            self.check_targets.resize(cpl.index() + 1, None);
        }
        let slot = &mut self.check_targets[cpl.index()];
        if let Some((target, uses)) = slot
            && *uses > 0
        {
            *uses -= 1;
            return Some(target.clone());
        }
        let target = self.targets.in_bucket(self.local.key(), cpl)?;
        *slot = Some((target.clone(), self.config.bucket_size));
        Some(target)
    }
}
