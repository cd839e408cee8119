//! A stream of what changes in a watched scope.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::Stream;
use futures::channel::mpsc;
use libp2p_identity::PeerId;
use rv_core::client::{Discovered, GoneReason};
use rv_proto::{Namespace, Scope};

use crate::command::Command;

/// What changed in a watched scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// A peer is not listed any more.
    Gone {
        /// Where.
        namespace: Namespace,
        /// Who.
        peer: PeerId,
        /// Why it is known.
        reason: GoneReason,
    },
    /// A peer is there that was not told yet.
    Joined(Discovered),
    /// A peer that was told has a new record or a later deadline.
    Renewed(Discovered),
}

/// A stream of [`WatchEvent`]s, beginning with a `Joined` for each peer that is known already.
///
/// Who reads slowly misses nothing that still counts: changes of one peer are merged until they are
/// read, so what waits is no more than two entries for each cached peer. It ends when the client is
/// closed. To drop the last one of a scope ends the polling.
#[derive(Debug)]
pub struct Watch {
    scope: Scope,
    queue: Arc<Queue>,
    commands: mpsc::Sender<Command>,
}

/// What is between the behaviour and one [`Watch`].
#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<Changes>);

type Key = (Namespace, PeerId);

#[derive(Debug, Default)]
struct Changes {
    /// Who was told, and is not gone since.
    told: BTreeSet<Key>,
    pending: BTreeMap<Key, Change>,
    /// The pending keys, the oldest first.
    order: BTreeMap<u64, Key>,
    pushed: u64,
    is_closed: bool,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Change {
    place: u64,
    /// What it is now; without a peer, why it is gone.
    now: Result<Discovered, GoneReason>,
}

impl Queue {
    /// A peer is there.
    pub(crate) fn there(&self, peer: Discovered) {
        let key = (peer.namespace.clone(), peer.peer());
        self.lock().push(key, Ok(peer));
    }

    /// A peer is gone.
    pub(crate) fn gone(&self, namespace: Namespace, peer: PeerId, reason: GoneReason) {
        let key = (namespace, peer);
        let mut changes = self.lock();
        if changes.told.contains(&key) {
            changes.push(key, Err(reason));
        } else if let Some(change) = changes.pending.remove(&key) {
            changes.order.remove(&change.place);
        }
    }

    /// Nothing more will come.
    pub(crate) fn close(&self) {
        let mut changes = self.lock();
        changes.is_closed = true;
        changes.wake();
    }

    fn lock(&self) -> MutexGuard<'_, Changes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    fn push(&mut self, key: Key, now: Result<Discovered, GoneReason>) {
        if let Some(change) = self.pending.get_mut(&key) {
            change.now = now;
            return;
        }
        self.pushed += 1;
        let place = self.pushed;
        self.order.insert(place, key.clone());
        self.pending.insert(key, Change { place, now });
        self.wake();
    }

    fn pop(&mut self) -> Option<WatchEvent> {
        let (_, key) = self.order.pop_first()?;
        let change = self.pending.remove(&key)?;
        let (namespace, peer) = key.clone();
        Some(match change.now {
            Ok(peer) => {
                if self.told.insert(key) {
                    WatchEvent::Joined(peer)
                } else {
                    WatchEvent::Renewed(peer)
                }
            }
            Err(reason) => {
                self.told.remove(&key);
                WatchEvent::Gone {
                    namespace,
                    peer,
                    reason,
                }
            }
        })
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Watch {
    pub(crate) fn new(scope: Scope, queue: Arc<Queue>, commands: mpsc::Sender<Command>) -> Self {
        Self {
            scope,
            queue,
            commands,
        }
    }
}

impl Stream for Watch {
    type Item = WatchEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<WatchEvent>> {
        let mut changes = self.queue.lock();
        if let Some(event) = changes.pop() {
            return Poll::Ready(Some(event));
        }
        if changes.is_closed {
            return Poll::Ready(None);
        }
        changes.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let command = Command::Unwatch {
            scope: self.scope.clone(),
            queue: Arc::clone(&self.queue),
        };
        // A sender's first message always has room; without a receiver there is nothing to end.
        let _ = self.commands.try_send(command);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use multiaddr::Multiaddr;
    use rv_proto::{Record, Time};

    fn found(peer: PeerId, millis: u64) -> Discovered {
        let address: Multiaddr = "/ip4/203.0.113.7/tcp/1".parse().expect("good");
        Discovered {
            namespace: Namespace::new("ns").expect("a namespace"),
            record: Arc::new(Record::plain(&peer, &[address])),
            until: Time::from_millis(millis),
        }
    }

    fn pop(queue: &Queue) -> Option<WatchEvent> {
        queue.lock().pop()
    }

    #[test]
    fn changes_of_one_peer_are_merged_until_they_are_read() {
        let (queue, peer) = (Queue::default(), PeerId::random());
        let namespace = found(peer, 1).namespace;
        let gone = || queue.gone(namespace.clone(), peer, GoneReason::Expired);
        queue.there(found(peer, 1));
        queue.there(found(peer, 2));
        assert_eq!(pop(&queue), Some(WatchEvent::Joined(found(peer, 2))));
        assert_eq!(pop(&queue), None);

        gone();
        queue.there(found(peer, 3));
        assert_eq!(pop(&queue), Some(WatchEvent::Renewed(found(peer, 3))));

        gone();
        assert!(matches!(pop(&queue), Some(WatchEvent::Gone { .. })));
        gone();
        queue.there(found(peer, 4));
        gone();
        assert_eq!(pop(&queue), None, "neither its coming nor its going");
    }

    #[test]
    fn changes_are_told_in_the_order_in_which_they_began() {
        let (queue, first, second) = (Queue::default(), PeerId::random(), PeerId::random());
        queue.there(found(first, 1));
        queue.there(found(second, 1));
        queue.there(found(first, 2));
        assert_eq!(pop(&queue), Some(WatchEvent::Joined(found(first, 2))));
        assert_eq!(pop(&queue), Some(WatchEvent::Joined(found(second, 1))));
    }
}
