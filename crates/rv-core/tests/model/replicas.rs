//! Copies of one log that lag behind each other, and readers that go from one to the other.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use rv_core::{Page, Query, Reader, Registry};
use rv_proto::{
    Cookie, Dialect, Entry, Epoch, Fact, RESPONSE_BYTES_MAX, Registered, Removed, Response, Scope,
    Seq, Time, Ttl, decode_frame,
};

use crate::pool::{self, Addresses, Kind, NAMESPACES, PEERS};
use crate::runner;

const CASES: u32 = 300;
const REPLICAS: usize = 3;
const NOW: Time = Time::from_millis(5_000_000);

/// A fact enters the log, a replica catches up by some, or the reader asks a replica.
#[derive(Clone, Debug)]
enum Step {
    Append {
        peer: usize,
        namespace: usize,
        registers: bool,
        gap: u64,
    },
    Ask {
        replica: usize,
        entries_max: usize,
    },
    CatchUp {
        replica: usize,
        facts: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (
            0..PEERS - 1,
            0..NAMESPACES,
            prop::bool::weighted(0.75),
            1..3_u64
        )
            .prop_map(|(peer, namespace, registers, gap)| Step::Append {
                peer,
                namespace,
                registers,
                gap
            }),
        (0..REPLICAS, 1..4_usize).prop_map(|(replica, entries_max)| Step::Ask {
            replica,
            entries_max
        }),
        (0..REPLICAS, 1..6_usize).prop_map(|(replica, facts)| Step::CatchUp { replica, facts }),
    ]
}

fn fact(peer: usize, namespace: usize, registers: bool) -> Fact {
    let namespace = pool::namespace(namespace);
    let expires_at = NOW.saturating_add(Ttl::DEFAULT.as_duration());
    if !registers {
        return Fact::Removed(Removed {
            namespace,
            peer: pool::peer(peer),
            expires_at,
        });
    }
    Fact::Registered(Registered {
        namespace,
        peer: pool::peer(peer),
        records: pool::sample(peer, 0, Kind::Legacy, Addresses::Common)
            .records
            .clone(),
        granted: Ttl::DEFAULT,
        expires_at,
        origin: None,
    })
}

/// A log, the replicas with how far each is, and a reader of all namespaces.
struct Cluster {
    log: Vec<(Seq, Fact)>,
    replicas: [(Registry, usize); REPLICAS],
    cookie: Option<Bytes>,
    shown: BTreeSet<(Bytes, Bytes)>,
    reached: Seq,
}

impl Cluster {
    fn new() -> Self {
        let empty = || (Registry::new(Epoch::from_bits(4)), 0);
        Self {
            log: Vec::new(),
            replicas: [empty(), empty(), empty()],
            cookie: None,
            shown: BTreeSet::new(),
            reached: Seq::ZERO,
        }
    }

    fn catch_up(&mut self, replica: usize, facts: usize) {
        let (registry, applied) = &mut self.replicas[replica];
        for (seq, fact) in self.log.iter().skip(*applied).take(facts) {
            registry.apply(*seq, fact.clone());
            *applied += 1;
        }
        registry.check_invariants();
    }

    fn ask(&mut self, replica: usize, entries_max: usize) -> Result<usize, TestCaseError> {
        let (registry, _) = &self.replicas[replica];
        let query = Query {
            reader: Reader::unknown(pool::outsider(), Dialect::Legacy),
            scope: Scope::All,
            cookie: self.cookie.clone(),
            entries_max,
            page_bytes_max: RESPONSE_BYTES_MAX,
        };
        let page = registry
            .discover(NOW, &query)
            .map_err(|refusal| TestCaseError::fail(refusal.to_string()))?;
        prop_assert!(page.cookie().seq >= self.reached, "the reader goes back");
        if registry.applied() < self.reached {
            prop_assert!(page.is_empty(), "a page behind the reader");
            prop_assert_eq!(page.cookie().seq, self.reached);
        }
        self.reached = page.cookie().seq;
        self.cookie = Some(page.cookie().encode().into());
        for entry in entries(&page) {
            let name = (
                entry.namespace.unwrap_or_default(),
                entry.record.unwrap_or_default(),
            );
            self.shown.insert(name);
        }
        Ok(page.len())
    }
}

fn entries(page: &Page) -> Vec<Entry> {
    let mut frame = BytesMut::from(page.to_frame().as_slice());
    let payload = decode_frame(&mut frame, RESPONSE_BYTES_MAX).expect("a frame");
    match Response::decode(payload.expect("whole")).expect("a response") {
        Response::Discover(response) => response.entries,
        other @ (Response::Register(_) | Response::Subscribe(_)) => panic!("{other:?}"),
    }
}

fn check(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut cluster = Cluster::new();
    for step in steps {
        match *step {
            Step::Append {
                peer,
                namespace,
                registers,
                gap,
            } => {
                let last = cluster.log.last().map_or(0, |(seq, _)| seq.get());
                let seq = Seq::new(last + gap).expect("a short log");
                cluster.log.push((seq, fact(peer, namespace, registers)));
                // The head travels faster than the facts.
                cluster
                    .replicas
                    .iter_mut()
                    .for_each(|(registry, _)| registry.note_head(seq));
            }
            Step::Ask {
                replica,
                entries_max,
            } => {
                cluster.ask(replica, entries_max)?;
            }
            Step::CatchUp { replica, facts } => cluster.catch_up(replica, facts),
        }
    }
    let all = cluster.log.len();
    (0..REPLICAS).for_each(|replica| cluster.catch_up(replica, all));
    for turn in 0..=all {
        if cluster.ask(turn % REPLICAS, 1)? == 0 {
            break;
        }
    }
    let digests = cluster
        .replicas
        .each_ref()
        .map(|(registry, _)| registry.digest(NOW));
    prop_assert!(
        digests.iter().all(|digest| *digest == digests[0]),
        "{:?}",
        digests
    );
    let (registry, _) = &cluster.replicas[0];
    for number in 0..PEERS {
        for held in registry.registrations_of(pool::peer(number)) {
            let record = held.record(Dialect::Legacy).map(Bytes::copy_from_slice);
            let name = Bytes::from(held.namespace().to_string());
            let shown = cluster.shown.contains(&(name, record.unwrap_or_default()));
            prop_assert!(shown, "{} was never shown", held.seq());
        }
    }
    let raw = cluster.cookie.as_deref().map(Cookie::decode);
    prop_assert!(raw.is_none_or(|raw| raw.is_ok_and(|raw| raw.seq == registry.applied())));
    Ok(())
}

#[test]
fn a_cookie_of_one_replica_is_good_at_every_other() {
    let outcome = runner(3, CASES).run(&vec(step(), 50), |steps| check(&steps));
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
