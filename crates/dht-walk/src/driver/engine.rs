//! The loop: carries what the walk wants to the host, and what comes of it back.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::output::Output;
use crate::time::Time;
use crate::walk::Walk;

use super::calls::{Calls, Returned};
use super::change::Change;
use super::error::HostError;
use super::host::{Query, RoutingTable};
use super::mirror::{Called, Mirror};
use super::shared::Shared;
use super::subscription::{RefreshEvent, TableCall};
use super::timer::Timer;

/// The future that [`RtRefreshManager::start`](super::RtRefreshManager::start) returns.
#[derive(Debug)]
pub(super) struct Loop<Q, R, T: Timer> {
    shared: Arc<Shared>,
    generation: u64,
    timer: Arc<T>,
    calls: Calls<Q>,
    mirror: Mirror<R, T>,
    sleep: Sleep<T>,
    /// Came back, and was not told yet.
    returned: Vec<Returned>,
    called: Vec<Called>,
    /// The host's table may have changed by itself.
    is_to_be_compared: bool,
    /// The walk works since the host's table was read first.
    is_begun: bool,
}

impl<Q: Query, R: RoutingTable, T: Timer> Loop<Q, R, T> {
    /// Turns in one poll, so that other tasks of the same thread have theirs.
    const TURNS_MAX: usize = 32;

    /// What is taken of the walk, or of the host, in one turn.
    const BATCH_MAX: usize = 64;

    pub(super) fn new(
        shared: Arc<Shared>,
        generation: u64,
        timer: Arc<T>,
        query: Arc<Q>,
        table: Arc<R>,
    ) -> Self {
        Self {
            shared,
            generation,
            calls: Calls::new(query),
            mirror: Mirror::new(table, Arc::clone(&timer)),
            sleep: Sleep::new(Arc::clone(&timer)),
            timer,
            returned: Vec::new(),
            called: Vec::new(),
            is_to_be_compared: true,
            is_begun: false,
        }
    }

    /// Tells the walk what came back, and takes what it wants; `None` where it was stopped. Nothing
    /// of the host's runs in here.
    fn exchange(&mut self, waker: &Waker, changes: Vec<Change>) -> Option<(Vec<Output>, Wake)> {
        let now = self.timer.now();
        let mut core = self.shared.lock();
        if !core.is_started || core.generation != self.generation {
            return None;
        }
        core.waker = Some(waker.clone());
        for change in changes {
            change.apply(now, &mut core.walk);
        }
        if !std::mem::replace(&mut self.is_begun, true) {
            core.walk.start(now);
        }
        core.begin_refreshes(now);
        for returned in self.returned.drain(..) {
            if let Returned::Lookup(_, _, Some(error)) = &returned {
                core.query_error = Some(Arc::clone(error));
            }
            tell(&mut core.walk, now, returned);
        }
        for Called { peer, call, result } in self.called.drain(..) {
            let is_refused = call == TableCall::AddPeer && !matches!(result, Ok(true));
            if is_refused && !self.mirror.is_wanted(&peer) {
                core.walk.handle_insert_refused(now, &peer);
            }
        }
        if core.walk.poll_timeout().is_some_and(|(at, _)| at <= now) {
            core.walk.handle_timeout(now);
        }
        let mut outputs = Vec::new();
        while outputs.len() < Self::BATCH_MAX
            && self.mirror.has_room()
            && let Some(output) = core.walk.poll_output()
        {
            outputs.push(output);
        }
        let is_all = outputs.len() < Self::BATCH_MAX;
        let wake = match core.walk.poll_timeout() {
            Some((at, _)) if at > now && is_all => Wake::At(at),
            Some(_) => Wake::Now,
            None if is_all => Wake::Never,
            None => Wake::Now,
        };
        Some((outputs, wake))
    }

    fn carry(&mut self, output: Output) {
        match output {
            Output::AskSeeds(source) => self.calls.seeds(source),
            Output::Cancel(id) => self.calls.cancel(id),
            Output::CancelLookup(id) => self.returned.extend(self.calls.cancel_lookup(id)),
            Output::Event(event) => {
                self.is_to_be_compared |= event.begins_refresh();
                self.shared.dispatch(event);
            }
            Output::Evict { peer, .. } => self.mirror.remove(peer),
            Output::FindNode {
                id,
                contact,
                target,
            } => self.calls.find_node(id, contact, target),
            Output::Insert(contact) => self.mirror.add(contact),
            Output::Lookup { id, target } => self.calls.lookup(id, target),
        }
    }

    /// What the host's table did by itself, where that is to be looked at.
    fn compare(&mut self) -> Vec<Change> {
        let is_asked = self.shared.lock().is_asked();
        if !std::mem::take(&mut self.is_to_be_compared) && !is_asked {
            return Vec::new();
        }
        match self.mirror.contacts() {
            Ok(contacts) => {
                let core = self.shared.lock();
                self.mirror.changes(contacts, core.walk.table())
            }
            Err(error) => {
                let peer = self.shared.lock().walk.table().local().id();
                self.tell_failed(peer, TableCall::Contacts, Arc::new(error));
                Vec::new()
            }
        }
    }

    /// Takes what came back; says whether anything did.
    fn gather(&mut self, cx: &mut Context<'_>) -> bool {
        while self.returned.len() < Self::BATCH_MAX
            && let Poll::Ready(returned) = self.calls.poll_next(cx)
        {
            self.returned.push(returned);
        }
        while self.called.len() < Self::BATCH_MAX
            && let Poll::Ready(called) = self.mirror.poll_next(cx)
        {
            if let Err(error) = &called.result {
                self.tell_failed(called.peer.id(), called.call, Arc::clone(error));
            }
            self.called.push(called);
        }
        !self.returned.is_empty() || !self.called.is_empty()
    }

    fn tell_failed(&self, peer: libp2p_identity::PeerId, call: TableCall, error: HostError) {
        self.shared
            .tell(&RefreshEvent::TableFailed { peer, call, error });
    }
}

/// When the walk wants to be polled again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    At(Time),
    Never,
    Now,
}

/// Tells the walk what came back.
pub(super) fn tell(walk: &mut Walk, now: Time, returned: Returned) {
    match returned {
        Returned::Answer(id, Ok(told)) => walk.handle_answer(now, id, told),
        Returned::Answer(id, Err(failure)) => walk.handle_failure(now, id, failure),
        Returned::Dropped => {}
        Returned::Lookup(id, found, _) => walk.handle_lookup_ended(now, id, found),
        Returned::Seeds(source, contacts) => walk.handle_seeds(now, source, contacts),
    }
}

impl<Q: Query, R: RoutingTable, T: Timer> Future for Loop<Q, R, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        for _ in 0..Self::TURNS_MAX {
            let changes = this.compare();
            let Some((outputs, wake)) = this.exchange(cx.waker(), changes) else {
                return Poll::Ready(());
            };
            for output in outputs {
                this.carry(output);
            }
            this.mirror.begin();
            let has_more = this.gather(cx) || this.is_to_be_compared;
            let is_awake = match wake {
                Wake::At(at) => this.sleep.poll_until(cx, at).is_ready(),
                Wake::Never => this.sleep.cancel(),
                Wake::Now => true,
            };
            if !has_more && !is_awake {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<Q, R, T: Timer> Drop for Loop<Q, R, T> {
    /// Whoever drops the future has stopped the manager.
    fn drop(&mut self) {
        self.shared.stop(self.timer.now(), Some(self.generation));
    }
}

/// One timer, set anew only when its time changes.
pub(super) struct Sleep<T> {
    timer: Arc<T>,
    until: Option<(Time, BoxFuture<'static, ()>)>,
}

impl<T: Timer> Sleep<T> {
    pub(super) fn new(timer: Arc<T>) -> Self {
        Self { timer, until: None }
    }

    pub(super) fn poll_until(&mut self, cx: &mut Context<'_>, at: Time) -> Poll<()> {
        let is_set = |it: &(Time, _)| it.0 == at;
        if !self.until.as_ref().is_some_and(is_set) {
            self.until = Some((at, self.timer.sleep_until(at)));
        }
        let Some((_, sleep)) = &mut self.until else {
            return Poll::Pending;
        };
        let polled = sleep.poll_unpin(cx);
        if polled.is_ready() {
            self.until = None;
        }
        polled
    }

    /// Sets no timer; is never awake.
    fn cancel(&mut self) -> bool {
        self.until = None;
        false
    }
}

impl<T> std::fmt::Debug for Sleep<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let until = self.until.as_ref().map(|it| it.0);
        f.debug_struct("Sleep")
            .field("until", &until)
            .finish_non_exhaustive()
    }
}
