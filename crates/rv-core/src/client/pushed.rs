//! What is made of what a point pushes. Pure, so that it runs where time may be spent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use libp2p_identity::PeerId;
use rv_proto::{
    Namespace, Record, Removal, Response, Scope, Status, SubscriptionUpdate, Ttl, UPDATES_TYPE,
};

use super::entry::{CheckedEntry, check_entry, read_namespace};
use super::{Breach, Cause, Wanted};

/// Something that came on the stream of a subscription, compared with what was asked for, its
/// records verified.
#[derive(Clone, Debug)]
pub struct Pushed {
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// The point says yes. Without an update for much longer than this it is gone.
    Begun {
        heartbeat: Duration,
    },
    Update(CheckedUpdate),
    /// Nothing more comes.
    Ended(Cause),
}

#[derive(Clone, Debug, Default)]
pub(super) struct CheckedUpdate {
    pub(super) entries: Vec<CheckedEntry>,
    pub(super) removals: Vec<(Namespace, PeerId)>,
    /// How many entries and removals there were, usable or not.
    pub(super) count: usize,
    pub(super) cookie: Option<Bytes>,
    pub(super) is_reset: bool,
    pub(super) is_complete: bool,
}

/// The longest pause between updates that is believed: a point that says more is heard of in time
/// nevertheless.
const HEARTBEAT_MAX: Duration = Duration::from_secs(600);

/// What a point means that does not say how often it sends updates.
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(30);

impl Pushed {
    /// The answer to the request for a subscription.
    pub fn response(response: Response) -> Self {
        let what = match response {
            Response::Subscribe(response) if response.status != Status::OK => {
                What::Ended(Cause::refused(response.status, &response.status_text))
            }
            Response::Subscribe(response)
                if response.subscription_type.as_deref() == Some(UPDATES_TYPE.as_bytes()) =>
            {
                let told = response.heartbeat_secs.map(Duration::from_secs);
                let heartbeat = told.unwrap_or(HEARTBEAT_DEFAULT);
                let heartbeat = heartbeat.clamp(Duration::from_secs(1), HEARTBEAT_MAX);
                What::Begun { heartbeat }
            }
            Response::Subscribe(_) | Response::Register(_) | Response::Discover(_) => {
                What::Ended(Breach::WrongResponse.into())
            }
        };
        Self { what }
    }

    /// An update of the subscription that `request` asked for. Entries of `unwanted`, usually the
    /// asking peer itself, are left out.
    pub fn update(unwanted: Option<&PeerId>, request: &Wanted, update: SubscriptionUpdate) -> Self {
        if let Some((status, text)) = update.end {
            let what = What::Ended(Cause::refused(status, &text));
            return Self { what };
        }
        let scope = match request {
            Wanted::Subscribe { scope, .. } | Wanted::Discover { scope, .. } => scope,
            Wanted::Register { .. } | Wanted::Unregister { .. } => &Scope::All,
        };
        let count = update.entries.len() + update.removals.len();
        let entries = update.entries.into_iter();
        let entries = entries.filter_map(|entry| check_entry(unwanted, scope, entry).ok());
        let removals = update.removals.iter();
        let removals = removals.filter_map(|removal| check_removal(scope, removal));
        let cookie = update.cookie.filter(|cookie| !cookie.is_empty());
        let what = What::Update(CheckedUpdate {
            entries: entries.collect(),
            removals: removals.collect(),
            count,
            // A part of the frame would keep the whole frame for as long as the cookie is kept.
            cookie: cookie.map(|cookie| Bytes::copy_from_slice(&cookie)),
            is_reset: update.is_reset,
            is_complete: update.is_complete,
        });
        Self { what }
    }

    /// Whether nothing more comes on this stream.
    pub fn is_end(&self) -> bool {
        matches!(self.what, What::Ended(_))
    }

    /// Who is there, and for how long that stands.
    pub fn listed(&self) -> impl Iterator<Item = (&Namespace, &Arc<Record>, Ttl)> {
        let update = match &self.what {
            What::Update(update) => Some(update),
            What::Begun { .. } | What::Ended(_) => None,
        };
        let entries = update.into_iter().flat_map(|update| &update.entries);
        entries.map(|entry| (&entry.namespace, &entry.record, entry.ttl))
    }
}

fn check_removal(scope: &Scope, removal: &Removal) -> Option<(Namespace, PeerId)> {
    let named = removal.namespace.as_deref().unwrap_or_default();
    let namespace = read_namespace(scope, named).ok()?;
    let peer = PeerId::from_bytes(removal.peer.as_deref()?).ok()?;
    Some((namespace, peer))
}
