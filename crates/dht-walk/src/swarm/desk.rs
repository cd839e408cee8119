//! Requests of handles: whose turn it is, and the lookups among them.
//!
//! It has no IO of its own: it says what is to be sent, and is told what came back.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll};

use crate::address::AddressPolicy;
use crate::config::LookupConfig;
use crate::driver::Progress;
use crate::lookup::{Lookup, LookupEnd, Step};
use crate::output::{Failure, RequestId};
use crate::peer::{Contact, Peer};
use crate::target::Target;
use crate::time::Time;
use crate::walk::Found;

use super::config::{Config, HandleConfig};
use super::handle::HandleError;
use super::inbox::{AnswerTo, FoundTo};

/// What handles asked for and was not answered yet.
#[derive(Debug)]
pub(super) struct Desk {
    local: Peer,
    bounds: HandleConfig,
    lookup: LookupConfig,
    addresses: AddressPolicy,
    bucket_size: usize,
    /// In the order in which they came.
    waiting: VecDeque<Waiting>,
    out: BTreeMap<RequestId, Out>,
    lookups: BTreeMap<CallId, Running>,
    /// Lookups that did not begin yet.
    planned: VecDeque<Planned>,
    ids: u64,
    outputs: VecDeque<Output>,
}

/// Names a call of a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct CallId(u64);

/// What the behaviour does next.
#[derive(Debug)]
pub(super) enum Output {
    Ask(RequestId, Contact, Target),
    Cancel(RequestId),
}

#[derive(Debug)]
struct Waiting {
    contact: Contact,
    target: Target,
    whose: Whose,
}

/// A request without an answer yet.
#[derive(Debug)]
struct Out {
    contact: Contact,
    ends_at: Time,
    whose: Whose,
}

#[derive(Debug)]
enum Whose {
    Call(CallId, AnswerTo),
    Lookup(CallId),
}

#[derive(Debug)]
pub(super) struct Planned {
    pub(super) target: Target,
    /// Whom it begins with.
    pub(super) known: Vec<Contact>,
    pub(super) progress: Progress,
    pub(super) reply: FoundTo,
}

#[derive(Debug)]
struct Running {
    lookup: Lookup,
    wake_at: Time,
    heard: BTreeMap<Peer, Contact>,
    progress: Progress,
    reply: FoundTo,
}

impl Whose {
    fn id(&self) -> CallId {
        match self {
            Self::Call(id, _) | Self::Lookup(id) => *id,
        }
    }

    fn is_wanted(&self) -> bool {
        match self {
            Self::Call(_, reply) => !reply.is_canceled(),
            Self::Lookup(_) => true,
        }
    }
}

impl Desk {
    /// The ids of the walk's requests count from one, those of handles from here.
    const FIRST_ID: u64 = 1 << 63;

    pub(super) fn new(local: Peer, config: &Config) -> Self {
        Self {
            local,
            bounds: config.handles,
            lookup: config.walk.lookup,
            addresses: config.walk.addresses,
            bucket_size: config.walk.bucket_size,
            waiting: VecDeque::new(),
            out: BTreeMap::new(),
            lookups: BTreeMap::new(),
            planned: VecDeque::new(),
            ids: Self::FIRST_ID,
            outputs: VecDeque::new(),
        }
    }

    /// Whether the request is a handle's, and not the walk's.
    pub(super) fn is_of_handle(id: RequestId) -> bool {
        id.0 >= Self::FIRST_ID
    }

    /// Whether more may be taken from the handles.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() + self.planned.len() < self.bounds.waiting_max
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        // All have the same time, so the first one sent is the first one late.
        let late = self.out.values().next().map(|out| out.ends_at);
        let lookups = self.lookups.values().map(|running| running.wake_at);
        late.into_iter().chain(lookups).min()
    }

    pub(super) fn ask(&mut self, now: Time, contact: Contact, target: Target, reply: AnswerTo) {
        let whose = Whose::Call(CallId(self.next_id()), reply);
        self.waiting.push_back(Waiting {
            contact,
            target,
            whose,
        });
        self.drive(now);
    }

    pub(super) fn look_up(&mut self, now: Time, planned: Planned) {
        self.planned.push_back(planned);
        self.drive(now);
    }

    /// Ends what nobody waits for any more; pending where there is nothing of that kind.
    pub(super) fn poll_dropped(&mut self, cx: &mut Context<'_>, now: Time) -> Poll<()> {
        let mut dropped = Vec::new();
        let waiting = self.waiting.iter_mut().map(|it| &mut it.whose);
        let out = self.out.values_mut().map(|it| &mut it.whose);
        for whose in waiting.chain(out) {
            if let Whose::Call(id, reply) = whose
                && reply.poll_canceled(cx).is_ready()
            {
                dropped.push(*id);
            }
        }
        for (id, running) in &mut self.lookups {
            if running.reply.poll_canceled(cx).is_ready() {
                dropped.push(*id);
            }
        }
        let is_wanted = |it: &mut Planned| it.reply.poll_canceled(cx).is_pending();
        self.planned.retain_mut(is_wanted);
        if dropped.is_empty() {
            return Poll::Pending;
        }
        for id in dropped {
            self.lookups.remove(&id);
            self.recall(id);
        }
        self.drive(now);
        Poll::Ready(())
    }

    pub(super) fn handle_answer(&mut self, now: Time, id: RequestId, told: Vec<Contact>) {
        let Some(out) = self.out.remove(&id) else {
            return;
        };
        match out.whose {
            // Who does not wait any more has dropped the other end.
            Whose::Call(_, reply) => _ = reply.send(Ok(told)),
            Whose::Lookup(call) => self.lookup_answered(call, out.contact, told),
        }
        self.drive(now);
    }

    pub(super) fn handle_failure(&mut self, now: Time, id: RequestId, failure: Failure) {
        let Some(out) = self.out.remove(&id) else {
            return;
        };
        match out.whose {
            Whose::Call(_, reply) => _ = reply.send(Err(failure)),
            Whose::Lookup(call) => {
                if let Some(running) = self.lookups.get_mut(&call) {
                    running.lookup.handle_failure(&out.contact.peer);
                }
            }
        }
        self.drive(now);
    }

    /// A request whose time is up; tell with [`handle_failure`](Self::handle_failure) how it
    /// failed.
    pub(super) fn late(&self, now: Time) -> Option<RequestId> {
        let (id, out) = self.out.first_key_value()?;
        (out.ends_at <= now).then_some(*id)
    }

    pub(super) fn handle_timeout(&mut self, now: Time) {
        self.drive(now);
    }

    fn lookup_answered(&mut self, call: CallId, contact: Contact, told: Vec<Contact>) {
        let Some(running) = self.lookups.get_mut(&call) else {
            return;
        };
        let (policy, local) = (self.addresses, &self.local);
        let told = told.iter().take(self.bucket_size);
        let told: Vec<Contact> = told.filter_map(|it| policy.keep(local, it).ok()).collect();
        for contact in &told {
            if running.heard.len() < Progress::PEERS_MAX {
                let heard = running.heard.entry(contact.peer.clone());
                heard.or_insert_with(|| contact.clone());
            }
        }
        running.progress.heard(told.iter().cloned());
        running.lookup.handle_answer(&contact.peer, told);
        running.progress.answered(contact);
    }

    /// Begins what may begin, and asks whom it is time to ask.
    fn drive(&mut self, now: Time) {
        loop {
            self.begin(now);
            let ended = self.step(now);
            if ended.is_empty() {
                break;
            }
            for (id, end) in ended {
                self.finish(id, end);
            }
        }
        self.dispatch(now);
    }

    fn begin(&mut self, now: Time) {
        while self.lookups.len() < self.bounds.lookups_max
            && let Some(planned) = self.planned.pop_front()
        {
            if planned.reply.is_canceled() {
                continue;
            }
            let (config, local) = (self.lookup, self.local.clone());
            let (target, known) = (planned.target, planned.known);
            let lookup = Lookup::new(now, config, local, target, self.bucket_size, known);
            let running = Running {
                lookup,
                wake_at: now,
                heard: BTreeMap::new(),
                progress: planned.progress,
                reply: planned.reply,
            };
            let id = CallId(self.next_id());
            self.lookups.insert(id, running);
        }
    }

    /// Takes from each lookup whom to ask; gives those that are over.
    fn step(&mut self, now: Time) -> Vec<(CallId, LookupEnd)> {
        let mut ended = Vec::new();
        for (id, running) in &mut self.lookups {
            loop {
                match running.lookup.poll(now) {
                    Step::Ask(contact) => {
                        running.lookup.asked(now, &contact.peer);
                        self.waiting.push_back(Waiting {
                            contact,
                            target: running.lookup.target().clone(),
                            whose: Whose::Lookup(*id),
                        });
                    }
                    Step::Wait(at) => {
                        running.wake_at = at;
                        break;
                    }
                    Step::Done(end) => {
                        ended.push((*id, end));
                        break;
                    }
                }
            }
        }
        ended
    }

    fn finish(&mut self, id: CallId, end: LookupEnd) {
        self.recall(id);
        if let Some(running) = self.lookups.remove(&id) {
            let found = found(&running.lookup, running.heard, end);
            // Who does not wait any more has dropped the other end.
            let _ = running.reply.send(found);
        }
    }

    /// Takes back all requests of a call.
    fn recall(&mut self, id: CallId) {
        self.waiting.retain(|waiting| waiting.whose.id() != id);
        let outputs = &mut self.outputs;
        self.out.retain(|request, out| {
            let is_kept = out.whose.id() != id;
            if !is_kept {
                outputs.push_back(Output::Cancel(*request));
            }
            is_kept
        });
    }

    fn dispatch(&mut self, now: Time) {
        while self.out.len() < self.bounds.in_flight_max
            && let Some(at) = self.waiting.iter().position(|it| self.is_free(it))
            && let Some(next) = self.waiting.remove(at)
        {
            if !next.whose.is_wanted() {
                continue;
            }
            let id = RequestId(self.next_id());
            let Waiting {
                contact,
                target,
                whose,
            } = next;
            let output = Output::Ask(id, contact.clone(), target);
            let ends_at = now.saturating_add(self.lookup.request_timeout);
            let out = Out {
                contact,
                ends_at,
                whose,
            };
            self.out.insert(id, out);
            self.outputs.push_back(output);
        }
    }

    fn next_id(&mut self) -> u64 {
        let id = self.ids;
        self.ids += 1;
        id
    }

    fn is_free(&self, waiting: &Waiting) -> bool {
        let peer = &waiting.contact.peer;
        let same = self.out.values().filter(|out| out.contact.peer == *peer);
        same.count() < self.bounds.per_peer_max
    }
}

fn found(
    lookup: &Lookup,
    mut heard: BTreeMap<Peer, Contact>,
    end: LookupEnd,
) -> Result<Found, HandleError> {
    if end == LookupEnd::NobodyToAsk {
        return Err(HandleError::NobodyToAsk);
    }
    let closest: Vec<Contact> = lookup.closest().cloned().collect();
    for contact in &closest {
        heard.remove(&contact.peer);
    }
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let error = closest.is_empty();
    let error = error.then(|| format!("none of {} peers answered", lookup.requests()));
    Ok(Found {
        closest,
        heard: heard.into_values().collect(),
        requests: Some(count(lookup.requests())),
        failures: count(lookup.failures()),
        is_complete: matches!(end, LookupEnd::Converged | LookupEnd::Exhausted),
        error,
    })
}

#[cfg(test)]
mod tests {
    use futures::channel::oneshot;
    use futures::task::noop_waker_ref;

    use super::*;
    use crate::rng::Seed;
    use crate::target::Targets;

    type Answered = oneshot::Receiver<Result<Vec<Contact>, Failure>>;
    type Sought = oneshot::Receiver<Result<Found, HandleError>>;

    const NOW: Time = Time::from_millis(0);

    struct Stage {
        desk: Desk,
        random: Targets,
    }

    impl Stage {
        fn new(handles: HandleConfig) -> Self {
            let mut random = Targets::new(Seed::from_bytes([3; 32]));
            let mut config = Config {
                handles,
                ..Config::default()
            };
            config.walk.addresses = AddressPolicy::Any;
            let desk = Desk::new(random.uniform().as_peer().clone(), &config);
            Self { desk, random }
        }

        fn contact(&mut self) -> Contact {
            let address = "/memory/1".parse().expect("an address");
            Contact::new(self.random.uniform().as_peer().clone(), [address])
        }

        fn ask(&mut self, contact: &Contact) -> Answered {
            let (reply, answered) = oneshot::channel();
            let target = self.random.uniform();
            self.desk.ask(NOW, contact.clone(), target, reply);
            answered
        }

        fn look_up(&mut self, known: Vec<Contact>) -> Sought {
            let (reply, found) = oneshot::channel();
            let planned = Planned {
                target: self.random.uniform(),
                known,
                progress: Progress::default(),
                reply,
            };
            self.desk.look_up(NOW, planned);
            found
        }

        fn poll_dropped(&mut self) -> Poll<()> {
            let mut cx = Context::from_waker(noop_waker_ref());
            self.desk.poll_dropped(&mut cx, NOW)
        }

        /// Whom to ask, and by which request.
        fn asked(&mut self) -> Vec<(RequestId, Peer)> {
            let outputs = std::iter::from_fn(|| self.desk.poll_output());
            let asked = outputs.filter_map(|output| match output {
                Output::Ask(id, contact, _) => Some((id, contact.peer)),
                Output::Cancel(_) => None,
            });
            asked.collect()
        }
    }

    fn bounds() -> HandleConfig {
        HandleConfig::default()
    }

    #[test]
    fn no_more_are_asked_at_a_time_than_may_be_and_no_peer_more_often() {
        let mut stage = Stage::new(HandleConfig {
            in_flight_max: 3,
            per_peer_max: 2,
            ..bounds()
        });
        let (one, other) = (stage.contact(), stage.contact());
        let _waiting: Vec<_> = [&one, &one, &one, &other, &other]
            .into_iter()
            .map(|contact| stage.ask(contact))
            .collect();
        let asked = stage.asked();
        let whom: Vec<&Peer> = asked.iter().map(|(_, peer)| peer).collect();
        assert_eq!(whom, [&one.peer, &one.peer, &other.peer]);
        assert!(asked.iter().all(|(id, _)| Desk::is_of_handle(*id)));

        stage.desk.handle_answer(NOW, asked[2].0, Vec::new());
        let next = stage.asked();
        assert_eq!(next[0].1, other.peer, "the third of the first has to wait");
        stage.desk.handle_failure(NOW, asked[0].0, Failure::Broken);
        assert_eq!(stage.asked()[0].1, one.peer);
    }

    #[test]
    fn what_waits_is_bounded_and_who_is_dropped_waits_no_more() {
        let mut stage = Stage::new(HandleConfig {
            in_flight_max: 1,
            waiting_max: 2,
            ..bounds()
        });
        let contact = stage.contact();
        let first = stage.ask(&contact);
        assert!(stage.desk.has_room());
        let second = stage.look_up(vec![contact.clone()]);
        assert!(stage.desk.has_room(), "its request is one that waits");
        let third = stage.ask(&contact);
        assert!(!stage.desk.has_room());
        assert!(stage.poll_dropped().is_pending());
        drop(second);
        assert!(stage.poll_dropped().is_ready());
        assert!(stage.desk.has_room());
        let asked = stage.asked();
        assert_eq!(asked.len(), 1);
        // Its future is gone before anybody looked, so nothing is sent for it.
        drop(third);
        stage.desk.handle_answer(NOW, asked[0].0, Vec::new());
        assert!(stage.desk.poll_output().is_none());
        drop(first);
        let fourth = stage.ask(&contact);
        assert_eq!(stage.asked().len(), 1);
        drop(fourth);
        assert!(stage.poll_dropped().is_ready());
        assert!(matches!(stage.desk.poll_output(), Some(Output::Cancel(_))));
        assert_eq!(stage.desk.poll_timeout(), None);
    }

    #[test]
    fn a_request_is_late_when_its_own_time_is_up_and_not_that_of_the_one_before() {
        let mut stage = Stage::new(HandleConfig {
            in_flight_max: 1,
            ..bounds()
        });
        let contact = stage.contact();
        let mut first = stage.ask(&contact);
        let _second = stage.ask(&contact);
        let five = Time::from_millis(5_000);
        assert_eq!(stage.desk.poll_timeout(), Some(five));
        assert_eq!(stage.desk.late(Time::from_millis(4_999)), None);
        let late = stage.desk.late(five).expect("five seconds are over");
        stage.desk.handle_failure(five, late, Failure::TimedOut);
        assert_eq!(first.try_recv(), Ok(Some(Err(Failure::TimedOut))));
        assert_eq!(stage.desk.late(five), None, "it was sent just now");
        assert_eq!(stage.desk.poll_timeout(), Some(Time::from_millis(10_000)));
    }

    #[test]
    fn a_lookup_tells_who_answered_and_who_was_heard_of_and_others_wait_for_it() {
        let mut stage = Stage::new(HandleConfig {
            lookups_max: 1,
            ..bounds()
        });
        let (one, other) = (stage.contact(), stage.contact());
        let mut found = stage.look_up(vec![one.clone()]);
        let mut nobody = stage.look_up(Vec::new());
        let asked = stage.asked();
        let ourselves = Contact::new(stage.desk.local.clone(), ["/memory/2".parse().expect("it")]);
        let homeless = Contact::new(stage.contact().peer, []);
        let told = vec![other.clone(), ourselves, homeless];
        stage.desk.handle_answer(NOW, asked[0].0, told);
        assert_eq!(nobody.try_recv(), Ok(None), "it is not its turn");
        let asked = stage.asked();
        assert_eq!(asked.len(), 1, "who cannot be used is not asked");
        let failure = Failure::NotServing;
        stage.desk.handle_failure(NOW, asked[0].0, failure);
        let found = found.try_recv().expect("it ended").expect("it is told");
        let wanted = Found {
            closest: vec![one],
            heard: vec![other],
            requests: Some(2),
            failures: 1,
            is_complete: true,
            error: None,
        };
        assert_eq!(found, Ok(wanted));
        assert_eq!(nobody.try_recv(), Ok(Some(Err(HandleError::NobodyToAsk))));
        assert_eq!(stage.desk.poll_timeout(), None);
    }

    #[test]
    fn a_lookup_without_answers_ends_in_time_and_says_so() {
        let mut stage = Stage::new(bounds());
        let silent = stage.contact();
        let mut found = stage.look_up(vec![silent]);
        let asked = stage.asked();
        let half_a_minute = Time::from_millis(30_000);
        stage.desk.handle_timeout(Time::from_millis(29_999));
        assert_eq!(found.try_recv(), Ok(None));
        stage.desk.handle_timeout(half_a_minute);
        let found = found.try_recv().expect("it ended").expect("it is told");
        let found = found.expect("there was somebody to ask");
        assert_eq!((found.requests, found.is_complete), (Some(1), false));
        assert_eq!(found.error.as_deref(), Some("none of 1 peers answered"));
        let recalled = stage.desk.poll_output();
        assert!(matches!(recalled, Some(Output::Cancel(id)) if id == asked[0].0));
    }
}
