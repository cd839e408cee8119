//! Who unregistered is gone, and does not come back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use libp2p_identity::PeerId;
use rv_core::client::{Cause, ClientConfig, Event, OperationId};
use rv_proto::Time;

use super::{Oracle, Place, Promise, Violation, broken};
use crate::client::network::Network;
use crate::client::samples::{client_peer, name, point_peer};
use crate::client::seen::{Call, Seen};
use crate::client::world::World;

/// Watches [`Promise::Leaves`].
///
/// Where `UnregisterDone` names no failure, the registration is gone. One thing brings it back, and
/// no client can prevent it: a REGISTER that reaches the point after the UNREGISTER *and* after
/// the client stopped waiting for its answer. It stands until its ttl is over, unless the client
/// registers and unregisters again.
#[derive(Debug)]
pub struct Leaves {
    config: ClientConfig,
    leaving: BTreeMap<(usize, OperationId), Leaving>,
    out: BTreeSet<Place>,
    /// Until when a registration must be gone at a first point whose links lose nothing.
    prompt: BTreeMap<(usize, usize), Time>,
}

#[derive(Clone, Debug)]
struct Leaving {
    name: usize,
    until: Time,
    /// The application registers again.
    is_withdrawn: bool,
    /// Points that it was brought back at, as no client can prevent.
    back_at: BTreeSet<usize>,
}

impl Leaves {
    pub(super) const fn new(config: ClientConfig) -> Self {
        Self {
            config,
            leaving: BTreeMap::new(),
            out: BTreeSet::new(),
            prompt: BTreeMap::new(),
        }
    }

    /// How long an UNREGISTER takes at a point that answers over links that lose nothing: a
    /// REGISTER that is out, its UNREGISTER, one more behind what the REGISTER came to.
    pub const fn gone_after() -> Duration {
        Duration::from_millis(8 * Network::CALM_MILLIS_MAX)
    }

    /// How long a call of `unregister` takes in any case: its tries, each as long as a request
    /// and a pause, and what was out before.
    pub fn done_after(config: &ClientConfig) -> Duration {
        let tries = ClientConfig::UNREGISTER_ATTEMPTS_MAX + 1;
        (config.request_timeout + config.backoff_max) * tries
    }

    fn forget(&mut self, client: usize, name: usize) {
        self.out
            .retain(|(it, _, number)| (*it, *number) != (client, name));
        self.prompt.remove(&(client, name));
        for leaving in self.leaving_of(client, name) {
            leaving.is_withdrawn = true;
        }
    }

    fn leaves(&mut self, world: &World, client: usize, operation: OperationId, name: usize) {
        let until = world.now.saturating_add(Self::done_after(&self.config));
        let leaving = Leaving {
            name,
            until,
            is_withdrawn: false,
            back_at: BTreeSet::new(),
        };
        self.leaving.insert((client, operation), leaving);
        if !world.shape.is_first_lossy {
            let until = world.now.saturating_add(Self::gone_after());
            self.prompt.insert((client, name), until);
        }
    }

    fn left(
        &mut self,
        world: &World,
        client: usize,
        operation: OperationId,
        failures: &[(PeerId, Cause)],
    ) -> Result<(), Violation> {
        let Some(leaving) = self.leaving.remove(&(client, operation)) else {
            let what = format!("client {client} was told twice that it left");
            return Err(broken(Promise::Leaves, world, what));
        };
        for point in 0..world.points.len() {
            let has_failed = failures.iter().any(|(it, _)| *it == point_peer(point));
            if !has_failed && !leaving.is_withdrawn && !leaving.back_at.contains(&point) {
                self.out.insert((client, point, leaving.name));
            }
        }
        Ok(())
    }

    fn leaving_of(&mut self, client: usize, name: usize) -> impl Iterator<Item = &mut Leaving> {
        let all = self.leaving.iter_mut();
        let of = move |((it, _), leaving): &(&(usize, OperationId), &mut Leaving)| {
            (*it, leaving.name) == (client, name)
        };
        all.filter(of).map(|(_, leaving)| leaving)
    }
}

impl Oracle for Leaves {
    fn see(&mut self, world: &World, seen: &Seen) -> Result<(), Violation> {
        match seen {
            Seen::Called {
                client,
                call: Call::Unregister { operation, name },
            } => {
                self.leaves(world, *client, *operation, *name);
            }
            Seen::Called {
                client,
                call: Call::Register { name, .. },
            } => {
                self.forget(*client, *name);
            }
            Seen::Called {
                client,
                call: Call::Crash,
            } => {
                self.leaving.retain(|(it, _), _| it != client);
                self.prompt.retain(|(it, _), _| it != client);
            }
            Seen::Granted {
                client,
                point,
                name,
                is_late: true,
                ..
            } => {
                self.out.remove(&(*client, *point, *name));
                for leaving in self.leaving_of(*client, *name) {
                    leaving.back_at.insert(*point);
                }
            }
            Seen::Removed {
                client,
                point,
                name,
                ..
            } => {
                for leaving in self.leaving_of(*client, *name) {
                    leaving.back_at.remove(point);
                }
            }
            Seen::Told {
                client,
                event:
                    Event::UnregisterDone {
                        operation,
                        failures,
                    },
            } => {
                self.left(world, *client, *operation, failures)?;
            }
            Seen::Answered { .. }
            | Seen::Called { .. }
            | Seen::Forgot { .. }
            | Seen::Granted { .. }
            | Seen::Sent { .. }
            | Seen::Told { .. } => {}
        }
        Ok(())
    }

    fn look(&mut self, world: &World) -> Result<(), Violation> {
        let is_held = |client, point: usize, number| {
            let held = world.points[point].held(world.now, client_peer(client), &name(number));
            held.is_some()
        };
        for (client, point, number) in &self.out {
            if is_held(*client, *point, *number) {
                let what = format!("client {client} is back at point {point} in {number}");
                return Err(broken(Promise::Leaves, world, what));
            }
        }
        for ((client, number), until) in &self.prompt {
            if world.now > *until && is_held(*client, 0, *number) {
                let what = format!("client {client} is still at the first point in {number}");
                return Err(broken(Promise::Leaves, world, what));
            }
        }
        let late = self.leaving.iter().find(|(_, it)| world.now > it.until);
        if let Some(((client, _), leaving)) = late {
            let what = format!("client {client} still leaves {}", leaving.name);
            return Err(broken(Promise::Leaves, world, what));
        }
        Ok(())
    }
}
