//! Keeps the host's table and the walk's the same.
//!
//! Calls about different peers run side by side, those about one peer one after the other. What is
//! still to be done about a peer is replaced by what is wanted later.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{BoxFuture, Either, select};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};

use crate::peer::{Contact, Peer};
use crate::table::Table;

use super::calls::guarded;
use super::change::Change;
use super::error::{CallFailed, HostError};
use super::host::RoutingTable;
use super::subscription::TableCall;
use super::timer::Timer;

/// Calls of the host's table.
pub(super) struct Mirror<R, T> {
    table: Arc<R>,
    timer: Arc<T>,
    wanted: BTreeMap<Peer, Wanted>,
    busy: BTreeSet<Peer>,
    /// Who was in the host's table when it was read last, or was taken in since; unknown before
    /// that.
    held: Option<BTreeSet<Peer>>,
    /// Whom the host's table did not drop when it was told to.
    undropped: BTreeSet<Peer>,
    open: FuturesUnordered<BoxFuture<'static, Called>>,
}

#[derive(Clone, Debug)]
enum Wanted {
    Add(Contact),
    Remove,
}

/// What a call came to.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) peer: Peer,
    pub(super) call: TableCall,
    /// Whether the peer was taken, or is gone.
    pub(super) result: Result<bool, HostError>,
}

impl<R: RoutingTable, T: Timer> Mirror<R, T> {
    /// Calls at a time: a slow table is not asked for everything at once.
    const CALLS_MAX: usize = 16;

    /// Peers about whom something is to be done, above which the walk is not polled: what it wants
    /// waits there, and it begins nothing new.
    const WANTED_MAX: usize = 1_024;

    /// How long a call may take. A table that pings before it answers has twice its usual time.
    const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

    pub(super) fn new(table: Arc<R>, timer: Arc<T>) -> Self {
        Self {
            table,
            timer,
            wanted: BTreeMap::new(),
            busy: BTreeSet::new(),
            held: None,
            undropped: BTreeSet::new(),
            open: FuturesUnordered::new(),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.wanted.len() < Self::WANTED_MAX
    }

    pub(super) fn add(&mut self, contact: Contact) {
        self.wanted
            .insert(contact.peer.clone(), Wanted::Add(contact));
    }

    pub(super) fn remove(&mut self, peer: Peer) {
        self.wanted.insert(peer, Wanted::Remove);
    }

    /// Whether something is to be done about the peer, so that what was done before is outdated.
    pub(super) fn is_wanted(&self, peer: &Peer) -> bool {
        self.wanted.contains_key(peer)
    }

    /// Begins as many calls as may run.
    pub(super) fn begin(&mut self) {
        while self.open.len() < Self::CALLS_MAX {
            let is_free = |(peer, _): &(&Peer, &Wanted)| !self.busy.contains(*peer);
            let Some(peer) = self.wanted.iter().find(is_free).map(|it| it.0.clone()) else {
                return;
            };
            let Some(wanted) = self.wanted.remove(&peer) else {
                return;
            };
            self.busy.insert(peer.clone());
            self.open.push(self.call(peer, wanted));
        }
    }

    fn call(&self, peer: Peer, wanted: Wanted) -> BoxFuture<'static, Called> {
        let table = Arc::clone(&self.table);
        let ends_at = self.timer.now().saturating_add(Self::TIMEOUT);
        let timeout = self.timer.sleep_until(ends_at);
        let (id, call) = match wanted {
            Wanted::Add(_) => (peer.id(), TableCall::AddPeer),
            Wanted::Remove => (peer.id(), TableCall::RemovePeer),
        };
        let work = guarded(async move {
            match wanted {
                Wanted::Add(contact) => table.add_peer(contact).await,
                Wanted::Remove => table.remove_peer(id).await.map(|()| true),
            }
        });
        let ended = select(Box::pin(work), timeout).map(|ended| match ended {
            Either::Left((Ok(Ok(is_done)), _)) => Ok(is_done),
            Either::Left((Ok(Err(error)), _)) => Err(Arc::new(error) as HostError),
            Either::Left((Err(panicked), _)) => Err(Arc::new(panicked) as HostError),
            Either::Right(((), _)) => Err(Arc::new(CallFailed::TimedOut) as HostError),
        });
        ended
            .map(move |result| Called { peer, call, result })
            .boxed()
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Called> {
        let Poll::Ready(Some(called)) = self.open.poll_next_unpin(cx) else {
            return Poll::Pending;
        };
        self.busy.remove(&called.peer);
        let (peer, is_done) = (&called.peer, matches!(called.result, Ok(true)));
        match (called.call, &mut self.held) {
            (TableCall::AddPeer, Some(held)) if is_done => _ = held.insert(peer.clone()),
            (TableCall::RemovePeer, Some(held)) if is_done => _ = held.remove(peer),
            (TableCall::RemovePeer, _) => _ = self.undropped.insert(peer.clone()),
            (TableCall::AddPeer | TableCall::Contacts, _) => {}
        }
        Poll::Ready(called)
    }

    /// The host's entries. A panic of its code is an error.
    pub(super) fn contacts(&self) -> Result<Vec<Contact>, CallFailed> {
        let read = || self.table.contacts();
        catch_unwind(AssertUnwindSafe(read)).map_err(|_| CallFailed::Panicked)
    }

    /// What the host's table did by itself since it was last the same as the walk's. What is under
    /// way is left out. Whom it should have dropped, and still has, it is told to drop again.
    pub(super) fn changes(&mut self, contacts: Vec<Contact>, table: &Table) -> Vec<Change> {
        let there: BTreeSet<Peer> = contacts.iter().map(|it| it.peer.clone()).collect();
        let held = self.held.replace(there.clone());
        for peer in std::mem::take(&mut self.undropped) {
            if there.contains(&peer) && table.entry(&peer).is_none() {
                self.wanted.entry(peer).or_insert(Wanted::Remove);
            }
        }
        let is_quiet = |peer: &Peer| !self.busy.contains(peer) && !self.wanted.contains_key(peer);
        // An entry that the host's table has not got yet is not gone from there.
        let was_held = |peer: &Peer| held.as_ref().is_none_or(|held| held.contains(peer));
        let gone = table.iter().map(|entry| entry.peer());
        let gone = gone.filter(|it| !there.contains(it) && is_quiet(it) && was_held(it));
        let mut changes: Vec<Change> = gone.cloned().map(Change::Removed).collect();
        let new = contacts.into_iter();
        let new = new.filter(|it| is_quiet(&it.peer) && table.entry(&it.peer).is_none());
        changes.extend(new.map(Change::Added));
        changes
    }
}

impl<R, T> fmt::Debug for Mirror<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirror")
            .field("open", &self.open.len())
            .field("wanted", &self.wanted.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use libp2p_identity::PeerId;

    use super::*;
    use crate::config::Config;
    use crate::driver::timer::SystemTimer;
    use crate::rng::Seed;
    use crate::target::Targets;
    use crate::time::Time;
    use crate::walk::Walk;

    struct Nothing;

    impl RoutingTable for Nothing {
        type Error = Infallible;

        async fn add_peer(&self, _: Contact) -> Result<bool, Infallible> {
            Ok(true)
        }

        async fn remove_peer(&self, _: PeerId) -> Result<(), Infallible> {
            Ok(())
        }

        fn contacts(&self) -> Vec<Contact> {
            Vec::new()
        }
    }

    fn removed(changes: Vec<Change>) -> Vec<Peer> {
        let removed = changes.into_iter().filter_map(|change| match change {
            Change::Removed(peer) => Some(peer),
            Change::Added(_) => None,
        });
        removed.collect()
    }

    #[test]
    fn an_entry_that_the_hosts_table_has_not_got_yet_is_not_gone_from_there() {
        let mut random = Targets::new(Seed::from_bytes([1; 32]));
        let mut contact = || Contact::new(random.uniform().as_peer().clone(), []);
        let (local, old, new) = (contact().peer, contact(), contact());
        let now = Time::default();
        let seed = Seed::from_bytes([2; 32]);
        let mut walk = Walk::new(now, Config::default(), local, seed).expect("it makes sense");
        let mut mirror = Mirror::new(Arc::new(Nothing), Arc::new(SystemTimer::new()));
        walk.handle_entry_added(now, &old);
        let there = vec![old.clone()];
        assert_eq!(removed(mirror.changes(there.clone(), walk.table())), []);
        walk.handle_entry_added(now, &new);
        assert_eq!(removed(mirror.changes(there, walk.table())), []);
        let gone = removed(mirror.changes(Vec::new(), walk.table()));
        assert_eq!(gone, [old.peer]);

        // Of an earlier run nothing is under way.
        let mut next = Mirror::new(Arc::new(Nothing), Arc::new(SystemTimer::new()));
        let gone = removed(next.changes(Vec::new(), walk.table()));
        assert_eq!(gone.len(), 2);
    }
}
