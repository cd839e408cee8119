//! The state that all connections of a point share, and the one desk where writes are handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::Waker;
use std::time::Duration;

use futures::channel::oneshot;
use futures::task::AtomicWaker;
use libp2p_identity::PeerId;
use rv_core::{Operation, Refusal, Registration, Registry, Submitted, Ticket, Verdict, Writer};
use rv_proto::{Fact, Namespace, Scope, Seq, Time};

use crate::journal::Forget;
use crate::stats::{Counters, add};
use crate::subscribers::{self, Party, Subscribers};
use crate::{Clock, Config, Stats};

/// What the connections, the behaviour and the committer of one point share.
///
/// Locks are taken in the order desk, then registry. DISCOVER takes the registry alone.
pub(crate) struct Point {
    registry: RwLock<Registry>,
    desk: Mutex<Desk>,
    clock: Box<dyn Clock>,
    pub(crate) counters: Counters,
    pub(crate) subscribers: Arc<Subscribers>,
    is_draining: AtomicBool,
    committer: AtomicWaker,
    started: Time,
    erase_after: Duration,
    home: Home,
}

/// Where accepted facts go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// Nowhere: they are applied where they are judged.
    Memory,
    /// To the committer's journal.
    Journal,
}

struct Desk {
    writer: Writer,
    replies: BTreeMap<Ticket, oneshot::Sender<Verdict>>,
    forgetting: Forgetting,
    is_disputed: bool,
}

/// What was erased here and not in the journal yet.
#[derive(Default)]
struct Forgetting {
    waiting: Vec<Forget>,
    in_flight: Vec<Forget>,
    /// Whether it is worth a batch of its own.
    is_due: bool,
}

/// What handing in a write gives.
pub(crate) enum Answer {
    /// The verdict is there.
    Now(Verdict),
    /// The verdict comes when the journal has answered.
    Later(oneshot::Receiver<Verdict>),
}

impl Point {
    /// Facts or expiries under one write lock, so that no reader waits long: about 1 ms.
    const UNDER_LOCK_MAX: usize = Writer::BATCH_FACTS_MAX;

    pub(crate) fn new(
        config: &Config,
        clock: impl Clock,
        mut registry: Registry,
        home: Home,
    ) -> Arc<Self> {
        registry.set_removals_max(config.limits.removals_max);
        let desk = Desk {
            writer: Writer::new(config.limits.clone()),
            replies: BTreeMap::new(),
            forgetting: Forgetting::default(),
            is_disputed: false,
        };
        Arc::new(Self {
            registry: RwLock::new(registry),
            desk: Mutex::new(desk),
            started: clock.now(),
            clock: Box::new(clock),
            counters: Counters::default(),
            subscribers: Subscribers::new(&config.limits),
            is_draining: AtomicBool::new(false),
            committer: AtomicWaker::new(),
            erase_after: config.erase_after,
            home,
        })
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(crate) fn registry(&self) -> RwLockReadGuard<'_, Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges a write. Writes are judged in the order of these calls.
    pub(crate) fn submit(&self, peer: PeerId, operation: Operation) -> Answer {
        let mut desk = self.desk();
        let now = self.now();
        let submitted = desk.writer.submit(now, &self.registry(), peer, operation);
        let ticket = match submitted {
            Submitted::Done(verdict) => return Answer::Now(verdict),
            Submitted::Pending(ticket) => ticket,
        };
        match self.home {
            Home::Journal => {
                let (reply, verdict) = oneshot::channel();
                desk.replies.insert(ticket, reply);
                drop(desk);
                self.committer.wake();
                Answer::Later(verdict)
            }
            Home::Memory => {
                let news = self.news(&desk, usize::MAX);
                let verdict = self.apply_in_memory(&mut desk);
                drop(desk);
                self.announce(news);
                Answer::Now(verdict)
            }
        }
    }

    /// The namespaces of the next facts to be applied; `None` if nobody is subscribed to anything.
    fn news(&self, desk: &Desk, facts_max: usize) -> Option<BTreeSet<Namespace>> {
        if self.subscribers.len() == 0 {
            return None;
        }
        let facts = desk.writer.pending_facts().take(facts_max);
        Some(facts.map(|fact| fact.namespace().clone()).collect())
    }

    /// Facts of these namespaces are applied.
    fn announce(&self, news: Option<BTreeSet<Namespace>>) {
        match news {
            Some(namespaces) => self.subscribers.announce(namespaces),
            // Whoever came meanwhile may have read before the facts were applied.
            None if self.subscribers.len() > 0 => self.subscribers.announce_all(),
            None => {}
        }
    }

    /// Takes a place for a subscriber.
    pub(crate) fn subscribe(
        &self,
        party: Party,
        scope: &Scope,
    ) -> Result<subscribers::Ticket, Refusal> {
        if self.is_draining() {
            return Err(Refusal::Draining);
        }
        self.subscribers.subscribe(party, scope)
    }

    /// Applies the one write that waits, as the log's next facts.
    fn apply_in_memory(&self, desk: &mut Desk) -> Verdict {
        let facts = desk.writer.next_batch().unwrap_or_default();
        let mut last = self.registry().applied();
        let mut seqs = Vec::with_capacity(facts.len());
        for _ in facts {
            let Some(seq) = last.next() else {
                desk.writer.fail();
                return Verdict::Refused(Refusal::Store);
            };
            last = seq;
            seqs.push(seq);
        }
        let mut verdict = Verdict::Refused(Refusal::Store);
        for part in seqs.chunks(Self::UNDER_LOCK_MAX) {
            for (_, applied) in desk.writer.apply(&mut self.registry_mut(), part) {
                verdict = applied;
            }
        }
        verdict
    }

    /// Whether a REGISTER of `peer` would meet its rate limit.
    pub(crate) fn is_rate_limited(&self, peer: PeerId) -> bool {
        self.desk().writer.is_rate_limited(self.now(), peer)
    }

    /// Charges `peer` for a REGISTER whose signature is wrong.
    pub(crate) fn charge(&self, peer: PeerId) {
        self.desk().writer.charge(self.now(), peer);
    }

    /// The next batch for the journal, with what it may forget; `None` while one is in flight.
    pub(crate) fn next_batch(&self) -> Option<(Vec<Fact>, Vec<Forget>)> {
        let mut desk = self.desk();
        if desk.writer.is_appending() {
            return None;
        }
        let facts = match desk.writer.next_batch() {
            Some(facts) => facts,
            None if !desk.forgetting.is_due => return None,
            None => {
                desk.writer.begin_without_facts();
                Vec::new()
            }
        };
        Some((facts, desk.forgetting.begin()))
    }

    /// The batch in flight is durable: applies it and answers.
    pub(crate) fn handle_appended(&self, seqs: &[Seq]) {
        let (first, rest) = seqs.split_at(seqs.len().min(Self::UNDER_LOCK_MAX));
        // A batch without facts ends here, too.
        self.apply(first);
        rest.chunks(Self::UNDER_LOCK_MAX)
            .for_each(|part| self.apply(part));
    }

    fn apply(&self, seqs: &[Seq]) {
        let mut desk = self.desk();
        let news = self.news(&desk, seqs.len());
        let verdicts = desk.writer.apply(&mut self.registry_mut(), seqs);
        if !desk.writer.is_appending() {
            desk.forgetting.is_done();
        }
        for (ticket, verdict) in verdicts {
            desk.answer(ticket, verdict);
        }
        drop(desk);
        self.announce(news);
    }

    /// The batch in flight is not in the log: fails it and all that was judged on it.
    pub(crate) fn handle_failed(&self) {
        let mut desk = self.desk();
        desk.forgetting.failed();
        let lost = desk.writer.fail();
        if !lost.is_empty() {
            add(&self.counters.batches_failed, 1);
        }
        for ticket in lost {
            desk.answer(ticket, Verdict::Refused(Refusal::Store));
        }
    }

    /// Nobody knows what became of the batch in flight. It stays in flight; nobody waits longer.
    pub(crate) fn handle_undecided(&self) {
        let mut desk = self.desk();
        let (unknown, failed) = desk.writer.stall(&self.registry());
        for ticket in unknown {
            desk.answer(ticket, Verdict::Refused(Refusal::Undecided));
        }
        for ticket in failed {
            desk.answer(ticket, Verdict::Refused(Refusal::Store));
        }
    }

    /// Nobody commits any more: every write is refused, those that wait as well.
    pub(crate) fn close(&self) {
        self.drain();
        self.handle_undecided();
    }

    /// Somebody else's fact, at its place in a log that several points share.
    pub(crate) fn handle_foreign(&self, seq: Seq, fact: Fact) {
        let desk = self.desk();
        let news = BTreeSet::from([fact.namespace().clone()]);
        self.registry_mut().apply(seq, fact);
        drop(desk);
        self.subscribers.announce(news);
    }

    /// Takes everything that is due out of sight: for a start, when much may be due at once.
    pub(crate) fn hide_all_due(&self) {
        while self.hide_due() == Self::UNDER_LOCK_MAX {}
    }

    fn hide_due(&self) -> usize {
        let now = self.now();
        let desk = self.desk();
        desk.writer
            .hide_due(now, &mut self.registry_mut(), Self::UNDER_LOCK_MAX)
    }

    /// Hides what is due, and erases it if it is time for that; a bounded number of both. False
    /// once nothing is left to do.
    pub(crate) fn tidy(&self) -> bool {
        let hidden = self.hide_due();
        let now = self.now();
        let mut desk = self.desk();
        let settled = now.saturating_since(self.started) >= self.erase_after;
        let may_erase = desk.writer.is_pressed() || (settled && !self.is_disputed(&mut desk));
        let erased = if may_erase {
            self.erase(&mut desk, now)
        } else {
            0
        };
        hidden.max(erased) == Self::UNDER_LOCK_MAX
    }

    /// Whether the clock is not to be relied on for what cannot be undone. What is in memory alone
    /// was registered under this very clock.
    fn is_disputed(&self, desk: &mut Desk) -> bool {
        let is_disputed = self.home == Home::Journal && self.clock.is_disputed();
        if is_disputed != std::mem::replace(&mut desk.is_disputed, is_disputed) && is_disputed {
            tracing::warn!(
                "the wall clock was set since the start: nothing is erased until it agrees again, \
                 or the point is started again"
            );
        }
        is_disputed
    }

    /// Erases what is due, whatever the time since the start, as far as the journal keeps pace.
    pub(crate) fn expire(&self) -> usize {
        let now = self.now();
        let mut erased = 0;
        loop {
            let count = self.erase(&mut self.desk(), now);
            erased += count;
            if count < Self::UNDER_LOCK_MAX {
                break;
            }
        }
        self.committer.wake();
        erased
    }

    fn erase(&self, desk: &mut Desk, now: Time) -> usize {
        if desk.forgetting.waiting.len() >= Forgetting::WAITING_MAX {
            return 0;
        }
        let erased = desk
            .writer
            .erase_due(now, &mut self.registry_mut(), Self::UNDER_LOCK_MAX);
        if self.home == Home::Journal {
            desk.forgetting.add(&erased);
        }
        add(&self.counters.erased, erased.len() as u64);
        erased.len()
    }

    /// Refuses every further write, and ends every subscription.
    pub(crate) fn drain(&self) {
        self.desk().writer.drain();
        self.is_draining.store(true, Ordering::SeqCst);
        self.subscribers.announce_all();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::SeqCst)
    }

    /// Whether a write waits for the journal.
    pub(crate) fn has_pending(&self) -> bool {
        self.desk().writer.pending() > 0
    }

    /// Wakes `waker` when a write was handed in.
    pub(crate) fn register_committer(&self, waker: &Waker) {
        self.committer.register(waker);
    }

    pub(crate) fn wake_committer(&self) {
        self.committer.wake();
    }

    pub(crate) fn stats(&self) -> Stats {
        let registry = self.registry();
        Stats {
            registrations: registry.len(),
            namespaces: registry.namespace_count(),
            record_bytes: registry.record_bytes(),
            subscriptions: self.subscribers.len(),
            ..self.counters.snapshot()
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn registry_mut(&self) -> RwLockWriteGuard<'_, Registry> {
        self.registry
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Forgetting {
    /// What one batch may forget, so that the writes in it are not held up: a few ms.
    const BATCH_MAX: usize = 1_024;

    /// What may wait: about 1 MB. Nothing is erased beyond, so that no row is left in the journal.
    const WAITING_MAX: usize = 8 * Self::BATCH_MAX;

    fn add(&mut self, erased: &[Arc<Registration>]) {
        self.waiting.extend(erased.iter().map(|held| Forget {
            seq: held.seq(),
            namespace: held.namespace().clone(),
            peer: held.peer(),
        }));
        // Asked again with every look at what is due: after a failure not at once.
        self.is_due = !self.waiting.is_empty();
    }

    fn begin(&mut self) -> Vec<Forget> {
        self.is_due = false;
        let count = self.waiting.len().min(Self::BATCH_MAX);
        self.in_flight = self.waiting.drain(..count).collect();
        self.in_flight.clone()
    }

    fn is_done(&mut self) {
        self.in_flight.clear();
        self.is_due = !self.waiting.is_empty();
    }

    fn failed(&mut self) {
        self.waiting.append(&mut self.in_flight);
        self.is_due = false;
    }
}

impl Desk {
    /// Answers the connection that waits, if it still does.
    fn answer(&mut self, ticket: Ticket, verdict: Verdict) {
        if let Some(reply) = self.replies.remove(&ticket) {
            let _ = reply.send(verdict);
        }
    }
}

impl std::fmt::Debug for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Point")
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}
