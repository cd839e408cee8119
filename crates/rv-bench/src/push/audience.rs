//! Those who are told, and one who never reads.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use futures::StreamExt as _;
use rv_client::{Config, Discovery, WatchEvent};
use rv_proto::{
    DialectSet, EXTENSION_PROTOCOL, INMEM_PROTOCOL, InmemRecord, Namespace, Request, Response,
    Status, SubscribeRequest, SubscriptionUpdate, UPDATE_BYTES_MAX, UPDATES_TYPE, encode_frame,
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::WATCHED;
use crate::{
    client::{BenchPeer, Connection, FrameStream, Server},
    node,
};

/// Numbers of these peers begin here.
const NUMBERS_FROM: u32 = 600_000;

/// The number of the one who never reads.
const STUCK_NUMBER: u32 = NUMBERS_FROM - 1;

/// Somebody who is told later is not told at all: twice what a poll may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// How one is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By updates of our own type.
    Updates,
    /// By go's type of subscription.
    Inmem,
    /// By asking again and again.
    Polling,
}

/// Those who read, each a task.
pub(super) struct Audience {
    tasks: JoinSet<()>,
    told: mpsc::Receiver<Result<Instant>>,
    count: u32,
}

/// A subscriber to everything who reads nothing after the answer.
pub(super) struct Stuck {
    _stream: FrameStream,
    _connection: Connection,
}

impl Way {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Updates => "push",
            Self::Inmem => "push, inmem",
            Self::Polling => "polling",
        }
    }
}

impl Audience {
    /// `count` peers with a connection each, subscribed and told who is there.
    pub(super) async fn subscribe(server: &Server, way: Way, count: u32) -> Result<Self> {
        let (mut audience, tell) = Self::new(count);
        for number in 0..count {
            let subscriber = Subscriber::new(server, way, NUMBERS_FROM + number).await;
            let subscriber = subscriber.with_context(|| format!("subscriber {number}"))?;
            audience.tasks.spawn(subscriber.run(tell.clone()));
        }
        Ok(audience)
    }

    /// `count` clients of ours that poll as often as by default they do while much changes.
    pub(super) async fn poll(server: &Server, count: u32) -> Result<Self> {
        let (mut audience, tell) = Self::new(count);
        for _ in 0..count {
            let mut config = Config::default();
            let pause = config.client.poll_min;
            config.client.push = false;
            config.client.poll_max = pause;
            let client = node::start(config)?;
            let address = server.address.clone();
            client.add_point(server.peer, [address]).await?;
            let discovery = Discovery::new(client);
            let mut watch = discovery.watch(Namespace::new(WATCHED)?).await?;
            let tell = tell.clone();
            audience.tasks.spawn(async move {
                // What is there goes on as long as somebody asks.
                let _discovery = discovery;
                while let Some(event) = watch.next().await {
                    let now = Instant::now();
                    if matches!(event, WatchEvent::Joined(_) | WatchEvent::Renewed(_)) {
                        let _ = tell.send(Ok(now)).await;
                    }
                }
            });
            sleep(pause / count).await;
        }
        Ok(audience)
    }

    fn new(count: u32) -> (Self, mpsc::Sender<Result<Instant>>) {
        let room = usize::try_from(count)
            .unwrap_or(usize::MAX)
            .clamp(1, 10_000);
        let (tell, told) = mpsc::channel(room);
        let audience = Self {
            tasks: JoinSet::new(),
            told,
            count,
        };
        (audience, tell)
    }

    /// When each of them was told of the next registration.
    pub(super) async fn all_told(&mut self) -> Result<Vec<Instant>> {
        let mut times = Vec::new();
        for told in 0..self.count {
            let next = timeout(PATIENCE, self.told.recv()).await;
            let next = next.with_context(|| format!("only {told} of {} were told", self.count))?;
            times.push(next.context("no subscriber is left")??);
        }
        Ok(times)
    }

    /// They only read from now on, until what is returned is dropped.
    pub(super) fn stop_telling(self) -> JoinSet<()> {
        self.tasks
    }
}

impl Stuck {
    pub(super) async fn subscribe(server: &Server) -> Result<Self> {
        let peer = BenchPeer::new(STUCK_NUMBER)?;
        let connection = Connection::dial(server, &peer.key).await?;
        Ok(Self {
            _stream: subscribed(&connection, "").await?,
            _connection: connection,
        })
    }
}

/// A subscriber who reads.
struct Subscriber {
    way: Way,
    stream: FrameStream,
    _connection: Connection,
}

impl Subscriber {
    async fn new(server: &Server, way: Way, number: u32) -> Result<Self> {
        let peer = BenchPeer::new(number)?;
        let connection = Connection::dial(server, &peer.key).await?;
        let stream = match way {
            Way::Updates => {
                let mut stream = subscribed(&connection, WATCHED).await?;
                while !next_update(&mut stream).await?.is_complete {}
                stream
            }
            Way::Inmem => {
                let mut stream = connection.open(INMEM_PROTOCOL).await?;
                // There is no answer.
                stream.send(&request(WATCHED, Vec::new())).await?;
                stream
            }
            Way::Polling => bail!("who polls does not subscribe"),
        };
        Ok(Self {
            way,
            stream,
            _connection: connection,
        })
    }

    async fn run(mut self, tell: mpsc::Sender<Result<Instant>>) {
        loop {
            let next = self.next().await;
            let is_over = next.is_err();
            // Nobody may ask any more; reading goes on.
            let _ = tell.send(next).await;
            if is_over {
                return;
            }
        }
    }

    /// When the next registration came.
    async fn next(&mut self) -> Result<Instant> {
        loop {
            let payload = next_payload(&mut self.stream).await?;
            let now = Instant::now();
            let has_news = match self.way {
                Way::Inmem => !InmemRecord::decode(payload)?.peer.is_empty(),
                Way::Updates | Way::Polling => {
                    !SubscriptionUpdate::decode(payload)?.entries.is_empty()
                }
            };
            if has_news {
                return Ok(now);
            }
        }
    }
}

async fn subscribed(connection: &Connection, namespace: &str) -> Result<FrameStream> {
    let mut stream = connection.open(EXTENSION_PROTOCOL).await?;
    let types = vec![UPDATES_TYPE.to_owned()];
    let answer = stream.request(&request(namespace, types)).await?;
    match Response::decode(answer)? {
        Response::Subscribe(answer) if answer.status == Status::OK => Ok(stream),
        Response::Subscribe(answer) => bail!("refused: {} {}", answer.status, answer.status_text),
        Response::Register(_) | Response::Discover(_) => {
            bail!("not a DISCOVER_SUBSCRIBE_RESPONSE")
        }
    }
}

fn request(namespace: &str, supported_types: Vec<String>) -> Vec<u8> {
    let accepts = if supported_types.is_empty() {
        DialectSet::EMPTY
    } else {
        DialectSet::ALL
    };
    let request = Request::Subscribe(SubscribeRequest {
        supported_types,
        namespace: Some(Bytes::copy_from_slice(namespace.as_bytes())),
        accepts,
        cookie: None,
    });
    encode_frame(&request.encode())
}

async fn next_update(stream: &mut FrameStream) -> Result<SubscriptionUpdate> {
    Ok(SubscriptionUpdate::decode(next_payload(stream).await?)?)
}

async fn next_payload(stream: &mut FrameStream) -> Result<Bytes> {
    let payload = stream.receive(UPDATE_BYTES_MAX).await?;
    payload.context("the point ended the subscription")
}
