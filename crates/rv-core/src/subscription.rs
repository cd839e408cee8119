//! Push: what a subscriber is told, at the speed at which it reads.
//!
//! A subscription is a position in the log. Whenever its stream has room, the connection's own task
//! reads from the [`Registry`] what changed behind that position. So nothing waits for a subscriber
//! and nothing is queued for one: a slow one finds only the newest state of each peer.

mod pace;

use std::time::Duration;

use bytes::Bytes;
use rv_proto::{
    Cookie, Dialect, DialectSet, InmemRecord, Namespace, Scope, Seq, SubscriptionUpdate, Time,
    UPDATE_ENTRIES_MAX, append_removal, encode_frame, encode_update_frame,
};

use pace::Pace;

use crate::registry::{Change, Place, Query, Registry, live_epoch};
use crate::{Refusal, Rules};

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
/// - Who knows everything is told what is new at most so often, all of it together.
/// - Without news there is an update every so often, with the newest cookie.
#[derive(Clone, Debug)]
pub struct Subscription {
    scope: Scope,
    dialects: DialectSet,
    place: Place,
    phase: Phase,
    pace: Pace,
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
    /// Of `rules` it takes [`Rules::update_gap`] and [`Rules::heartbeat`].
    ///
    /// # Errors
    ///
    /// [`Refusal::Cookie`] and [`Refusal::CookieScope`]. A cookie that does not fit otherwise
    /// begins a snapshot.
    pub fn new(registry: &Registry, query: &Query, rules: &Rules) -> Result<Self, Refusal> {
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
            pace: Pace::new(rules.update_gap),
            heartbeat: rules.heartbeat,
            heartbeat_at: None,
        })
    }

    /// What is subscribed to.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Takes note that something changed in what is subscribed to.
    pub fn handle_news(&mut self) {
        self.pace.handle_news();
    }

    /// When to ask for the next update, if nothing changes until then. Every time of a subscription
    /// is by any clock that does not go back, the same for all calls.
    pub fn due_at(&self) -> Time {
        let heartbeat_at = self.heartbeat_at.unwrap_or(Time::ZERO);
        let news_at = self.pace.due_at();
        news_at.map_or(heartbeat_at, |at| at.min(heartbeat_at))
    }

    /// The next update as a frame of about `bytes_max` at the most, though never less than one
    /// entry; `None` while there is no news and none is due, and within the least gap behind the
    /// one before. `uptime` is by the clock of [`due_at`](Self::due_at).
    pub fn next_update(
        &mut self,
        uptime: Time,
        now: Time,
        registry: &Registry,
        bytes_max: usize,
    ) -> Option<Bytes> {
        if self.pace.is_resting(uptime) {
            return None;
        }
        if self.phase == Phase::Resetting || !registry.covers(&self.scope, self.place) {
            self.phase = Phase::Resetting;
            self.place = Place {
                after: Seq::ZERO,
                began: registry.applied(),
            };
        }
        let changes = self.read(now, registry, bytes_max);
        self.pace.looked(changes.is_complete);
        self.place.after = changes.after;
        let is_heartbeat = self.heartbeat_at.is_none_or(|at| at <= uptime);
        if changes.encoded.is_empty() && self.phase == Phase::Live && !is_heartbeat {
            return None;
        }
        self.pace.told(uptime);
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
                        let verified = dialect.is_signed();
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
    pace: Pace,
}

impl InmemSubscription {
    /// A subscription to one namespace. Of `rules` it takes [`Rules::update_gap`].
    pub fn new(namespace: Namespace, rules: &Rules) -> Self {
        Self {
            scope: Scope::Namespace(namespace.clone()),
            namespace,
            after: None,
            pace: Pace::new(rules.update_gap),
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

    /// Takes note that something changed in what is subscribed to.
    pub fn handle_news(&mut self) {
        self.pace.handle_news();
    }

    /// When to ask for the next records, as [`Subscription::due_at`]; `None` while there are none.
    pub fn due_at(&self) -> Option<Time> {
        self.pace.due_at()
    }

    /// The next records, each as a frame, of about `bytes_max` together; `None` without news, and
    /// within the least gap behind those before.
    pub fn next_records(
        &mut self,
        uptime: Time,
        now: Time,
        registry: &Registry,
        bytes_max: usize,
    ) -> Option<Bytes> {
        if self.pace.is_resting(uptime) {
            return None;
        }
        let mut frames = Vec::new();
        let mut is_complete = true;
        let mut last = self.after.unwrap_or(Seq::ZERO).max(registry.applied());
        if let Some(after) = self.after {
            let place = Place { after, began: last };
            for (seq, change) in registry.changes(now, &self.scope, Dialect::Plain.into(), place) {
                if let Change::There(_, held) = change {
                    frames.extend(self.frame(held));
                }
                if frames.len() >= bytes_max {
                    last = seq;
                    is_complete = false;
                    break;
                }
            }
        } else if let Some(held) = registry.newest(now, &self.scope, Dialect::Plain) {
            frames.extend(self.frame(held));
        }
        self.after = Some(last);
        self.pace.looked(is_complete);
        if frames.is_empty() {
            return None;
        }
        self.pace.told(uptime);
        Some(frames.into())
    }

    fn frame(&self, held: &crate::Registration) -> Vec<u8> {
        let record = held
            .encoded(Dialect::Plain)
            .map_or(&[][..], |it| it.record());
        let told = InmemRecord::new(&held.peer(), record, &self.namespace, held.expires_at());
        told.to_frame()
    }
}
