//! Drives a point and the model side by side, and says where the point is wrong.

use std::net::{IpAddr, Ipv4Addr};

use libp2p_identity::PeerId;
use rv_core::{Limits, Operation, Verdict};
use rv_proto::{Fact, Origin, Registered, Scope, Time, Ttl};

use crate::journal::Journal;
use crate::model::{Model, Write};
use crate::ops::Op;
use crate::point::{Answer, Point};
use crate::pool::{self, Sample};
use crate::walk::{SLOTS, Walk};

/// What a case starts with.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) limits: Limits,
    /// Whether the journal forgets what is erased. If not, it comes back with a restart.
    pub(crate) forgets: bool,
}

/// A setup and what happens then.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) setup: Setup,
    pub(crate) ops: Vec<Op>,
}

/// One line an operation, for people who read a failure.
impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:?}", self.setup)?;
        let ops = self.ops.iter().enumerate();
        let mut shown = ops.filter(|(_, op)| !matches!(op, Op::Nothing));
        shown.try_for_each(|(index, op)| writeln!(f, "{index}: {op:?}"))
    }
}

/// What a point did that it must not do.
#[derive(Clone, Debug)]
pub(crate) struct Violation(pub(crate) String);

macro_rules! ensure {
    ($holds:expr, $($reason:tt)+) => {
        if !$holds {
            return Err(Violation(format!($($reason)+)));
        }
    };
}
pub(crate) use ensure;

/// Runs a case to its end, then reads everything.
pub(crate) fn run<P: Point>(case: &Case, point: P) -> Result<(), Violation> {
    let mut harness = Harness::new(&case.setup, point);
    for (index, op) in case.ops.iter().enumerate() {
        let outcome = harness.step(op).and_then(|()| harness.check_limits());
        outcome.map_err(|Violation(what)| Violation(format!("step {index}, {op:?}: {what}")))?;
        harness
            .point
            .check(harness.latest, &harness.model, &harness.journal);
    }
    harness.finish()
}

struct Harness<P> {
    point: P,
    model: Model,
    journal: Journal,
    /// The batch that the journal has.
    batch: Option<Vec<Fact>>,
    walks: Vec<Walk>,
    now: Time,
    /// The latest that the clock ever was: what is erased was due then.
    latest: Time,
    forgets: bool,
    /// Erased registrations came back with a restart, and are not counted against anybody.
    returned: bool,
}

impl<P: Point> Harness<P> {
    fn new(setup: &Setup, point: P) -> Self {
        let now = Time::from_millis(1_700_000_000_000);
        Self {
            point,
            model: Model::new(setup.limits.clone(), None),
            journal: Journal::default(),
            batch: None,
            walks: (0..SLOTS).map(Walk::new).collect(),
            now,
            latest: now,
            forgets: setup.forgets,
            returned: false,
        }
    }

    fn step(&mut self, op: &Op) -> Result<(), Violation> {
        match *op {
            Op::Forget { slot }
            | Op::Learn { slot, .. }
            | Op::Odd { slot, .. }
            | Op::Page { slot, .. } => self.read(slot, op),
            Op::Append => self.append(),
            Op::Back { millis } => {
                self.now = Time::from_millis(self.now.as_millis().saturating_sub(millis));
                Ok(())
            }
            Op::Commit { gap, first_part } => self.commit(gap, first_part),
            Op::Deliver { index } => {
                self.deliver(index);
                Ok(())
            }
            Op::Erase { max } => self.erase(max),
            Op::Fail => self.fail(),
            Op::Nothing => Ok(()),
            Op::Register {
                peer,
                version,
                kind,
                addresses,
                namespace,
                ttl_secs,
                origin,
            } => {
                let sample = pool::sample(peer, version, kind, addresses);
                let operation = register(sample, namespace, ttl_secs, origin);
                self.submit(pool::peer(peer), operation)
            }
            Op::Restart {
                latest_only,
                order,
                batch_is_durable,
            } => {
                self.restart(latest_only, order, batch_is_durable);
                Ok(())
            }
            Op::Settle => self.settle(),
            Op::Stall => self.stall(),
            Op::Unregister { peer, namespace } => {
                let scope = namespace.map_or(Scope::All, |number| {
                    Scope::Namespace(pool::namespace(number))
                });
                self.submit(pool::peer(peer), Operation::Unregister { scope })
            }
            Op::Wait { millis } => {
                self.now = Time::from_millis(self.now.as_millis() + millis);
                self.latest = self.latest.max(self.now);
                Ok(())
            }
        }
    }

    /// What a reader does.
    fn read(&mut self, slot: usize, op: &Op) -> Result<(), Violation> {
        let state = (self.now, &self.point, &self.model);
        let walk = &mut self.walks[slot];
        match *op {
            Op::Learn { sign, .. } => walk.learn(sign),
            Op::Odd { odd, .. } => walk.odd(state, odd)?,
            Op::Page {
                entries_max,
                page_bytes_max,
                ..
            } => {
                walk.page(state, (entries_max, page_bytes_max))?;
            }
            _ => walk.forget(),
        }
        Ok(())
    }

    /// A fact that was applied before comes again.
    fn deliver(&mut self, index: usize) {
        let log = self.journal.log().iter();
        let applied: Vec<_> = log
            .filter(|(seq, _)| *seq <= self.model.applied)
            .cloned()
            .collect();
        if let Some((seq, fact)) = applied.get(index % applied.len().max(1)) {
            self.point.deliver(*seq, fact.clone());
        }
    }

    fn submit(&mut self, peer: PeerId, operation: Operation) -> Result<(), Violation> {
        let reasons = self.model.reasons(self.now, peer, &operation);
        let (facts, verdict) = self.model.facts(self.now, peer, &operation);
        match self.point.submit(self.now, peer, operation) {
            Answer::Done(Verdict::Refused(refusal)) => {
                ensure!(
                    reasons.contains(&refusal),
                    "refused with {refusal:?}, not {reasons:?}"
                );
            }
            Answer::Done(done) => {
                ensure!(reasons.is_empty(), "taken in spite of {reasons:?}");
                ensure!(
                    facts.is_empty() && done == verdict,
                    "done as {done:?}, not {verdict:?}"
                );
            }
            Answer::Pending(number) => {
                ensure!(reasons.is_empty(), "taken in spite of {reasons:?}");
                ensure!(!facts.is_empty(), "waits for nothing");
                self.model.in_flight.push_back(Write {
                    number,
                    facts: facts.into(),
                    verdict,
                });
            }
        }
        Ok(())
    }

    fn append(&mut self) -> Result<(), Violation> {
        let expected = self.model.next_batch();
        let batch = self.point.next_batch();
        let Some((writes, facts)) = expected else {
            ensure!(batch.is_none(), "a batch out of turn: {batch:?}");
            return Ok(());
        };
        let Some(batch) = batch else {
            return Err(Violation("no batch, but writes wait".into()));
        };
        ensure!(
            batch.len() == facts.len(),
            "{} facts, not {}",
            batch.len(),
            facts.len()
        );
        // The facts of one write may have any order.
        let mut rest = batch.as_slice();
        for write in &mut self.model.in_flight {
            let (part, behind) = rest.split_at(write.facts.len());
            ensure!(
                write.facts.iter().all(|fact| part.contains(fact)),
                "other facts: {part:?}"
            );
            write.facts = part.iter().cloned().collect();
            rest = behind;
        }
        self.model.appending = Some(writes);
        self.batch = Some(batch);
        Ok(())
    }

    fn commit(&mut self, gap: u64, first_part: usize) -> Result<(), Violation> {
        let Some(facts) = self.batch.take() else {
            return Ok(());
        };
        let seqs = self.journal.append(&facts, gap);
        let (first, second) = seqs.split_at(first_part.min(seqs.len()));
        for part in [first, second] {
            let verdicts = self.point.commit(part);
            let expected = self.model.commit(part);
            ensure!(
                verdicts == expected,
                "verdicts {verdicts:?}, not {expected:?}"
            );
            self.point.check(self.latest, &self.model, &self.journal);
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Violation> {
        const BATCHES_MAX: usize = 3;
        for _ in 0..BATCHES_MAX {
            self.commit(0, 0)?;
            self.append()?;
        }
        ensure!(self.batch.is_none(), "writes wait after all were committed");
        Ok(())
    }

    fn fail(&mut self) -> Result<(), Violation> {
        if self.batch.take().is_none() {
            return Ok(());
        }
        self.journal.skip(1);
        let failed = self.point.fail();
        let expected = self.model.fail();
        ensure!(failed == expected, "failed {failed:?}, not {expected:?}");
        Ok(())
    }

    fn stall(&mut self) -> Result<(), Violation> {
        if self.batch.is_none() {
            return Ok(());
        }
        let stalled = self.point.stall();
        let expected = self.model.stall();
        ensure!(stalled == expected, "stalled {stalled:?}, not {expected:?}");
        Ok(())
    }

    fn erase(&mut self, max: usize) -> Result<(), Violation> {
        let erased = self.point.erase(self.now, max);
        ensure!(erased.len() <= max, "{} erased of {max}", erased.len());
        for seq in &erased {
            let held = self.model.held.iter().find(|held| held.seq == *seq);
            let Some(held) = held else {
                return Err(Violation(format!("{seq} erased, which is not held")));
            };
            ensure!(!held.is_live(self.now), "{seq} erased, which is live");
            ensure!(
                !self.model.is_in_flight(held),
                "{seq} erased, which is being replaced"
            );
            if self.forgets {
                self.journal.forget(*seq);
            }
            self.walks
                .iter_mut()
                .for_each(|walk| walk.note_erased(*seq));
        }
        let due = self
            .model
            .held
            .iter()
            .filter(|held| !held.is_live(self.now));
        let (kept, erasable): (Vec<_>, Vec<_>) = due.partition(|it| self.model.is_in_flight(it));
        let all = kept.len() + erasable.len() <= max;
        ensure!(
            !all || erased.len() == erasable.len(),
            "{} left over",
            erasable.len()
        );
        self.model.held.retain(|held| !erased.contains(&held.seq));
        Ok(())
    }

    fn restart(&mut self, latest_only: bool, order: usize, batch_is_durable: bool) {
        if let Some(facts) = self.batch.take()
            && batch_is_durable
        {
            self.journal.append(&facts, 0);
        }
        let kept = if latest_only {
            self.journal.latest(self.latest, order)
        } else {
            self.journal.log().to_vec()
        };
        self.returned |= !(self.forgets && latest_only);
        let head = self.journal.head();
        self.model.restart(kept.clone(), head);
        self.point.restart(kept, head);
    }

    /// Counted from the model, which holds what the point holds.
    fn check_limits(&self) -> Result<(), Violation> {
        if self.returned {
            return Ok(());
        }
        let limits = &self.model.limits;
        let held = self
            .model
            .held
            .iter()
            .map(|held| held.registered.clone())
            .collect();
        for registered in [held, self.model.planned()] {
            let registered: Vec<Registered> = registered;
            ensure!(
                registered.len() <= limits.registrations_total,
                "more than in all"
            );
            let bytes: usize = registered.iter().map(|it| it.records.bytes()).sum();
            ensure!(
                bytes as u64 <= limits.record_bytes_total,
                "more bytes than in all"
            );
            for one in &registered {
                let count = |fits: &dyn Fn(&Registered) -> bool| {
                    registered.iter().filter(|it| fits(it)).count()
                };
                let of_peer = count(&|it| it.peer == one.peer);
                ensure!(
                    of_peer <= limits.registrations_per_peer,
                    "{of_peer} of one peer"
                );
                let of_origin = count(&|it| it.origin == one.origin);
                let exempt = one.origin.is_none();
                ensure!(
                    exempt || of_origin <= limits.registrations_per_origin,
                    "of one origin"
                );
            }
        }
        Ok(())
    }

    /// Every walk ends, and one without churn shows everything once.
    fn finish(mut self) -> Result<(), Violation> {
        self.step(&Op::Settle)?;
        let pages_max = self.model.held.len() + 1;
        for slot in 0..SLOTS {
            for (anew, entries_max) in [(false, 2), (true, 1), (true, 3)] {
                if anew {
                    self.walks[slot].forget();
                }
                let mut ended = false;
                for _ in 0..pages_max {
                    let state = (self.now, &self.point, &self.model);
                    ended = self.walks[slot].page(state, (entries_max, 8_192))?;
                    if ended {
                        break;
                    }
                }
                ensure!(ended, "walk {slot} did not end in {pages_max} pages");
            }
        }
        self.point.check(self.latest, &self.model, &self.journal);
        Ok(())
    }
}

fn register(sample: &Sample, namespace: usize, ttl_secs: u64, origin: Option<u8>) -> Operation {
    let ip = |net| IpAddr::V4(Ipv4Addr::new(203, 0, 113, net));
    Operation::Register {
        namespace: pool::namespace(namespace),
        records: sample.records.clone(),
        ttl: Ttl::from_secs(ttl_secs).expect("a ttl"),
        origin: origin.and_then(|net| Origin::from_ip(ip(net))),
    }
}
