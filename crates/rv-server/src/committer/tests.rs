//! The committer against a journal that does as it is told.

use std::collections::VecDeque;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::channel::oneshot;
use futures::task::noop_waker;
use libp2p_identity::{Keypair, PeerId};
use rv_core::{Limits, Operation, Refusal, Verdict};
use rv_proto::{Epoch, Fact, Namespace, Record, Records, Scope, Seq, Time, Ttl};

use super::*;
use crate::desk::Answer;
use crate::journal::{AppendError, Forget, OpenError, Recovered};

#[test]
fn a_write_is_answered_and_visible_only_when_its_fact_is_durable() {
    let mut bench = Bench::new(Config::default());
    let mut verdict = bench.register("a");

    bench.poll();
    assert_eq!(bench.submitted(), [(1, 1, 0)], "one batch of one fact");
    assert_eq!(verdict.try_recv(), Ok(None), "not answered yet");
    assert!(bench.point.registry().is_empty(), "not visible yet");

    bench.tell(appended(1, &[7]));
    bench.poll();
    assert_eq!(
        verdict.try_recv(),
        Ok(Some(Verdict::Registered { ttl: Ttl::DEFAULT }))
    );
    assert_eq!(
        bench.point.registry().applied(),
        seq(7),
        "the journal's number, gap and all"
    );
}

#[test]
fn writes_gather_while_a_batch_is_in_flight() {
    let mut bench = Bench::new(Config::default());
    let first = bench.register("a");
    bench.poll();
    let rest = [bench.register("b"), bench.register("c")];
    bench.poll();
    assert_eq!(
        bench.submitted(),
        [(1, 1, 0)],
        "no second batch beside the first"
    );

    bench.tell(appended(1, &[1]));
    bench.poll();
    assert_eq!(bench.submitted(), [(1, 1, 0), (2, 2, 0)]);
    drop((first, rest));
}

#[test]
fn a_failed_append_fails_what_was_judged_on_it_and_leaves_no_trace() {
    let limits = Limits {
        registrations_per_peer: 1,
        ..Limits::default()
    };
    let mut bench = Bench::new(Config {
        limits,
        ..Config::default()
    });
    let mut lost = bench.register("a");
    bench.poll();
    let mut behind = bench.unregister("a");
    let mut on_top = bench.register("b");

    bench.tell(JournalEvent::Failed {
        batch: BatchId(1),
        error: disk_full(),
    });
    bench.poll();
    for verdict in [&mut lost, &mut behind, &mut on_top] {
        assert_eq!(
            verdict.try_recv(),
            Ok(Some(Verdict::Refused(Refusal::Store)))
        );
    }
    assert!(bench.point.registry().is_empty());
    assert_eq!(bench.point.stats().batches_failed, 1);

    let mut again = bench.register("c");
    bench.poll();
    bench.tell(appended(2, &[1]));
    bench.poll();
    assert!(
        matches!(again.try_recv(), Ok(Some(Verdict::Registered { .. }))),
        "it recovers"
    );
}

#[test]
fn an_undecided_batch_lets_nobody_wait_and_counts_once_it_is_decided() {
    let mut bench = Bench::new(Config::default());
    let mut unknown = bench.register("a");
    bench.poll();
    let mut behind = bench.register("b");
    bench.tell(JournalEvent::Undecided {
        batch: BatchId(1),
        error: disk_full(),
    });
    bench.poll();
    assert_eq!(
        unknown.try_recv(),
        Ok(Some(Verdict::Refused(Refusal::Undecided)))
    );
    assert_eq!(
        behind.try_recv(),
        Ok(Some(Verdict::Refused(Refusal::Store)))
    );
    assert_eq!(
        bench.refusal("c"),
        Some(Refusal::Store),
        "nothing is judged on the unknown"
    );

    bench.tell(appended(1, &[1]));
    bench.poll();
    assert_eq!(
        bench.point.registry().len(),
        1,
        "it was in the log after all"
    );
    assert_eq!(bench.refusal("d"), None, "and writes are taken again");
}

#[test]
fn a_journal_that_stopped_ends_the_committer_and_every_write() {
    let mut bench = Bench::new(Config::default());
    let mut verdict = bench.register("a");
    bench.poll();
    bench.tell(JournalEvent::Undecided {
        batch: BatchId(1),
        error: AppendError::Stopped,
    });
    assert!(bench.poll());
    assert_eq!(
        verdict.try_recv(),
        Ok(Some(Verdict::Refused(Refusal::Undecided)))
    );
    assert_eq!(bench.refusal("b"), Some(Refusal::Draining));
}

#[test]
fn it_ends_once_the_behaviour_is_gone_and_all_is_flushed() {
    let mut bench = Bench::new(Config::default());
    let verdict = bench.register("a");
    bench.behaviour = None;
    assert!(!bench.poll(), "a write is in flight");
    bench.tell(appended(1, &[1]));
    assert!(bench.poll());
    drop(verdict);
}

#[test]
fn expired_registrations_are_hidden_at_once_and_forgotten_after_the_grace() {
    let mut bench = Bench::new(Config::default());
    bench.settle("a");
    bench.clock.advance(Duration::from_secs(60));
    bench.point.tidy();
    assert_eq!(bench.point.registry().namespace_count(), 1, "not due");

    let erase_after = Ttl::MAX.as_duration();
    let mut bench = Bench::new(Config {
        erase_after,
        ..Config::default()
    });
    bench.settle("a");
    bench.clock.advance(Ttl::DEFAULT.as_duration());
    bench.point.tidy();
    assert_eq!(bench.point.registry().namespace_count(), 0, "out of sight");
    assert_eq!(bench.point.registry().len(), 1, "and kept");
    assert!(bench.point.next_batch().is_none());

    bench.clock.advance(erase_after);
    bench.point.tidy();
    assert!(
        bench.point.registry().is_empty(),
        "the point has been up for long enough"
    );
    assert_eq!(
        sizes(bench.point.next_batch()),
        Some((0, 1)),
        "the journal may forget it"
    );
}

#[test]
fn a_disputed_clock_hides_but_erases_nothing() {
    let mut bench = Bench::new(Config::default());
    bench.settle("a");
    bench.clock.disputed.store(true, Ordering::Relaxed);
    bench.clock.advance(Ttl::MAX.as_duration());
    bench.point.tidy();
    assert_eq!(bench.point.registry().len(), 1);
    assert_eq!(bench.point.registry().namespace_count(), 0);

    bench.clock.disputed.store(false, Ordering::Relaxed);
    bench.point.tidy();
    assert!(bench.point.registry().is_empty());
}

#[test]
fn a_point_full_of_expired_registrations_does_not_wait_for_the_grace() {
    let limits = Limits {
        registrations_total: 1,
        ..Limits::default()
    };
    let erase_after = Ttl::MAX.as_duration();
    let mut bench = Bench::new(Config {
        limits,
        erase_after,
        ..Config::default()
    });
    bench.settle("a");
    bench.clock.advance(Ttl::DEFAULT.as_duration());

    bench.point.tidy();
    assert_eq!(bench.point.registry().len(), 1, "the grace holds");
    assert_eq!(bench.refusal("b"), Some(Refusal::Full));
    bench.point.tidy();
    assert!(bench.point.registry().is_empty(), "pressed");
    assert_eq!(bench.refusal("b"), None);
}

#[test]
fn a_batch_that_only_forgets_ends_either_way_and_blocks_nobody() {
    for outcome in [appended(2, &[]), failed(2)] {
        for is_undecided_first in [false, true] {
            let mut bench = Bench::new(Config::default());
            bench.settle("a");
            bench.clock.advance(Ttl::MAX.as_duration());
            bench.point.tidy();
            bench.poll();
            assert_eq!(bench.submitted(), [(1, 1, 0), (2, 0, 1)]);

            if is_undecided_first {
                bench.tell(JournalEvent::Undecided {
                    batch: BatchId(2),
                    error: disk_full(),
                });
                bench.poll();
                assert_eq!(bench.refusal("b"), Some(Refusal::Store));
            }
            bench.tell(match &outcome {
                JournalEvent::Failed { .. } => failed(2),
                _ => appended(2, &[]),
            });
            bench.poll();
            let mut verdict = bench.register("b");
            bench.poll();
            bench.tell(appended(3, &[2]));
            bench.poll();
            let registered = Verdict::Registered { ttl: Ttl::DEFAULT };
            assert_eq!(
                verdict.try_recv(),
                Ok(Some(registered)),
                "{is_undecided_first}"
            );
        }
    }
}

#[test]
fn what_a_failed_batch_would_have_forgotten_is_tried_again_but_not_at_once() {
    let mut bench = Bench::new(Config::default());
    bench.settle("a");
    bench.clock.advance(Ttl::MAX.as_duration());
    bench.point.tidy();
    bench.poll();
    assert_eq!(bench.submitted(), [(1, 1, 0), (2, 0, 1)]);
    bench.tell(failed(2));
    bench.poll();
    bench.poll();
    assert_eq!(bench.submitted().len(), 2, "a full disk is not hammered");
    assert_eq!(bench.point.stats().batches_failed, 0, "no write was lost");

    bench.point.tidy();
    bench.poll();
    assert_eq!(bench.submitted()[2..], [(3, 0, 1)]);
    bench.tell(appended(3, &[]));
    bench.poll();
    bench.point.tidy();
    bench.poll();
    assert_eq!(bench.submitted().len(), 3, "nothing is left to forget");
}

#[test]
fn a_journal_that_does_not_answer_holds_up_nobody_for_ever() {
    let mut bench = Bench::new(Config::default());
    let mut verdict = bench.register("a");
    bench.poll();
    bench.committer.patience = Some(Delay::new(Duration::ZERO));
    const TRIES_MAX: usize = 1_000_000;
    let answer = (0..TRIES_MAX).find_map(|_| {
        bench.poll();
        std::thread::yield_now();
        verdict.try_recv().expect("somebody answers")
    });
    assert_eq!(answer, Some(Verdict::Refused(Refusal::Undecided)));
    bench.tell(appended(1, &[1]));
    bench.poll();
    assert_eq!(bench.point.registry().len(), 1, "it was only slow");
}

#[test]
fn a_committer_that_is_dropped_leaves_nobody_waiting() {
    let mut bench = Bench::new(Config::default());
    let mut verdict = bench.register("a");
    bench.poll();
    let Bench {
        committer, point, ..
    } = bench;
    drop(committer);
    assert_eq!(
        verdict.try_recv(),
        Ok(Some(Verdict::Refused(Refusal::Undecided)))
    );
    assert!(!point.has_pending() || point.stats().registrations == 0);
}

#[test]
fn a_journal_that_miscounts_is_not_trusted_any_further() {
    let mut bench = Bench::new(Config::default());
    let verdict = bench.register("a");
    bench.poll();
    bench.tell(appended(1, &[1, 2]));
    assert!(bench.poll(), "the committer ends");
    assert!(bench.point.registry().is_empty());
    drop(verdict);
}

/// A point on a scripted journal, polled by hand.
struct Bench {
    behaviour: Option<Behaviour>,
    committer: Committer<Scripted>,
    point: Arc<Point>,
    clock: Hand,
    peer: PeerId,
}

impl Bench {
    fn new(config: Config) -> Self {
        let clock = Hand::default();
        clock.advance(Duration::from_secs(1_000));
        let (behaviour, mut committer) =
            point(config, clock.clone(), Scripted::default()).expect("a valid config");
        // Tests tidy by themselves: a timer of real time fires when another thread gets to it.
        committer.tick = Delay::new(Duration::from_secs(3_600));
        let point = Arc::clone(&committer.point);
        let peer = Keypair::generate_ed25519().public().to_peer_id();
        Self {
            behaviour: Some(behaviour),
            committer,
            point,
            clock,
            peer,
        }
    }

    /// Polls once; true if the committer has ended.
    fn poll(&mut self) -> bool {
        let waker = noop_waker();
        Pin::new(&mut self.committer)
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
    }

    fn submit(&self, operation: Operation) -> Answer {
        self.point.submit(self.peer, operation)
    }

    fn registration(&self, namespace: &str) -> Operation {
        let address = "/ip4/192.0.2.1/tcp/1".parse().expect("a multiaddr");
        Operation::Register {
            namespace: name(namespace),
            records: Records::new([Record::plain(&self.peer, &[address])]).expect("one record"),
            ttl: Ttl::DEFAULT,
            origin: None,
        }
    }

    fn register(&self, namespace: &str) -> oneshot::Receiver<Verdict> {
        later(self.submit(self.registration(namespace)))
    }

    fn unregister(&self, namespace: &str) -> oneshot::Receiver<Verdict> {
        let scope = Scope::Namespace(name(namespace));
        later(self.submit(Operation::Unregister { scope }))
    }

    /// Why a REGISTER is refused at once; `None` if it is not.
    fn refusal(&self, namespace: &str) -> Option<Refusal> {
        match self.submit(self.registration(namespace)) {
            Answer::Now(Verdict::Refused(refusal)) => Some(refusal),
            Answer::Now(_) | Answer::Later(_) => None,
        }
    }

    /// Registers and lets the journal keep it.
    fn settle(&mut self, namespace: &str) {
        let _verdict = self.register(namespace);
        self.poll();
        self.tell(appended(1, &[1]));
        self.poll();
        assert_eq!(self.point.registry().len(), 1);
    }

    fn tell(&self, event: JournalEvent) {
        self.committer
            .journal
            .0
            .lock()
            .expect("unpoisoned")
            .events
            .push_back(event);
    }

    /// Number, facts and things to forget of each batch so far.
    fn submitted(&self) -> Vec<(u64, usize, usize)> {
        self.committer
            .journal
            .0
            .lock()
            .expect("unpoisoned")
            .submitted
            .clone()
    }
}

#[derive(Debug, Default)]
struct Script {
    events: VecDeque<JournalEvent>,
    submitted: Vec<(u64, usize, usize)>,
}

#[derive(Debug, Default)]
struct Scripted(Mutex<Script>);

impl Journal for Scripted {
    fn replay(&mut self, _: &mut dyn FnMut(Seq, Fact)) -> Result<Recovered, OpenError> {
        Ok(Recovered {
            epoch: Epoch::from_bits(5),
            head: Seq::ZERO,
        })
    }

    fn submit(&mut self, batch: Batch) {
        let sizes = (batch.id.0, batch.facts.len(), batch.forget.len());
        self.0.lock().expect("unpoisoned").submitted.push(sizes);
    }

    fn poll_event(&mut self, _: &mut Context<'_>) -> Poll<JournalEvent> {
        let event = self.0.lock().expect("unpoisoned").events.pop_front();
        event.map_or(Poll::Pending, Poll::Ready)
    }
}

/// A clock that is moved by hand.
#[derive(Clone, Default)]
struct Hand {
    millis: Arc<AtomicU64>,
    disputed: Arc<AtomicBool>,
}

impl Hand {
    fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).expect("a short time");
        self.millis.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Time {
        Time::from_millis(self.millis.load(Ordering::Relaxed))
    }

    fn is_disputed(&self) -> bool {
        self.disputed.load(Ordering::Relaxed)
    }
}

fn failed(batch: u64) -> JournalEvent {
    JournalEvent::Failed {
        batch: BatchId(batch),
        error: disk_full(),
    }
}

fn sizes(batch: Option<(Vec<Fact>, Vec<Forget>)>) -> Option<(usize, usize)> {
    batch.map(|(facts, forget)| (facts.len(), forget.len()))
}

fn later(answer: Answer) -> oneshot::Receiver<Verdict> {
    match answer {
        Answer::Later(verdict) => verdict,
        Answer::Now(verdict) => panic!("answered at once: {verdict:?}"),
    }
}

fn name(namespace: &str) -> Namespace {
    Namespace::new(namespace).expect("a namespace")
}

fn seq(number: u64) -> Seq {
    Seq::new(number).expect("a small number")
}

fn appended(batch: u64, seqs: &[u64]) -> JournalEvent {
    let seqs = seqs.iter().map(|number| seq(*number)).collect();
    JournalEvent::Appended {
        batch: BatchId(batch),
        seqs,
    }
}

fn disk_full() -> AppendError {
    AppendError::Io(io::ErrorKind::StorageFull.into())
}
