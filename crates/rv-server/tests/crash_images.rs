//! The embedded journal on a disk that loses power at every sync, fills up, or breaks.
//!
//! Whatever survives, the journal must open, know every batch that it acknowledged, know the one
//! in flight entirely or not at all, and never give a sequence number twice.
#![cfg(feature = "redb")]
#![allow(
    unreachable_pub,
    clippy::wildcard_enum_match_arm,
    reason = "modules of one test; other journals' events are not expected here"
)]

#[path = "crash_images/disk.rs"]
mod disk;
#[path = "crash_images/facts.rs"]
mod facts;

use std::future::poll_fn;
use std::time::{Duration, Instant};

use rv_proto::{Epoch, Seq};
use rv_server::journal::{
    AppendError, Batch, BatchId, Journal, JournalEvent, OpenError, Recovered, RedbConfig,
    RedbJournal,
};

use disk::{CrashPoint, Disk, Fault, FaultKind};
use facts::{Random, Seq0, State, namespace, peer, random_batch, registered};

/// Far above what any event takes, far below what a test run waits.
const EVENT_WAIT: Duration = Duration::from_secs(60);
/// Each kind of trouble ends its work after this, so that slow machines finish too.
const TIME_MAX: Duration = Duration::from_secs(12);
const EPOCH_BITS: u32 = 5;
const OTHER_EPOCH_BITS: u32 = 6;

fn open(disk: &Disk, epoch_bits: u32) -> Result<RedbJournal, OpenError> {
    open_pausing(disk, epoch_bits, Duration::ZERO)
}

fn open_pausing(
    disk: &Disk,
    epoch_bits: u32,
    retry_pause: Duration,
) -> Result<RedbJournal, OpenError> {
    // Small, so that pages are written before their commit too.
    let cache_bytes = 64 << 10;
    let config = RedbConfig {
        cache_bytes,
        retry_pause,
        ..RedbConfig::default()
    };
    RedbJournal::with_backend("disk", disk.clone(), config, Epoch::from_bits(epoch_bits))
}

fn replay(journal: &mut RedbJournal) -> (State, Recovered) {
    let mut state = State::default();
    let recovered = journal
        .replay(&mut |seq, fact| {
            let key = (*fact.peer(), fact.namespace().clone());
            let old = state.rows.insert(key, (seq, fact.encode()));
            assert!(old.is_none(), "a registration was handed out twice");
        })
        .expect("what a crash leaves can be read");
    state.head = Seq0(recovered.head);
    (state, recovered)
}

/// The event that decides the batch in flight, and whether it was undecided before.
async fn decided(journal: &mut RedbJournal) -> (JournalEvent, bool) {
    let mut was_undecided = false;
    loop {
        let event = poll_fn(|cx| journal.poll_event(cx));
        let event = tokio::time::timeout(EVENT_WAIT, event)
            .await
            .expect("an event comes");
        match event {
            JournalEvent::Undecided { error, .. } => {
                assert!(!was_undecided, "told once only");
                assert!(!matches!(error, AppendError::Stopped), "the thread ended");
                was_undecided = true;
            }
            other => return (other, was_undecided),
        }
    }
}

async fn append(journal: &mut RedbJournal, batch: Batch) -> Option<Vec<Seq>> {
    let id = batch.id;
    journal.submit(batch);
    match decided(journal).await.0 {
        JournalEvent::Appended { batch, seqs } => {
            assert_eq!(batch, id);
            Some(seqs)
        }
        JournalEvent::Failed { batch, error } => {
            assert_eq!(batch, id);
            assert!(
                matches!(error, AppendError::Io(_)),
                "not the disk's fault: {error:?}"
            );
            None
        }
        other => panic!("not an event of an embedded journal: {other:?}"),
    }
}

/// What an image may hold.
struct Expected<'a> {
    states: &'a [&'a State],
    /// Before its creation was acknowledged, a journal may be created anew.
    is_created: bool,
}

/// How many images to try of each crash.
#[derive(Clone, Copy)]
struct Effort {
    prefixes: usize,
    subsets: usize,
    /// Crashes while recovering from a crash.
    depth: usize,
}

async fn check_point(
    point: &CrashPoint,
    expected: &Expected<'_>,
    effort: Effort,
    random: &mut Random,
) -> usize {
    let images = point.images(effort.prefixes, effort.subsets, random);
    let mut checked = 0;
    for image in images {
        checked += Box::pin(check_image(image, expected, effort, random)).await;
    }
    checked
}

async fn check_image(
    image: Vec<u8>,
    expected: &Expected<'_>,
    effort: Effort,
    random: &mut Random,
) -> usize {
    let disk = Disk::from_image(image);
    let mut journal = open(&disk, OTHER_EPOCH_BITS).expect("what a crash leaves can be opened");
    let (found, recovered) = replay(&mut journal);
    let is_known = expected.states.iter().any(|state| **state == found);
    assert!(
        is_known,
        "found {found:?}, expected one of {:?}",
        expected.states
    );
    if expected.is_created {
        assert_eq!(
            recovered.epoch,
            Epoch::from_bits(EPOCH_BITS),
            "the epoch stays"
        );
    }
    let mut checked = 1;
    if random.below(4) == 0 {
        let batch = random_batch(u64::MAX, &found, random);
        let seqs = append(&mut journal, batch.clone())
            .await
            .expect("it can be written again");
        let mut after = found.clone();
        after.apply(&batch, &seqs);
        drop(journal);
        let mut journal = open(&disk, OTHER_EPOCH_BITS).expect("it was closed in order");
        assert_eq!(replay(&mut journal).0, after);
    } else if effort.depth > 0 && random.below(8) == 0 {
        drop(journal);
        let effort = Effort {
            prefixes: 3,
            subsets: 1,
            depth: effort.depth - 1,
        };
        let expected = Expected {
            states: &[&found],
            is_created: expected.is_created,
        };
        for point in disk.take_points().0 {
            checked += check_point(&point, &expected, effort, random).await;
        }
    }
    checked
}

#[tokio::test]
async fn every_crash_leaves_what_was_acknowledged() {
    let started = Instant::now();
    let effort = Effort {
        prefixes: 8,
        subsets: 4,
        depth: 2,
    };
    let mut images = 0;
    for seed in 0..4 {
        let random = &mut Random(seed);
        let disk = Disk::recording();
        let mut journal = open(&disk, EPOCH_BITS).expect("an empty disk is a new journal");
        let mut state = State::default();
        let unborn = Expected {
            states: &[&state],
            is_created: false,
        };
        for point in disk.take_points().0 {
            images += check_point(&point, &unborn, effort, random).await;
        }
        assert_eq!(replay(&mut journal).0, state);
        for id in 0..30 {
            let batch = random_batch(id, &state, random);
            let seqs = append(&mut journal, batch.clone())
                .await
                .expect("the disk is good");
            let before = state.clone();
            state.apply(&batch, &seqs);
            let (during, now) = disk.take_points();
            let either = Expected {
                states: &[&before, &state],
                is_created: true,
            };
            for point in during {
                images += check_point(&point, &either, effort, random).await;
            }
            let after = Expected {
                states: &[&state],
                is_created: true,
            };
            images += check_point(&now, &after, effort, random).await;
        }
        drop(journal);
        let closed = Expected {
            states: &[&state],
            is_created: true,
        };
        for point in disk.take_points().0 {
            images += check_point(&point, &closed, effort, random).await;
        }
        if started.elapsed() > TIME_MAX {
            break;
        }
    }
    assert!(images > 500, "only {images} images were checked");
}

/// Appends batches while the disk misbehaves, and crashes it all the while.
async fn appends_through(kind: FaultKind, seed: u64) -> Outcomes {
    let random = &mut Random(seed);
    let disk = Disk::recording();
    let mut journal = open(&disk, EPOCH_BITS).expect("an empty disk is a new journal");
    let mut state = replay(&mut journal).0;
    let effort = Effort {
        prefixes: 3,
        subsets: 1,
        depth: 1,
    };
    let mut outcomes = Outcomes::default();
    disk.take_points();
    for id in 0..24 {
        if id % 6 == 3 {
            let fault = Fault {
                after: random.below(12),
                failures: 1 + random.below(9),
                kind,
            };
            disk.break_with(fault, random.next());
        }
        let batch = random_batch(id, &state, random);
        let mut with = state.clone();
        with.apply(&batch, &state.next_seqs(batch.facts.len()));
        journal.submit(batch.clone());
        let (event, was_undecided) = decided(&mut journal).await;
        outcomes.undecided += usize::from(was_undecided);
        let (during, now) = disk.take_points();
        let either = Expected {
            states: &[&state, &with],
            is_created: true,
        };
        for point in during {
            outcomes.images += check_point(&point, &either, effort, random).await;
        }
        match event {
            JournalEvent::Appended { seqs, .. } => {
                state.apply(&batch, &seqs);
                assert_eq!(state, with);
                outcomes.appended += 1;
            }
            JournalEvent::Failed { error, .. } => {
                assert!(
                    matches!(error, AppendError::Io(_)),
                    "not the disk's fault: {error:?}"
                );
                outcomes.failed += 1;
            }
            other => panic!("not an event of an embedded journal: {other:?}"),
        }
        let decided = Expected {
            states: &[&state],
            is_created: true,
        };
        outcomes.images += check_point(&now, &decided, effort, random).await;
    }
    append_until_kept(&mut journal, &disk, &mut state, random).await;
    disk.heal();
    drop(journal);
    let mut journal = open(&disk, OTHER_EPOCH_BITS).expect("it was closed in order");
    assert_eq!(replay(&mut journal).0, state);
    outcomes
}

/// Appends until the disk takes it, which a good disk does at once.
async fn append_until_kept(
    journal: &mut RedbJournal,
    disk: &Disk,
    state: &mut State,
    random: &mut Random,
) {
    for id in 100.. {
        let batch = random_batch(id, state, random);
        if let Some(seqs) = append(journal, batch.clone()).await {
            state.apply(&batch, &seqs);
            return;
        }
        assert!(
            !disk.is_healthy() && id < 200,
            "a good disk is written to again"
        );
    }
}

#[derive(Debug, Default)]
struct Outcomes {
    appended: usize,
    failed: usize,
    undecided: usize,
    images: usize,
}

/// Runs many seeds of one kind of fault, and tells what came of them.
async fn appends_through_many(kind: FaultKind) -> Outcomes {
    let started = Instant::now();
    let mut all = Outcomes::default();
    for seed in 0..6 {
        let some = appends_through(kind, seed).await;
        all.appended += some.appended;
        all.failed += some.failed;
        all.undecided += some.undecided;
        all.images += some.images;
        if started.elapsed() > TIME_MAX {
            break;
        }
    }
    all
}

#[tokio::test]
async fn a_full_disk_fails_batches_until_there_is_room_and_loses_none() {
    let outcomes = appends_through_many(FaultKind::Full).await;
    assert!(
        outcomes.failed > 0 && outcomes.appended > outcomes.failed,
        "{outcomes:?}"
    );
    let outcomes = appends_through_many(FaultKind::FullCopyOnWrite).await;
    assert!(
        outcomes.failed > 0 && outcomes.undecided > 0,
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn a_failed_sync_never_makes_an_acknowledged_batch_out_of_what_only_the_cache_has() {
    let outcomes = appends_through_many(FaultKind::SyncFails).await;
    assert!(
        outcomes.appended > 0 && outcomes.undecided > 0,
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn a_dead_disk_leaves_a_batch_undecided_until_it_answers_again() {
    let outcomes = appends_through_many(FaultKind::Dead).await;
    assert!(
        outcomes.undecided > 0 && outcomes.appended > 0,
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn dropping_the_journal_ends_an_undecided_batch() {
    let disk = Disk::recording();
    let mut journal = open(&disk, EPOCH_BITS).expect("an empty disk is a new journal");
    disk.break_with(
        Fault {
            after: 0,
            failures: usize::MAX,
            kind: FaultKind::Dead,
        },
        0,
    );
    let facts = vec![registered(peer(1), namespace(1), 1, 1)];
    journal.submit(Batch {
        id: BatchId(1),
        facts,
        forget: Vec::new(),
    });
    let event = poll_fn(|cx| journal.poll_event(cx)).await;
    assert!(
        matches!(
            event,
            JournalEvent::Undecided {
                batch: BatchId(1),
                ..
            }
        ),
        "{event:?}"
    );
    drop(journal);
    assert!(!disk.is_healthy());
}

#[tokio::test]
async fn a_disk_that_lost_what_it_acknowledged_is_not_written_to_again() {
    let random = &mut Random(1);
    let disk = Disk::recording();
    let mut journal = open(&disk, EPOCH_BITS).expect("an empty disk is a new journal");
    let image = disk.take_points().1.images(2, 0, random).pop();
    let state = State::default();
    for id in 0..3 {
        let batch = random_batch(id, &state, random);
        append(&mut journal, batch).await.expect("the disk is good");
    }
    disk.roll_back(image.expect("the image with everything"));
    let kind = FaultKind::FullCopyOnWrite;
    disk.break_with(
        Fault {
            after: 0,
            failures: 1,
            kind,
        },
        0,
    );
    for id in 3..6 {
        let facts = vec![registered(peer(1), namespace(1), 1, id)];
        journal.submit(Batch {
            id: BatchId(id),
            facts,
            forget: Vec::new(),
        });
        let (event, _) = decided(&mut journal).await;
        let JournalEvent::Failed {
            error: AppendError::Damaged(_),
            ..
        } = event
        else {
            panic!("not refused: {event:?}");
        };
    }
}

#[tokio::test]
async fn after_a_failure_batches_are_refused_for_a_while_without_an_attempt() {
    let disk = Disk::recording();
    let an_hour = Duration::from_secs(3_600);
    let mut journal = open_pausing(&disk, EPOCH_BITS, an_hour).expect("a new journal");
    let kind = FaultKind::Full;
    disk.break_with(
        Fault {
            after: 0,
            failures: 1,
            kind,
        },
        0,
    );
    let mut errors = Vec::new();
    // Many addresses, so that the first batch needs room.
    for id in 0..2 {
        let facts = (0..12)
            .map(|number| registered(peer(number), namespace(1), 60, id))
            .collect();
        journal.submit(Batch {
            id: BatchId(id),
            facts,
            forget: Vec::new(),
        });
        if let JournalEvent::Failed { error, .. } = decided(&mut journal).await.0 {
            errors.push(error);
        }
        disk.take_points();
    }
    assert!(
        matches!(&errors[..], [AppendError::Io(_), AppendError::Pausing(cause)]
            if cause.contains("storage")),
        "{errors:?}"
    );
}
