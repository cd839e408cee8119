//! What is made of answers, and of their absence.

use libp2p_identity::PeerId;
use rv_proto::{Namespace, Scope, Time};

use super::calls::overlaps;
use super::entry::{Answer, CheckedEntry, CheckedPage};
use super::listing::Step;
use super::operation::Operation;
use super::point::Work;
use super::registration::{Context, Reply, Settled};
use super::time::Task;
use super::{
    Breach, Cause, Change, Client, Discovered, Event, Failure, GoneReason, OperationId, RequestId,
};

impl Client {
    /// A request was answered, by whatever.
    pub(super) fn answered(&mut self, now: Time, id: RequestId, answer: Answer) {
        if let Answer::Failed(cause) = &answer
            && self.push_ended(now, id, cause)
        {
            return;
        }
        let Some(pending) = self.take(id) else {
            return;
        };
        self.point_answered(now, pending.point, id);
        self.settle(now, pending.point, &pending.work, id, answer);
    }

    /// A request was not answered.
    pub(super) fn failed(&mut self, now: Time, id: RequestId, failure: Failure) {
        if self.push_ended(now, id, &failure.clone().into()) {
            return;
        }
        let Some(pending) = self.take(id) else {
            return;
        };
        let point = pending.point;
        if failure.is_of_point() {
            self.point_missed(now, point, id, &failure);
            if let Some(it) = self.points.get_mut(&point) {
                it.landed(id);
            }
        } else {
            // Whatever it was, the point was there for it.
            self.point_answered(now, point, id);
        }
        let answer = Answer::Failed(failure.into());
        self.settle(now, point, &pending.work, id, answer);
        self.tell_blocked(now, point);
    }

    pub(super) fn point_answered(&mut self, now: Time, point: PeerId, id: RequestId) {
        let Some(it) = self.points.get_mut(&point) else {
            return;
        };
        it.landed(id);
        if it.answered(now, &self.config, RequestId(self.ids)) {
            self.agenda.set(Task::Retry(point), None);
            self.tell(Event::PointUp { point });
            self.reschedule_all(now, point);
        }
    }

    fn settle(&mut self, now: Time, point: PeerId, work: &Work, id: RequestId, answer: Answer) {
        match work {
            Work::Registration(namespace) => {
                let reply = match answer {
                    Answer::Failed(cause) => Reply::Failed(cause),
                    Answer::Page(_) => Reply::Failed(Breach::WrongResponse.into()),
                    Answer::Register { ttl_secs } => Reply::Granted { ttl_secs },
                    Answer::Written => Reply::Written,
                };
                self.settle_registration(now, point, namespace, id, reply);
            }
            Work::Lookup(operation) => match page_of(answer) {
                Ok(page) => self.settle_lookup(now, *operation, point, id, page),
                Err(cause) => self.lookup_failed(now, *operation, point, Some(id), cause),
            },
            Work::Watch(scope) => self.settle_watch(now, point, scope, id, page_of(answer)),
        }
        self.reschedule(now, point, work);
        self.pump(now, point);
    }

    fn settle_registration(
        &mut self,
        now: Time,
        point: PeerId,
        namespace: &Namespace,
        id: RequestId,
        reply: Reply,
    ) {
        let addresses_unsettled = self.agenda.contains(&Task::Addresses);
        let Some(it) = self.points.get_mut(&point) else {
            return;
        };
        let Some(registration) = it.registrations.get_mut(namespace) else {
            return;
        };
        let mut context = Context {
            now,
            config: &self.config,
            dice: &mut self.dice,
            tongue: &mut it.tongue,
            addresses: it.addresses.as_ref().unwrap_or(&self.addresses),
            addresses_unsettled,
        };
        let settled = registration.settle(&mut context, id, reply);
        let retry_at = registration.due_at();
        match settled {
            Settled::Granted | Settled::GrantedBefore => {
                if let Some(grant) = self.grant(point, namespace) {
                    self.tell(Event::Registered(grant));
                }
                if matches!(settled, Settled::Granted) {
                    self.register_settled(point, namespace, None);
                }
            }
            Settled::Failed(cause) => {
                self.register_settled(point, namespace, Some(&cause));
                self.tell(Event::RegistrationFailed {
                    point,
                    namespace: namespace.clone(),
                    cause,
                    retry_at: retry_at.map(|at| self.timeline.leave(at)),
                });
            }
            Settled::LeaveFailed(cause) => {
                self.unregister_settled(point, namespace, Some(&cause));
            }
            Settled::Left => self.unregister_settled(point, namespace, None),
            Settled::Open => {}
        }
    }

    fn settle_lookup(
        &mut self,
        now: Time,
        id: OperationId,
        point: PeerId,
        request: RequestId,
        mut page: CheckedPage,
    ) {
        let pushed = self.scopes_pushed(&point);
        let is_pushed = |entry: &CheckedEntry| {
            let mut scopes = pushed.iter();
            scopes.any(|scope| overlaps(scope, Some(&entry.namespace)))
        };
        let listed = page.entries.iter().filter(|entry| !is_pushed(entry));
        self.take_in(now, point, listed);
        for entry in &mut page.entries {
            // A point may list what was true once.
            if let Some(known) = self.cache.peer(now, &entry.namespace, entry.record.peer()) {
                entry.record = known.record;
            }
        }
        let Some(Operation::Discover(lookup)) = self.operations.get_mut(&id) else {
            return;
        };
        let Some((mut peers, goes_on)) =
            lookup.take_page(now, &self.config, &point, request, &page)
        else {
            return;
        };
        for found in &mut peers {
            found.until = self.timeline.leave(found.until);
        }
        self.tell(Event::Found {
            operation: id,
            point,
            peers,
            skipped: page.skipped,
        });
        // A slow point that goes on is waited for; one that fails makes the wait no longer.
        self.agenda.set(Task::Operation(id), None);
        self.lookup_stepped(now, id, point, goes_on);
    }

    pub(super) fn lookup_failed(
        &mut self,
        now: Time,
        id: OperationId,
        point: PeerId,
        request: Option<RequestId>,
        cause: Cause,
    ) {
        if let Some(Operation::Discover(lookup)) = self.operations.get_mut(&id) {
            let goes_on = lookup.take_failure(now, &point, request, cause);
            self.lookup_stepped(now, id, point, goes_on);
        }
    }

    fn lookup_stepped(&mut self, now: Time, id: OperationId, point: PeerId, goes_on: bool) {
        if let Some(it) = self.points.get_mut(&point) {
            if goes_on {
                it.waiting.insert(Work::Lookup(id));
            } else {
                it.waiting.remove(&Work::Lookup(id));
            }
        }
        self.lookup_moved(now, id);
    }

    /// Something happened in a discovery: it may be over, or near its end.
    pub(super) fn lookup_moved(&mut self, now: Time, id: OperationId) {
        let Some(Operation::Discover(lookup)) = self.operations.get_mut(&id) else {
            return;
        };
        if lookup.is_full() {
            let out = lookup.give_up();
            self.cancel_all(now, &out);
        } else if !self.agenda.contains(&Task::Operation(id)) {
            let until = lookup.stragglers_until(now, &self.config);
            self.agenda.set(Task::Operation(id), until);
        }
        let is_done = match self.operations.get(&id) {
            Some(Operation::Discover(lookup)) => lookup.is_done(),
            Some(Operation::Register { .. } | Operation::Unregister(_)) | None => false,
        };
        if !is_done {
            return;
        }
        self.agenda.set(Task::Operation(id), None);
        for it in self.points.values_mut() {
            it.waiting.remove(&Work::Lookup(id));
        }
        if let Some(Operation::Discover(lookup)) = self.operations.remove(&id) {
            self.tell(Event::DiscoverDone {
                operation: id,
                points: lookup.into_listed(),
            });
        }
    }

    fn settle_watch(
        &mut self,
        now: Time,
        point: PeerId,
        scope: &Scope,
        id: RequestId,
        page: Result<CheckedPage, Cause>,
    ) {
        let changes = page
            .as_ref()
            .map_or(0, |page| self.take_in(now, point, &page.entries));
        let Some(it) = self.points.get_mut(&point) else {
            return;
        };
        let Some(watch) = it.watches.get_mut(scope) else {
            return;
        };
        watch.note_changes(changes);
        let Some(listing) = watch.landed(id) else {
            return;
        };
        let step = match page {
            Ok(page) => listing.take_page(now, &self.config, &page),
            Err(cause) => listing.take_failure(now, cause),
        };
        let Step::End(cause) = step else {
            watch.go_on(now);
            return;
        };
        if cause.is_none()
            && let Some(since) = listing.full_since()
        {
            let gone = self.cache.sweep(point, scope, since);
            watch.note_changes(gone.len());
            self.tell_gone(gone, GoneReason::Unlisted);
            self.schedule_expiry();
        }
        self.finish_watch(now, point, scope, cause);
    }

    fn finish_watch(&mut self, now: Time, point: PeerId, scope: &Scope, cause: Option<Cause>) {
        let Some(it) = self.points.get_mut(&point) else {
            return;
        };
        let Some(watch) = it.watches.get_mut(scope) else {
            return;
        };
        let first = self.cache.first_deadline(&point, scope);
        watch.finish(now, &self.config, &mut self.dice, first, cause.clone());
        if let (Some(cause), Some(retry_at)) = (cause, watch.due_at()) {
            self.tell(Event::WatchFailed {
                point,
                scope: scope.clone(),
                cause,
                retry_at: self.timeline.leave(retry_at),
            });
        }
    }

    /// Puts what a point lists into the cache, and tells what is news to a watch. Returns how many
    /// joined.
    pub(super) fn take_in<'a>(
        &mut self,
        now: Time,
        point: PeerId,
        entries: impl IntoIterator<Item = &'a CheckedEntry>,
    ) -> usize {
        if !self.points.contains_key(&point) {
            return 0;
        }
        let mut joined = 0;
        for CheckedEntry {
            namespace,
            record,
            ttl,
        } in entries
        {
            let added = self
                .cache
                .add_peer(now, point, namespace, record.clone(), *ttl);
            self.tell_gone(added.evicted, GoneReason::Evicted);
            joined += usize::from(added.change == Change::Joined);
            let found = match added.change {
                Change::Joined | Change::Renewed if self.is_watched(namespace) => {
                    self.cache.peer(now, namespace, record.peer())
                }
                Change::Joined | Change::Renewed | Change::Full | Change::Unchanged => None,
            };
            if let Some(found) = found {
                let until = self.timeline.leave(found.until);
                let found = Discovered { until, ..found };
                self.tell(match added.change {
                    Change::Joined => Event::Joined(found),
                    Change::Renewed | Change::Full | Change::Unchanged => Event::Renewed(found),
                });
            }
        }
        self.schedule_expiry();
        joined
    }

    /// Tells of whom a watch that begins finds in the cache, if no other watch told it.
    pub(super) fn tell_known(&mut self, now: Time, scope: &Scope) {
        // Nobody is told gone who was not told there.
        self.fire(now, Task::Cache);
        for found in self.cache.valid_peers(now, scope, None) {
            if !self.is_watched(&found.namespace) {
                let until = self.timeline.leave(found.until);
                self.tell(Event::Joined(Discovered { until, ..found }));
            }
        }
    }

    pub(super) fn tell_gone(
        &mut self,
        gone: impl IntoIterator<Item = (Namespace, PeerId)>,
        reason: GoneReason,
    ) {
        for (namespace, peer) in gone {
            if self.is_watched(&namespace) {
                self.tell(Event::Gone {
                    namespace,
                    peer,
                    reason,
                });
            }
        }
    }

    fn is_watched(&self, namespace: &Namespace) -> bool {
        self.watched.contains(&Scope::All)
            || self.watched.contains(&Scope::Namespace(namespace.clone()))
    }
}

fn page_of(answer: Answer) -> Result<CheckedPage, Cause> {
    match answer {
        Answer::Failed(cause) => Err(cause),
        Answer::Page(page) => Ok(page),
        Answer::Register { .. } | Answer::Written => Err(Breach::WrongResponse.into()),
    }
}
