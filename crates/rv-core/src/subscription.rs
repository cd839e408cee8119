//! Push: what a subscriber is told, at the speed at which it reads.
//!
//! A subscription is a position in the log. Whenever its stream has room, the connection's own task
//! reads from the [`Registry`] what changed behind that position. So nothing waits for a subscriber
//! and nothing is queued for one: a slow one finds only the newest state of each peer.

use std::time::Duration;

use bytes::Bytes;
use rv_proto::{
    Cookie, Dialect, DialectSet, InmemRecord, Namespace, Scope, Seq, SubscriptionUpdate, Time,
    UPDATE_ENTRIES_MAX, append_removal, encode_frame, encode_update_frame,
};

use crate::Refusal;
use crate::registry::{Change, Place, Query, Registry, live_epoch};

/// A subscription of the extension's type.
///
/// # Contract
///
/// - The first update says whether the subscription goes on where the cookie ended, or a snapshot
///   begins with it. A snapshot ends with the first update that is complete.
/// - Then every name whose listing changed comes once, as there or as gone, with what is true when
///   it is read. Expiry is not told: every entry came with the time that is left.
/// - A subscriber that falls behind the removals which are remembered of what it is subscribed to
///   gets a new snapshot.
/// - Without news there is an update every so often, with the newest cookie.
#[derive(Clone, Debug)]
pub struct Subscription {
    scope: Scope,
    dialects: DialectSet,
    place: Place,
    phase: Phase,
    /// Whether the last update was full.
    has_more: bool,
    heartbeat: Duration,
    heartbeat_at: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing was told yet, and the cookie is good.
    Resuming,
    /// Nothing that was told counts.
    Resetting,
    /// Between the first update of a snapshot and its end.
    InSnapshot,
    /// The subscriber knows all up to its place.
    Live,
}

impl Subscription {
    /// A subscription to what `query` asks. The entries that it asks for at the most do not matter.
    ///
    /// # Errors
    ///
    /// [`Refusal::Cookie`] and [`Refusal::CookieScope`]. A cookie that does not fit otherwise
    /// begins a snapshot.
    pub fn new(registry: &Registry, query: &Query, heartbeat: Duration) -> Result<Self, Refusal> {
        let told = registry.resumption(query)?;
        let after = told.unwrap_or(Seq::ZERO);
        Ok(Self {
            scope: query.scope.clone(),
            dialects: query.reader.accepts,
            place: Place {
                after,
                began: Seq::ZERO,
            },
            phase: match told {
                Some(_) => Phase::Resuming,
                None => Phase::Resetting,
            },
            has_more: true,
            heartbeat,
            heartbeat_at: None,
        })
    }

    /// What is subscribed to.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether an update is there for certain, or an empty one is due. `uptime` is by any clock
    /// that does not go back, the same for all calls.
    pub fn is_due(&self, uptime: Time) -> bool {
        self.has_more || self.heartbeat_at.is_none_or(|at| at <= uptime)
    }

    /// When the next empty update is due, by the clock of `uptime`.
    pub fn heartbeat_at(&self) -> Option<Time> {
        self.heartbeat_at
    }

    /// The next update as a frame of about `bytes_max` at the most, though never less than one
    /// entry; `None` while there is no news and none is due.
    pub fn next_update(
        &mut self,
        uptime: Time,
        now: Time,
        registry: &Registry,
        bytes_max: usize,
    ) -> Option<Bytes> {
        if self.phase == Phase::Resetting || !registry.covers(&self.scope, self.place) {
            self.phase = Phase::Resetting;
            self.place = Place {
                after: Seq::ZERO,
                began: registry.applied(),
            };
        }
        let changes = self.read(now, registry, bytes_max);
        self.has_more = !changes.is_complete;
        self.place.after = changes.after;
        let is_heartbeat = self.heartbeat_at.is_none_or(|at| at <= uptime);
        if changes.encoded.is_empty() && self.phase == Phase::Live && !is_heartbeat {
            return None;
        }
        self.heartbeat_at = Some(uptime.saturating_add(self.heartbeat));
        let is_reset = self.phase == Phase::Resetting;
        self.phase = match self.phase {
            _ if changes.is_complete => Phase::Live,
            Phase::Resetting | Phase::InSnapshot => Phase::InSnapshot,
            Phase::Resuming | Phase::Live => Phase::Live,
        };
        // Who goes on within a snapshot could not tell who is missing from its beginning.
        let cookie = (self.phase == Phase::Live).then(|| self.cookie(registry).encode());
        let is_complete = changes.is_complete;
        let frame = encode_update_frame(&changes.encoded, cookie.as_deref(), is_reset, is_complete);
        Some(frame.into())
    }

    /// The last update: why the subscription ends.
    pub fn last_update(refusal: &Refusal) -> Bytes {
        let update = SubscriptionUpdate::ended(refusal.status(), refusal.to_string());
        encode_frame(&update.encode()).into()
    }

    fn read(&self, now: Time, registry: &Registry, bytes_max: usize) -> Read {
        let mut read = Read {
            encoded: Vec::new(),
            after: self.place.after,
            is_complete: true,
        };
        let changes = registry.changes(now, &self.scope, self.dialects, self.place);
        for (count, (seq, change)) in changes.enumerate() {
            let end = read.encoded.len();
            match change {
                Change::There(dialect, held) => {
                    if let Some(entry) = held.encoded(dialect) {
                        // What was signed was verified before it was registered.
                        let verified = dialect != Dialect::Plain;
                        let ttl_secs = held.ttl_left_secs(now);
                        entry.append_marked_to(ttl_secs, verified, &mut read.encoded);
                    }
                }
                Change::Gone(namespace, peer) => {
                    append_removal(namespace, &peer.to_bytes(), &mut read.encoded);
                }
            }
            let is_over = count == UPDATE_ENTRIES_MAX || read.encoded.len() > bytes_max;
            if is_over && count > 0 {
                read.encoded.truncate(end);
                read.is_complete = false;
                return read;
            }
            read.after = seq;
        }
        read.after = read.after.max(registry.applied());
        read
    }

    fn cookie(&self, registry: &Registry) -> Cookie {
        Cookie {
            dialect: None,
            epoch: live_epoch(registry.epoch(), self.dialects),
            seq: self.place.after,
            scope: self.scope.clone(),
        }
    }
}

/// What one reading gave.
struct Read {
    encoded: Vec<u8>,
    after: Seq,
    is_complete: bool,
}

/// A subscription of go's type `inmem`.
///
/// The newest registration comes at once, as from go's own server; then each that is made or
/// refreshed, in a form for readers of plain records. Who leaves or expires is not told: the type
/// has no message for it.
#[derive(Clone, Debug)]
pub struct InmemSubscription {
    scope: Scope,
    namespace: Namespace,
    /// Everything up to here was told; `None` before the beginning.
    after: Option<Seq>,
    has_more: bool,
}

impl InmemSubscription {
    /// A subscription to one namespace.
    pub fn new(namespace: Namespace) -> Self {
        Self {
            scope: Scope::Namespace(namespace.clone()),
            namespace,
            after: None,
            has_more: true,
        }
    }

    /// What is subscribed to.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The namespace that is subscribed to.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Whether there is more for certain.
    pub fn is_due(&self) -> bool {
        self.has_more
    }

    /// The next records, each as a frame, of about `bytes_max` together; `None` without news.
    pub fn next_records(
        &mut self,
        now: Time,
        registry: &Registry,
        bytes_max: usize,
    ) -> Option<Bytes> {
        let mut frames = Vec::new();
        self.has_more = false;
        let Some(after) = self.after else {
            self.after = Some(registry.applied());
            if let Some(held) = registry.newest(now, &self.scope, Dialect::Plain) {
                frames.extend(self.frame(held));
            }
            return (!frames.is_empty()).then(|| frames.into());
        };
        let mut last = after.max(registry.applied());
        let place = Place { after, began: last };
        for (seq, change) in registry.changes(now, &self.scope, Dialect::Plain.into(), place) {
            if let Change::There(_, held) = change {
                frames.extend(self.frame(held));
            }
            if frames.len() >= bytes_max {
                last = seq;
                self.has_more = true;
                break;
            }
        }
        self.after = Some(last);
        (!frames.is_empty()).then(|| frames.into())
    }

    fn frame(&self, held: &crate::Registration) -> Vec<u8> {
        let record = held
            .encoded(Dialect::Plain)
            .map_or(&[][..], |it| it.record());
        let told = InmemRecord::new(&held.peer(), record, &self.namespace, held.expires_at());
        told.to_frame()
    }
}
