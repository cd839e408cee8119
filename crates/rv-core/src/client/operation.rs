//! Calls of the application that are not over.

use std::collections::BTreeSet;

use libp2p_identity::PeerId;
use rv_proto::Namespace;

use super::lookup::Lookup;
use super::{Cause, Client, Event, Grant, OperationId};

#[derive(Debug)]
pub(super) enum Operation {
    Discover(Box<Lookup>),
    Register {
        progress: Progress,
        wait_for_address: bool,
    },
    Unregister(Progress),
}

/// How far a call about one namespace is.
#[derive(Debug)]
pub(super) struct Progress {
    namespace: Namespace,
    waiting: BTreeSet<PeerId>,
    failures: Vec<(PeerId, Cause)>,
}

impl Progress {
    pub(super) fn new(namespace: Namespace, points: &[PeerId]) -> Self {
        Self {
            namespace,
            waiting: points.iter().copied().collect(),
            failures: Vec::new(),
        }
    }

    /// Whether this is waited for. It is not any more then.
    fn settle(&mut self, point: PeerId, namespace: &Namespace, cause: Option<&Cause>) -> bool {
        let is_awaited = self.namespace == *namespace && self.waiting.remove(&point);
        if is_awaited && let Some(cause) = cause {
            self.failures.push((point, cause.clone()));
        }
        is_awaited
    }
}

impl Client {
    /// A registration was granted, or one attempt at it failed.
    pub(super) fn register_settled(
        &mut self,
        point: PeerId,
        namespace: &Namespace,
        cause: Option<&Cause>,
    ) {
        let mut done = Vec::new();
        for (id, operation) in &mut self.operations {
            if let Operation::Register {
                progress,
                wait_for_address,
            } = operation
            {
                if *wait_for_address && cause == Some(&Cause::NoAddress) {
                    continue;
                }
                let is_awaited = progress.settle(point, namespace, cause);
                if is_awaited && (cause.is_none() || progress.waiting.is_empty()) {
                    done.push(*id);
                }
            }
        }
        for id in done {
            let Some(Operation::Register { progress, .. }) = self.operations.remove(&id) else {
                continue;
            };
            let result = match cause {
                None => Ok(self.grants(namespace)),
                Some(_) => Err(progress.failures),
            };
            self.tell(Event::RegisterDone {
                operation: id,
                result,
            });
        }
    }

    /// An UNREGISTER is written, or cannot be.
    pub(super) fn unregister_settled(
        &mut self,
        point: PeerId,
        namespace: &Namespace,
        cause: Option<&Cause>,
    ) {
        let mut done: Vec<OperationId> = Vec::new();
        for (id, operation) in &mut self.operations {
            if let Operation::Unregister(progress) = operation
                && progress.settle(point, namespace, cause)
                && progress.waiting.is_empty()
            {
                done.push(*id);
            }
        }
        for id in done {
            if let Some(Operation::Unregister(progress)) = self.operations.remove(&id) {
                self.tell(Event::UnregisterDone {
                    operation: id,
                    failures: progress.failures,
                });
            }
        }
    }

    /// What stands in a namespace, at all points.
    fn grants(&self, namespace: &Namespace) -> Vec<Grant> {
        let points = self.points.keys().copied();
        points
            .filter_map(|point| self.grant(point, namespace))
            .collect()
    }

    pub(super) fn grant(&self, point: PeerId, namespace: &Namespace) -> Option<Grant> {
        let registration = self.points.get(&point)?.registrations.get(namespace)?;
        let held = registration.held()?;
        Some(Grant {
            point,
            namespace: namespace.clone(),
            ttl: held.ttl,
            until: self.timeline.leave(held.until),
            refresh_at: held.refresh_at.map(|at| self.timeline.leave(at)),
        })
    }
}
