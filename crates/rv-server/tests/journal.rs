//! The journals on real files: what they keep, and what they refuse to open.
#![cfg(feature = "redb")]
#![allow(unreachable_pub, dead_code, reason = "a module shared by two tests")]

#[path = "crash_images/facts.rs"]
mod facts;

use std::fs;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll, Waker};

use redb::{Database, TableDefinition};
use rv_proto::{Epoch, Fact, Seq};
use rv_server::journal::{
    AppendError, Batch, BatchId, Forget, Journal, JournalEvent, MemoryJournal, OpenError,
    Recovered, RedbConfig, RedbJournal,
};
use tempfile::TempDir;

use facts::{Random, namespace, peer, registered, removed};

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const REGISTRATIONS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("registrations");

/// The unit in which the file is laid out.
const PAGE_BYTES: usize = 4096;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

fn open(path: &Path, epoch_bits: u32) -> Result<RedbJournal, OpenError> {
    RedbJournal::open(path, RedbConfig::default(), Epoch::from_bits(epoch_bits))
}

fn refusal(path: &Path) -> OpenError {
    let mut journal = match open(path, 9) {
        Ok(journal) => journal,
        Err(error) => return error,
    };
    journal
        .replay(&mut |_, _| {})
        .expect_err("it cannot be read")
}

fn replay(journal: &mut impl Journal) -> (Recovered, Vec<(u64, Vec<u8>)>) {
    let mut facts = Vec::new();
    let recovered = journal
        .replay(&mut |seq, fact| facts.push((seq.get(), fact.encode())))
        .expect("it can be read");
    facts.sort();
    (recovered, facts)
}

fn encoded(seq: u64, fact: &Fact) -> (u64, Vec<u8>) {
    (seq, fact.encode())
}

fn batch(id: u64, facts: Vec<Fact>) -> Batch {
    Batch {
        id: BatchId(id),
        facts,
        forget: Vec::new(),
    }
}

async fn event(journal: &mut impl Journal) -> JournalEvent {
    poll_fn(|cx| journal.poll_event(cx)).await
}

async fn append(journal: &mut impl Journal, batch: Batch) -> Vec<u64> {
    let id = batch.id;
    journal.submit(batch);
    let event = event(journal).await;
    let JournalEvent::Appended { batch, seqs } = event else {
        panic!("not appended: {event:?}")
    };
    assert_eq!(batch, id);
    seqs.into_iter().map(Seq::get).collect()
}

/// A journal with two registrations, closed.
async fn written(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("journal");
    let mut journal = open(&path, 5).expect("a new journal");
    let facts = vec![
        registered(peer(1), namespace(1), 2, 1),
        registered(peer(2), namespace(1), 2, 1),
    ];
    append(&mut journal, batch(1, facts)).await;
    path
}

fn edit(path: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::open(path).expect("closed in order");
    let transaction = database.begin_write().expect("a transaction");
    change(&transaction);
    transaction.commit().expect("committed");
}

#[test]
fn a_file_that_does_not_exist_or_is_empty_becomes_a_new_journal() {
    let folder = folder();
    let empty = folder.path().join("empty");
    fs::write(&empty, []).expect("written");
    for path in [folder.path().join("absent"), empty] {
        let mut journal = open(&path, 5).expect("a new journal");
        let new = Recovered {
            epoch: Epoch::from_bits(5),
            head: Seq::ZERO,
        };
        assert_eq!(replay(&mut journal), (new, Vec::new()));
    }
}

#[tokio::test]
async fn epoch_head_and_registrations_are_found_again() {
    let folder = folder();
    let path = folder.path().join("journal");
    let first = registered(peer(1), namespace(1), 2, 1);
    let second = registered(peer(1), namespace(2), 3, 1);
    let mut journal = open(&path, 5).expect("a new journal");
    assert_eq!(
        append(&mut journal, batch(7, vec![first.clone()])).await,
        [1]
    );
    assert_eq!(
        append(&mut journal, batch(8, vec![second.clone()])).await,
        [2]
    );
    drop(journal);
    let mut journal = open(&path, 6).expect("an existing journal");
    let (recovered, facts) = replay(&mut journal);
    assert_eq!(
        recovered,
        Recovered {
            epoch: Epoch::from_bits(5),
            head: seq(2)
        }
    );
    assert_eq!(facts, [encoded(1, &first), encoded(2, &second)]);
    assert_eq!(append(&mut journal, batch(1, vec![first])).await, [3]);
}

fn renew(path: &Path, epoch_bits: u32) -> RedbJournal {
    let config = RedbConfig {
        renew_epoch: true,
        ..RedbConfig::default()
    };
    RedbJournal::open(path, config, Epoch::from_bits(epoch_bits)).expect("a journal")
}

#[tokio::test]
async fn a_renewed_journal_has_a_new_epoch_for_good_and_all_else_as_before() {
    let folder = folder();
    let path = written(&folder).await;
    let (before, facts) = replay(&mut open(&path, 6).expect("an existing journal"));
    assert_eq!(before.epoch, Epoch::from_bits(5));
    let epochs = [
        // The random epoch may be the old one by chance.
        (5, 4),
        (7, 7),
    ];
    for (wanted, given) in epochs {
        let renewed = Recovered {
            epoch: Epoch::from_bits(given),
            ..before
        };
        assert_eq!(replay(&mut renew(&path, wanted)), (renewed, facts.clone()));
        let mut journal = open(&path, 6).expect("an existing journal");
        assert_eq!(replay(&mut journal), (renewed, facts.clone()));
    }
    let mut journal = renew(&path, 8);
    let fact = registered(peer(3), namespace(1), 2, 1);
    assert_eq!(append(&mut journal, batch(1, vec![fact])).await, [3]);
    drop(journal);
    let (recovered, facts) = replay(&mut open(&path, 6).expect("an existing journal"));
    assert_eq!(recovered.epoch, Epoch::from_bits(8));
    assert_eq!((recovered.head, facts.len()), (seq(3), 3));
}

#[test]
fn a_new_journal_needs_no_renewal() {
    let folder = folder();
    let mut journal = renew(&folder.path().join("journal"), 5);
    assert_eq!(replay(&mut journal).0.epoch, Epoch::from_bits(5));
}

fn seq(number: u64) -> Seq {
    Seq::new(number).expect("in range")
}

#[tokio::test]
async fn a_removal_leaves_no_row_and_its_sequence_number_is_not_given_again() {
    let folder = folder();
    let path = written(&folder).await;
    let mut journal = open(&path, 6).expect("an existing journal");
    let facts = vec![
        removed(peer(1), namespace(1), 1),
        removed(peer(2), namespace(1), 1),
    ];
    assert_eq!(append(&mut journal, batch(1, facts)).await, [3, 4]);
    drop(journal);
    let mut journal = open(&path, 6).expect("an existing journal");
    let (recovered, facts) = replay(&mut journal);
    assert_eq!((recovered.head, facts), (seq(4), Vec::new()));
}

#[tokio::test]
async fn the_last_fact_of_a_registration_in_one_batch_wins() {
    let folder = folder();
    let path = folder.path().join("journal");
    let mut journal = open(&path, 5).expect("a new journal");
    let last = registered(peer(1), namespace(1), 4, 2);
    let facts = vec![
        registered(peer(1), namespace(1), 2, 1),
        removed(peer(1), namespace(1), 1),
        last.clone(),
        registered(peer(2), namespace(1), 2, 1),
        removed(peer(2), namespace(1), 1),
    ];
    assert_eq!(append(&mut journal, batch(1, facts)).await, [1, 2, 3, 4, 5]);
    drop(journal);
    let (recovered, facts) = replay(&mut open(&path, 6).expect("an existing journal"));
    assert_eq!((recovered.head, facts), (seq(5), vec![encoded(3, &last)]));
}

#[tokio::test]
async fn forgetting_spares_a_registration_that_was_refreshed() {
    let folder = folder();
    let path = written(&folder).await;
    let mut journal = open(&path, 6).expect("an existing journal");
    let refreshed = registered(peer(1), namespace(1), 2, 2);
    append(&mut journal, batch(1, vec![refreshed.clone()])).await;
    let forget = [(1, 1), (2, 2), (1, 9)].map(|(number, at)| Forget {
        seq: seq(at),
        namespace: namespace(1),
        peer: peer(number),
    });
    let batch = Batch {
        id: BatchId(2),
        facts: Vec::new(),
        forget: forget.to_vec(),
    };
    assert_eq!(append(&mut journal, batch).await, [0; 0]);
    drop(journal);
    let (recovered, facts) = replay(&mut open(&path, 6).expect("an existing journal"));
    assert_eq!(
        (recovered.head, facts),
        (seq(3), vec![encoded(3, &refreshed)])
    );
}

#[tokio::test]
async fn dropping_the_journal_finishes_the_batch_in_flight() {
    let folder = folder();
    let path = folder.path().join("journal");
    let mut journal = open(&path, 5).expect("a new journal");
    journal.submit(batch(1, vec![registered(peer(1), namespace(1), 1, 1)]));
    drop(journal);
    assert_eq!(
        replay(&mut open(&path, 6).expect("an existing journal"))
            .1
            .len(),
        1
    );
}

#[tokio::test]
async fn a_second_batch_in_flight_is_refused() {
    let folder = folder();
    let mut journal = open(&folder.path().join("journal"), 5).expect("a new journal");
    journal.submit(batch(1, vec![registered(peer(1), namespace(1), 1, 1)]));
    journal.submit(batch(2, vec![registered(peer(2), namespace(1), 1, 1)]));
    let first = event(&mut journal).await;
    let refused = JournalEvent::Failed {
        batch: BatchId(2),
        error: AppendError::Busy,
    };
    assert_eq!(format!("{first:?}"), format!("{refused:?}"));
    let second = event(&mut journal).await;
    assert!(
        matches!(
            second,
            JournalEvent::Appended {
                batch: BatchId(1),
                ..
            }
        ),
        "{second:?}"
    );
    assert_eq!(append(&mut journal, batch(3, Vec::new())).await, [0; 0]);
}

#[tokio::test]
async fn the_last_sequence_number_is_given_once() {
    let folder = folder();
    let path = written(&folder).await;
    let before_last = Seq::MAX.get() - 1;
    edit(&path, |transaction| {
        let mut meta = transaction.open_table(META).expect("a table");
        meta.insert("head", before_last).expect("inserted");
    });
    let mut journal = open(&path, 6).expect("an existing journal");
    let fact = registered(peer(1), namespace(1), 1, 1);
    journal.submit(batch(1, vec![fact.clone(), fact.clone()]));
    let refused = event(&mut journal).await;
    let JournalEvent::Failed {
        error: AppendError::Exhausted,
        ..
    } = refused
    else {
        panic!("not refused: {refused:?}");
    };
    // A new epoch frees no number.
    drop(journal);
    let mut journal = renew(&path, 6);
    assert_eq!(replay(&mut journal).0.head.get(), before_last);
    assert_eq!(
        append(&mut journal, batch(2, vec![fact])).await,
        [Seq::MAX.get()]
    );
}

#[tokio::test]
async fn a_file_that_is_open_elsewhere_is_refused_until_it_is_closed() {
    let folder = folder();
    let path = written(&folder).await;
    let journal = open(&path, 6).expect("an existing journal");
    let error = refusal(&path);
    assert!(matches!(error, OpenError::AlreadyOpen { .. }), "{error:?}");
    drop(journal);
    assert_eq!(
        replay(&mut open(&path, 6).expect("closed by now")).1.len(),
        2
    );
}

#[test]
fn other_files_are_refused_and_left_as_they_are() {
    let folder = folder();
    let text = folder.path().join("text");
    fs::write(&text, "not a journal\n".repeat(1_000)).expect("written");
    let short = folder.path().join("short");
    fs::write(&short, "short").expect("written");
    let zeros = folder.path().join("zeros");
    fs::write(&zeros, [&[0; 10_000][..], b"precious"].concat()).expect("written");
    for path in [text, short, zeros] {
        let before = fs::read(&path).expect("readable");
        let error = refusal(&path);
        assert!(matches!(error, OpenError::NotAJournal { .. }), "{error:?}");
        assert_eq!(fs::read(&path).expect("readable"), before);
    }
    let foreign = folder.path().join("foreign");
    drop(Database::create(&foreign).expect("created"));
    edit(&foreign, |transaction| {
        let other: TableDefinition<'_, &str, &str> = TableDefinition::new("recipes");
        transaction
            .open_table(other)
            .expect("a table")
            .insert("a", "b")
            .expect("inserted");
    });
    let error = refusal(&foreign);
    assert!(matches!(error, OpenError::NotAJournal { .. }), "{error:?}");
}

#[tokio::test]
async fn a_newer_format_is_refused_by_its_number() {
    let folder = folder();
    let path = written(&folder).await;
    edit(&path, |transaction| {
        let mut meta = transaction.open_table(META).expect("a table");
        meta.insert("format", 2).expect("inserted");
    });
    let error = refusal(&path);
    assert!(
        matches!(
            error,
            OpenError::NewerFormat {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("format 2"), "{error}");
}

#[tokio::test]
async fn a_journal_that_lost_a_field_of_its_own_is_damaged() {
    for field in ["epoch", "head", "commit"] {
        let folder = folder();
        let path = written(&folder).await;
        edit(&path, |transaction| {
            let mut meta = transaction.open_table(META).expect("a table");
            meta.remove(field).expect("removed");
        });
        let error = refusal(&path);
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains(field), "{error}");
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named() {
    let folder = folder();
    let good = registered(peer(2), namespace(1), 2, 1).encode();
    let row = |seq: u64, fact: &[u8]| [&seq.to_be_bytes(), fact].concat();
    let rows = [
        Vec::new(),
        row(1, b"\xff\xff\xff"),
        row(1, &good),
        row(1, &removed(peer(1), namespace(7), 1).encode()),
        row(99, &registered(peer(1), namespace(7), 2, 1).encode()),
    ];
    let key = [peer(1).to_bytes().as_slice(), b"crash/7"].concat();
    for row in rows {
        let path = written(&folder).await;
        edit(&path, |transaction| {
            let mut table = transaction.open_table(REGISTRATIONS).expect("a table");
            table
                .insert(key.as_slice(), row.as_slice())
                .expect("inserted");
        });
        let error = refusal(&path);
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("crash/7"), "{error}");
        fs::remove_file(path).expect("removed");
    }
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_refused() {
    let folder = folder();
    let path = written(&folder).await;
    let bytes = fs::read(&path).expect("readable");
    for len in [10, 400, 4_096, bytes.len() / 2] {
        let cut = folder.path().join("cut");
        fs::write(&cut, bytes.get(..len).expect("shorter")).expect("written");
        let error = refusal(&cut);
        let is_refused = matches!(
            error,
            OpenError::Damaged { .. } | OpenError::NotAJournal { .. }
        );
        assert!(is_refused, "{len} bytes: {error:?}");
    }
}

#[tokio::test]
async fn damage_anywhere_is_refused_or_harms_nothing() {
    let folder = folder();
    let path = written(&folder).await;
    let whole = replay(&mut open(&path, 6).expect("an existing journal"));
    let bytes = fs::read(&path).expect("readable");
    let pages: Vec<usize> = (0..bytes.len() / PAGE_BYTES)
        .filter(|page| {
            bytes[page * PAGE_BYTES..][..PAGE_BYTES]
                .iter()
                .any(|byte| *byte != 0)
        })
        .collect();
    let mut random = Random(1);
    let mut refused = 0;
    for round in 0..200 {
        let mut damaged = bytes.clone();
        let page = &mut damaged[pages[random.below(pages.len())] * PAGE_BYTES..][..PAGE_BYTES];
        match round % 3 {
            0 => page[random.below(PAGE_BYTES)] ^= 1,
            1 => page.fill(0),
            _ => page.fill_with(|| random.next().to_le_bytes()[0]),
        }
        fs::write(&path, &damaged).expect("written");
        let mut facts = Vec::new();
        let opened = open(&path, 6).and_then(|mut journal| {
            journal.replay(&mut |seq, fact| facts.push((seq.get(), fact.encode())))
        });
        match opened {
            Ok(recovered) => {
                facts.sort();
                assert_eq!((recovered, facts), whole, "round {round}");
            }
            Err(OpenError::Damaged { .. } | OpenError::NotAJournal { .. }) => refused += 1,
            Err(other) => panic!("round {round}: {other:?}"),
        }
    }
    assert!(refused > 50, "only {refused} were refused");
}

#[test]
fn a_folder_that_does_not_exist_is_named() {
    let folder = folder();
    let error = refusal(&folder.path().join("absent").join("journal"));
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("absent"), "{error}");
}

#[tokio::test]
async fn the_journal_in_memory_numbers_facts_and_begins_again() {
    let mut journal = MemoryJournal::new(Epoch::from_bits(3));
    let new = Recovered {
        epoch: Epoch::from_bits(3),
        head: Seq::ZERO,
    };
    assert_eq!(replay(&mut journal), (new, Vec::new()));
    let fact = registered(peer(1), namespace(1), 1, 1);
    assert_eq!(
        append(&mut journal, batch(1, vec![fact.clone(), fact.clone()])).await,
        [1, 2]
    );
    assert_eq!(append(&mut journal, batch(2, vec![fact])).await, [3]);
    let poll = journal.poll_event(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(poll, Poll::Pending));
}
