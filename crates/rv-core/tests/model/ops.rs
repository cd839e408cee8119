//! What happens to a point: random operations, of a fixed number, under random limits.

use proptest::collection::vec;
use proptest::prelude::*;
use rv_core::{Limits, Paging};
use rv_proto::{Dialect, DialectSet};

use crate::harness::{Case, Setup};
use crate::pool::{Addresses, Kind, NAMESPACES, PEERS, VERSIONS};

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// The journal is handed what waits.
    Append,
    /// The clock is set back.
    Back { millis: u64 },
    /// The batch in flight is durable. Its sequence numbers have gaps; it is applied in two parts.
    Commit { gap: u64, first_part: usize },
    /// A superseded fact comes again.
    Deliver { index: usize },
    /// What is due is erased.
    Erase { max: usize },
    /// The batch in flight did not get into the log.
    Fail,
    /// A walk starts again without a cookie.
    Forget { slot: usize },
    /// A cookie that does not fit is sent.
    Odd { slot: usize, odd: OddCookie },
    /// Another sign of a reader's dialect is seen from now on.
    Learn { slot: usize, sign: Sign },
    /// Nothing, which is what an operation shrinks to.
    Nothing,
    /// A walk goes on by a page.
    Page {
        slot: usize,
        entries_max: usize,
        page_bytes_max: usize,
    },
    /// A peer registers.
    Register {
        peer: usize,
        version: usize,
        kind: Kind,
        addresses: Addresses,
        namespace: usize,
        ttl_secs: u64,
        origin: Option<u8>,
    },
    /// The point dies and comes back.
    Restart {
        latest_only: bool,
        order: usize,
        batch_is_durable: bool,
    },
    /// All that waits is appended and applied.
    Settle,
    /// The journal does not tell what became of the batch in flight.
    Stall,
    /// A peer unregisters, in one namespace or everywhere.
    Unregister {
        peer: usize,
        namespace: Option<usize>,
    },
    /// Time passes.
    Wait { millis: u64 },
}

/// A sign of the dialect that a reader reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sign {
    /// With none, it says nothing.
    Accepts(DialectSet),
    Agent(Option<Dialect>),
    Closed(bool),
    Default(Dialect),
    Paging(Paging),
    Record(Option<Dialect>),
    Shape(Option<Dialect>),
}

/// A cookie that does not fit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OddCookie {
    BeyondHead,
    ForeignEpoch,
    OtherScope,
    Short(usize),
}

/// Operations in one case.
const OPS: usize = 60;

/// A case.
pub(crate) fn case() -> impl Strategy<Value = Case> {
    (setup(), vec(op(), OPS)).prop_map(|(setup, ops)| Case { setup, ops })
}

fn setup() -> impl Strategy<Value = Setup> {
    let per_peer = prop_oneof![Just(1_usize), Just(2), Just(1_000)];
    let total = prop_oneof![Just(1_usize), Just(4), Just(1_000)];
    let bytes = prop_oneof![Just(700_u64), Just(4_000), Just(1 << 30)];
    let per_origin = prop_oneof![Just(1_usize), Just(3), Just(1_000)];
    let pending = prop_oneof![Just(3_usize), Just(100)];
    (per_peer, total, bytes, per_origin, pending, any::<bool>()).prop_map(
        |(per_peer, total, bytes, per_origin, pending, forgets)| Setup {
            limits: Limits {
                registrations_per_peer: per_peer,
                registrations_total: total,
                record_bytes_total: bytes,
                registrations_per_origin: per_origin,
                register_burst: u32::MAX,
                pending_max: pending,
                ..Limits::default()
            },
            forgets,
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => Just(Op::Nothing),
        24 => register(),
        5 => (0..PEERS, prop::option::weighted(0.7, 0..NAMESPACES))
            .prop_map(|(peer, namespace)| Op::Unregister { peer, namespace }),
        12 => Just(Op::Settle),
        6 => Just(Op::Append),
        6 => (0..3_u64, 0..4_usize)
            .prop_map(|(gap, first_part)| Op::Commit { gap, first_part }),
        2 => Just(Op::Fail),
        1 => Just(Op::Stall),
        6 => millis().prop_map(|millis| Op::Wait { millis }),
        1 => millis().prop_map(|millis| Op::Back { millis }),
        3 => (1..4_usize).prop_map(|max| Op::Erase { max }),
        2 => (0..OPS).prop_map(|index| Op::Deliver { index }),
        2 => (any::<bool>(), 0..100_usize, any::<bool>()).prop_map(
            |(latest_only, order, batch_is_durable)| Op::Restart {
                latest_only,
                order,
                batch_is_durable,
            }
        ),
        24 => page(),
        1 => slot().prop_map(|slot| Op::Forget { slot }),
        8 => (busy_slot(), sign()).prop_map(|(slot, sign)| Op::Learn { slot, sign }),
        2 => (slot(), odd()).prop_map(|(slot, odd)| Op::Odd { slot, odd }),
    ]
}

fn register() -> impl Strategy<Value = Op> {
    let kind = prop_oneof![
        2 => Just(Kind::Legacy),
        2 => Just(Kind::Standard),
        1 => Just(Kind::Both),
        2 => Just(Kind::Plain),
    ];
    let addresses = prop_oneof![
        6 => Just(Addresses::Common),
        2 => Just(Addresses::Many),
        1 => Just(Addresses::Mixed),
        1 => Just(Addresses::Rare),
    ];
    let ttl = prop_oneof![Just(1_u64), Just(120), Just(7_200), Just(259_200)];
    let origin = prop::option::of(0..2_u8);
    (
        0..PEERS,
        0..VERSIONS,
        kind,
        addresses,
        0..NAMESPACES,
        ttl,
        origin,
    )
        .prop_map(
            |(peer, version, kind, addresses, namespace, ttl_secs, origin)| Op::Register {
                peer,
                version,
                kind,
                addresses,
                namespace,
                ttl_secs,
                origin,
            },
        )
}

fn millis() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(1_u64),
        Just(999),
        Just(1_000),
        Just(119_999),
        Just(120_000),
        Just(7_200_001),
        1..10_000_000_u64,
    ]
}

fn slot() -> impl Strategy<Value = usize> {
    0..crate::walk::SLOTS
}

/// Few slots are much used, so that walks go on while things change.
fn busy_slot() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0..3_usize, 3 => crate::walk::MIXED, 2 => slot()]
}

fn page() -> impl Strategy<Value = Op> {
    let entries = prop_oneof![3 => Just(1_usize), 3 => Just(2), 1 => Just(3), 1 => Just(1_000)];
    let bytes = prop_oneof![3 => Just(8_192_usize), 1 => Just(1_000_000), 1 => Just(300)];
    (busy_slot(), entries, bytes).prop_map(|(slot, entries_max, page_bytes_max)| Op::Page {
        slot,
        entries_max,
        page_bytes_max,
    })
}

fn sign() -> impl Strategy<Value = Sign> {
    let one = || prop::sample::select(&Dialect::ALL[..]);
    let maybe = || prop::option::weighted(0.8, one());
    prop_oneof![
        1 => (0..8_u8).prop_map(|bits| Sign::Accepts(DialectSet::from_bits(bits))),
        4 => maybe().prop_map(Sign::Agent),
        1 => any::<bool>().prop_map(Sign::Closed),
        1 => one().prop_map(Sign::Default),
        1 => prop::sample::select(&[Paging::Resumes, Paging::Restarts][..]).prop_map(Sign::Paging),
        2 => maybe().prop_map(Sign::Record),
        1 => maybe().prop_map(Sign::Shape),
    ]
}

fn odd() -> impl Strategy<Value = OddCookie> {
    prop_oneof![
        Just(OddCookie::BeyondHead),
        Just(OddCookie::ForeignEpoch),
        Just(OddCookie::OtherScope),
        (1..8_usize).prop_map(OddCookie::Short),
    ]
}
