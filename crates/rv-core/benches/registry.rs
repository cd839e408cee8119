//! What the machines cost at 10,000 and 100,000 registrations; with `RV_BENCH_MILLION` set also at
//! 1,000,000.
//!
//! The interesting number is how little a line grows with the registrations.

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use libp2p_identity::PeerId;
use rv_core::{Limits, Operation, Query, Reader, Registry, Submitted, Writer};
use rv_proto::multiaddr::Multiaddr;
use rv_proto::{
    Dialect, DialectSet, Epoch, Fact, Namespace, RESPONSE_BYTES_MAX, Record, Records, Registered,
    Scope, Time, Ttl, UnverifiedRecord,
};

const NOW: Time = Time::from_millis(1_700_000_000_000);

/// Namespaces that registrations are spread over.
const NAMESPACES: usize = 100;

/// Entries that a page asks for.
const PAGE: usize = 100;

fn sizes() -> Vec<usize> {
    let mut sizes = vec![10_000, 100_000];
    if std::env::var_os("RV_BENCH_MILLION").is_some() {
        sizes.push(1_000_000);
    }
    sizes
}

fn peer(number: usize) -> PeerId {
    // The identity multihash of an ed25519 key; nobody verifies anything here.
    let mut bytes = [vec![0, 36, 8, 1, 18, 32], vec![0; 32]].concat();
    bytes[6..14].copy_from_slice(&(number as u64).to_be_bytes());
    PeerId::from_bytes(&bytes).expect("a peer id")
}

fn namespace(number: usize) -> Namespace {
    Namespace::new(format!("namespace-{}", number % NAMESPACES)).expect("a name")
}

fn addresses() -> Vec<Multiaddr> {
    vec!["/ip4/203.0.113.7/tcp/4001".parse().expect("an address")]
}

/// A record as large as a signed one. Its signature is not one.
fn signed(number: usize) -> Record {
    let field = |tag: u8, bytes: &[u8]| {
        let len = u8::try_from(bytes.len()).expect("short");
        [&[tag, len], bytes].concat()
    };
    let id = peer(number).to_bytes();
    let address = field(0x0a, &addresses()[0].to_vec());
    let payload = [field(0x0a, &id), vec![0x10, 1], field(0x1a, &address)].concat();
    let parts = [
        field(0x0a, &id[2..]),
        field(0x12, b"/libp2p/routing-state-record"),
        field(0x1a, &payload),
        field(0x2a, &[7; 64]),
    ];
    UnverifiedRecord::parse(Bytes::from(parts.concat()))
        .expect("an envelope")
        .trust()
}

/// Every `plain_every`th registration is plain, the others are legacy.
fn records(number: usize, plain_every: usize) -> Records {
    let record = if (number + 1).is_multiple_of(plain_every) {
        Record::plain(&peer(number), &addresses())
    } else {
        signed(number)
    };
    Records::new([record]).expect("one record")
}

fn fact(number: usize, plain_every: usize) -> Fact {
    Fact::Registered(Registered {
        namespace: namespace(number),
        peer: peer(number),
        records: records(number, plain_every),
        granted: Ttl::DEFAULT,
        expires_at: NOW.saturating_add(Ttl::DEFAULT.as_duration()),
        origin: None,
    })
}

fn filled(registrations: usize, plain_every: usize) -> Registry {
    let mut registry = Registry::new(Epoch::from_bits(1));
    for number in 0..registrations {
        let next = registry.applied().next().expect("a short log");
        registry.apply(next, fact(number, plain_every));
    }
    registry
}

fn query(scope: Scope, dialect_default: Dialect) -> Query {
    Query {
        reader: Reader::unknown(peer(usize::MAX), dialect_default),
        scope,
        cookie: None,
        entries_max: PAGE,
        page_bytes_max: RESPONSE_BYTES_MAX,
    }
}

fn refresh(c: &mut Criterion) {
    let mut group = c.benchmark_group("refresh");
    for size in sizes() {
        let mut registry = filled(size, usize::MAX);
        let mut writer = Writer::new(Limits {
            register_burst: u32::MAX,
            ..Limits::default()
        });
        let operations: Vec<_> = (0..1_000)
            .map(|number| number * (size / 1_000))
            .map(|number| {
                let (namespace, records) = (namespace(number), records(number, usize::MAX));
                let ttl = Ttl::DEFAULT;
                (
                    peer(number),
                    Operation::Register {
                        namespace,
                        records,
                        ttl,
                        origin: None,
                    },
                )
            })
            .collect();
        let mut turn = operations.iter().cycle();
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter_batched(
                || turn.next().expect("a cycle").clone(),
                |(peer, operation)| {
                    let submitted = writer.submit(NOW, &registry, peer, operation);
                    assert!(matches!(submitted, Submitted::Pending(_)));
                    writer.next_batch();
                    let next = registry.applied().next().expect("a short log");
                    writer.apply(&mut registry, &[next])
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn discover(c: &mut Criterion) {
    let mut group = c.benchmark_group("discover");
    for size in sizes() {
        // Alone in its dialect, and one legacy registration among a hundred plain ones.
        for (name, plain_every) in [("alone", usize::MAX), ("mostly-others", 1)] {
            let mut registry = filled(size, plain_every);
            if plain_every == 1 {
                for number in (0..size).step_by(100) {
                    let next = registry.applied().next().expect("a short log");
                    registry.apply(next, fact(number, usize::MAX));
                }
            }
            let parameter = format!("{name}/{size}");
            let hundred = query(Scope::All, Dialect::Legacy);
            let page = registry.discover(NOW, &hundred).expect("a page");
            assert_eq!(page.len(), PAGE.min(size / 100));
            group.bench_function(BenchmarkId::new("100", &parameter), |b| {
                b.iter(|| registry.discover(NOW, &hundred).expect("a page").to_frame());
            });
            let mut every = hundred.clone();
            every.reader.accepts = DialectSet::ALL;
            group.bench_function(BenchmarkId::new("100-of-every-dialect", &parameter), |b| {
                b.iter(|| registry.discover(NOW, &every).expect("a page").to_frame());
            });
            let head = query(Scope::All, Dialect::Legacy);
            let end = Query {
                entries_max: usize::MAX,
                ..head.clone()
            };
            let mut nothing = Query {
                cookie: None,
                ..head
            };
            loop {
                let page = registry.discover(
                    NOW,
                    &Query {
                        cookie: nothing.cookie.clone(),
                        ..end.clone()
                    },
                );
                let page = page.expect("a page");
                nothing.cookie = Some(page.cookie().encode().into());
                if page.is_empty() {
                    break;
                }
            }
            group.bench_function(BenchmarkId::new("nothing-new", &parameter), |b| {
                b.iter(|| registry.discover(NOW, &nothing).expect("a page").to_frame());
            });
        }
    }
    group.finish();
}

fn expire(c: &mut Criterion) {
    let mut group = c.benchmark_group("expire-256");
    group.sample_size(10);
    for size in sizes() {
        let registry = filled(size, usize::MAX);
        let due = NOW.saturating_add(Ttl::DEFAULT.as_duration());
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            // Refilled when it runs empty, outside of what is measured.
            let mut left = registry.clone();
            let mut writer = Writer::new(Limits::default());
            b.iter_custom(|rounds| {
                let mut spent = std::time::Duration::ZERO;
                for _ in 0..rounds {
                    if left.len() < Writer::BATCH_FACTS_MAX {
                        left = registry.clone();
                    }
                    spent += timed(|| writer.erase_due(due, &mut left, Writer::BATCH_FACTS_MAX));
                }
                spent
            });
        });
    }
    group.finish();
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn timed<T>(work: impl FnOnce() -> T) -> std::time::Duration {
    let start = std::time::Instant::now();
    std::hint::black_box(work());
    start.elapsed()
}

criterion_group!(benches, refresh, discover, expire);
criterion_main!(benches);
