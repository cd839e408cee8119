//! What handles ask for, done.

use std::sync::Arc;

use rv_core::client::StartError;
use rv_proto::Scope;

use super::Behaviour;
use super::calls::Call;
use crate::Status;
use crate::command::{Command, Start};
use crate::pending::CallId;
use crate::watch::Queue;

impl Behaviour {
    /// Does what a handle asks for. Whoever dropped the receiver of the reply does not want it.
    pub(super) fn serve(&mut self, command: Command) {
        match command {
            Command::AddPoint {
                point,
                addresses,
                reply,
            } => {
                let _ = reply.send(self.add_point(point, addresses));
            }
            Command::Cached {
                scope,
                limit,
                reply,
            } => {
                let _ = reply.send(self.peers(&scope, limit));
            }
            Command::Cancel { call } => {
                if let Some(operation) = self.calls.cancel(&call) {
                    self.cancel(operation);
                }
            }
            Command::ClearCache { namespace, reply } => {
                self.clear_cache(namespace.as_ref());
                let _ = reply.send(());
            }
            Command::Close { reply } => {
                self.close();
                let _ = reply.send(());
            }
            Command::Closed { reply } => {
                if !self.is_closed {
                    self.calls.wait_for_end(reply);
                }
            }
            Command::Registration {
                point,
                namespace,
                reply,
            } => {
                let _ = reply.send(self.machine.registration(&point, &namespace));
            }
            Command::RemovePoint { point, reply } => {
                self.remove_point(point);
                let _ = reply.send(());
            }
            Command::Status { reply } => {
                let _ = reply.send(self.status());
            }
            Command::Unwatch { scope, queue } => {
                self.calls.unwatch(&queue);
                self.unwatch_unused(&scope);
            }
            Command::Watch {
                scope,
                queue,
                reply,
            } => {
                let _ = reply.send(self.watch_with(scope, queue));
            }
            Command::Start(call, start) => self.start(call, start),
        }
    }

    fn start(&mut self, call: CallId, start: Start) {
        match start {
            Start::Discover {
                target,
                scope,
                options,
                pages,
                reply,
            } => match self.discover(target, &scope, options) {
                Ok(id) => self.calls.add(id, call, Call::Discover { pages, reply }),
                Err(error) => drop(reply.send(Err(error.into()))),
            },
            Start::Register {
                target,
                namespace,
                options,
                reply,
            } => match self.register(target, namespace, options) {
                Ok(id) => self.calls.add(id, call, Call::Register(reply)),
                Err(error) => drop(reply.send(Err(error.into()))),
            },
            Start::Unregister {
                target,
                namespace,
                reply,
            } => match self.unregister(target, &namespace) {
                Ok(id) => self.calls.add(id, call, Call::Unregister(reply)),
                Err(error) => drop(reply.send(Err(error.into()))),
            },
        }
    }

    pub(super) fn watch_with(&mut self, scope: Scope, queue: Arc<Queue>) -> Result<(), StartError> {
        self.calls.check_watches()?;
        self.machine.watch(self.clock.now(), &scope)?;
        // What is on its way to the watches of others is in the cache: this one begins with that.
        while let Some(output) = self.machine.poll_output() {
            self.perform(output);
        }
        for found in self.peers(&scope, None) {
            queue.there(found);
        }
        self.calls.watch(scope, queue);
        Ok(())
    }

    pub(super) fn unwatch_unused(&mut self, scope: &Scope) {
        if !self.calls.is_watched(scope) {
            let now = self.clock.now();
            self.machine.unwatch(now, scope);
        }
    }

    /// Every point, registration and watch, as they stand.
    pub fn status(&self) -> Status {
        Status {
            points: self.machine.points(),
            registrations: self.machine.registrations(),
            watches: self.machine.watches(),
        }
    }
}
