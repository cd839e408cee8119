//! Those who register while others are told.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rv_proto::Dialect;
use tokio::{
    runtime,
    sync::{mpsc, oneshot},
};

use super::{WATCHED, table::Delays};
use crate::{
    client::{BenchPeer, Connection, FrameStream, PROTOCOL, Server, check_registered},
    server::{Kind, RunningServer},
};

/// Numbers of these peers begin here, above those that are registered before.
const NUMBERS_FROM: u32 = 500_000;

/// Peers that register in turn, on a thread of their own: on that of the subscribers, an
/// acknowledgement would be read behind all that they are told.
pub(super) struct Registrants {
    jobs: mpsc::Sender<Job>,
}

/// When a request was sent, and when its answer was here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Took {
    pub(super) sent: Instant,
    pub(super) acknowledged: Instant,
}

enum Job {
    One(oneshot::Sender<Result<Took>>),
    Row(Duration, oneshot::Sender<Result<Delays>>),
}

impl Registrants {
    /// Connects `count` of them, which speak as a point of `kind` wants it.
    pub(super) async fn connect(running: &RunningServer, kind: Kind, count: u32) -> Result<Self> {
        let (jobs, receiver) = mpsc::channel(1);
        let (tell, connected) = oneshot::channel();
        let server = running.server.clone();
        let [dialect] = *kind.dialects();
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        // It ends when the sender of jobs is dropped.
        thread::spawn(move || {
            runtime.block_on(async {
                match Turn::connect(&server, dialect, count).await {
                    Ok(turn) => {
                        // Nobody waits any more if the run was interrupted.
                        let _ = tell.send(Ok(()));
                        turn.work(receiver).await;
                    }
                    Err(error) => {
                        let _ = tell.send(Err(error));
                    }
                }
            });
        });
        connected.await.context("the registrants' thread ended")??;
        Ok(Self { jobs })
    }

    /// Lets the next one register, with a new record.
    pub(super) async fn register(&self) -> Result<Took> {
        self.ask(Job::One).await
    }

    /// Lets them register without a pause: how long each acknowledgement took.
    pub(super) async fn row(&self, duration: Duration) -> Result<Delays> {
        self.ask(|reply| Job::Row(duration, reply)).await
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T>>) -> Job) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let sent = self.jobs.send(job(reply)).await;
        sent.ok().context("the registrants' thread is gone")?;
        answer.await.context("the registrants' thread ended")?
    }
}

/// The peers, and whose turn it is.
struct Turn {
    several: Vec<Registrant>,
    next: usize,
}

struct Registrant {
    peer: BenchPeer,
    dialect: Dialect,
    stream: FrameStream,
    _connection: Connection,
}

impl Turn {
    async fn connect(server: &Server, dialect: Dialect, count: u32) -> Result<Self> {
        let mut several = Vec::new();
        for number in 0..count.max(1) {
            let peer = BenchPeer::new(NUMBERS_FROM + number)?;
            let connection = Connection::dial(server, &peer.key).await?;
            several.push(Registrant {
                stream: connection.open(PROTOCOL).await?,
                peer,
                dialect,
                _connection: connection,
            });
        }
        Ok(Self { several, next: 0 })
    }

    async fn work(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.recv().await {
            // Whoever asked waits, unless the run was interrupted.
            match job {
                Job::One(reply) => {
                    let _ = reply.send(self.register().await);
                }
                Job::Row(duration, reply) => {
                    let _ = reply.send(self.row(duration).await);
                }
            }
        }
    }

    async fn row(&mut self, duration: Duration) -> Result<Delays> {
        let (mut delays, start) = (Delays::default(), Instant::now());
        while start.elapsed() < duration {
            let took = self.register().await?;
            delays.add(took.sent, took.acknowledged);
        }
        Ok(delays)
    }

    async fn register(&mut self) -> Result<Took> {
        let turn = self.next % self.several.len();
        self.next = turn + 1;
        let it = &mut self.several[turn];
        let frame = it.peer.register(WATCHED, it.dialect)?;
        let sent = Instant::now();
        let answer = it.stream.request(&frame).await?;
        let acknowledged = Instant::now();
        check_registered(answer)?;
        Ok(Took { sent, acknowledged })
    }
}
