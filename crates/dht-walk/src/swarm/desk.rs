//! Requests of handles: whose turn it is, and the lookups among them.
//!
//! It has no IO of its own: it says what is to be sent, and is told what came back.

#[cfg(test)]
mod tests;

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
        let told = told.filter_map(|it| policy.keep(local, it, |_| ()).ok());
        let told: Vec<Contact> = told.collect();
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
