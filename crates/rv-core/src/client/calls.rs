//! What the application asks for.

use std::collections::BTreeSet;

use libp2p_identity::PeerId;
use rv_proto::{Namespace, Scope, Time};

use super::lookup::Lookup;
use super::operation::{Operation, Progress};
use super::point::{Point, Work};
use super::registration::Registration;
use super::time::Task;
use super::watch::Watch;
use super::{
    Cause, Client, ClientConfig, DiscoverOptions, GoneReason, OperationId, Output, RegisterOptions,
    RequestId, StartError, Target,
};

impl Client {
    /// Adds a point. What is registered at every point and what is watched starts there at once.
    ///
    /// # Errors
    ///
    /// If there are as many as may be, or the client is closed. To add a known one changes nothing.
    pub fn add_point(&mut self, now: Time, point: PeerId) -> Result<(), StartError> {
        let now = self.timeline.enter(now);
        self.check_open()?;
        if self.points.contains_key(&point) {
            return Ok(());
        }
        check_room("points", self.points.len(), self.config.points_max)?;
        let mut it = Point::default();
        for (namespace, ttl) in &self.wishes {
            let mut registration = Registration::new(namespace.clone());
            registration.want(now, *ttl);
            it.registrations.insert(namespace.clone(), registration);
        }
        for scope in &self.watched {
            let watch = Watch::new(now, &self.config, scope.clone());
            it.watches.insert(scope.clone(), watch);
        }
        self.points.insert(point, it);
        self.reschedule_all(now, point);
        Ok(())
    }

    /// Forgets a point and all that it listed. Nothing is unregistered.
    pub fn remove_point(&mut self, now: Time, point: PeerId) {
        let now = self.timeline.enter(now);
        self.drop_point(now, point);
        let gone = self.cache.forget_point(point);
        self.tell_gone(gone, GoneReason::PointRemoved);
        self.schedule_expiry();
    }

    /// Registers in a namespace and stays registered until [`unregister`](Self::unregister).
    ///
    /// A second call changes the ttl and registers anew.
    ///
    /// # Errors
    ///
    /// If there is no such point, or as much is registered or under way as may be.
    pub fn register(
        &mut self,
        now: Time,
        target: Target,
        namespace: Namespace,
        options: RegisterOptions,
    ) -> Result<OperationId, StartError> {
        let now = self.timeline.enter(now);
        let points = self.targets(target)?;
        self.check_registrations(&points, &namespace)?;
        let ttl = options.ttl.unwrap_or(ClientConfig::TTL_DEFAULT);
        if target == Target::Every {
            self.wishes.insert(namespace.clone(), ttl);
        }
        for point in &points {
            self.unregister_settled(*point, &namespace, Some(&Cause::Withdrawn));
        }
        let operation = self.start(Operation::Register {
            progress: Progress::new(namespace.clone(), &points),
            wait_for_address: options.wait_for_address,
        });
        for point in points {
            self.with_registration(now, point, &namespace, |it| it.want(now, ttl));
        }
        Ok(operation)
    }

    /// Ends the refresh of a registration at once and takes it out.
    ///
    /// A point is told even if nothing is known to be registered there: it may be from before.
    ///
    /// # Errors
    ///
    /// If there is no such point, or as much is under way as may be.
    pub fn unregister(
        &mut self,
        now: Time,
        target: Target,
        namespace: &Namespace,
    ) -> Result<OperationId, StartError> {
        let now = self.timeline.enter(now);
        let points = self.targets(target)?;
        self.check_registrations(&points, namespace)?;
        if target == Target::Every {
            self.wishes.remove(namespace);
        }
        for point in &points {
            self.register_settled(*point, namespace, Some(&Cause::Withdrawn));
        }
        let progress = Progress::new(namespace.clone(), &points);
        let operation = self.start(Operation::Unregister(progress));
        for point in points {
            self.with_registration(now, point, namespace, |it| it.leave(now));
        }
        Ok(operation)
    }

    /// Lists a scope once.
    ///
    /// # Errors
    ///
    /// If there is no such point, as much is under way as may be, or a cookie is given for more
    /// than one point.
    pub fn discover(
        &mut self,
        now: Time,
        target: Target,
        scope: &Scope,
        options: DiscoverOptions,
    ) -> Result<OperationId, StartError> {
        let now = self.timeline.enter(now);
        let points = self.targets(target)?;
        if target == Target::Every && options.cookie.is_some() {
            return Err(StartError::CookieWithoutPoint);
        }
        let lookup = Lookup::new(now, scope, options, points.iter().copied());
        let operation = self.start(Operation::Discover(Box::new(lookup)));
        for point in points {
            if let Some(it) = self.points.get_mut(&point) {
                it.knock(now);
                it.waiting.insert(Work::Lookup(operation));
                self.pump(now, point);
            }
        }
        self.lookup_moved(now, operation);
        Ok(operation)
    }

    /// Ends a call that is not over: nothing more is told of it. The requests of a discovery are
    /// ended. A registration goes on, as does its end: only who waits for it is forgotten.
    pub fn cancel(&mut self, now: Time, id: OperationId) {
        let now = self.timeline.enter(now);
        let Some(operation) = self.operations.remove(&id) else {
            return;
        };
        let Operation::Discover(mut lookup) = operation else {
            return;
        };
        self.agenda.set(Task::Operation(id), None);
        for it in self.points.values_mut() {
            it.waiting.remove(&Work::Lookup(id));
        }
        let out = lookup.give_up();
        self.cancel_all(now, &out);
    }

    /// Polls a scope at every point, and tells who joins, is renewed, and is gone. Who is in the
    /// cache already has joined.
    ///
    /// # Errors
    ///
    /// If as much is watched as may be, or the client is closed. To watch the same twice changes
    /// nothing.
    pub fn watch(&mut self, now: Time, scope: &Scope) -> Result<(), StartError> {
        let now = self.timeline.enter(now);
        self.check_open()?;
        if self.watched.contains(scope) {
            return Ok(());
        }
        check_room("watches", self.watched.len(), self.config.watches_max)?;
        self.tell_known(now, scope);
        self.watched.insert(scope.clone());
        let points: Vec<_> = self.points.keys().copied().collect();
        for point in points {
            if let Some(it) = self.points.get_mut(&point) {
                let watch = Watch::new(now, &self.config, scope.clone());
                it.watches.insert(scope.clone(), watch);
                self.reschedule(now, point, &Work::Watch(scope.clone()));
                self.pump(now, point);
            }
        }
        Ok(())
    }

    /// Ends a watch. What it found stays in the cache until its deadline.
    pub fn unwatch(&mut self, now: Time, scope: &Scope) {
        let now = self.timeline.enter(now);
        self.watched.remove(scope);
        let work = Work::Watch(scope.clone());
        let points: Vec<_> = self.points.keys().copied().collect();
        for point in points {
            if let Some(it) = self.points.get_mut(&point) {
                it.watches.remove(scope);
            }
            self.cancel_requests(now, |pending| {
                pending.point == point && pending.work == work
            });
            self.cancel_pushes(|pending| pending.point == point && pending.work == work);
            self.reschedule(now, point, &work);
            self.pump(now, point);
        }
    }

    /// Forgets the discovered peers of one namespace, or with `None` of all. What is watched is
    /// listed anew.
    pub fn clear_cache(&mut self, now: Time, namespace: Option<&Namespace>) {
        let now = self.timeline.enter(now);
        let gone = self.cache.clear(namespace);
        self.tell_gone(gone, GoneReason::Cleared);
        self.schedule_expiry();
        let points: Vec<_> = self.points.keys().copied().collect();
        for point in points {
            if let Some(it) = self.points.get_mut(&point) {
                let mut forgotten = Vec::new();
                for (scope, watch) in &mut it.watches {
                    if overlaps(scope, namespace) {
                        watch.relist(now);
                        forgotten.push(Work::Watch(scope.clone()));
                    }
                }
                self.restart_pushes(now, point, &forgotten);
                self.reschedule_all(now, point);
            }
        }
    }

    /// Stops everything. Nothing is unregistered: registrations stand until their deadlines.
    pub fn close(&mut self, now: Time) {
        let now = self.timeline.enter(now);
        self.is_closed = true;
        self.wishes.clear();
        self.watched.clear();
        let points: Vec<_> = self.points.keys().copied().collect();
        for point in points {
            self.drop_point(now, point);
        }
    }

    /// Ends all that goes on at a point, and forgets it.
    fn drop_point(&mut self, now: Time, point: PeerId) {
        let Some(it) = self.points.remove(&point) else {
            return;
        };
        self.cancel_requests(now, |pending| pending.point == point);
        self.cancel_pushes(|pending| pending.point == point);
        for namespace in it.registrations.keys() {
            let work = Work::Registration(namespace.clone());
            self.agenda.set(Task::Work(point, work), None);
            self.agenda.set(Task::Lapse(point, namespace.clone()), None);
            self.register_settled(point, namespace, Some(&Cause::Closed));
            self.unregister_settled(point, namespace, Some(&Cause::Closed));
        }
        for scope in it.watches.into_keys() {
            self.agenda.set(Task::Work(point, Work::Watch(scope)), None);
        }
        self.agenda.set(Task::Retry(point), None);
        let operations: Vec<_> = self.operations.keys().copied().collect();
        for id in operations {
            if let Some(Operation::Discover(lookup)) = self.operations.get_mut(&id) {
                lookup.drop_point(&point, &Cause::Closed);
                self.lookup_moved(now, id);
            }
        }
    }

    fn start(&mut self, operation: Operation) -> OperationId {
        let id = OperationId(self.next_id());
        self.operations.insert(id, operation);
        id
    }

    fn with_registration(
        &mut self,
        now: Time,
        point: PeerId,
        namespace: &Namespace,
        change: impl FnOnce(&mut Registration),
    ) {
        let Some(it) = self.points.get_mut(&point) else {
            return;
        };
        it.knock(now);
        let registration = it
            .registrations
            .entry(namespace.clone())
            .or_insert_with(|| Registration::new(namespace.clone()));
        change(registration);
        self.reschedule(now, point, &Work::Registration(namespace.clone()));
        self.pump(now, point);
    }

    /// Takes out all requests that match, and tells the shell.
    fn cancel_requests(&mut self, now: Time, matches: impl Fn(&super::Pending) -> bool) {
        let requests = self.requests.iter();
        let out: Vec<_> = requests
            .filter(|(_, pending)| matches(pending))
            .map(|(id, _)| *id)
            .collect();
        self.cancel_all(now, &out);
    }

    /// Takes out these requests, tells the shell, and sends what waited for their places.
    pub(super) fn cancel_all(&mut self, now: Time, out: &[RequestId]) {
        let mut freed = BTreeSet::new();
        for id in out.iter().copied() {
            if let Some(pending) = self.take(id)
                && let Some(it) = self.points.get_mut(&pending.point)
            {
                it.landed(id);
                freed.insert(pending.point);
            }
            self.outputs.push_back(Output::Cancel { id });
        }
        for point in freed {
            self.pump(now, point);
        }
    }

    fn targets(&self, target: Target) -> Result<Vec<PeerId>, StartError> {
        self.check_open()?;
        let max = self.config.operations_max;
        check_room("operations", self.operations.len(), max)?;
        match target {
            Target::Every if self.points.is_empty() => Err(StartError::NoPoint),
            Target::Every => Ok(self.points.keys().copied().collect()),
            Target::Point(point) if self.points.contains_key(&point) => Ok(vec![point]),
            Target::Point(_) => Err(StartError::UnknownPoint),
        }
    }

    fn check_open(&self) -> Result<(), StartError> {
        if self.is_closed {
            return Err(StartError::Closed);
        }
        Ok(())
    }

    fn check_registrations(
        &self,
        points: &[PeerId],
        namespace: &Namespace,
    ) -> Result<(), StartError> {
        let max = self.config.registrations_max;
        for point in points.iter().filter_map(|point| self.points.get(point)) {
            if !point.registrations.contains_key(namespace) {
                check_room("registrations", point.registrations.len(), max)?;
            }
        }
        Ok(())
    }
}

const fn check_room(what: &'static str, count: usize, max: usize) -> Result<(), StartError> {
    if count >= max {
        return Err(StartError::TooMany { what, max });
    }
    Ok(())
}

pub(super) fn overlaps(scope: &Scope, namespace: Option<&Namespace>) -> bool {
    match (scope, namespace) {
        (Scope::All, _) | (_, None) => true,
        (Scope::Namespace(watched), Some(cleared)) => watched == cleared,
    }
}
