//! Everything stays within its bounds, and nobody asks more often than the pauses allow.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use libp2p_identity::PeerId;
use rv_core::client::{ClientConfig, Event};
use rv_proto::Time;

use super::discovers::pages_max;
use super::{Oracle, Place, Promise, Settles, Violation, broken, pause_max};
use crate::client::samples::{number_of, number_of_point};
use crate::client::seen::{Call, Seen, Sent};
use crate::client::world::World;

/// Watches [`Promise::Bounds`].
#[derive(Debug)]
pub struct Bounds {
    config: ClientConfig,
    /// The last REGISTERs of one registration, since the application asked for something.
    burst: BTreeMap<Place, VecDeque<Time>>,
    /// What was sent to a point since it last answered.
    silence: BTreeMap<(usize, usize), Silence>,
    granted: BTreeMap<Place, (Time, u64)>,
    /// DISCOVERs in the calm.
    polls: BTreeMap<Place, u32>,
    /// Registrations that failed since they were last granted or asked for.
    failing: BTreeSet<Place>,
    ttl_secs_min: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Silence {
    since: Time,
    sent: u32,
    calls: u32,
}

impl Bounds {
    /// REGISTERs of one attempt, in quick succession: another dialect, a higher `seq` twice each,
    /// one for a later call and one for addresses.
    const REGISTERS_MAX: usize = 8;

    /// What is out or due when a point falls silent: one of each machine.
    const MACHINES_MAX: u32 = 8;

    pub(super) const fn new(config: ClientConfig) -> Self {
        Self {
            config,
            burst: BTreeMap::new(),
            silence: BTreeMap::new(),
            granted: BTreeMap::new(),
            polls: BTreeMap::new(),
            failing: BTreeSet::new(),
            ttl_secs_min: 7_200,
        }
    }

    /// How many requests a client sends to a point that says nothing for so long: what was under
    /// way, and then one after each pause, which doubles to its cap and is cut by a half at most.
    pub fn tries_max(config: &ClientConfig, ttl_secs_min: u64, silent: Duration) -> u32 {
        let cap = pause_max(config, ttl_secs_min);
        let (mut pause, mut spent, mut tries) = (config.backoff_min, Duration::ZERO, 0);
        while spent < silent {
            spent += pause.min(cap) / 2;
            pause = (pause * 2).min(cap);
            tries += 1;
        }
        Self::MACHINES_MAX + tries
    }

    fn sent(&mut self, world: &World, place: Place, sent: Sent) -> Option<String> {
        let (client, point, _) = place;
        let silence = self
            .silence
            .entry((client, point))
            .or_insert_with(|| Silence {
                since: world.now,
                ..Silence::default()
            });
        silence.sent += 1;
        let silent = world.now.saturating_since(silence.since);
        let most = Self::tries_max(&self.config, self.ttl_secs_min, silent) + 2 * silence.calls;
        if silence.sent > most {
            let count = silence.sent;
            return Some(format!(
                "client {client} sent {count} requests to point {point}, silent for {silent:?}"
            ));
        }
        match sent {
            Sent::Register { .. } => self.registers(world, place),
            Sent::Discover { .. } => self.polls(world, place),
            Sent::Subscribe { .. } | Sent::Unregister { .. } => None,
        }
    }

    fn registers(&mut self, world: &World, place: Place) -> Option<String> {
        let (client, point, name) = place;
        let burst = self.burst.entry(place).or_default();
        burst.push_back(world.now);
        if burst.len() > Self::REGISTERS_MAX {
            let first = burst.pop_front().unwrap_or_default();
            if world.now.saturating_since(first) < self.config.backoff_min / 2 {
                return Some(format!("client {client} storms point {point} in {name}"));
            }
        }
        let (at, ttl_secs) = *self.granted.get(&place)?;
        let ttl = Duration::from_secs(ttl_secs);
        let settled_after = Settles::settled_after(&self.config, 7_200);
        let calm_at = world.at_secs(world.shape.calm_at_secs);
        let is_settled = at > calm_at.saturating_add(settled_after);
        // It is counted from when the request was sent.
        let way = Duration::from_secs(1);
        let least = (ttl * 13 / 16).min(ttl - self.config.refresh_margin.min(ttl / 4));
        let rested = world.now.saturating_since(at) + way;
        (is_settled && rested < least)
            .then(|| format!("client {client} refreshes at point {point} after {rested:?}"))
    }

    /// Pauses begin anew with each grant, and none is shorter than half the shortest.
    fn told(&mut self, world: &World, client: usize, event: &Event) -> Option<String> {
        let place = |point: PeerId, name| (client, number_of_point(point), number_of(name));
        let least = self.config.backoff_min / 2;
        let (retry_at, most) = match event {
            Event::Registered(grant) => {
                self.failing.remove(&place(grant.point, &grant.namespace));
                return None;
            }
            Event::RegistrationFailed {
                point,
                namespace,
                retry_at: Some(retry_at),
                ..
            } => {
                let is_first = self.failing.insert(place(*point, namespace));
                let most = if is_first {
                    self.config.backoff_min
                } else {
                    self.config.backoff_max
                };
                (*retry_at, most)
            }
            Event::PointDown { retry_at, .. } => (*retry_at, self.config.backoff_max),
            // It may be back without its memory, so everything there is registered anew.
            Event::PointUp { point } => {
                let point = number_of_point(*point);
                self.granted
                    .retain(|(it, at, _), _| (*it, *at) != (client, point));
                return None;
            }
            _ => return None,
        };
        let pause = retry_at.saturating_since(world.nodes[client].clock(world.now));
        (pause < least || pause > most)
            .then(|| format!("client {client} pauses for {pause:?} at {event:?}"))
    }

    fn polls(&mut self, world: &World, place: Place) -> Option<String> {
        let calm_at = world.at_secs(world.shape.calm_at_secs);
        let settled_at = calm_at.saturating_add(self.config.request_timeout);
        if world.now < settled_at {
            return None;
        }
        let count = self.polls.entry(place).or_default();
        *count += 1;
        let calm_secs = world.now.saturating_since(settled_at).as_secs();
        let pause_secs = (self.config.poll_min * 7 / 8).as_secs();
        let polls = u32::try_from(calm_secs / pause_secs).expect("hours") + 2;
        let most = polls * pages_max(world);
        let (client, point, name) = place;
        (*count > most)
            .then(|| format!("client {client} polls point {point} in {name} {count} times"))
    }
}

impl Oracle for Bounds {
    fn see(&mut self, world: &World, seen: &Seen) -> Result<(), Violation> {
        match *seen {
            Seen::Sent {
                client,
                point,
                sent,
                ..
            } => {
                let place = (client, point, sent.name());
                if let Some(what) = self.sent(world, place, sent) {
                    return Err(broken(Promise::Bounds, world, what));
                }
            }
            Seen::Answered { client, point } => {
                self.silence.remove(&(client, point));
            }
            Seen::Called { client, call } => {
                for (_, silence) in self.silence.iter_mut().filter(|((it, _), _)| *it == client) {
                    silence.calls += 1;
                }
                self.burst.retain(|(it, ..), _| *it != client);
                if let Call::Register { name, ttl_secs } = call {
                    self.failing
                        .retain(|(it, _, at)| (*it, *at) != (client, name));
                    self.ttl_secs_min = self.ttl_secs_min.min(ttl_secs);
                }
            }
            Seen::Granted {
                client,
                point,
                name,
                ttl_secs,
                is_late: false,
            } => {
                self.granted
                    .insert((client, point, name), (world.now, ttl_secs));
            }
            Seen::Told { client, ref event } => {
                if let Some(what) = self.told(world, client, event) {
                    return Err(broken(Promise::Bounds, world, what));
                }
            }
            Seen::Forgot { .. } | Seen::Granted { .. } | Seen::Removed { .. } => {}
        }
        Ok(())
    }

    fn look(&mut self, world: &World) -> Result<(), Violation> {
        let points = world.points.len();
        for (number, node) in world.nodes.iter().enumerate().filter(|(_, it)| !it.is_gone) {
            let client = &node.client;
            let (out, cached, timers) = (
                client.requests_out(),
                client.peers_cached(),
                client.timers(),
            );
            let out_max = points * self.config.requests_per_point_max;
            // A registration and its deadline, a watch and its subscription, a retry; and a
            // discovery, the cache, and the addresses.
            let timers_max = out_max
                + points * (4 * world.shape.names + 1)
                + self.config.operations_max.min(64)
                + 2;
            let cached_max = self.config.cache.peers_total;
            if out > out_max || cached > cached_max || timers > timers_max {
                let what = format!(
                    "client {number} has {out} requests out, {cached} peers and {timers} timers"
                );
                return Err(broken(Promise::Bounds, world, what));
            }
            if let Some(point) = client.stalled().first() {
                let point = number_of_point(*point);
                let what = format!("client {number} leaves what is due at point {point} unsent");
                return Err(broken(Promise::Bounds, world, what));
            }
            // What is out at the client is out at its shell, and so is what is open.
            let pushed = client.watches().iter().filter(|it| it.is_pushed).count();
            if (out, pushed) != (node.out.len(), node.pushed.len()) {
                let shell = (node.out.len(), node.pushed.len());
                let what = format!(
                    "client {number} waits for {out} and is pushed {pushed}, its shell {shell:?}"
                );
                return Err(broken(Promise::Bounds, world, what));
            }
        }
        Ok(())
    }
}
