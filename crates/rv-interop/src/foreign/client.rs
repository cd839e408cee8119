//! A client of a stock library, asked line by line.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::{Multiaddr, PeerId};
use serde_json::{Value, json};

use super::Process;
use super::shown::{parse, read_peer, read_peers};

/// A client in another process, which ends when this is dropped.
#[derive(Debug)]
pub struct ForeignClient {
    process: Process,
    peer: PeerId,
    addresses: BTreeSet<Multiaddr>,
}

/// What a stock client makes of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignPage {
    /// Who is listed, with the addresses, without a peer id at their end. They are a set, because
    /// js shows an address twice once it has seen it twice.
    pub peers: BTreeMap<PeerId, BTreeSet<Multiaddr>>,
    /// Where the next page starts, as hexadecimal digits; empty where there is none.
    pub cookie: String,
}

impl ForeignClient {
    pub(super) async fn new(mut process: Process) -> Self {
        let own = parse(&process.line().await);
        let (peer, addresses) = read_peer(&own);
        Self {
            process,
            peer,
            addresses,
        }
    }

    /// Who this is.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// Where it listens, and so what it registers.
    pub fn addresses(&self) -> &BTreeSet<Multiaddr> {
        &self.addresses
    }

    /// Registers; gives the granted ttl in seconds.
    ///
    /// # Errors
    ///
    /// What the library raises.
    ///
    /// # Panics
    ///
    /// If nothing comes.
    pub async fn register(&mut self, namespace: &str, ttl: u64) -> Result<u64, String> {
        let request = json!({"verb": "register", "namespace": namespace, "ttl": ttl});
        let answer = self.process.call(&request).await?;
        Ok(answer["ttl"].as_u64().expect("a number"))
    }

    /// Unregisters. There is no answer to that.
    ///
    /// # Errors
    ///
    /// What the library raises.
    pub async fn unregister(&mut self, namespace: &str) -> Result<(), String> {
        let request = json!({"verb": "unregister", "namespace": namespace});
        self.process.call(&request).await.map(|_| ())
    }

    /// One page.
    ///
    /// # Errors
    ///
    /// What the library raises.
    pub async fn discover(&mut self, namespace: &str) -> Result<ForeignPage, String> {
        let request = json!({"verb": "discover", "namespace": namespace});
        self.process
            .call(&request)
            .await
            .map(|answer| read_page(&answer))
    }

    /// One page of at most `limit` entries, from where `cookie` stands: js cannot go on.
    ///
    /// # Errors
    ///
    /// What the library raises.
    pub async fn discover_from(
        &mut self,
        namespace: &str,
        limit: usize,
        cookie: &str,
    ) -> Result<ForeignPage, String> {
        let request =
            json!({"verb": "discover", "namespace": namespace, "limit": limit, "cookie": cookie});
        self.process
            .call(&request)
            .await
            .map(|answer| read_page(&answer))
    }

    /// What the library's discovery finds, which keeps what it found before: only py and go have
    /// one.
    ///
    /// # Errors
    ///
    /// What the library raises.
    pub async fn find_peers(
        &mut self,
        namespace: &str,
        limit: usize,
    ) -> Result<ForeignPage, String> {
        let request = json!({"verb": "find_peers", "namespace": namespace, "limit": limit});
        self.process
            .call(&request)
            .await
            .map(|answer| read_page(&answer))
    }

    /// What the library's discovery finds page after page to the end: only py has that.
    ///
    /// # Errors
    ///
    /// What the library raises.
    pub async fn find_all_peers(&mut self, namespace: &str) -> Result<ForeignPage, String> {
        let request = json!({"verb": "find_all_peers", "namespace": namespace});
        self.process
            .call(&request)
            .await
            .map(|answer| read_page(&answer))
    }

    /// Lets all that the library's discovery keeps of a namespace expire: only py can.
    ///
    /// # Errors
    ///
    /// If it keeps nothing of that namespace.
    pub async fn expire(&mut self, namespace: &str) -> Result<(), String> {
        let request = json!({"verb": "expire", "namespace": namespace});
        self.process.call(&request).await.map(|_| ())
    }

    /// Subscribes to a namespace, once in its life: only go can.
    ///
    /// # Errors
    ///
    /// What the library raises.
    pub async fn subscribe(&mut self, namespace: &str) -> Result<(), String> {
        let request = json!({"verb": "subscribe", "namespace": namespace});
        self.process.call(&request).await.map(|_| ())
    }

    /// Whom the subscription to a namespace brings next.
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub async fn next(&mut self, namespace: &str) -> Result<ForeignPage, String> {
        let request = json!({"verb": "next", "namespace": namespace});
        self.process
            .call(&request)
            .await
            .map(|answer| read_page(&answer))
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub async fn end(self) {
        self.process.end().await;
    }
}

fn read_page(answer: &Value) -> ForeignPage {
    ForeignPage {
        peers: read_peers(answer),
        cookie: answer["cookie"].as_str().unwrap_or_default().to_owned(),
    }
}
