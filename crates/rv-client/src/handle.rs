//! Handles with async verbs.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::channel::{mpsc, oneshot};
use futures::{SinkExt as _, StreamExt as _};
use libp2p_core::Multiaddr;
use libp2p_identity::PeerId;
use rv_core::client::{
    DiscoverOptions, Discovered, Grant, Listed, Pages, RegisterOptions, RegistrationStatus,
    StartError, Target,
};
use rv_proto::{Namespace, Scope, Ttl};

use crate::command::{Command, Reply, Start};
use crate::pending::Pending;
use crate::watch::{Queue, Watch};
use crate::{DiscoverError, Found, RegisterError, Status, UnregisterError};

/// A handle on a [`Behaviour`](crate::Behaviour), for any task but the one that polls the swarm.
///
/// Handles are cheap to clone and bind to no runtime. To drop them changes nothing: what is
/// registered stays so.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
}

/// One point of a [`Client`].
#[derive(Clone, Debug)]
pub struct Point {
    client: Client,
    target: Target,
    point: PeerId,
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// Who was found.
    pub peers: Vec<Discovered>,
    /// Where the next page starts, if there is one or may be one later.
    pub cookie: Option<Bytes>,
}

/// The client is closed, or its swarm is gone.
struct Gone;

/// Pages of one listing that wait to be read: more than all points together give within the default
/// bounds of a listing.
const PAGES_WAITING_MAX: usize = 1 << 20;

/// A listing under way.
pub(crate) struct Listing {
    pub(crate) pages: mpsc::Receiver<Vec<Discovered>>,
    pub(crate) answer: oneshot::Receiver<Result<Vec<Listed>, DiscoverError>>,
    pub(crate) pending: Pending,
}

impl Client {
    pub(crate) const fn new(commands: mpsc::Sender<Command>) -> Self {
        Self { commands }
    }

    /// Adds a point, and addresses at which to dial it.
    ///
    /// # Errors
    ///
    /// If there are as many points as may be, or the client is closed.
    pub async fn add_point(
        &self,
        point: PeerId,
        addresses: impl IntoIterator<Item = Multiaddr>,
    ) -> Result<(), StartError> {
        let addresses = addresses.into_iter().collect();
        let command = |reply| Command::AddPoint {
            point,
            addresses,
            reply,
        };
        self.call(command).await.unwrap_or(Err(StartError::Closed))
    }

    /// Registers at every point, and at those that are added later, and stays registered until
    /// [`unregister`](Self::unregister), also if the future is dropped. Returns what is granted as
    /// soon as one point did.
    ///
    /// # Errors
    ///
    /// If every point failed. The client goes on trying all the same, until `unregister`.
    pub async fn register(
        &self,
        namespace: Namespace,
        options: RegisterOptions,
    ) -> Result<Vec<Grant>, RegisterError> {
        self.register_at(Target::Every, namespace, options).await
    }

    /// Ends the refresh of a registration at every point and takes it out. Returns when that is
    /// written; the protocol has no answer to it.
    ///
    /// # Errors
    ///
    /// If it could not be written at some point: there it stands until its deadline.
    pub async fn unregister(&self, namespace: Namespace) -> Result<(), UnregisterError> {
        self.unregister_at(Target::Every, namespace).await
    }

    /// Lists a scope at every point, merged. A dead point delays the others no longer than
    /// [`ClientConfig::straggler_wait`](rv_core::client::ClientConfig::straggler_wait); a slow one
    /// that gives page after page, no longer than
    /// [`ClientConfig::straggler_wait_total`](rv_core::client::ClientConfig::straggler_wait_total),
    /// and where there is no other, than
    /// [`ClientConfig::listing_time_max`](rv_core::client::ClientConfig::listing_time_max).
    /// To drop the future ends the requests.
    ///
    /// # Errors
    ///
    /// If every point failed.
    pub async fn discover(
        &self,
        scope: Scope,
        limit: Option<usize>,
    ) -> Result<Found, DiscoverError> {
        let options = DiscoverOptions {
            limit,
            ..DiscoverOptions::default()
        };
        let listing = self.list(Target::Every, scope, options).await?;
        listing.read(|_| {}).await
    }

    /// Watches a scope at every point.
    ///
    /// # Errors
    ///
    /// If as much is watched as may be, or the client is closed.
    pub async fn watch(&self, scope: Scope) -> Result<Watch, StartError> {
        let queue = Arc::new(Queue::default());
        // Made first, so that it is ended whatever happens.
        let commands = self.commands.clone();
        let watch = Watch::new(scope.clone(), Arc::clone(&queue), commands);
        let command = |reply| Command::Watch {
            scope,
            queue,
            reply,
        };
        let started = self.call(command).await.unwrap_or(Err(StartError::Closed));
        started.map(|()| watch)
    }

    /// The handle of one point, which must be added before it is used.
    pub fn point(&self, point: PeerId) -> Point {
        Point {
            client: self.clone(),
            target: Target::Point(point),
            point,
        }
    }

    /// Every point, registration and watch, as they stand; nothing once the client's swarm is gone.
    pub async fn status(&self) -> Status {
        let command = |reply| Command::Status { reply };
        self.call(command).await.unwrap_or_default()
    }

    /// The found peers of a scope whose deadlines are not past, without asking a point.
    pub async fn cached(&self, scope: Scope, limit: Option<usize>) -> Vec<Discovered> {
        let command = |reply| Command::Cached {
            scope,
            limit,
            reply,
        };
        self.call(command).await.unwrap_or_default()
    }

    /// Forgets the found peers of one namespace, or with `None` of all.
    pub async fn clear_cache(&self, namespace: Option<Namespace>) {
        let command = |reply| Command::ClearCache { namespace, reply };
        self.call(command).await.unwrap_or_default();
    }

    /// Stops everything, for all handles. Nothing is unregistered: registrations stand until their
    /// deadlines.
    pub async fn close(&self) {
        let command = |reply| Command::Close { reply };
        self.call(command).await.unwrap_or_default();
    }

    /// Waits until the client is closed or its swarm is gone.
    pub async fn closed(&self) {
        let command = |reply| Command::Closed { reply };
        self.call(command).await.unwrap_or_default();
    }

    async fn register_at(
        &self,
        target: Target,
        namespace: Namespace,
        options: RegisterOptions,
    ) -> Result<Vec<Grant>, RegisterError> {
        let start = |reply| Start::Register {
            target,
            namespace,
            options,
            reply,
        };
        let answer = self.wait_for(start).await;
        answer.unwrap_or(Err(RegisterError::Closed))
    }

    async fn unregister_at(
        &self,
        target: Target,
        namespace: Namespace,
    ) -> Result<(), UnregisterError> {
        let start = |reply| Start::Unregister {
            target,
            namespace,
            reply,
        };
        let answer = self.wait_for(start).await;
        answer.unwrap_or(Err(UnregisterError::Closed))
    }

    pub(crate) async fn list(
        &self,
        target: Target,
        scope: Scope,
        options: DiscoverOptions,
    ) -> Result<Listing, DiscoverError> {
        let (found, pages) = mpsc::channel(PAGES_WAITING_MAX);
        let (reply, answer) = oneshot::channel();
        let start = Start::Discover {
            target,
            scope,
            options,
            pages: found,
            reply,
        };
        let pending = Pending::new(self.commands.clone());
        let start = Command::Start(pending.call(), start);
        let sent = self.commands.clone().send(start).await;
        sent.map_err(|_| DiscoverError::Closed)?;
        Ok(Listing {
            pages,
            answer,
            pending,
        })
    }

    async fn wait_for<T>(&self, start: impl FnOnce(Reply<T>) -> Start) -> Result<T, Gone> {
        let pending = Pending::new(self.commands.clone());
        let call = pending.call();
        let answer = self
            .call(|reply| Command::Start(call, start(reply)))
            .await?;
        pending.over();
        Ok(answer)
    }

    async fn call<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.clone().send(command(reply)).await;
        sent.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }
}

impl Point {
    /// Registers at this point and stays registered until [`unregister`](Self::unregister).
    /// Returns the granted ttl. The default ttl is 2 h.
    ///
    /// # Errors
    ///
    /// Says what the point did. The client goes on trying all the same, until `unregister`.
    pub async fn register(
        &self,
        namespace: Namespace,
        ttl: Option<Ttl>,
    ) -> Result<Ttl, RegisterError> {
        let options = RegisterOptions {
            ttl,
            ..RegisterOptions::default()
        };
        self.register_with(namespace, options).await
    }

    /// Registers as [`register`](Self::register) does, and waits for an address first if `options`
    /// say so.
    ///
    /// # Errors
    ///
    /// Says what the point did. The client goes on trying all the same, until `unregister`.
    pub async fn register_with(
        &self,
        namespace: Namespace,
        options: RegisterOptions,
    ) -> Result<Ttl, RegisterError> {
        let client = &self.client;
        let grants = client.register_at(self.target, namespace, options).await?;
        let here = grants.iter().find(|grant| grant.point == self.point);
        here.map(|grant| grant.ttl).ok_or(RegisterError::Withdrawn)
    }

    /// Ends the refresh of a registration at this point and takes it out. Returns when that is
    /// written; the protocol has no answer to it.
    ///
    /// # Errors
    ///
    /// If it could not be written: the registration stands until its deadline.
    pub async fn unregister(&self, namespace: Namespace) -> Result<(), UnregisterError> {
        self.client.unregister_at(self.target, namespace).await
    }

    /// One page of a scope: no more entries than `limit`, from where `cookie` stands.
    ///
    /// # Errors
    ///
    /// Says what the point did. A refused cookie is told as such; begin anew without one.
    pub async fn discover(
        &self,
        scope: Scope,
        limit: Option<usize>,
        cookie: Option<Bytes>,
    ) -> Result<Page, DiscoverError> {
        let options = DiscoverOptions {
            limit,
            cookie,
            pages: Pages::One,
        };
        let listing = self.client.list(self.target, scope, options).await?;
        let found = listing.read(|_| {}).await?;
        let cookie = found.points.into_iter().find_map(|it| it.cookie);
        let peers = found.peers;
        Ok(Page { peers, cookie })
    }

    /// How the registration in a namespace stands at this point: until when, when it is refreshed,
    /// and what failed last. `None` if it is not wanted and not being taken out, or the client's
    /// swarm is gone.
    pub async fn status(&self, namespace: Namespace) -> Option<RegistrationStatus> {
        let point = self.point;
        let command = |reply| Command::Registration {
            point,
            namespace,
            reply,
        };
        self.client.call(command).await.unwrap_or_default()
    }

    /// Forgets this point: no refresh, no polls. Nothing is unregistered: registrations stand until
    /// their deadlines.
    pub async fn close(&self) {
        let point = self.point;
        let command = |reply| Command::RemovePoint { point, reply };
        self.client.call(command).await.unwrap_or_default();
    }
}

impl Listing {
    /// Reads it to its end. `progress` is told the number of peers after each page.
    pub(crate) async fn read(
        mut self,
        mut progress: impl FnMut(usize),
    ) -> Result<Found, DiscoverError> {
        let mut peers = BTreeMap::new();
        while let Some(page) = self.pages.next().await {
            for found in page {
                // What comes later is newer.
                peers.insert((found.namespace.clone(), found.peer()), found);
            }
            progress(peers.len());
        }
        let points = self.answer.await;
        self.pending.over();
        let points = points.unwrap_or(Err(DiscoverError::Closed))?;
        let peers = peers.into_values().collect();
        Ok(Found { peers, points })
    }
}
