//! When which request goes out.

use libp2p_identity::PeerId;
use rv_proto::{Namespace, Time};

use super::operation::Operation;
use super::point::{Health, Work};
use super::registration::{Context, Next, Settled};
use super::time::Task;
use super::{
    Cause, Client, Event, Failure, GoneReason, OperationId, Output, Pending, RequestId, Wanted,
};

impl Client {
    /// Does what a timer was for.
    pub(super) fn fire(&mut self, now: Time, task: Task) {
        match task {
            Task::Addresses => self.addresses_rested(now),
            Task::Cache => {
                let gone = self.cache.expire(now);
                self.tell_gone(gone, GoneReason::Expired);
                self.schedule_expiry();
            }
            Task::Lapse(point, namespace) => {
                let registrations = self.points.get_mut(&point).map(|it| &mut it.registrations);
                let registration = registrations.and_then(|all| all.get_mut(&namespace));
                if registration.is_some_and(|it| it.lapse(now)) {
                    if !self.config.refresh {
                        self.wishes.remove(&namespace);
                    }
                    self.reschedule(now, point, &Work::Registration(namespace.clone()));
                    self.tell(Event::Lapsed { point, namespace });
                }
            }
            Task::Operation(id) => self.stragglers_are_late(now, id),
            Task::Request(id) => {
                self.outputs.push_back(Output::Cancel { id });
                self.failed(now, id, Failure::TimedOut);
            }
            Task::Retry(point) => self.pump(now, point),
            Task::Work(point, work) => {
                self.reschedule(now, point, &work);
                self.pump(now, point);
            }
        }
    }

    /// Puts the next request of a machine where it belongs: among what waits to be sent if it is
    /// due, on the agenda if it will be, nowhere if there is none.
    pub(super) fn reschedule(&mut self, now: Time, point: PeerId, work: &Work) {
        let mut lapse_at = None;
        let due_at = match (self.points.get_mut(&point), work) {
            (Some(it), Work::Registration(namespace)) => {
                let registration = it.registrations.get(namespace);
                if registration.is_some_and(super::registration::Registration::is_over) {
                    it.registrations.remove(namespace);
                }
                let registration = it.registrations.get(namespace);
                lapse_at = registration.and_then(|it| it.held()).map(|held| held.until);
                registration.and_then(|it| it.due_at())
            }
            (Some(it), Work::Watch(scope)) => {
                let is_offered = self.config.push && it.tongue.has_extension();
                let watch = it.watches.get_mut(scope);
                watch.and_then(|it| {
                    it.push.offer(is_offered);
                    it.due_at()
                })
            }
            // A lookup only waits for its turn.
            (Some(_), Work::Lookup(_)) => return,
            (None, _) => None,
        };
        if let Work::Registration(namespace) = work {
            let task = Task::Lapse(point, namespace.clone());
            self.agenda.set(task, lapse_at);
        }
        let is_due = due_at.is_some_and(|at| at <= now);
        if let Some(it) = self.points.get_mut(&point) {
            if is_due {
                it.waiting.insert(work.clone());
            } else {
                it.waiting.remove(work);
            }
        }
        let task = Task::Work(point, work.clone());
        self.agenda.set(task, due_at.filter(|_| !is_due));
    }

    /// Puts all of a point's machines where they belong, and sends what may be sent.
    pub(super) fn reschedule_all(&mut self, now: Time, point: PeerId) {
        let Some(it) = self.points.get(&point) else {
            return;
        };
        let registrations = it.registrations.keys().cloned().map(Work::Registration);
        let watches = it.watches.keys().cloned().map(Work::Watch);
        let all: Vec<_> = registrations.chain(watches).collect();
        for work in &all {
            self.reschedule(now, point, work);
        }
        self.pump(now, point);
    }

    /// Sends to a point what may be sent.
    pub(super) fn pump(&mut self, now: Time, point: PeerId) {
        while let Some(it) = self.points.get_mut(&point)
            && let Some(work) = it.admit(now, &self.config)
        {
            self.send(now, point, work);
        }
    }

    /// Sends the request of one machine, if it still has one.
    fn send(&mut self, now: Time, point: PeerId, work: Work) {
        let id = RequestId(self.next_id());
        let config = &self.config;
        let Some(it) = self.points.get_mut(&point) else {
            return;
        };
        let accepts = it.accepts();
        let next = match &work {
            Work::Registration(namespace) => {
                let Some(registration) = it.registrations.get_mut(namespace) else {
                    return;
                };
                let context = Context {
                    now,
                    config,
                    dice: &mut self.dice,
                    tongue: &mut it.tongue,
                    addresses: it.addresses.as_ref().unwrap_or(&self.addresses),
                    addresses_unsettled: false,
                };
                registration.next(&context, id)
            }
            Work::Lookup(operation) => {
                let request = match self.operations.get_mut(operation) {
                    Some(Operation::Discover(lookup)) => lookup.next(config, &point, accepts, id),
                    Some(Operation::Register { .. } | Operation::Unregister(_)) | None => None,
                };
                discover(request, config.request_timeout)
            }
            Work::Watch(scope) => {
                let watch = it.watches.get_mut(scope);
                let request = watch.and_then(|it| it.next(now, config, accepts, id));
                discover(request, config.request_timeout)
            }
        };
        match (next, work) {
            (Next::Send { request, timeout }, work) => {
                it.sent(id, &work, &self.config);
                let until = now.saturating_add(timeout);
                self.agenda.set(Task::Request(id), Some(until));
                let pending = Pending {
                    point,
                    work,
                    request: request.clone(),
                };
                self.requests.insert(id, pending);
                self.outputs
                    .push_back(Output::Request { id, point, request });
            }
            (Next::NoAddress, Work::Registration(namespace)) => {
                self.no_address(point, namespace);
            }
            (Next::NoAddress, Work::Lookup(_) | Work::Watch(_)) | (Next::Nothing, _) => {}
        }
    }

    fn no_address(&mut self, point: PeerId, namespace: Namespace) {
        let cause = Cause::NoAddress;
        self.register_settled(point, &namespace, Some(&cause));
        self.tell(Event::RegistrationFailed {
            point,
            namespace,
            cause,
            retry_at: None,
        });
    }

    /// A request went unanswered because its point cannot be reached.
    pub(super) fn point_missed(
        &mut self,
        now: Time,
        point: PeerId,
        id: RequestId,
        failure: &Failure,
    ) {
        let Some(it) = self.points.get_mut(&point) else {
            return;
        };
        let Some(retry_at) = it.missed(now, &self.config, &mut self.dice, id, failure) else {
            return;
        };
        self.agenda.set(Task::Retry(point), Some(retry_at));
        self.tell(Event::PointDown {
            point,
            failure: failure.clone(),
            retry_at: self.timeline.leave(retry_at),
        });
    }

    /// Who waits for a point that cannot be reached is told, instead of being kept waiting.
    pub(super) fn tell_blocked(&mut self, now: Time, point: PeerId) {
        let Some(it) = self.points.get(&point) else {
            return;
        };
        let Health::Down { failure, .. } = &it.health else {
            return;
        };
        let failure = failure.clone();
        let cause = Cause::Failed(failure.clone());
        let waiting: Vec<_> = it.waiting.iter().cloned().collect();
        for work in waiting {
            match &work {
                Work::Registration(namespace) => {
                    self.register_settled(point, namespace, Some(&cause));
                    let registrations = self.points.get_mut(&point).map(|it| &mut it.registrations);
                    let registration = registrations.and_then(|all| all.get_mut(namespace));
                    let settled = registration.map(|it| it.blocked(&failure));
                    if let Some(Settled::LeaveFailed(cause)) = settled {
                        self.unregister_settled(point, namespace, Some(&cause));
                    }
                    self.reschedule(now, point, &work);
                }
                Work::Lookup(operation) => {
                    self.lookup_failed(now, *operation, point, None, cause.clone());
                }
                Work::Watch(_) => {}
            }
        }
    }

    /// The slower points of a discovery had their time. Their answers still go to the cache.
    fn stragglers_are_late(&mut self, now: Time, id: OperationId) {
        if let Some(Operation::Discover(lookup)) = self.operations.get_mut(&id) {
            lookup.give_up_late(now, &self.config);
            self.lookup_moved(now, id);
        }
    }

    pub(super) fn schedule_expiry(&mut self) {
        self.agenda.set(Task::Cache, self.cache.next_deadline());
    }

    /// Takes a request that is not out any more.
    pub(super) fn take(&mut self, id: RequestId) -> Option<Pending> {
        let pending = self.requests.remove(&id)?;
        self.agenda.set(Task::Request(id), None);
        Some(pending)
    }
}

fn discover(request: Option<Wanted>, timeout: std::time::Duration) -> Next {
    match request {
        Some(request) => Next::Send { request, timeout },
        None => Next::Nothing,
    }
}
