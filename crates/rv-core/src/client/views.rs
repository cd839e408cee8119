//! What can be looked at.

use libp2p_identity::PeerId;
use rv_proto::{Namespace, Scope, Time};

use super::point::{Health, Point};
use super::registration::Registration;
use super::time::Task;
use super::{
    Cause, Client, ClientConfig, Discovered, PeerCache, PointStatus, Reach, RegistrationStatus,
    WatchStatus,
};

impl Client {
    /// The bounds that it works within.
    pub const fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// The peer that it is the client of.
    pub const fn local(&self) -> &PeerId {
        &self.local
    }

    /// Every point, by its id.
    pub fn points(&self) -> Vec<PointStatus> {
        let points = self.points.iter();
        points
            .map(|(point, it)| PointStatus {
                point: *point,
                dialect: it.tongue.dialect(),
                has_extension: it.tongue.has_extension(),
                reach: match &it.health {
                    Health::Down {
                        failure, retry_at, ..
                    } => Reach::Down {
                        failure: failure.clone(),
                        retry_at: self.timeline.leave(*retry_at),
                    },
                    Health::Unknown => Reach::Unknown,
                    Health::Up => Reach::Up,
                },
            })
            .collect()
    }

    /// Every registration that is wanted, stands or is being taken out, by point and namespace.
    pub fn registrations(&self) -> Vec<RegistrationStatus> {
        let points = self.points.iter();
        points
            .flat_map(|(point, it)| {
                let all = it.registrations.iter();
                all.map(|(namespace, held)| self.view(*point, it, namespace, held))
            })
            .collect()
    }

    /// One registration.
    pub fn registration(
        &self,
        point: &PeerId,
        namespace: &Namespace,
    ) -> Option<RegistrationStatus> {
        let it = self.points.get(point)?;
        let registration = it.registrations.get(namespace)?;
        Some(self.view(*point, it, namespace, registration))
    }

    /// Every watch at every point.
    pub fn watches(&self) -> Vec<WatchStatus> {
        let points = self.points.iter();
        points
            .flat_map(|(point, it)| {
                it.watches.iter().map(|(scope, watch)| WatchStatus {
                    point: *point,
                    scope: scope.clone(),
                    is_pushed: self.is_pushed(point, scope),
                    poll_at: watch.due_at().map(|at| self.timeline.leave(at)),
                    last_failure: self.outside(watch.last_failure()),
                })
            })
            .collect()
    }

    /// The discovered peers of a scope, those of all points merged; no more than `limit` if there
    /// is one.
    pub fn peers(&self, now: Time, scope: &Scope, limit: Option<usize>) -> Vec<Discovered> {
        let now = self.timeline.peek(now);
        let mut peers = self.cache.valid_peers(now, scope, limit);
        for peer in &mut peers {
            peer.until = self.timeline.leave(peer.until);
        }
        peers
    }

    /// How many requests are out.
    pub fn requests_out(&self) -> usize {
        self.requests.len()
    }

    /// Points where something is due that nothing will send: no request is out whose end would, and
    /// no timer runs for them. There are none; tests look here.
    pub fn stalled(&self) -> Vec<PeerId> {
        let will_go_on = |point: &PeerId| {
            let mut out = self.requests.values();
            let is_down = |it: &Point| matches!(it.health, Health::Down { .. });
            let is_tried = self.points.get(point).is_some_and(is_down)
                && self.agenda.contains(&Task::Retry(*point));
            is_tried || out.any(|pending| pending.point == *point)
        };
        let points = self.points.iter();
        let waiting = points.filter(|(_, it)| !it.waiting.is_empty());
        let stalled = waiting.filter(|(point, _)| !will_go_on(point));
        stalled.map(|(point, _)| *point).collect()
    }

    /// How many timers run: at most one for each request, operation, watch and point, two for each
    /// registration, and two of the client itself.
    pub fn timers(&self) -> usize {
        self.agenda.len()
    }

    /// How many peers are in the cache, one in two namespaces twice.
    pub fn peers_cached(&self) -> usize {
        PeerCache::len(&self.cache)
    }

    fn view(
        &self,
        point: PeerId,
        it: &Point,
        namespace: &Namespace,
        registration: &Registration,
    ) -> RegistrationStatus {
        let gate = match &it.health {
            Health::Down {
                failure, retry_at, ..
            } => Some((failure, *retry_at)),
            Health::Unknown | Health::Up => None,
        };
        let due_at = registration.due_at();
        let next_at = due_at.map(|at| gate.map_or(at, |(_, retry_at)| at.max(retry_at)));
        let own = self.outside(registration.last_failure());
        // A registration that waits for its point has not failed itself.
        let of_point = gate.zip(due_at).map(|((failure, _), at)| {
            let cause = Cause::Failed(failure.clone());
            (self.timeline.leave(at), cause)
        });
        RegistrationStatus {
            point,
            namespace: namespace.clone(),
            until: registration
                .held()
                .map(|held| self.timeline.leave(held.until)),
            next_at: next_at.map(|at| self.timeline.leave(at)),
            last_failure: own.or(of_point),
            is_leaving: !registration.is_wanted(),
        }
    }

    fn outside(&self, failure: Option<&(Time, Cause)>) -> Option<(Time, Cause)> {
        let (at, cause) = failure?;
        Some((self.timeline.leave(*at), cause.clone()))
    }
}
