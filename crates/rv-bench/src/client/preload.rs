//! Fills a server with registrations before it is measured, and finds the end of its log.

use std::{ops::Range, sync::Arc};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use rv_proto::{Dialect, Response, Status};
use tokio::task::JoinSet;

use super::{BenchPeer, Connection, PROTOCOL, Server, peers::discover};

/// Peers that register at the same time.
const PEERS_AT_ONCE: u32 = 16;

/// A peer whose registration fails is tried this often in all.
const ATTEMPTS: u32 = 3;

/// Pages of a walk: far above what 1,000,000 registrations need.
const PAGES_MAX: usize = 20_000;

/// Entries asked for in a page of a walk: what the spec calls the usual maximum.
const PAGE_ENTRIES: u64 = 1000;

/// Registrations to make, all of one dialect or of several in turn.
#[derive(Clone, Debug)]
pub(crate) struct Preload {
    /// The numbers of the peers that register.
    pub(crate) peers: Range<u32>,
    /// The namespaces in which each of them registers.
    pub(crate) namespaces: Arc<[String]>,
    /// The dialects, dealt to the peers in turn.
    pub(crate) dialects: &'static [Dialect],
    /// Whether the server takes many requests on one stream.
    pub(crate) keeps_streams: bool,
}

impl Preload {
    /// Registers all of it at `server`.
    pub(crate) async fn run(self, server: &Server) -> Result<()> {
        let mut tasks = JoinSet::new();
        for lane in 0..PEERS_AT_ONCE {
            let (preload, server) = (self.clone(), server.clone());
            tasks.spawn(async move { preload.run_lane(lane, &server).await });
        }
        while let Some(lane) = tasks.join_next().await {
            lane??;
        }
        Ok(())
    }

    async fn run_lane(&self, lane: u32, server: &Server) -> Result<()> {
        let peers = self
            .peers
            .clone()
            .skip(lane as usize)
            .step_by(PEERS_AT_ONCE as usize);
        for number in peers {
            let mut registered = Ok(());
            for _ in 0..ATTEMPTS {
                registered = self.register_peer(number, server).await;
                if registered.is_ok() {
                    break;
                }
            }
            registered.with_context(|| format!("register peer {number}"))?;
        }
        Ok(())
    }

    async fn register_peer(&self, number: u32, server: &Server) -> Result<()> {
        let peer = BenchPeer::new(number)?;
        let turn = number as usize % self.dialects.len();
        let dialect = self.dialects[turn];
        let connection = Connection::dial(server, &peer.key).await?;
        if !self.keeps_streams {
            for namespace in self.namespaces.iter() {
                let frame = peer.register(namespace, dialect)?;
                let mut stream = connection.open(PROTOCOL).await?;
                check_registered(stream.last_request(&frame).await?)?;
            }
            return Ok(());
        }
        let mut stream = connection.open(PROTOCOL).await?;
        for namespace in self.namespaces.iter() {
            let frame = peer.register(namespace, dialect)?;
            check_registered(stream.request(&frame).await?)?;
        }
        Ok(())
    }
}

/// Fails unless `payload` grants a registration.
pub(crate) fn check_registered(payload: Bytes) -> Result<()> {
    match Response::decode(payload)? {
        Response::Register(answer) if answer.status == Status::OK => Ok(()),
        Response::Register(answer) => bail!("refused: {} {}", answer.status, answer.status_text),
        Response::Discover(_) | Response::Subscribe(_) => bail!("not a REGISTER_RESPONSE"),
    }
}

/// The entries and the cookie of a listing.
pub(crate) fn check_discovered(payload: Bytes) -> Result<(usize, Bytes)> {
    match Response::decode(payload)? {
        Response::Discover(answer) if answer.status == Status::OK => {
            let cookie = answer.cookie.context("a listing without a cookie")?;
            Ok((answer.entries.len(), cookie))
        }
        Response::Discover(answer) => bail!("refused: {} {}", answer.status, answer.status_text),
        Response::Register(_) | Response::Subscribe(_) => bail!("not a DISCOVER_RESPONSE"),
    }
}

/// Follows the listing of `namespace` to its end as the peer `reader` (registered before) and
/// returns the number of entries and the last cookie.
pub(crate) async fn walk(
    server: &Server,
    reader: u32,
    namespace: Option<&str>,
) -> Result<(usize, Bytes)> {
    let peer = BenchPeer::new(reader)?;
    let connection = Connection::dial(server, &peer.key).await?;
    let mut cookie = None;
    let mut total = 0;
    for _ in 0..PAGES_MAX {
        let frame = discover(namespace, PAGE_ENTRIES, cookie);
        let mut stream = connection.open(PROTOCOL).await?;
        let (entries, next) = check_discovered(stream.last_request(&frame).await?)?;
        if entries == 0 {
            return Ok((total, next));
        }
        total += entries;
        cookie = Some(next);
    }
    bail!("the listing did not end within {PAGES_MAX} pages")
}
