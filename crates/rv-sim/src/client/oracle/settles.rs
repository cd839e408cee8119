//! After the faults every wanted registration stands at every point, within one pause, and no point
//! that answers is taken for one that does not.

use std::collections::BTreeMap;
use std::time::Duration;

use rv_core::client::{ClientConfig, Event};
use rv_proto::Time;

use super::{Oracle, Place, Promise, Violation, broken, pause_max, places};
use crate::client::network::Network;
use crate::client::samples::{client_peer, name, number_of_point};
use crate::client::seen::{Call, Seen};
use crate::client::world::World;

/// Watches [`Promise::Settles`].
#[derive(Debug)]
pub struct Settles {
    config: ClientConfig,
    wanted: BTreeMap<(usize, usize), u64>,
    granted: BTreeMap<Place, (Time, u64)>,
    /// When a point lost a registration without the client being able to know.
    forgot_at: BTreeMap<Place, Time>,
    up_at: BTreeMap<usize, Time>,
    /// When a client was told that a point is back.
    told_up_at: BTreeMap<(usize, usize), Time>,
}

impl Settles {
    /// REGISTERs of one attempt, in quick succession: another dialect, a higher `seq` twice each.
    const REGISTERS_MAX: u32 = 6;

    /// How much later than it is up a point may still be seen to refuse a dial.
    const REFUSED_AFTER: Duration = Duration::from_secs(2);

    pub(super) const fn new(config: ClientConfig) -> Self {
        Self {
            config,
            wanted: BTreeMap::new(),
            granted: BTreeMap::new(),
            forgot_at: BTreeMap::new(),
            up_at: BTreeMap::new(),
            told_up_at: BTreeMap::new(),
        }
    }

    /// How long after the faults, or after its point is up, a registration stands at the latest:
    /// what is out times out, one pause passes, and one attempt is made.
    pub fn settled_after(config: &ClientConfig, ttl_secs: u64) -> Duration {
        let way = Duration::from_millis(4 * Network::CALM_MILLIS_MAX);
        config.request_timeout
            + pause_max(config, ttl_secs)
            + config.address_debounce
            + config.backoff_min
            + way * Self::REGISTERS_MAX
    }

    fn faultless_since(&self, world: &World, point: usize) -> Time {
        let calm_at = world.at_secs(world.shape.calm_at_secs);
        let up_at = self.up_at.get(&point).copied().unwrap_or_default();
        calm_at.max(up_at)
    }

    fn told(&mut self, world: &World, client: usize, event: &Event) -> Result<(), Violation> {
        match event {
            Event::PointUp { point } => {
                let place = (client, number_of_point(*point));
                self.told_up_at.insert(place, world.now);
            }
            Event::PointDown { point, .. } => {
                let point = number_of_point(*point);
                let known_after = self.config.request_timeout + Self::REFUSED_AFTER;
                let known_at = self
                    .faultless_since(world, point)
                    .saturating_add(known_after);
                if world.points[point].is_up && world.now > known_at {
                    let what = format!("client {client} takes point {point} for dead");
                    return Err(broken(Promise::Settles, world, what));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// When the registration has to stand.
    fn due_at(&self, world: &World, place: Place, ttl_secs: u64) -> Time {
        let mut from = self.faultless_since(world, place.1);
        if let (Some(forgot_at), Some((at, granted_secs))) =
            (self.forgot_at.get(&place), self.granted.get(&place))
            && forgot_at >= at
        {
            // The client cannot know before it refreshes, unless it sees the point come back. What
            // it is told so soon after may be about an answer from before.
            let told_up_at = self.told_up_at.get(&(place.0, place.1)).copied();
            let known_after = forgot_at.saturating_add(self.config.request_timeout);
            let refreshed_after = Duration::from_secs(*granted_secs) * 7 / 8;
            let refreshed_at = at.saturating_add(refreshed_after);
            let known_at = told_up_at.filter(|at| *at > known_after);
            from = from.max(known_at.map_or(refreshed_at, |at| at.min(refreshed_at)));
        }
        from.saturating_add(Self::settled_after(&self.config, ttl_secs))
    }
}

impl Oracle for Settles {
    fn see(&mut self, world: &World, seen: &Seen) -> Result<(), Violation> {
        match *seen {
            Seen::Called {
                client,
                call: Call::Register { name, ttl_secs },
            } => {
                self.wanted.insert((client, name), ttl_secs);
            }
            Seen::Called {
                client,
                call: Call::Unregister { name, .. },
            } => {
                self.wanted.remove(&(client, name));
            }
            Seen::Called {
                client,
                call: Call::Crash,
            } => {
                self.wanted.retain(|(it, _), _| *it != client);
            }
            Seen::Granted {
                client,
                point,
                name,
                ttl_secs,
                is_late,
            } => {
                let place = (client, point, name);
                if is_late {
                    // It may be shorter than what the client believes in, and elsewhere.
                    self.forgot_at.insert(place, world.now);
                    let (_, before) = self.granted.get(&place).copied().unwrap_or_default();
                    self.granted
                        .insert(place, (world.now, ttl_secs.max(before)));
                } else {
                    self.granted.insert(place, (world.now, ttl_secs));
                }
            }
            Seen::Removed {
                client,
                point,
                name,
                is_late: true,
            } => {
                self.forgot_at.insert((client, point, name), world.now);
            }
            Seen::Forgot { point, .. } => {
                self.up_at.insert(point, world.now);
                for place in places(world).filter(|place| place.1 == point) {
                    self.forgot_at.insert(place, world.now);
                }
            }
            Seen::Told { client, ref event } => self.told(world, client, event)?,
            Seen::Answered { .. }
            | Seen::Called { .. }
            | Seen::Removed { .. }
            | Seen::Sent { .. } => {}
        }
        Ok(())
    }

    fn look(&mut self, world: &World) -> Result<(), Violation> {
        if !world.is_calm() {
            return Ok(());
        }
        for place in places(world) {
            let (client, point, number) = place;
            let Some(ttl_secs) = self.wanted.get(&(client, number)) else {
                continue;
            };
            if !world.points[point].is_up || world.now <= self.due_at(world, place, *ttl_secs) {
                continue;
            }
            let peer = client_peer(client);
            let held = world.points[point].held(world.now, peer, &name(number));
            let Some(held) = held else {
                let what = format!("client {client} is not at point {point} in {number}");
                return Err(broken(Promise::Settles, world, what));
            };
            if !world.nodes[client].is_described_by(&held.record) {
                let what = format!("client {client} is at point {point} with old addresses");
                return Err(broken(Promise::Settles, world, what));
            }
        }
        Ok(())
    }
}
