//! Lists a whole network, politely.
//!
//! Each peer is asked for its buckets, one after the other, until it has told its whole table;
//! whoever it tells of is asked too. One request at a time goes to a peer, few go out in a second,
//! and each peer is asked a bounded number of times, whatever it answers.

mod answers;
mod asking;
mod config;
mod output;
mod prefixes;
mod state;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::budget::{Budget, Priority};
use crate::config::{BudgetLimits, ConfigError};
use crate::key::Cpl;
use crate::output::RequestId;
use crate::peer::{Addresses, Contact, Peer};
use crate::refusal::Refusals;
use crate::rng::{Rng, Seed};
use crate::target::Targets;
use crate::time::Time;

use asking::Asking;
use prefixes::Prefixes;

pub use config::CrawlConfig;
pub use output::{CrawlCounts, CrawlEnd, CrawlEvent, CrawlOutput, Fate};
pub use state::{CrawlState, CrawlStateError};

/// Asks every peer of a network for its table.
///
/// Tell it whom to begin with ([`add_seeds`](Self::add_seeds)), then what comes in with the
/// `handle_*` methods. After each, take what is to be done from [`poll_output`](Self::poll_output)
/// until there is nothing, and arrange for [`handle_timeout`](Self::handle_timeout) at
/// [`poll_timeout`](Self::poll_timeout). It is over when [`end`](Self::end) says so.
///
/// What it learns is kept: [`state`](Self::state) can be written down at any time, and
/// [`resume`](Self::resume) goes on from it. Peers that were being asked begin anew then.
///
/// # Liars
///
/// Whoever invents peers makes [`told_per_source_max`](CrawlConfig::told_per_source_max) of them
/// known at the most. Each costs [`strikes_max`](CrawlConfig::strikes_max) messages, is silent, and
/// brings nobody. Over all of them stand [`peers_max`](CrawlConfig::peers_max),
/// [`messages_max`](CrawlConfig::messages_max) and [`deadline`](CrawlConfig::deadline).
#[derive(Debug)]
pub struct Crawl {
    config: CrawlConfig,
    local: Peer,
    now: Time,
    started_at: Time,
    ended_at: Option<Time>,
    end: Option<CrawlEnd>,
    prefixes: Prefixes,
    budget: Budget,

    known: BTreeMap<Peer, Known>,
    /// Known, and not asked yet.
    fresh: VecDeque<Peer>,
    /// Failed, and not to be asked again before this time. All pause equally long.
    failed: VecDeque<(Time, Peer)>,
    /// Being asked, with one request out at the most; [`CrawlConfig::in_flight_max`] bounds them.
    asking: BTreeMap<Peer, Asking>,
    /// Being asked, with no request out.
    ready: VecDeque<Peer>,
    requests: BTreeMap<RequestId, Request>,
    ids: u64,

    outputs: VecDeque<CrawlOutput>,
    wake: Option<Time>,
    refusals: Refusals,
    counts: CrawlCounts,
    /// Of runs before this one.
    before: (u64, Duration),
}

/// A peer that was told of.
#[derive(Clone, Debug)]
struct Known {
    addresses: Addresses,
    fate: Fate,
    /// Failures since it answered last.
    strikes: u8,
    has_answered: bool,
    /// The bucket to go on with.
    next: Cpl,
}

/// A FIND_NODE without an answer yet.
#[derive(Clone, Debug)]
struct Request {
    peer: Peer,
    sent_at: Time,
}

impl Crawl {
    /// Outputs that wait to be polled, above which nothing new is asked.
    pub const OUTPUTS_MAX: usize = 1_024;

    /// How many new addresses of a known peer somebody else may add.
    const ADDRESSES_PER_SOURCE: usize = 2;

    /// A crawl by the peer `local`, who is not listed.
    ///
    /// # Errors
    ///
    /// When the bounds make no sense.
    pub fn new(
        now: Time,
        config: CrawlConfig,
        local: Peer,
        seed: Seed,
    ) -> Result<Self, ConfigError> {
        Self::resume(now, config, local, seed, &CrawlState::default())
    }

    /// Goes on with a crawl. Its bounds on messages and time count from now; addresses are judged
    /// anew.
    ///
    /// # Errors
    ///
    /// When the bounds make no sense.
    pub fn resume(
        now: Time,
        config: CrawlConfig,
        local: Peer,
        seed: Seed,
        state: &CrawlState,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let limits = BudgetLimits {
            messages_per_hour: config.messages_per_second.saturating_mul(3_600),
            messages_burst: config.messages_per_second,
            ..BudgetLimits::default()
        };
        let mut crawl = Self {
            prefixes: Prefixes::new(Targets::from_rng(Rng::new(seed))),
            budget: Budget::new(now, &limits),
            config,
            local,
            now,
            started_at: now,
            ended_at: None,
            end: None,
            known: BTreeMap::new(),
            fresh: VecDeque::new(),
            failed: VecDeque::new(),
            asking: BTreeMap::new(),
            ready: VecDeque::new(),
            requests: BTreeMap::new(),
            ids: 0,
            outputs: VecDeque::new(),
            wake: Some(now),
            refusals: Refusals::default(),
            counts: CrawlCounts::default(),
            before: (state.messages, state.elapsed),
        };
        for (contact, fate) in &state.peers {
            crawl.restore(contact, *fate);
        }
        Ok(crawl)
    }

    /// Peers to begin with. They are meant as they stand, also where private addresses are not
    /// wanted from others. A crawl without any is complete.
    pub fn add_seeds(&mut self, now: Time, seeds: impl IntoIterator<Item = Contact>) {
        let now = self.enter(now);
        for contact in seeds {
            self.add_seed(&contact);
        }
        self.wake_at(now);
    }

    /// It is later: does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        let now = self.enter(now);
        self.advance(now);
    }

    /// Ends it at once; peers that were being asked wait again.
    pub fn stop(&mut self, now: Time) {
        let now = self.enter(now);
        self.finish(now, CrawlEnd::Stopped);
    }

    /// The next thing to do or to know.
    pub fn poll_output(&mut self) -> Option<CrawlOutput> {
        let was_full = self.outputs.len() >= Self::OUTPUTS_MAX;
        let output = self.outputs.pop_front();
        if was_full && self.end.is_none() {
            self.wake_at(self.now);
        }
        output
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); `None` where it is over.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.wake
    }

    /// Why it is over; `None` while it is not.
    pub fn end(&self) -> Option<CrawlEnd> {
        self.end
    }

    /// How far it is.
    pub fn counts(&self) -> CrawlCounts {
        let (messages, elapsed) = self.before;
        let until = self.ended_at.unwrap_or(self.now);
        CrawlCounts {
            known: self.known.len(),
            messages: messages.saturating_add(self.budget.spent().messages),
            elapsed: elapsed.saturating_add(until.saturating_since(self.started_at)),
            ..self.counts
        }
    }

    /// Why contacts and answers counted for nothing.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Every peer that is known, by position.
    pub fn peers(&self) -> impl Iterator<Item = (Contact, Fate)> {
        self.known.iter().map(|(peer, known)| {
            let (peer, addresses) = (peer.clone(), known.addresses.clone());
            (Contact { peer, addresses }, known.fate)
        })
    }

    /// What to go on from.
    pub fn state(&self) -> CrawlState {
        let CrawlCounts {
            messages, elapsed, ..
        } = self.counts();
        CrawlState {
            peers: self.peers().collect(),
            messages,
            elapsed,
        }
    }

    /// A time that goes back counts as no time.
    fn enter(&mut self, now: Time) -> Time {
        self.now = self.now.max(now);
        self.now
    }

    /// Does all that is due.
    fn advance(&mut self, now: Time) {
        self.wake = None;
        if self.end.is_some() {
            return;
        }
        self.budget.fill(now);
        self.expire_requests(now);
        let ends_at = self.started_at.saturating_add(self.config.deadline);
        if now >= ends_at {
            return self.finish(now, CrawlEnd::Deadline);
        }
        self.wake_at(ends_at);
        if self.budget.spent().messages >= self.config.messages_max {
            if self.requests.is_empty() {
                return self.finish(now, CrawlEnd::Spent);
            }
        } else {
            self.ask_all(now);
            let is_idle = self.asking.is_empty() && self.fresh.is_empty();
            if is_idle && self.failed.is_empty() {
                return self.finish(now, CrawlEnd::Complete);
            }
        }
        if let Some(request) = self.requests.values().next() {
            let late_at = request.sent_at.saturating_add(self.config.request_timeout);
            self.wake_at(late_at);
        }
    }

    /// Asks as many as the bounds allow.
    fn ask_all(&mut self, now: Time) {
        while self.outputs.len() < Self::OUTPUTS_MAX
            && self.budget.spent().messages < self.config.messages_max
        {
            let ready_at = self.budget.ready_at(now, 1, 0, Priority::Urgent);
            if ready_at > now {
                return self.wake_at(ready_at);
            }
            let Some(peer) = self.next_peer(now) else {
                return;
            };
            self.ask(now, peer);
        }
    }

    /// Whom to ask: those who have begun to tell before others, while their connection is there;
    /// and those who failed when everybody else was asked.
    fn next_peer(&mut self, now: Time) -> Option<Peer> {
        if let Some(peer) = self.ready.pop_front() {
            return Some(peer);
        }
        if self.asking.len() >= self.config.in_flight_max {
            return None;
        }
        if let Some(peer) = self.fresh.pop_front() {
            return Some(peer);
        }
        let (due_at, _) = self.failed.front()?;
        if *due_at > now {
            let due_at = *due_at;
            self.wake_at(due_at);
            return None;
        }
        self.failed.pop_front().map(|(_, peer)| peer)
    }

    fn ask(&mut self, now: Time, peer: Peer) {
        let Some(known) = self.known.get(&peer) else {
            return;
        };
        let asking = self.asking.entry(peer.clone());
        let cpl = asking.or_insert_with(|| Asking::from(known.next)).cpl;
        let addresses = known.addresses.clone();
        let Some(target) = self.prefixes.target(&peer, cpl) else {
            return self.settle(&peer, Fate::Answered);
        };
        self.budget.take(false);
        self.ids += 1;
        let (id, sent_at) = (RequestId(self.ids), now);
        let contact = Contact {
            peer: peer.clone(),
            addresses,
        };
        self.requests.insert(id, Request { peer, sent_at });
        self.outputs.push_back(CrawlOutput::FindNode {
            id,
            contact,
            target,
        });
    }

    /// What became of a peer is known.
    fn settle(&mut self, peer: &Peer, fate: Fate) {
        self.asking.remove(peer);
        let Some(known) = self.known.get_mut(peer) else {
            return;
        };
        known.fate = fate;
        self.counts.count(fate);
        let (peer, addresses) = (peer.clone(), known.addresses.clone());
        let event = CrawlEvent::Settled(Contact { peer, addresses }, fate);
        self.outputs.push_back(CrawlOutput::Event(event));
    }

    fn finish(&mut self, now: Time, end: CrawlEnd) {
        if self.end.is_some() {
            return;
        }
        while let Some((id, _)) = self.requests.pop_first() {
            self.outputs.push_back(CrawlOutput::Cancel(id));
        }
        self.end = Some(end);
        self.ended_at = Some(now);
        self.wake = None;
        let event = CrawlEvent::Ended(end);
        self.outputs.push_back(CrawlOutput::Event(event));
    }

    /// Wakes up at this time, unless it does so before.
    fn wake_at(&mut self, at: Time) {
        if self.end.is_none() {
            self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
        }
    }
}
