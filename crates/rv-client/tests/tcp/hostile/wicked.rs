//! A point that answers every request in the same wicked way, on as many streams as are opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use libp2p::{Multiaddr, PeerId};
use rv_client::rv_proto::Request;
use tokio::task::{JoinHandle, JoinSet};

use crate::raw_point::{RawPoint, RawStream};

/// What becomes of a request.
pub(crate) enum Reply {
    /// These bytes, and the stream stays open.
    Keep(Bytes),
    /// These bytes and the end of the stream.
    Close(Bytes),
    /// These bytes, one at a time.
    Drip(Bytes),
    /// Nothing, on a stream that stays open.
    Silence,
}

/// A point in a task, which ends when this is dropped.
pub(crate) struct WickedPoint {
    pub(crate) at: (PeerId, Multiaddr),
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

type Answer = dyn Fn(Request) -> Reply + Send + Sync;

impl WickedPoint {
    pub(crate) async fn start(answer: impl Fn(Request) -> Reply + Send + Sync + 'static) -> Self {
        let mut point = RawPoint::start().await;
        let at = point.at.clone();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let answer: Arc<Answer> = Arc::new(answer);
        let task = tokio::spawn(async move {
            let mut streams = JoinSet::new();
            while let Some(stream) = point.next_stream().await {
                streams.spawn(serve(stream, Arc::clone(&answer), Arc::clone(&counter)));
            }
        });
        Self { at, asked, task }
    }

    /// Answers each REGISTER with the one and each DISCOVER with the other.
    pub(crate) async fn saying(register: Vec<u8>, discover: Vec<u8>) -> Self {
        let (register, discover) = (Bytes::from(register), Bytes::from(discover));
        Self::start(move |request| match request {
            Request::Register(_) => Reply::Keep(register.clone()),
            Request::Discover(_) => Reply::Keep(discover.clone()),
            Request::Unregister(_) | Request::Subscribe(_) => Reply::Silence,
        })
        .await
    }

    /// How many requests came that are no REGISTER.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for WickedPoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: RawStream, answer: Arc<Answer>, asked: Arc<AtomicUsize>) {
    while let Some(request) = stream.next_request().await {
        if !matches!(request, Request::Register(_)) {
            asked.fetch_add(1, Ordering::Relaxed);
        }
        match answer(request) {
            Reply::Keep(bytes) => {
                if !stream.try_write(&bytes).await {
                    return;
                }
            }
            Reply::Close(bytes) => {
                stream.try_write(&bytes).await;
                stream.close().await;
            }
            Reply::Drip(bytes) => {
                let mut ticks = tokio::time::interval(Duration::from_millis(20));
                for byte in bytes {
                    ticks.tick().await;
                    if !stream.try_write(&[byte]).await {
                        return;
                    }
                }
            }
            Reply::Silence => {}
        }
    }
}
