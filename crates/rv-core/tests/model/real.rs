//! The machines under test.

use libp2p_identity::PeerId;
use rv_core::{Limits, Operation, Query, Refusal, Registry, Submitted, Ticket, Verdict, Writer};
use rv_proto::{Epoch, Fact, Seq, Time};

use crate::harness::Setup;
use crate::journal::Journal;
use crate::model::Model;
use crate::point::{Answer, Point, WriteNumber};
use crate::pool;

/// A writer and its registry.
#[derive(Debug)]
pub(crate) struct Real {
    registry: Registry,
    writer: Writer,
    limits: Limits,
    tickets: Vec<Ticket>,
}

impl Real {
    const EPOCH: Epoch = Epoch::from_bits(77);

    pub(crate) fn new(setup: &Setup) -> Self {
        Self {
            registry: Registry::new(Self::EPOCH),
            writer: Writer::new(setup.limits.clone()),
            limits: setup.limits.clone(),
            tickets: Vec::new(),
        }
    }

    fn number(&self, ticket: Ticket) -> WriteNumber {
        self.tickets
            .iter()
            .position(|it| *it == ticket)
            .expect("a ticket that was given out")
    }

    fn numbers(&self, tickets: &[Ticket]) -> Vec<WriteNumber> {
        tickets.iter().map(|ticket| self.number(*ticket)).collect()
    }

    /// Every way to the same state leads to the same digest.
    fn check_copies(&self, now: Time, journal: &Journal) {
        let digest = self.registry.digest(now);
        let mut follower = Registry::new(Self::EPOCH);
        for (seq, fact) in journal.log() {
            follower.apply(*seq, fact.clone());
        }
        follower.check_invariants();
        assert_eq!(
            follower.digest(now),
            digest,
            "a copy that applied the log in order"
        );
        let turn = journal.log().len();
        for kept in [journal.latest(now, turn), journal.shuffled(turn)] {
            let mut replay = Registry::replay();
            for (seq, fact) in kept {
                replay.restore(seq, fact);
            }
            let restored = replay.finish(Self::EPOCH, journal.head());
            restored.check_invariants();
            assert_eq!(restored.digest(now), digest, "a copy that was restored");
        }
        let mut erased = self.registry.clone();
        for held in self.registry.due(now) {
            assert!(erased.erase(held), "what is due is held");
        }
        erased.check_invariants();
        assert_eq!(erased.digest(now), digest, "a copy that erased what is due");
    }
}

impl Point for Real {
    fn submit(&mut self, now: Time, peer: PeerId, operation: Operation) -> Answer {
        match self.writer.submit(now, &self.registry, peer, operation) {
            Submitted::Done(verdict) => Answer::Done(verdict),
            Submitted::Pending(ticket) => {
                assert!(
                    !self.tickets.contains(&ticket),
                    "a ticket is given out once"
                );
                self.tickets.push(ticket);
                Answer::Pending(self.tickets.len() - 1)
            }
        }
    }

    fn next_batch(&mut self) -> Option<Vec<Fact>> {
        self.writer.next_batch()
    }

    fn commit(&mut self, seqs: &[Seq]) -> Vec<(WriteNumber, Verdict)> {
        let verdicts = self.writer.apply(&mut self.registry, seqs).into_iter();
        verdicts
            .map(|(ticket, verdict)| (self.number(ticket), verdict))
            .collect()
    }

    fn fail(&mut self) -> Vec<WriteNumber> {
        let failed = self.writer.fail();
        self.numbers(&failed)
    }

    fn stall(&mut self) -> (Vec<WriteNumber>, Vec<WriteNumber>) {
        let (unknown, failed) = self.writer.stall(&self.registry);
        (self.numbers(&unknown), self.numbers(&failed))
    }

    fn erase(&mut self, now: Time, max: usize) -> Vec<Seq> {
        let erased = self.writer.erase_due(now, &mut self.registry, max);
        erased.iter().map(|held| held.seq()).collect()
    }

    fn deliver(&mut self, seq: Seq, fact: Fact) {
        let replaced = self.registry.apply(seq, fact);
        assert!(
            replaced.is_none(),
            "a fact that was applied before replaces nothing"
        );
    }

    fn restart(&mut self, kept: Vec<(Seq, Fact)>, head: Seq) {
        let mut replay = Registry::replay();
        for (seq, fact) in kept {
            // A journal keeps bytes.
            let fact = Fact::decode(fact.encode().into()).expect("our own bytes");
            replay.restore(seq, fact);
        }
        self.registry = replay.finish(Self::EPOCH, head);
        self.writer = Writer::new(self.limits.clone());
        self.tickets.clear();
    }

    fn discover(&self, now: Time, query: &Query) -> Result<Vec<u8>, Refusal> {
        self.registry
            .discover(now, query)
            .map(|page| page.to_frame())
    }

    fn check(&self, now: Time, model: &Model, journal: &Journal) {
        let registry = &self.registry;
        registry.check_invariants();
        assert_eq!(registry.len(), model.held.len(), "registrations");
        assert_eq!(registry.is_empty(), model.held.is_empty());
        let bytes: usize = model
            .held
            .iter()
            .map(|held| held.registered.records.bytes())
            .sum();
        assert_eq!(registry.record_bytes(), bytes as u64, "bytes of records");
        let earliest = model
            .held
            .iter()
            .map(|held| held.registered.expires_at)
            .min();
        assert_eq!(registry.next_expiry(), earliest, "the earliest deadline");
        assert_eq!(
            self.writer.pending(),
            model.in_flight.len(),
            "writes in flight"
        );
        assert_eq!(self.writer.is_appending(), model.appending.is_some());
        for number in 0..pool::PEERS {
            let peer = pool::peer(number);
            let own: Vec<_> = model
                .held
                .iter()
                .filter(|held| held.registered.peer == peer)
                .collect();
            assert_eq!(
                registry.count_of_peer(peer),
                own.len(),
                "registrations of a peer"
            );
            assert_eq!(
                registry.registrations_of(peer).count(),
                own.len(),
                "the same, listed"
            );
            assert_eq!(registry.dialect_of_peer(peer), model.dialect_of(peer));
            for held in own {
                let ours = registry.registration(peer, &held.registered.namespace);
                let ours = ours.expect("held under its name");
                assert_eq!(ours.seq(), held.seq);
                assert_eq!(ours.expires_at(), held.registered.expires_at);
            }
        }
        const STEPS_BETWEEN_COPIES: u64 = 8;
        let all_applied = journal
            .log()
            .last()
            .is_none_or(|(seq, _)| *seq <= registry.applied());
        if all_applied && journal.head().get().is_multiple_of(STEPS_BETWEEN_COPIES) {
            self.check_copies(now, journal);
        }
    }
}
