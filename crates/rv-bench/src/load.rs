//! One measurement: many connections, one request in flight on each, and what the server spends.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use rv_proto::Dialect;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    client::{
        BenchPeer, Connection, NAMESPACE, PROTOCOL, Server, check_discovered, check_registered,
        discover,
    },
    process,
    server::{RunningServer, echo},
};

/// A worker that fails more often ends.
const FAILURES_PER_WORKER_MAX: u32 = 8;

/// Listings of unchanged length are decoded one in so many; the others would only slow us.
const DECODED_ONE_IN: u64 = 64;

/// Between two looks at the count of requests.
const GLANCE: Duration = Duration::from_millis(20);

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum Workload {
    /// DISCOVER, always the same; the answer has that many entries.
    Discover {
        namespace: Option<&'static str>,
        limit: u64,
        cookie: Option<Bytes>,
        entries: usize,
    },
    /// REGISTER of each connection's own peer, again and again.
    Register {
        /// Whether each has a new record, or all the same bytes.
        new_record: bool,
        dialect: Dialect,
    },
    /// Bytes for bytes.
    Echo {
        request_bytes: usize,
        answer_bytes: usize,
    },
}

/// How many requests go on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Streams {
    /// One, closed for writing behind it, as rust-libp2p's client does.
    OneRequest,
    /// All of a connection.
    Kept,
}

/// How hard and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Connections, each of another registered peer and with one request in flight.
    pub(crate) connections: u32,
    pub(crate) duration: Duration,
    pub(crate) requests_max: u64,
}

/// What came out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) requests: u64,
    pub(crate) failures: u64,
    pub(crate) elapsed: Duration,
    /// User and system time of the server.
    pub(crate) server_cpu: Duration,
    /// Bytes of an average request and of an average answer, without their length prefixes.
    pub(crate) request_bytes: u64,
    pub(crate) answer_bytes: u64,
}

impl Measured {
    pub(crate) fn requests_per_sec(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }

    /// Server CPU per request, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.server_cpu.as_secs_f64() * 1e6 / self.requests as f64
    }
}

#[derive(Debug, Default)]
struct Tally {
    stop: AtomicBool,
    requests: AtomicU64,
    failures: AtomicU64,
    request_bytes: AtomicU64,
    answer_bytes: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

/// Loads `running` and measures it after a warm-up of an eighth of the time.
pub(crate) async fn measure(
    running: &RunningServer,
    workload: &Workload,
    streams: Streams,
    effort: Effort,
) -> Result<Measured> {
    let tally = Arc::new(Tally::default());
    // All connect before the first asks: a saturated server may leave dials unanswered.
    let mut idle = Vec::new();
    for number in 0..effort.connections {
        let peer = BenchPeer::new(number)?;
        let connection = Connection::dial(&running.server, &peer.key).await?;
        idle.push(Worker {
            peer,
            connection,
            workload: workload.clone(),
            streams,
            tally: Arc::clone(&tally),
            decoded_bytes: None,
            answers: 0,
        });
    }
    let mut workers = JoinSet::new();
    for worker in idle {
        workers.spawn(worker.run());
    }
    watch(&tally, effort.duration / 8, effort.requests_max / 8).await;
    let (cpu_before, before, start) = (
        process::cpu_time(running.pid())?,
        tally.snapshot(),
        Instant::now(),
    );
    watch(&tally, effort.duration, effort.requests_max).await;
    let (cpu_after, after, elapsed) = (
        process::cpu_time(running.pid())?,
        tally.snapshot(),
        start.elapsed(),
    );
    tally.stop.store(true, Ordering::Relaxed);
    while let Some(worker) = workers.join_next().await {
        worker?;
    }
    let requests = after.requests - before.requests;
    if requests == 0 {
        let failure = tally
            .first_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        bail!(
            "no request succeeded: {}",
            failure.as_deref().unwrap_or("all too slow")
        );
    }
    Ok(Measured {
        requests,
        failures: after.failures,
        elapsed,
        server_cpu: cpu_after.saturating_sub(cpu_before),
        request_bytes: (after.request_bytes - before.request_bytes) / requests,
        answer_bytes: (after.answer_bytes - before.answer_bytes) / requests,
    })
}

/// Waits until `duration` has passed or `requests` more are done.
async fn watch(tally: &Tally, duration: Duration, requests: u64) {
    let (start, before) = (Instant::now(), tally.requests.load(Ordering::Relaxed));
    while start.elapsed() < duration
        && tally.requests.load(Ordering::Relaxed) - before < requests.max(1)
    {
        sleep(GLANCE.min(duration)).await;
    }
}

struct Snapshot {
    requests: u64,
    failures: u64,
    request_bytes: u64,
    answer_bytes: u64,
}

impl Tally {
    fn snapshot(&self) -> Snapshot {
        Snapshot {
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            request_bytes: self.request_bytes.load(Ordering::Relaxed),
            answer_bytes: self.answer_bytes.load(Ordering::Relaxed),
        }
    }

    fn fail(&self, error: &anyhow::Error) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut first = self
            .first_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| format!("{error:#}"));
    }
}

struct Worker {
    peer: BenchPeer,
    connection: Connection,
    workload: Workload,
    streams: Streams,
    tally: Arc<Tally>,
    /// Length of the last listing that was decoded.
    decoded_bytes: Option<usize>,
    answers: u64,
}

impl Worker {
    async fn run(mut self) {
        for _ in 0..FAILURES_PER_WORKER_MAX {
            match self.work().await {
                Ok(()) => return,
                Err(error) => self.tally.fail(&error),
            }
        }
    }

    /// Works until it is told to stop or something fails.
    async fn work(&mut self) -> Result<()> {
        let mut kept = match self.streams {
            Streams::OneRequest => None,
            Streams::Kept => Some(self.connection.open(PROTOCOL).await?),
        };
        let mut frame = self.frame()?;
        while !self.tally.stop.load(Ordering::Relaxed) {
            let answer = match &mut kept {
                Some(stream) => stream.request(&frame).await?,
                None => {
                    self.connection
                        .open(PROTOCOL)
                        .await?
                        .last_request(&frame)
                        .await?
                }
            };
            let answer_bytes = answer.len() as u64;
            self.check(answer)?;
            self.tally.requests.fetch_add(1, Ordering::Relaxed);
            self.tally
                .request_bytes
                .fetch_add(frame.len() as u64, Ordering::Relaxed);
            self.tally
                .answer_bytes
                .fetch_add(answer_bytes, Ordering::Relaxed);
            if matches!(
                self.workload,
                Workload::Register {
                    new_record: true,
                    ..
                }
            ) {
                frame = self.frame()?;
            }
        }
        Ok(())
    }

    fn frame(&self) -> Result<Vec<u8>> {
        match &self.workload {
            Workload::Discover {
                namespace,
                limit,
                cookie,
                ..
            } => Ok(discover(*namespace, *limit, cookie.clone())),
            Workload::Register { dialect, .. } => self.peer.register(NAMESPACE, *dialect),
            Workload::Echo {
                request_bytes,
                answer_bytes,
            } => echo::request(*request_bytes, *answer_bytes),
        }
    }

    fn check(&mut self, answer: Bytes) -> Result<()> {
        self.answers += 1;
        match &self.workload {
            Workload::Discover { entries, .. } => {
                let length = answer.len();
                let known = self.decoded_bytes == Some(length);
                if known && !self.answers.is_multiple_of(DECODED_ONE_IN) {
                    return Ok(());
                }
                let (found, _) = check_discovered(answer)?;
                if found != *entries {
                    bail!("{found} entries instead of {entries}");
                }
                self.decoded_bytes = Some(length);
                Ok(())
            }
            Workload::Register { .. } => check_registered(answer),
            Workload::Echo { answer_bytes, .. } => {
                if answer.len() != *answer_bytes {
                    bail!("{} bytes instead of {answer_bytes}", answer.len());
                }
                Ok(())
            }
        }
    }
}

/// The listing's cookie behind its last entry, and how many entries it has.
pub(crate) async fn end_of(
    server: &Server,
    namespace: Option<&'static str>,
) -> Result<(usize, Bytes)> {
    crate::client::walk(server, 0, namespace)
        .await
        .context("walk the listing")
}
