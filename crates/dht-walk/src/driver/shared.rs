//! What handles and the loop share: the walk, and who waits for it.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use futures::channel::oneshot;

use crate::output::{Event, Output};
use crate::report::{Report, RoundEnd, RoundId, RoundKind};
use crate::time::Time;
use crate::walk::{Busy, Walk};

use super::error::{HostError, RandomWalkError, RoutingTableRefreshError};
use super::subscription::{RefreshEvent, Subscriber, Subscription};

/// Names a callback, to remove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallbackId(u64);

pub(super) type Outcome = Result<Arc<Report>, RoutingTableRefreshError>;
type Callback = Arc<dyn Fn(&Report) + Send + Sync>;

/// The walk, and who waits. No code of the host's runs while a lock is held.
pub(super) struct Shared {
    core: Mutex<Core>,
    callbacks: Mutex<(u64, BTreeMap<CallbackId, Callback>)>,
    subscribers: Mutex<Vec<Subscriber>>,
}

pub(super) struct Core {
    pub(super) walk: Walk,
    pub(super) is_started: bool,
    /// Which loop is the one that drives; a loop of another generation ends.
    pub(super) generation: u64,
    pub(super) waker: Option<Waker>,
    /// Why a lookup of the host's failed last, in the round that runs.
    pub(super) query_error: Option<HostError>,
    /// Refreshes that were asked for, and begin when the host's table was looked at.
    asked: Vec<(bool, oneshot::Sender<Outcome>)>,
    waiters: BTreeMap<RoundId, Vec<oneshot::Sender<Outcome>>>,
}

impl Core {
    /// Refreshes that may be asked for before the loop is polled; it takes all of them then.
    const ASKED_MAX: usize = 1_024;

    /// Whether refreshes were asked for that did not begin yet.
    pub(super) fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    pub(super) fn begin_refreshes(&mut self, now: Time) {
        for (force, waiter) in std::mem::take(&mut self.asked) {
            match self.walk.refresh(now, force) {
                Ok(id) => self.waiters.entry(id).or_default().push(waiter),
                // Who does not wait any more has dropped the other end.
                Err(busy) => drop(waiter.send(Err(busy.into()))),
            }
        }
    }
}

impl Shared {
    pub(super) fn new(walk: Walk) -> Self {
        let core = Core {
            walk,
            is_started: false,
            generation: 0,
            waker: None,
            query_error: None,
            asked: Vec::new(),
            waiters: BTreeMap::new(),
        };
        Self {
            core: Mutex::new(core),
            callbacks: Mutex::default(),
            subscribers: Mutex::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        lock(&self.core)
    }

    /// Tells the walk something, and wakes the loop, which may have to do something about it.
    pub(super) fn change<O>(&self, change: impl FnOnce(&mut Core) -> O) -> O {
        let mut core = self.lock();
        let output = change(&mut core);
        let waker = core.waker.take();
        drop(core);
        if let Some(waker) = waker {
            waker.wake();
        }
        output
    }

    /// The generation of a loop that may run; none where one does already.
    pub(super) fn start(&self) -> Option<u64> {
        self.change(|core| {
            if core.is_started {
                return None;
            }
            core.is_started = true;
            core.generation += 1;
            Some(core.generation)
        })
    }

    /// Ends the loop of this generation, or whichever runs. Whoever waits is told at once.
    pub(super) fn stop(&self, now: Time, generation: Option<u64>) {
        let events = self.change(|core| {
            let is_meant = generation.is_none_or(|it| it == core.generation);
            if !core.is_started || !is_meant {
                return Vec::new();
            }
            core.is_started = false;
            core.walk.stop(now);
            core.begin_refreshes(now);
            // Requests are void, and the host's table is compared with ours at the next start.
            let outputs = std::iter::from_fn(|| core.walk.poll_output());
            let events = outputs.filter_map(|output| match output {
                Output::Event(event) => Some(event),
                _ => None,
            });
            events.collect()
        });
        events.into_iter().for_each(|event| self.dispatch(event));
    }

    /// Asks for a refresh; the outcome comes through the channel.
    pub(super) fn refresh(&self, force: bool) -> Result<Receiver, RoutingTableRefreshError> {
        self.change(|core| {
            if !core.is_started {
                return Err(RoutingTableRefreshError::NotRunning);
            }
            core.asked.retain(|(_, waiter)| !waiter.is_canceled());
            if core.asked.len() >= Core::ASKED_MAX {
                return Err(Busy.into());
            }
            let (sender, receiver) = oneshot::channel();
            core.asked.push((force, sender));
            Ok(receiver)
        })
    }

    pub(super) fn add_callback(&self, callback: Callback) -> CallbackId {
        let mut callbacks = lock(&self.callbacks);
        callbacks.0 += 1;
        let id = CallbackId(callbacks.0);
        callbacks.1.insert(id, callback);
        id
    }

    pub(super) fn remove_callback(&self, id: CallbackId) -> bool {
        lock(&self.callbacks).1.remove(&id).is_some()
    }

    pub(super) fn subscribe(&self) -> Subscription {
        let (subscriber, subscription) = Subscriber::new();
        lock(&self.subscribers).push(subscriber);
        subscription
    }

    pub(super) fn tell(&self, event: &RefreshEvent) {
        lock(&self.subscribers).retain_mut(|subscriber| subscriber.tell(event));
    }

    /// Tells an event to whoever wants to know it.
    pub(super) fn dispatch(&self, event: Event) {
        let Event::Finished(report) = event else {
            return self.tell(&RefreshEvent::Walk(event));
        };
        let report = Arc::<Report>::from(report);
        let is_refresh = matches!(report.kind, RoundKind::Refresh { .. });
        if is_refresh && report.end != RoundEnd::Skipped {
            self.call_back(&report);
        }
        let mut core = self.lock();
        let waiters = core.waiters.remove(&report.id);
        let query_error = core.query_error.take();
        drop(core);
        for waiter in waiters.into_iter().flatten() {
            // Who does not wait any more has dropped the other end.
            let _ = waiter.send(outcome(&report, query_error.clone()));
        }
        self.tell(&RefreshEvent::Finished(report));
    }

    fn call_back(&self, report: &Report) {
        let callbacks = lock(&self.callbacks).1.clone();
        for (id, callback) in callbacks {
            let called = catch_unwind(AssertUnwindSafe(|| callback(report)));
            if called.is_err() {
                self.tell(&RefreshEvent::CallbackPanicked(id));
            }
        }
    }
}

pub(super) type Receiver = oneshot::Receiver<Outcome>;

fn outcome(report: &Arc<Report>, query_error: Option<HostError>) -> Outcome {
    match report.end {
        RoundEnd::NobodyToAsk => return Err(RandomWalkError::NobodyToAsk.into()),
        RoundEnd::Stopped => return Err(RoutingTableRefreshError::Stopped(Arc::clone(report))),
        RoundEnd::Deadline | RoundEnd::Done | RoundEnd::Skipped => {}
    }
    match query_error {
        Some(error) if report.found.is_empty() => Err(RandomWalkError::Query(error).into()),
        Some(_) | None => Ok(Arc::clone(report)),
    }
}

/// A panic under one of these locks would be a bug of ours, and what it guards is whole anyway.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("is_started", &self.lock().is_started)
            .finish_non_exhaustive()
    }
}
