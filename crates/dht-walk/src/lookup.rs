//! One iterative FIND_NODE: who is nearest to a target.
//!
//! The machine says whom to ask, is told what came back, and ends when the `k` nearest peers that
//! can be reached have all answered. The simulator and real connections run this very machine.
//!
//! Peers that do not answer cost little: a request that stalls no longer holds up others, and one
//! that fails is replaced by the next nearest. However it ends, what was found until then counts.

use std::time::Duration;

use crate::config::LookupConfig;
use crate::peer::{Contact, Peer};
use crate::target::Target;
use crate::time::Time;

/// An iterative lookup.
#[derive(Clone, Debug)]
pub struct Lookup {
    target: Target,
    local: Peer,
    config: LookupConfig,
    wanted: usize,
    /// By distance to the target, nearest first.
    candidates: Vec<Candidate>,
    ends_at: Time,
    asked: usize,
    failed: usize,
    end: Option<LookupEnd>,
}

/// What to do next in a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this peer a FIND_NODE and call [`Lookup::asked`]; or do not, and ask again later.
    Ask(Contact),
    /// It is over.
    Done(LookupEnd),
    /// Nothing until an answer comes, or until this moment.
    Wait(Time),
}

/// Why a lookup ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LookupEnd {
    /// The nearest peers have all answered.
    Converged,
    /// Its time was up.
    Deadline,
    /// Everybody known was asked, and fewer than `k` answered.
    Exhausted,
    /// There was nobody to ask.
    NobodyToAsk,
    /// It had sent as many requests as it may.
    Spent,
    /// It was stopped.
    Stopped,
}

#[derive(Clone, Debug)]
struct Candidate {
    contact: Contact,
    state: State,
    told_by: Option<Peer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Answered,
    Asked { at: Time },
    Failed,
    Heard,
}

impl Lookup {
    /// Looks for the `wanted` peers nearest to the target, beginning with `known`.
    pub fn new(
        now: Time,
        config: LookupConfig,
        local: Peer,
        target: Target,
        wanted: usize,
        known: impl IntoIterator<Item = Contact>,
    ) -> Self {
        let ends_at = now.saturating_add(config.deadline);
        let candidates = Vec::new();
        let mut lookup = Self {
            target,
            local,
            config,
            wanted,
            candidates,
            ends_at,
            asked: 0,
            failed: 0,
            end: None,
        };
        lookup.hear(None, known);
        lookup
    }

    /// What to do next.
    pub fn poll(&mut self, now: Time) -> Step {
        if let Some(end) = self.end {
            return Step::Done(end);
        }
        if now >= self.ends_at {
            return self.finish(LookupEnd::Deadline);
        }
        let (mut busy, mut pending, mut reachable) = (0, 0, 0);
        let mut wake_at = self.ends_at;
        let mut next = None;
        for candidate in &self.candidates {
            if reachable == self.wanted {
                break;
            }
            match candidate.state {
                State::Answered => reachable += 1,
                State::Asked { at } => {
                    (pending, reachable) = (pending + 1, reachable + 1);
                    let stalls_at = at.saturating_add(self.config.stall);
                    if now < stalls_at {
                        busy += 1;
                        wake_at = wake_at.min(stalls_at);
                    }
                }
                State::Failed => {}
                State::Heard => {
                    reachable += 1;
                    next = next.or(Some(candidate));
                }
            }
        }
        match next {
            Some(_) if self.asked >= self.config.requests_max => {
                if pending == 0 {
                    return self.finish(LookupEnd::Spent);
                }
                Step::Wait(self.ends_at)
            }
            Some(next) if busy < self.config.parallelism => Step::Ask(next.contact.clone()),
            Some(_) => Step::Wait(wake_at),
            None if pending > 0 => Step::Wait(self.ends_at),
            None if self.candidates.is_empty() => self.finish(LookupEnd::NobodyToAsk),
            None if reachable < self.wanted => self.finish(LookupEnd::Exhausted),
            None => self.finish(LookupEnd::Converged),
        }
    }

    /// The peer is being asked.
    pub fn asked(&mut self, now: Time, peer: &Peer) {
        if let Some(candidate) = self.candidate(peer)
            && candidate.state == State::Heard
        {
            candidate.state = State::Asked { at: now };
            self.asked += 1;
        }
    }

    /// The peer answered, and told of others.
    pub fn handle_answer(&mut self, peer: &Peer, told: impl IntoIterator<Item = Contact>) {
        let Some(candidate) = self.candidate(peer) else {
            return;
        };
        candidate.state = State::Answered;
        if self.end.is_none() {
            self.hear(Some(peer), told);
        }
    }

    /// The peer did not answer.
    pub fn handle_failure(&mut self, peer: &Peer) {
        if let Some(candidate) = self.candidate(peer)
            && matches!(candidate.state, State::Asked { .. })
        {
            candidate.state = State::Failed;
            self.failed += 1;
        }
    }

    /// Ends it with what it has.
    pub fn stop(&mut self) {
        self.end.get_or_insert(LookupEnd::Stopped);
    }

    /// The peers that answered, nearest first, `wanted` at the most.
    pub fn closest(&self) -> impl Iterator<Item = &Contact> {
        let answered = |candidate: &&Candidate| candidate.state == State::Answered;
        let answered = self.candidates.iter().filter(answered);
        answered
            .map(|candidate| &candidate.contact)
            .take(self.wanted)
    }

    /// Who told of this peer first; `None` for those it began with.
    pub fn told_by(&self, peer: &Peer) -> Option<&Peer> {
        let at = self.position(peer).ok()?;
        self.candidates.get(at)?.told_by.as_ref()
    }

    /// What is looked for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Requests sent.
    pub fn requests(&self) -> usize {
        self.asked
    }

    /// Requests that failed.
    pub fn failures(&self) -> usize {
        self.failed
    }

    /// How much time it has left.
    pub fn time_left(&self, now: Time) -> Duration {
        self.ends_at.saturating_since(now)
    }

    fn finish(&mut self, end: LookupEnd) -> Step {
        self.end = Some(end);
        Step::Done(end)
    }

    fn hear(&mut self, teller: Option<&Peer>, told: impl IntoIterator<Item = Contact>) {
        for contact in told {
            if contact.peer == self.local {
                continue;
            }
            // Whoever has answered stays, however far; the list has room for everybody asked.
            if let Err(at) = self.position(&contact.peer)
                && at < self.config.candidates_max
            {
                let (state, told_by) = (State::Heard, teller.cloned());
                self.candidates.insert(
                    at,
                    Candidate {
                        contact,
                        state,
                        told_by,
                    },
                );
                self.forget_farthest();
            }
        }
    }

    fn forget_farthest(&mut self) {
        let max = self.config.candidates_max.max(self.config.requests_max + 1);
        if self.candidates.len() <= max {
            return;
        }
        let unasked = |it: &Candidate| it.state == State::Heard;
        if let Some(at) = self.candidates.iter().rposition(unasked) {
            self.candidates.remove(at);
        }
    }

    fn position(&self, peer: &Peer) -> Result<usize, usize> {
        let here = self.target.as_peer();
        self.candidates
            .binary_search_by(|it| Peer::nearer(here, &it.contact.peer, peer))
    }

    fn candidate(&mut self, peer: &Peer) -> Option<&mut Candidate> {
        let at = self.position(peer).ok()?;
        self.candidates.get_mut(at)
    }
}
