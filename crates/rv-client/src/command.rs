//! What handles ask of the behaviour.

use std::sync::Arc;

use futures::channel::{mpsc, oneshot};
use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use rv_core::client::{
    DiscoverOptions, Discovered, Grant, Listed, PointStatus, RegisterOptions, RegistrationStatus,
    StartError, Target, WatchStatus,
};
use rv_proto::{Namespace, Scope};

use crate::pending::CallId;
use crate::watch::Queue;
use crate::{DiscoverError, RegisterError, UnregisterError};

/// Everything that can be looked at, as it stands at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Every point.
    pub points: Vec<PointStatus>,
    /// Every registration that is wanted, stands or is being taken out.
    pub registrations: Vec<RegistrationStatus>,
    /// Every watch at every point.
    pub watches: Vec<WatchStatus>,
}

/// What a listing of one or more points came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// Who was found, each peer once for each namespace, with its newest record.
    pub peers: Vec<Discovered>,
    /// How it ended at each point.
    pub points: Vec<Listed>,
}

pub(crate) type Reply<T> = oneshot::Sender<T>;

/// One call of a handle.
#[derive(Debug)]
pub(crate) enum Command {
    AddPoint {
        point: PeerId,
        addresses: Vec<Multiaddr>,
        reply: Reply<Result<(), StartError>>,
    },
    Cached {
        scope: Scope,
        limit: Option<usize>,
        reply: Reply<Vec<Discovered>>,
    },
    /// Nobody waits for it any more.
    Cancel {
        call: CallId,
    },
    ClearCache {
        namespace: Option<Namespace>,
        reply: Reply<()>,
    },
    Close {
        reply: Reply<()>,
    },
    /// The reply is dropped at close.
    Closed {
        reply: Reply<()>,
    },
    Registration {
        point: PeerId,
        namespace: Namespace,
        reply: Reply<Option<RegistrationStatus>>,
    },
    RemovePoint {
        point: PeerId,
        reply: Reply<()>,
    },
    Start(CallId, Start),
    Status {
        reply: Reply<Status>,
    },
    Unwatch {
        scope: Scope,
        queue: Arc<Queue>,
    },
    Watch {
        scope: Scope,
        queue: Arc<Queue>,
        reply: Reply<Result<(), StartError>>,
    },
}

/// A call that ends later.
#[derive(Debug)]
pub(crate) enum Start {
    Discover {
        target: Target,
        scope: Scope,
        options: DiscoverOptions,
        pages: mpsc::Sender<Vec<Discovered>>,
        reply: Reply<Result<Vec<Listed>, DiscoverError>>,
    },
    Register {
        target: Target,
        namespace: Namespace,
        options: RegisterOptions,
        reply: Reply<Result<Vec<Grant>, RegisterError>>,
    },
    Unregister {
        target: Target,
        namespace: Namespace,
        reply: Reply<Result<(), UnregisterError>>,
    },
}
