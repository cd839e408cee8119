//! Who left is nowhere seen any longer than its ttl, counted from its last granted REGISTER.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rv_core::client::{ClientConfig, Event};
use rv_proto::{Scope, Time};

use super::{Oracle, Place, Promise, Violation, broken, places};
use crate::client::samples::{client_peer, name, number_of};
use crate::client::seen::Seen;
use crate::client::world::World;

/// Watches [`Promise::Expires`], in true time.
///
/// A point whose clock was set back before its start keeps what it has in its store for so much
/// longer; that is added. A client's own clock makes nothing longer: a step back counts as no time
/// at all, a step forward as that much.
#[derive(Debug)]
pub struct Expires {
    config: ClientConfig,
    until: BTreeMap<Place, Time>,
    watched: BTreeSet<(usize, usize, libp2p_identity::PeerId)>,
    looked_at: Time,
}

impl Expires {
    /// The remaining ttl is told in whole seconds.
    const ROUNDING: Duration = Duration::from_secs(1);

    pub(super) const fn new(config: ClientConfig) -> Self {
        Self {
            config,
            until: BTreeMap::new(),
            watched: BTreeSet::new(),
            looked_at: Time::ZERO,
        }
    }

    /// How much longer than at the point a peer is seen by those who listed it: the way of the
    /// page, which is not waited for any longer than this, and rounding.
    pub fn read_slack(config: &ClientConfig) -> Duration {
        config.request_timeout + Self::ROUNDING
    }

    fn until(&self, world: &World, peer: usize, name: usize) -> Time {
        let points = 0..world.points.len();
        let all = points.filter_map(|point| self.until.get(&(peer, point, name)));
        let last = all.max().copied().unwrap_or(Time::ZERO);
        last.saturating_add(Self::read_slack(&self.config))
    }

    fn look_at_readers(&self, world: &World) -> Result<(), Violation> {
        for (reader, node) in world.nodes.iter().enumerate().filter(|(_, it)| !it.is_gone) {
            for number in 0..world.shape.names {
                let scope = Scope::Namespace(name(number));
                let listed = node.client.peers(node.clock(world.now), &scope, None);
                for peer in 0..world.nodes.len() {
                    let id = client_peer(peer);
                    let is_cached = listed.iter().any(|it| it.peer() == id);
                    let is_watched = self.watched.contains(&(reader, number, id));
                    let until = self.until(world, peer, number);
                    if (is_cached || is_watched) && world.now > until {
                        let what = format!(
                            "client {reader} still sees {peer} in {number}: cached {is_cached}, \
                             watched {is_watched}"
                        );
                        return Err(broken(Promise::Expires, world, what));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Oracle for Expires {
    fn see(&mut self, world: &World, seen: &Seen) -> Result<(), Violation> {
        match seen {
            Seen::Granted {
                client,
                point,
                name,
                ttl_secs,
                ..
            } => {
                let until = world.now.saturating_add(Duration::from_secs(*ttl_secs));
                let entry = self.until.entry((*client, *point, *name)).or_default();
                // The later: a reader may have been told the one before.
                *entry = until.max(*entry);
            }
            Seen::Forgot {
                point,
                lasts_longer_millis,
            } => {
                let longer = Duration::from_millis(*lasts_longer_millis);
                for (_, until) in self.until.iter_mut().filter(|((_, it, _), _)| it == point) {
                    *until = until.saturating_add(longer);
                }
            }
            Seen::Told {
                client,
                event: Event::Joined(found),
            } => {
                let key = (*client, number_of(&found.namespace), found.peer());
                self.watched.insert(key);
            }
            Seen::Told {
                client,
                event: Event::Gone {
                    namespace, peer, ..
                },
            } => {
                self.watched.remove(&(*client, number_of(namespace), *peer));
            }
            Seen::Answered { .. }
            | Seen::Called { .. }
            | Seen::Removed { .. }
            | Seen::Sent { .. }
            | Seen::Told { .. } => {}
        }
        Ok(())
    }

    fn look(&mut self, world: &World) -> Result<(), Violation> {
        for place in places(world) {
            let (client, point, number) = place;
            let held = world.points[point].held(world.now, client_peer(client), &name(number));
            let until = self.until.get(&place).copied().unwrap_or(Time::ZERO);
            if held.is_some() && world.now > until {
                let what = format!("point {point} still has client {client} in {number}");
                return Err(broken(Promise::Expires, world, what));
            }
        }
        if world.now.saturating_since(self.looked_at) < Duration::from_secs(5) {
            return Ok(());
        }
        self.looked_at = world.now;
        self.look_at_readers(world)
    }
}
