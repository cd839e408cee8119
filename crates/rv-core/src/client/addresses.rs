//! Our own addresses: where this peer is reached, and when changed ones are registered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol};
use rv_proto::Time;

use super::registration::Registration;
use super::time::Task;
use super::{Client, ClientConfig};

/// How restless the addresses are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moves {
    /// The last pause before changed addresses were registered, and its end.
    last: Option<(Duration, Time)>,
}

impl Moves {
    /// How long the addresses, which changed just now, may still change: longer each time, while
    /// changes follow upon each other.
    fn pause(&self, now: Time, config: &ClientConfig) -> Duration {
        let (least, most) = (config.address_debounce, config.address_debounce_max);
        match self.last {
            Some((pause, ended_at)) if now.saturating_since(ended_at) < most => {
                pause.saturating_mul(2).clamp(least, most)
            }
            Some(_) | None => least,
        }
    }
}

impl Client {
    /// Sets the addresses under which this peer is reached from outside.
    ///
    /// The peer's own id at their end is cut off, and what is above
    /// [`ClientConfig::ADDRESSES_MAX`] is left out. What waits for an address is registered at
    /// once. What is registered with others is registered anew after
    /// [`ClientConfig::address_debounce`], and while they go on changing, after longer pauses.
    pub fn set_addresses(&mut self, now: Time, addresses: impl IntoIterator<Item = Multiaddr>) {
        let now = self.timeline.enter(now);
        let addresses = self.normalize(addresses);
        if addresses == self.addresses {
            return;
        }
        let had_some = !self.addresses.is_empty();
        self.addresses = addresses;
        if !had_some {
            self.settle_addresses(now, Registration::address_found);
        }
        // Where a REGISTER is out, it is with addresses from before.
        let is_at_stake = |it: &Registration| it.held().is_some() || it.due_at().is_none();
        let mut all = self
            .points
            .values()
            .flat_map(|it| it.registrations.values());
        let is_needed = had_some || all.any(is_at_stake);
        if is_needed && !self.agenda.contains(&Task::Addresses) {
            let pause = self.moves.pause(now, &self.config);
            let at = now.saturating_add(pause);
            self.moves.last = Some((pause, at));
            self.agenda.set(Task::Addresses, Some(at));
        }
    }

    /// Sets other addresses for one point, such as one on this machine; with `None` those of
    /// [`set_addresses`](Self::set_addresses) again. They are registered at once.
    pub fn set_addresses_at(
        &mut self,
        now: Time,
        point: PeerId,
        addresses: Option<Vec<Multiaddr>>,
    ) {
        let now = self.timeline.enter(now);
        let addresses = addresses.map(|addresses| self.normalize(addresses));
        if let Some(it) = self.points.get_mut(&point)
            && it.addresses != addresses
        {
            it.addresses = addresses;
            self.settle_addresses_at(now, point, Registration::addresses_settled);
        }
    }

    /// Changed addresses had their time to change again.
    pub(super) fn addresses_rested(&mut self, now: Time) {
        self.agenda.set(Task::Addresses, None);
        self.settle_addresses(now, Registration::addresses_settled);
    }

    fn settle_addresses(&mut self, now: Time, settle: Settle) {
        let points: Vec<_> = self.points.keys().copied().collect();
        for point in points {
            self.settle_addresses_at(now, point, settle);
        }
    }

    fn settle_addresses_at(&mut self, now: Time, point: PeerId, settle: Settle) {
        if let Some(it) = self.points.get_mut(&point) {
            let addresses = it.addresses.as_ref().unwrap_or(&self.addresses);
            for registration in it.registrations.values_mut() {
                settle(registration, now, addresses);
            }
            self.reschedule_all(now, point);
        }
    }

    fn normalize(&self, addresses: impl IntoIterator<Item = Multiaddr>) -> Arc<[Multiaddr]> {
        let without_peer = |mut address: Multiaddr| {
            if matches!(address.iter().last(), Some(Protocol::P2p(peer)) if peer == self.local) {
                address.pop();
            }
            address
        };
        let all: BTreeSet<_> = addresses.into_iter().map(without_peer).collect();
        let usable = all.into_iter().filter(|address| !address.is_empty());
        usable.take(ClientConfig::ADDRESSES_MAX).collect()
    }
}

/// What a registration makes of the addresses that are there now.
type Settle = fn(&mut Registration, Time, &Arc<[Multiaddr]>);
