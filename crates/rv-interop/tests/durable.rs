//! What peers see of a journal that is slow, fails, or does not know.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use rv_interop::wire::{Discover, Register, unregister};
use rv_interop::{Identity, ManualClock, Point, RawClient, Via, eventually};
use rv_server::Config;
use rv_server::journal::{
    AppendError, Batch, BatchId, Journal, JournalEvent, OpenError, Recovered, RedbConfig,
    RedbJournal,
};
use rv_server::rv_core::{Limits, Rules};
use rv_server::rv_proto::{
    DialectSet, Epoch, Fact, Request, Seq, SubscribeRequest, SubscriptionUpdate, UPDATES_TYPE,
};

const NAMESPACE: &str = "my-app";

/// A journal that decides nothing by itself.
#[derive(Clone, Debug, Default)]
struct Gate(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    submitted: VecDeque<(BatchId, usize)>,
    events: VecDeque<JournalEvent>,
    head: u64,
    waker: Option<Waker>,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics in here")
    }

    fn tell(&self, event: JournalEvent) {
        let mut state = self.state();
        state.events.push_back(event);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Waits until a batch is in flight and tells its id.
    async fn batch(&self) -> (BatchId, usize) {
        eventually("batch", async || self.state().submitted.front().copied()).await
    }

    async fn append(&self) {
        let (batch, facts) = self.batch().await;
        let seqs = {
            let mut state = self.state();
            state.submitted.pop_front();
            let first = state.head + 1;
            state.head += facts as u64;
            (first..=state.head)
                .map(|seq| Seq::new(seq).expect("a small number"))
                .collect()
        };
        self.tell(JournalEvent::Appended { batch, seqs });
    }

    async fn fail(&self) {
        let (batch, _) = self.batch().await;
        self.state().submitted.pop_front();
        self.tell(JournalEvent::Failed {
            batch,
            error: AppendError::Pausing("a test".into()),
        });
    }

    async fn doubt(&self) {
        let (batch, _) = self.batch().await;
        self.tell(JournalEvent::Undecided {
            batch,
            error: AppendError::Pausing("a test".into()),
        });
    }
}

impl Journal for Gate {
    fn replay(&mut self, _: &mut dyn FnMut(Seq, Fact)) -> Result<Recovered, OpenError> {
        Ok(Recovered {
            epoch: Epoch::from_bits(3),
            head: Seq::ZERO,
        })
    }

    fn submit(&mut self, batch: Batch) {
        self.state()
            .submitted
            .push_back((batch.id, batch.facts.len()));
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<JournalEvent> {
        let mut state = self.state();
        if let Some(event) = state.events.pop_front() {
            return Poll::Ready(event);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

async fn start(limits: Limits) -> (Point, Gate, RawClient, RawClient) {
    let gate = Gate::default();
    let config = Config {
        limits,
        // So that no heartbeat tells what should have been told at once.
        rules: Rules {
            heartbeat: Rules::HEARTBEAT_MAX,
            ..Rules::default()
        },
        ..Config::default()
    };
    let point = Point::with_journal(config, ManualClock::new(), gate.clone()).await;
    let (alice, bob) = (
        RawClient::connect(&point).await,
        RawClient::connect(&point).await,
    );
    (point, gate, alice, bob)
}

/// Waits until so many requests were read and wait for the journal.
async fn in_work(point: &Point, count: usize) {
    eventually("requests in work", async || {
        let in_work = point.with(|behaviour| behaviour.requests_in_work()).await;
        (in_work == count).then_some(())
    })
    .await;
}

fn register(client: &RawClient) -> Vec<u8> {
    Register::new(NAMESPACE, client.identity().legacy()).payload()
}

#[tokio::test]
async fn a_write_is_seen_and_answered_when_it_is_durable_and_not_before() {
    let (_point, gate, alice, bob) = start(Limits::default()).await;
    let (mut writing, mut of_bob) = (alice.open().await, bob.open().await);
    writing.send(&register(&alice)).await;
    gate.batch().await;
    assert_eq!(
        of_bob.peers(NAMESPACE).await,
        [],
        "others neither wait nor see it"
    );

    // The peer itself waits, and then sees it.
    let mut reading = alice.open().await;
    reading.send(&Discover::new(NAMESPACE).payload()).await;
    assert_eq!(of_bob.peers(NAMESPACE).await, []);
    gate.append().await;
    assert_eq!(
        reading.reply().await.into_discover().peers(),
        [alice.peer()]
    );
    assert_eq!(writing.reply().await.into_register().status, 0);
    assert_eq!(of_bob.peers(NAMESPACE).await, [alice.peer()]);

    writing.send(&unregister(Some(NAMESPACE), None)).await;
    gate.batch().await;
    assert_eq!(of_bob.peers(NAMESPACE).await, [alice.peer()]);
    writing.send(&Discover::new(NAMESPACE).payload()).await;
    gate.append().await;
    assert_eq!(writing.reply().await.into_discover().peers(), []);
    assert_eq!(of_bob.peers(NAMESPACE).await, []);
}

#[tokio::test]
async fn a_write_is_pushed_when_it_is_durable_and_not_before() {
    let (_point, gate, alice, bob) = start(Limits::default()).await;
    let request = Request::Subscribe(SubscribeRequest {
        supported_types: vec![UPDATES_TYPE.to_owned()],
        namespace: Some(NAMESPACE.into()),
        accepts: DialectSet::ALL,
        cookie: None,
    });
    let mut pushed = bob.open().await;
    pushed.send(&request.encode()).await;
    pushed.receive().await.expect("the answer");
    let mut news = async || {
        let payload = pushed.receive().await.expect("an update");
        let update = SubscriptionUpdate::decode(payload.into()).expect("an update");
        (update.entries.len(), update.removals.len())
    };
    assert_eq!(news().await, (0, 0), "the snapshot");

    let mut writing = alice.open().await;
    writing.send(&register(&alice)).await;
    gate.batch().await;
    gate.fail().await;
    assert_eq!(writing.reply().await.into_register().status, 400);
    writing.send(&register(&alice)).await;
    gate.append().await;
    assert_eq!(news().await, (1, 0), "once, and not what failed");
    writing.send(&unregister(Some(NAMESPACE), None)).await;
    gate.append().await;
    assert_eq!(news().await, (0, 1));
}

#[tokio::test]
async fn a_write_that_cannot_be_stored_is_refused_and_leaves_nothing() {
    let (point, gate, alice, bob) = start(Limits::default()).await;
    let (mut of_alice, mut of_bob) = (alice.open().await, bob.open().await);
    of_alice.send(&register(&alice)).await;
    gate.batch().await;
    of_bob.send(&register(&bob)).await;
    in_work(&point, 2).await;
    gate.fail().await;
    // The other one was judged on what is not there now.
    for stream in [&mut of_alice, &mut of_bob] {
        let refused = stream.reply().await.into_register();
        assert_eq!((refused.status, refused.ttl), (400, 0));
        assert!(refused.text.contains("cannot store"), "{}", refused.text);
        assert_eq!(stream.peers(NAMESPACE).await, []);
    }

    of_alice.send(&register(&alice)).await;
    gate.append().await;
    assert_eq!(
        of_alice.reply().await.into_register().status,
        0,
        "the next one may be stored"
    );
    assert_eq!(of_bob.peers(NAMESPACE).await, [alice.peer()]);

    of_alice.send(&unregister(Some(NAMESPACE), None)).await;
    gate.fail().await;
    assert_eq!(
        of_alice.peers(NAMESPACE).await,
        [alice.peer()],
        "it was not removed"
    );
    assert_eq!(point.stats().await.unregisters_lost, 1);
}

#[tokio::test]
async fn a_write_of_unknown_outcome_is_told_as_such_and_may_still_come() {
    let (_point, gate, alice, bob) = start(Limits::default()).await;
    let (mut of_alice, mut of_bob) = (alice.open().await, bob.open().await);
    of_alice.send(&register(&alice)).await;
    gate.doubt().await;
    let answer = of_alice.reply().await.into_register();
    assert_eq!(answer.status, 400);
    assert!(answer.text.contains("cannot tell yet"), "{}", answer.text);
    of_bob.send(&register(&bob)).await;
    let refused = of_bob.reply().await.into_register();
    assert_eq!(
        refused.status, 400,
        "nothing is taken meanwhile: {}",
        refused.text
    );
    assert_eq!(of_bob.peers(NAMESPACE).await, [], "and listings go on");

    gate.append().await;
    eventually("the late write", async || {
        (of_bob.peers(NAMESPACE).await == [alice.peer()]).then_some(())
    })
    .await;
    of_bob.send(&register(&bob)).await;
    gate.append().await;
    assert_eq!(of_bob.reply().await.into_register().status, 0);
}

#[tokio::test]
async fn a_write_outlives_its_connection() {
    let (point, gate, alice, bob) = start(Limits::default()).await;
    let mut stream = alice.open().await;
    stream.send(&register(&alice)).await;
    gate.batch().await;
    in_work(&point, 1).await;
    let peer = alice.peer();
    drop((stream, alice));
    in_work(&point, 0).await;

    let mut of_bob = bob.open().await;
    assert_eq!(of_bob.peers(NAMESPACE).await, []);
    gate.append().await;
    eventually("the write", async || {
        (of_bob.peers(NAMESPACE).await == [peer]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn more_writes_than_may_wait_are_refused_as_busy() {
    let limits = Limits {
        pending_max: 2,
        ..Limits::default()
    };
    let (point, gate, alice, bob) = start(limits).await;
    let mut waiting = Vec::new();
    for (index, client) in [&alice, &bob].into_iter().enumerate() {
        let mut stream = client.open().await;
        stream.send(&register(client)).await;
        waiting.push(stream);
        in_work(&point, index + 1).await;
    }
    let mut third = alice.open().await;
    let request = Register::new("third", alice.identity().legacy());
    let refused = third.register(&request).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains("busy"), "{}", refused.text);

    for stream in &mut waiting {
        gate.append().await;
        assert_eq!(stream.reply().await.into_register().status, 0);
    }
    third.send(&request.payload()).await;
    gate.append().await;
    assert_eq!(third.reply().await.into_register().status, 0);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart_and_cookies_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let open = |epoch: u32| {
        RedbJournal::open(&path, RedbConfig::default(), Epoch::from_bits(epoch)).expect("a store")
    };
    let clock = ManualClock::new();
    let point = Point::with_journal(Config::default(), clock.clone(), open(1)).await;
    let (alice, bob) = (Identity::new(), Identity::new());
    let client = RawClient::connect_as(&point, alice.clone(), Via::Tcp).await;
    client.register("stays").await;
    client.register("goes").await;
    let mut stream = client.open().await;
    let all = Discover::all();
    stream.send(&unregister(Some("goes"), None)).await;
    let before = stream.discover(&all).await;
    assert_eq!(before.entries.len(), 1);
    drop((stream, client));
    point.stop().await;

    clock.advance(std::time::Duration::from_secs(200));
    let point = Point::with_journal(Config::default(), clock, open(2)).await;
    let reader = RawClient::connect_as(&point, alice.clone(), Via::Tcp).await;
    let mut stream = reader.open().await;
    let after = stream.discover(&all).await;
    assert_eq!(after.entries[0].record, before.entries[0].record);
    assert_eq!((after.entries.len(), after.entries[0].ttl), (1, 7_000));
    let news = stream
        .discover(&all.clone().with_cookie(before.cookie()))
        .await;
    assert_eq!(news.entries, [], "nothing new since");
    let newcomer = RawClient::connect_as(&point, bob, Via::Tcp).await;
    newcomer.register("new").await;
    let news = stream.discover(&all.with_cookie(before.cookie())).await;
    assert_eq!(
        news.peers(),
        [newcomer.peer()],
        "and only the newcomer then"
    );
}
