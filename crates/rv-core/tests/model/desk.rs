//! A writer with its registry and no journal, to try one thing at a time.

use std::net::{IpAddr, Ipv4Addr};

use rv_core::{Limits, Operation, Refusal, Registry, Submitted, Ticket, Verdict, Writer};
use rv_proto::{Epoch, Namespace, Origin, Scope, Seq, Time, Ttl};

use crate::pool::{self, Addresses, Kind};

/// A writer with its registry, at one time.
pub(crate) struct Desk {
    pub(crate) writer: Writer,
    pub(crate) registry: Registry,
    pub(crate) now: Time,
}

impl Desk {
    pub(crate) fn new(limits: Limits) -> Self {
        let registry = Registry::new(Epoch::from_bits(3));
        Self {
            writer: Writer::new(limits),
            registry,
            now: Time::from_millis(1_000_000_000),
        }
    }

    pub(crate) fn submit(&mut self, peer: usize, operation: Operation) -> Submitted {
        self.writer
            .submit(self.now, &self.registry, pool::peer(peer), operation)
    }

    pub(crate) fn register(&mut self, peer: usize, name: &str) -> Submitted {
        self.submit(peer, register(peer, 0, name, None))
    }

    pub(crate) fn unregister(&mut self, peer: usize, scope: Scope) -> Submitted {
        self.submit(peer, Operation::Unregister { scope })
    }

    /// Appends and applies the next batch.
    pub(crate) fn commit(&mut self) -> Vec<(Ticket, Verdict)> {
        let Some(facts) = self.writer.next_batch() else {
            return Vec::new();
        };
        let first = self.registry.applied().get() + 1;
        let seqs: Vec<_> = (first..first + facts.len() as u64).map(seq).collect();
        let verdicts = self.writer.apply(&mut self.registry, &seqs);
        self.registry.check_invariants();
        verdicts
    }

    pub(crate) fn register_now(&mut self, peer: usize, name: &str) {
        let submitted = self.register(peer, name);
        assert!(matches!(submitted, Submitted::Pending(_)), "{submitted:?}");
        assert_eq!(self.commit().len(), 1);
    }
}

pub(crate) fn seq(number: u64) -> Seq {
    Seq::new(number).expect("a short log")
}

pub(crate) fn register(peer: usize, version: usize, name: &str, origin: Option<u8>) -> Operation {
    let sample = pool::sample(peer, version, Kind::Legacy, Addresses::Common);
    Operation::Register {
        namespace: Namespace::new(name).expect("a name"),
        records: sample.records.clone(),
        ttl: Ttl::DEFAULT,
        origin: origin
            .and_then(|net| Origin::from_ip(IpAddr::V4(Ipv4Addr::new(198, 51, 100, net)))),
    }
}

pub(crate) fn refused(submitted: &Submitted) -> Option<&Refusal> {
    match submitted {
        Submitted::Done(Verdict::Refused(refusal)) => Some(refusal),
        Submitted::Done(_) | Submitted::Pending(_) => None,
    }
}

pub(crate) fn one_of_each() -> Limits {
    Limits {
        registrations_per_peer: 1,
        registrations_total: 1,
        registrations_per_origin: 1,
        ..Limits::default()
    }
}
