//! The state that all connections of a point share, and the one desk where writes are handed in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::Waker;
use std::time::Duration;

use futures::channel::oneshot;
use futures::task::AtomicWaker;
use libp2p_identity::PeerId;
use rv_core::{Operation, Refusal, Registry, Submitted, Ticket, Verdict, Writer};
use rv_proto::{Fact, Seq, Time};

use crate::journal::Forget;
use crate::stats::{Counters, add};
use crate::{Clock, Config, Stats};

/// What the connections, the behaviour and the committer of one point share.
///
/// Locks are taken in the order desk, then registry. DISCOVER takes the registry alone.
pub(crate) struct Point {
    registry: RwLock<Registry>,
    desk: Mutex<Desk>,
    clock: Box<dyn Clock>,
    pub(crate) counters: Counters,
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
    forget: Vec<Forget>,
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

    /// What one batch may forget, so that the writes in it are not held up: a few ms.
    const FORGET_MAX: usize = 1_024;

    pub(crate) fn new(
        config: &Config,
        clock: impl Clock,
        registry: Registry,
        home: Home,
    ) -> Arc<Self> {
        let desk = Desk {
            writer: Writer::new(config.limits.clone()),
            replies: BTreeMap::new(),
            forget: Vec::new(),
        };
        Arc::new(Self {
            registry: RwLock::new(registry),
            desk: Mutex::new(desk),
            started: clock.now(),
            clock: Box::new(clock),
            counters: Counters::default(),
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
        let now = self.now();
        let mut desk = self.desk();
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
            Home::Memory => Answer::Now(self.apply_in_memory(&mut desk)),
        }
    }

    /// Applies the one write that waits, as the log's next facts.
    fn apply_in_memory(&self, desk: &mut Desk) -> Verdict {
        let mut last = Verdict::Refused(Refusal::Store);
        while let Some(facts) = desk.writer.next_batch() {
            let mut registry = self.registry_mut();
            let mut next = registry.applied();
            let mut seqs = Vec::with_capacity(facts.len());
            for _ in facts {
                let Some(seq) = next.next() else { break };
                next = seq;
                seqs.push(seq);
            }
            for (_, verdict) in desk.writer.apply(&mut registry, &seqs) {
                last = verdict;
            }
        }
        last
    }

    /// The next batch for the journal, with what it may forget; `None` while one is in flight.
    pub(crate) fn next_batch(&self) -> Option<(Vec<Fact>, Vec<Forget>)> {
        let mut desk = self.desk();
        if desk.writer.is_appending() {
            return None;
        }
        let facts = desk.writer.next_batch().unwrap_or_default();
        if facts.is_empty() && desk.forget.is_empty() {
            return None;
        }
        let forget_count = desk.forget.len().min(Self::FORGET_MAX);
        Some((facts, desk.forget.drain(..forget_count).collect()))
    }

    /// The batch in flight is durable: applies it and answers.
    pub(crate) fn handle_appended(&self, seqs: &[Seq]) {
        for part in seqs.chunks(Self::UNDER_LOCK_MAX) {
            let mut desk = self.desk();
            let verdicts = desk.writer.apply(&mut self.registry_mut(), part);
            for (ticket, verdict) in verdicts {
                desk.answer(ticket, verdict);
            }
        }
    }

    /// The batch in flight is not in the log: fails it and all that was judged on it.
    pub(crate) fn handle_failed(&self) {
        add(&self.counters.batches_failed, 1);
        let mut desk = self.desk();
        if !desk.writer.is_appending() {
            // Only things to forget were in it: they are hidden, and erased again after a restart.
            return;
        }
        for ticket in desk.writer.fail() {
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

    /// Somebody else's fact, at its place in a log that several points share.
    pub(crate) fn handle_foreign(&self, seq: Seq, fact: Fact) {
        let _desk = self.desk();
        self.registry_mut().apply(seq, fact);
    }

    /// Erases what is due if it is time for that, a bounded number. Returns how many there were,
    /// at the most [`Self::UNDER_LOCK_MAX`].
    pub(crate) fn erase_due(&self) -> usize {
        let now = self.now();
        let mut desk = self.desk();
        let settled = now.saturating_since(self.started) >= self.erase_after;
        if desk.writer.take_pressure() || settled {
            return self.erase(&mut desk, now);
        }
        0
    }

    /// Erases all that is due, whatever the time since the start.
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
        let erased = desk
            .writer
            .erase_due(now, &mut self.registry_mut(), Self::UNDER_LOCK_MAX);
        if self.home == Home::Journal {
            desk.forget.extend(erased.iter().map(|held| Forget {
                seq: held.seq(),
                namespace: held.namespace().clone(),
                peer: held.peer(),
            }));
        }
        add(&self.counters.erased, erased.len() as u64);
        erased.len()
    }

    /// Refuses every further write.
    pub(crate) fn drain(&self) {
        self.desk().writer.drain();
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
            namespaces: registry.namespaces().count(),
            record_bytes: registry.record_bytes(),
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
