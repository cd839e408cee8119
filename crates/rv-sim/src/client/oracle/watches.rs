//! A watch tells who joins and who is gone, once each, and ends with the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use libp2p_identity::PeerId;
use rv_core::client::{ClientConfig, Event};
use rv_proto::Time;

use super::{Oracle, Promise, Violation, broken};
use crate::client::samples::{client_peer, name, number_of};
use crate::client::seen::{Call, Seen};
use crate::client::world::World;

/// Watches [`Promise::Watches`].
#[derive(Debug)]
pub struct Watches {
    config: ClientConfig,
    told: BTreeSet<(usize, usize, PeerId)>,
    /// Who wants to be seen where.
    wanted: BTreeSet<(usize, usize)>,
    /// Since when a watch differs from what the points list.
    differs_since: BTreeMap<(usize, usize, usize), Time>,
}

impl Watches {
    pub(super) const fn new(config: ClientConfig) -> Self {
        Self {
            config,
            told: BTreeSet::new(),
            wanted: BTreeSet::new(),
            differs_since: BTreeMap::new(),
        }
    }

    /// How long after the calm a new peer is not told at the most: one poll that is out, and the
    /// longest pause.
    pub fn joined_after(config: &ClientConfig) -> Duration {
        config.poll_max + config.request_timeout * 2
    }

    /// How long after the calm one that left is not told at the most: nothing but a full listing
    /// shows it.
    pub fn gone_after(config: &ClientConfig) -> Duration {
        config.relist_interval + Self::joined_after(config)
    }

    fn tell(&mut self, client: usize, event: &Event) -> Option<String> {
        let (is_fine, what, namespace, peer) = match event {
            Event::Joined(found) => {
                let key = (client, number_of(&found.namespace), found.peer());
                (
                    self.told.insert(key),
                    "joined twice",
                    &found.namespace,
                    found.peer(),
                )
            }
            Event::Renewed(found) => {
                let key = (client, number_of(&found.namespace), found.peer());
                let is_there = self.told.contains(&key);
                (
                    is_there,
                    "renewed, but never joined",
                    &found.namespace,
                    found.peer(),
                )
            }
            Event::Gone {
                namespace, peer, ..
            } => {
                let was_there = self.told.remove(&(client, number_of(namespace), *peer));
                (was_there, "gone, but never joined", namespace, *peer)
            }
            _ => return None,
        };
        (!is_fine).then(|| format!("client {client} was told in {namespace:?}: {peer} {what}"))
    }
}

impl Oracle for Watches {
    fn see(&mut self, world: &World, seen: &Seen) -> Result<(), Violation> {
        match seen {
            Seen::Called {
                client,
                call: Call::Register { name, .. },
            } => {
                self.wanted.insert((*client, *name));
            }
            Seen::Called {
                client,
                call: Call::Unregister { name, .. },
            } => {
                self.wanted.remove(&(*client, *name));
            }
            Seen::Called {
                client,
                call: Call::Crash,
            } => {
                self.wanted.retain(|(it, _)| it != client);
            }
            Seen::Told { client, event } => {
                if let Some(what) = self.tell(*client, event) {
                    return Err(broken(Promise::Watches, world, what));
                }
            }
            Seen::Answered { .. }
            | Seen::Called { .. }
            | Seen::Forgot { .. }
            | Seen::Granted { .. }
            | Seen::Removed { .. }
            | Seen::Sent { .. } => {}
        }
        Ok(())
    }

    fn look(&mut self, world: &World) -> Result<(), Violation> {
        if !world.is_calm() {
            return Ok(());
        }
        for (reader, node) in world.nodes.iter().enumerate() {
            for number in (0..world.shape.names).filter(|_| !node.is_gone) {
                for peer in (0..world.nodes.len()).filter(|peer| *peer != reader) {
                    let id = client_peer(peer);
                    let is_told = self.told.contains(&(reader, number, id));
                    let namespace = name(number);
                    let held = |point: &crate::client::Point| {
                        point.is_up && point.held(world.now, id, &namespace).is_some()
                    };
                    let is_true = world.points.iter().any(held);
                    let key = (reader, number, peer);
                    // Who is not known is answered in the default dialect, which not every record
                    // has; and nobody has to see who left and is only not over yet.
                    let is_wanted = self.wanted.contains(&(peer, number));
                    let may_miss = !(is_told || world.shape.has_identify && is_wanted);
                    if is_told == is_true || may_miss {
                        self.differs_since.remove(&key);
                        continue;
                    }
                    let since = *self.differs_since.entry(key).or_insert(world.now);
                    let most = if is_told {
                        Self::gone_after(&self.config)
                    } else {
                        Self::joined_after(&self.config)
                    };
                    if world.now.saturating_since(since) > most {
                        let what = format!(
                            "client {reader} watches {number}: {peer} is told to be there: \
                             {is_told}, and is: {is_true}"
                        );
                        return Err(broken(Promise::Watches, world, what));
                    }
                }
            }
        }
        Ok(())
    }
}
