//! Watches that are pushed to: what a subscription brings, and what follows when it ends.

use std::time::Duration;

use bytes::Bytes;
use libp2p_identity::PeerId;
use rv_proto::{Namespace, Scope, Status, Time};

use super::point::Work;
use super::pushed::{CheckedUpdate, What};
use super::time::{Dice, Task, doubled};
use super::{
    Bound, Breach, Cause, Client, ClientConfig, Failure, GoneReason, Output, Pending, Pushed,
    RequestId, Wanted,
};

/// The side of a watch that subscribes.
///
/// While a subscription is open nothing is polled. When it ends, the watch polls at once, which
/// also shows whether the point is there at all, and subscribes again after a pause. One that
/// brought nothing to go on from leaves the polls as they were: a point that refuses or breaks
/// every subscription is polled and listed like one that offers none.
#[derive(Clone, Debug, Default)]
pub(super) struct Push {
    /// Whether the point is known to offer it.
    is_offered: bool,
    /// Where a subscription goes on. Cookies of polls do not do.
    cookie: Option<Bytes>,
    /// Not before; at once if there is none.
    retry_at: Option<Time>,
    failures: u32,
}

/// A subscription that is open.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) pending: Pending,
    heartbeat: Duration,
    /// Whether it brought an update.
    has_update: bool,
    /// Whether it brought a cookie.
    has_cookie: bool,
    /// When the snapshot under way began.
    reset_at: Option<Time>,
    /// Changes, and updates without any, since the window began.
    changes: usize,
    window_at: Time,
}

impl Push {
    /// Updates that may be missing before a point is taken for gone.
    const HEARTBEATS_MISSED_MAX: u32 = 3;

    pub(super) fn offer(&mut self, is_offered: bool) {
        self.is_offered = is_offered;
    }

    /// When to subscribe, if that is offered.
    pub(super) fn due_at(&self) -> Option<Time> {
        let at = self.retry_at.unwrap_or(Time::from_millis(0));
        self.is_offered.then_some(at)
    }

    pub(super) fn request(&self, scope: &Scope) -> Wanted {
        Wanted::Subscribe {
            scope: scope.clone(),
            cookie: self.cookie.clone(),
        }
    }

    /// What was told is forgotten: the next subscription begins with a snapshot.
    pub(super) fn forget(&mut self) {
        self.cookie = None;
        self.retry_at = None;
    }

    /// Where a poll goes on.
    pub(super) const fn cookie(&self) -> Option<&Bytes> {
        self.cookie.as_ref()
    }

    fn ended(&mut self, now: Time, config: &ClientConfig, dice: &mut Dice, cause: &Cause) {
        // A cookie that is refused is dropped. It may have been the reason for any other breach.
        let is_of_cookie = matches!(
            cause,
            Cause::Refused(Status::INVALID_COOKIE, _) | Cause::Failed(Failure::Broken(_))
        );
        if is_of_cookie {
            self.cookie = None;
        }
        let pause = doubled(config.poll_min, self.failures, config.poll_max);
        self.failures = self.failures.saturating_add(1);
        let pause = match cause {
            // It will not do so soon, or it does so all the time.
            Cause::Refused(Status::INTERNAL_ERROR, _) | Cause::Bound(_) => config.relist_interval,
            _ => pause,
        };
        let pause = pause - dice.up_to(pause / 8);
        self.retry_at = Some(now.saturating_add(pause));
    }
}

impl Client {
    /// Takes what came on the stream of a [`Wanted::Subscribe`]. Behind the last of it, which
    /// [`Pushed::is_end`] tells, nothing more is taken.
    pub fn handle_pushed(&mut self, now: Time, id: RequestId, pushed: Pushed) {
        let now = self.timeline.enter(now);
        match pushed.what {
            What::Begun { heartbeat } => self.push_begun(now, id, heartbeat),
            What::Update(update) => self.push_update(now, id, update),
            What::Ended(cause) => {
                self.push_ended(now, id, &cause);
            }
        }
    }

    fn push_begun(&mut self, now: Time, id: RequestId, heartbeat: Duration) {
        let is_subscribe = self
            .requests
            .get(&id)
            .is_some_and(|it| matches!(it.request, Wanted::Subscribe { .. }));
        if !is_subscribe {
            return;
        }
        let Some(pending) = self.take(id) else {
            return;
        };
        let point = pending.point;
        let open = Open {
            pending,
            heartbeat,
            has_update: false,
            has_cookie: false,
            reset_at: None,
            changes: 0,
            window_at: now,
        };
        self.pushes.insert(id, open);
        self.note_heard(now, id);
        self.point_answered(now, point, id);
        self.pump(now, point);
    }

    fn note_heard(&mut self, now: Time, id: RequestId) {
        if let Some(open) = self.pushes.get(&id) {
            let patience = open.heartbeat.saturating_mul(Push::HEARTBEATS_MISSED_MAX);
            let until = now.saturating_add(patience);
            self.agenda.set(Task::Request(id), Some(until));
        }
    }

    fn push_update(&mut self, now: Time, id: RequestId, update: CheckedUpdate) {
        let Some(open) = self.pushes.get_mut(&id) else {
            return;
        };
        let (point, work) = (open.pending.point, open.pending.work.clone());
        let Work::Watch(scope) = &work else {
            return;
        };
        if now.saturating_since(open.window_at) >= self.config.relist_interval {
            open.window_at = now;
            open.changes = 0;
        }
        open.has_update = true;
        // An update of nothing is work too.
        open.changes += update.count.max(1);
        if update.is_reset {
            open.reset_at = Some(now);
        }
        let swept_since = open.reset_at.take_if(|_| update.is_complete);
        let max = self.config.listing_entries_max;
        let bytes = update.cookie.as_ref().map_or(0, Bytes::len);
        let end = if open.changes > max {
            Some(Cause::from(Bound::Entries { max }))
        } else if bytes > self.config.cookie_bytes_max {
            Some(Breach::CookieTooLong { bytes }.into())
        } else {
            None
        };
        self.note_heard(now, id);
        self.take_in(now, point, &update.entries);
        self.retract(point, &update.removals);
        if let Some(since) = swept_since {
            let gone = self.cache.sweep(point, scope, since);
            self.tell_gone(gone, GoneReason::Unlisted);
        }
        self.schedule_expiry();
        if let Some(cause) = end {
            self.outputs.push_back(Output::Cancel { id });
            self.push_ended(now, id, &cause);
            return;
        }
        let watches = self.points.get_mut(&point).map(|it| &mut it.watches);
        if let Some(watch) = watches.and_then(|all| all.get_mut(scope))
            && let Some(open) = self.pushes.get_mut(&id)
            && let Some(cookie) = update.cookie
        {
            open.has_cookie = true;
            watch.push.cookie = Some(cookie);
            watch.push.failures = 0;
            watch.pushed();
        }
    }

    fn retract(&mut self, point: PeerId, removals: &[(Namespace, PeerId)]) {
        let removals = removals.iter();
        let gone =
            removals.filter(|(namespace, peer)| self.cache.remove_report(point, namespace, peer));
        let gone: Vec<_> = gone.cloned().collect();
        self.tell_gone(gone, GoneReason::Left);
    }

    /// A subscription is over, or was never begun. Returns whether it was one.
    pub(super) fn push_ended(&mut self, now: Time, id: RequestId, cause: &Cause) -> bool {
        let open = self.pushes.remove(&id);
        let (pending, has_cookie) = match open {
            Some(open) => {
                self.agenda.set(Task::Request(id), None);
                (open.pending, open.has_cookie)
            }
            None => {
                let asked = self.requests.get(&id);
                if !asked.is_some_and(|it| matches!(it.request, Wanted::Subscribe { .. })) {
                    return false;
                }
                let Some(pending) = self.take(id) else {
                    return false;
                };
                // Whether the point is there at all, the next poll will tell.
                if let Some(it) = self.points.get_mut(&pending.point) {
                    it.landed(id);
                }
                (pending, false)
            }
        };
        let (point, work) = (pending.point, pending.work);
        let Work::Watch(scope) = &work else {
            return true;
        };
        let watches = self.points.get_mut(&point).map(|it| &mut it.watches);
        if let Some(watch) = watches.and_then(|all| all.get_mut(scope)) {
            watch.push.ended(now, &self.config, &mut self.dice, cause);
            watch.unsubscribed(id);
            if has_cookie {
                watch.poll_now(now, &self.config);
            }
        }
        self.reschedule(now, point, &work);
        self.pump(now, point);
        true
    }

    /// Begins the subscriptions of these watches anew, because what they told is forgotten.
    pub(super) fn restart_pushes(&mut self, now: Time, point: PeerId, forgotten: &[Work]) {
        let of_point =
            |pending: &Pending| pending.point == point && forgotten.contains(&pending.work);
        let open = self.pushes.iter().map(|(id, open)| (id, &open.pending));
        let asked = self.requests.iter();
        let asked = asked.filter(|(_, it)| matches!(it.request, Wanted::Subscribe { .. }));
        let out = open.chain(asked).filter(|(_, pending)| of_point(pending));
        let out: Vec<_> = out.map(|(id, it)| (*id, it.work.clone())).collect();
        self.cancel_pushes(of_point);
        let asked = out.iter().map(|(id, _)| *id);
        let asked: Vec<_> = asked.filter(|id| self.requests.contains_key(id)).collect();
        self.cancel_all(now, &asked);
        for (id, work) in out {
            let watches = self.points.get_mut(&point).map(|it| &mut it.watches);
            if let Work::Watch(scope) = work
                && let Some(watch) = watches.and_then(|all| all.get_mut(&scope))
            {
                watch.unsubscribed(id);
            }
        }
    }

    /// Whether a subscription of a watch is open.
    pub(super) fn is_pushed(&self, point: &PeerId, scope: &Scope) -> bool {
        let mut open = self.pushes.values().map(|open| &open.pending);
        open.any(|it| it.point == *point && matches!(&it.work, Work::Watch(of) if of == scope))
    }

    /// The scopes that a point tells of by itself: of these, what it lists may be older than what
    /// it pushed, and who left since would be back for the rest of the ttl.
    pub(super) fn scopes_pushed(&self, point: &PeerId) -> Vec<Scope> {
        let open = self.pushes.values();
        let told = open.filter(|open| open.has_update && open.pending.point == *point);
        let scopes = told.filter_map(|open| match &open.pending.work {
            Work::Watch(scope) => Some(scope.clone()),
            Work::Lookup(_) | Work::Registration(_) => None,
        });
        scopes.collect()
    }

    /// Ends the subscriptions at a point that match, without a word to the application.
    pub(super) fn cancel_pushes(&mut self, matches: impl Fn(&Pending) -> bool) {
        let pushes = self.pushes.iter();
        let out: Vec<_> = pushes
            .filter(|(_, open)| matches(&open.pending))
            .map(|(id, _)| *id)
            .collect();
        for id in out {
            self.pushes.remove(&id);
            self.agenda.set(Task::Request(id), None);
            self.outputs.push_back(Output::Cancel { id });
        }
    }
}
