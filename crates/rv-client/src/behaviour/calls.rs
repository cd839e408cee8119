//! The calls of handles: who waits for what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::channel::mpsc;
use rv_core::client::{Discovered, Event, Grant, Listed, OperationId, StartError};
use rv_proto::{Namespace, Scope};

use crate::command::Reply;
use crate::error::strongest;
use crate::pending::CallId;
use crate::watch::Queue;
use crate::{DiscoverError, RegisterError, UnregisterError};

/// Who waits for what.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: BTreeMap<OperationId, (CallId, Call)>,
    watches: Vec<(Scope, Arc<Queue>)>,
    /// Scopes that the application watches without a handle.
    watched: BTreeSet<Scope>,
    /// Dropped at close.
    ends: Vec<Reply<()>>,
}

/// A call that is not over.
#[derive(Debug)]
pub(super) enum Call {
    Discover {
        pages: mpsc::Sender<Vec<Discovered>>,
        reply: Reply<Result<Vec<Listed>, DiscoverError>>,
    },
    Register(Reply<Result<Vec<Grant>, RegisterError>>),
    Unregister(Reply<Result<(), UnregisterError>>),
}

/// Streams of changes at a time. Each may hold two entries for each cached peer.
const WATCHES_MAX: usize = 256;

impl Calls {
    pub(super) fn add(&mut self, id: OperationId, name: CallId, call: Call) {
        self.calls.insert(id, (name, call));
    }

    /// Forgets a call for which nobody waits any more. Returns its id, if it is not over.
    pub(super) fn cancel(&mut self, name: &CallId) -> Option<OperationId> {
        let mut calls = self.calls.iter();
        let (id, _) = calls.find(|(_, (other, _))| other == name)?;
        let id = *id;
        self.calls.remove(&id);
        Some(id)
    }

    /// Tells handles what they wait for. Returns what is for the application.
    pub(super) fn tell(&mut self, event: Event) -> Option<Event> {
        match event {
            Event::DiscoverDone { operation, points } => {
                let Some((_, Call::Discover { reply, .. })) = self.calls.remove(&operation) else {
                    return Some(Event::DiscoverDone { operation, points });
                };
                // Whoever dropped the receiver does not want to know.
                let _ = reply.send(listed(points));
            }
            Event::Found {
                operation,
                ref peers,
                ..
            } => {
                let Some((_, Call::Discover { pages, .. })) = self.calls.get_mut(&operation) else {
                    return Some(event);
                };
                if !peers.is_empty() {
                    let _ = pages.try_send(peers.clone());
                }
            }
            Event::RegisterDone { operation, result } => {
                let Some((_, Call::Register(reply))) = self.calls.remove(&operation) else {
                    return Some(Event::RegisterDone { operation, result });
                };
                let result = result.map_err(|failures| {
                    strongest(failures).map_or(RegisterError::Closed, |(point, cause)| {
                        RegisterError::new(point, cause)
                    })
                });
                let _ = reply.send(result);
            }
            Event::UnregisterDone {
                operation,
                failures,
            } => {
                let Some((_, Call::Unregister(reply))) = self.calls.remove(&operation) else {
                    return Some(Event::UnregisterDone {
                        operation,
                        failures,
                    });
                };
                let result = match strongest(failures) {
                    Some((point, cause)) => Err(UnregisterError::new(point, cause)),
                    None => Ok(()),
                };
                let _ = reply.send(result);
            }
            event => {
                self.tell_watches(&event);
                return Some(event);
            }
        }
        None
    }

    fn tell_watches(&self, event: &Event) {
        match event {
            Event::Joined(found) | Event::Renewed(found) => {
                for queue in self.watching(&found.namespace) {
                    queue.there(found.clone());
                }
            }
            Event::Gone {
                namespace,
                peer,
                reason,
            } => {
                for queue in self.watching(namespace) {
                    queue.gone(namespace.clone(), *peer, *reason);
                }
            }
            _ => {}
        }
    }

    fn watching<'a>(&'a self, namespace: &'a Namespace) -> impl Iterator<Item = &'a Queue> {
        let watches = self.watches.iter();
        watches.filter_map(move |(scope, queue)| match scope {
            Scope::All => Some(&**queue),
            Scope::Namespace(watched) => (watched == namespace).then_some(&**queue),
        })
    }

    pub(super) fn check_watches(&self) -> Result<(), StartError> {
        if self.watches.len() >= WATCHES_MAX {
            let (what, max) = ("watches", WATCHES_MAX);
            return Err(StartError::TooMany { what, max });
        }
        Ok(())
    }

    pub(super) fn watch(&mut self, scope: Scope, queue: Arc<Queue>) {
        self.watches.push((scope, queue));
    }

    /// Notes that the application watches without a handle, or does not any more.
    pub(super) fn set_watched(&mut self, scope: &Scope, is_watched: bool) {
        if is_watched {
            self.watched.insert(scope.clone());
        } else {
            self.watched.remove(scope);
        }
    }

    pub(super) fn unwatch(&mut self, queue: &Arc<Queue>) {
        self.watches.retain(|(_, other)| !Arc::ptr_eq(other, queue));
    }

    pub(super) fn is_watched(&self, scope: &Scope) -> bool {
        self.watched.contains(scope) || self.watches.iter().any(|(other, _)| other == scope)
    }

    pub(super) fn wait_for_end(&mut self, reply: Reply<()>) {
        self.ends.retain(|reply| !reply.is_canceled());
        self.ends.push(reply);
    }

    pub(super) fn end(&mut self) {
        self.ends.clear();
        self.watched.clear();
        for (_, queue) in self.watches.drain(..) {
            queue.close();
        }
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.end();
    }
}

/// A discovery succeeded if one point did. A bound of our own is told beside what was listed.
fn listed(points: Vec<Listed>) -> Result<Vec<Listed>, DiscoverError> {
    use rv_core::client::Cause;
    let is_good = |it: &Listed| matches!(it.cause, None | Some(Cause::Bound(_)));
    if points.iter().any(is_good) {
        return Ok(points);
    }
    let failures = points
        .into_iter()
        .filter_map(|it| Some((it.point, it.cause?)));
    Err(
        strongest(failures).map_or(DiscoverError::Closed, |(point, cause)| {
            DiscoverError::new(point, cause)
        }),
    )
}
