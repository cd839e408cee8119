//! What an application asks for, without waiting.

use libp2p_core::Multiaddr;
use libp2p_identity::PeerId;
use rv_core::client::{
    ClientConfig, DiscoverOptions, Discovered, OperationId, RegisterOptions, StartError, Target,
};
use rv_proto::{Namespace, Scope};

use super::{Behaviour, Identity};

/// Bytes that are kept of an agent's name; the longest known are below 100.
const AGENT_BYTES_MAX: usize = 256;

impl Behaviour {
    /// Adds a point, and addresses at which to dial it. Addresses that the swarm knows by itself
    /// are tried too. What is registered at every point and what is watched starts there at once.
    ///
    /// To add a known point adds the addresses; those above [`ClientConfig::ADDRESSES_MAX`] are
    /// left out.
    ///
    /// # Errors
    ///
    /// If there are as many points as may be, or the client is closed.
    pub fn add_point(
        &mut self,
        point: PeerId,
        addresses: impl IntoIterator<Item = Multiaddr>,
    ) -> Result<(), StartError> {
        self.machine.add_point(self.clock.now(), point)?;
        let known = self.point_addresses.entry(point).or_default();
        for address in addresses {
            if known.len() < ClientConfig::ADDRESSES_MAX && !known.contains(&address) {
                known.push(address);
            }
        }
        self.identify_to_machine(point);
        Ok(())
    }

    /// Forgets a point and all that it listed. Nothing is unregistered. A connection to it that
    /// nobody else uses closes.
    pub fn remove_point(&mut self, point: PeerId) {
        self.release(point);
        self.machine.remove_point(self.clock.now(), point);
        if let Some(dialling) = &mut self.dialling {
            dialling.forget_point(point);
        }
        self.point_addresses.remove(&point);
        self.signer.forget(&point);
    }

    /// Sets addresses to register at one point, such as loopback ones at a point on this machine;
    /// with `None` the swarm's external addresses again.
    pub fn set_addresses_at(&mut self, point: PeerId, addresses: Option<Vec<Multiaddr>>) {
        let now = self.clock.now();
        self.machine.set_addresses_at(now, point, addresses);
    }

    /// Registers in a namespace and stays registered until [`unregister`](Self::unregister). Ends
    /// with [`Event::RegisterDone`](crate::Event::RegisterDone).
    ///
    /// # Errors
    ///
    /// If there is no such point, or as much is registered or under way as may be.
    pub fn register(
        &mut self,
        target: Target,
        namespace: Namespace,
        options: RegisterOptions,
    ) -> Result<OperationId, StartError> {
        let now = self.clock.now();
        self.machine.register(now, target, namespace, options)
    }

    /// Ends the refresh of a registration and takes it out. Ends with
    /// [`Event::UnregisterDone`](crate::Event::UnregisterDone).
    ///
    /// # Errors
    ///
    /// If there is no such point, or as much is under way as may be.
    pub fn unregister(
        &mut self,
        target: Target,
        namespace: &Namespace,
    ) -> Result<OperationId, StartError> {
        let now = self.clock.now();
        self.machine.unregister(now, target, namespace)
    }

    /// Lists a scope once. Gives [`Event::Found`](crate::Event::Found) for each page, and ends with
    /// [`Event::DiscoverDone`](crate::Event::DiscoverDone).
    ///
    /// # Errors
    ///
    /// If there is no such point, as much is under way as may be, or a cookie is given for more
    /// than one point.
    pub fn discover(
        &mut self,
        target: Target,
        scope: &Scope,
        options: DiscoverOptions,
    ) -> Result<OperationId, StartError> {
        let now = self.clock.now();
        self.machine.discover(now, target, scope, options)
    }

    /// Ends a call that is not over: nothing more is told of it. The requests of a discovery are
    /// ended. A registration goes on, as does its end.
    pub fn cancel(&mut self, operation: OperationId) {
        self.machine.cancel(self.clock.now(), operation);
    }

    /// Polls a scope at every point. Gives [`Event::Joined`](crate::Event::Joined),
    /// [`Event::Renewed`](crate::Event::Renewed) and [`Event::Gone`](crate::Event::Gone). Who is
    /// known already has joined.
    ///
    /// # Errors
    ///
    /// If as much is watched as may be, or the client is closed.
    pub fn watch(&mut self, scope: &Scope) -> Result<(), StartError> {
        self.machine.watch(self.clock.now(), scope)?;
        self.calls.set_watched(scope, true);
        Ok(())
    }

    /// Ends a watch; those of handles go on.
    pub fn unwatch(&mut self, scope: &Scope) {
        self.calls.set_watched(scope, false);
        self.unwatch_unused(scope);
    }

    /// The found peers of a scope whose deadlines are not past, those of all points merged; no more
    /// than `limit` if there is one.
    pub fn peers(&self, scope: &Scope, limit: Option<usize>) -> Vec<Discovered> {
        self.machine.peers(self.clock.now(), scope, limit)
    }

    /// Forgets the found peers of one namespace, or with `None` of all. What is watched is listed
    /// anew.
    pub fn clear_cache(&mut self, namespace: Option<&Namespace>) {
        self.machine.clear_cache(self.clock.now(), namespace);
        if namespace.is_none() {
            self.book.clear();
            self.hearsay.clear();
        }
    }

    /// Stops everything. Nothing is unregistered: registrations stand until their deadlines.
    /// Connections to points that nobody else uses close.
    pub fn close(&mut self) {
        let points: Vec<_> = self.machine.points().iter().map(|it| it.point).collect();
        for point in points {
            self.release(point);
        }
        if let Some(dialling) = &mut self.dialling {
            dialling.clear();
        }
        self.machine.close(self.clock.now());
        self.is_closed = true;
        self.point_addresses.clear();
        self.calls.end();
    }

    /// Takes what a peer says about itself in identify, which tells what it speaks if it is a
    /// point. Peers that are not connected are ignored.
    pub fn on_identified(
        &mut self,
        peer: PeerId,
        agent: &str,
        protocols: impl IntoIterator<Item = impl AsRef<str>>,
    ) {
        if !self.links.is_connected(&peer) {
            return;
        }
        let names = protocols.into_iter();
        let names = names.map(|name| name.as_ref().to_owned());
        let identity = Identity {
            agent: cut(agent, AGENT_BYTES_MAX).to_owned(),
            protocols: names.filter(|name| name.contains("rendezvous")).collect(),
        };
        self.identities.insert(peer, identity);
        self.identify_to_machine(peer);
    }

    /// What the swarm heard of a peer's protocols. It does not hear the agent.
    pub(super) fn announced(&mut self, peer: PeerId, protocols: Vec<String>) {
        if self.links.is_connected(&peer) {
            self.identities.entry(peer).or_default().protocols = protocols;
            self.identify_to_machine(peer);
        }
    }

    fn identify_to_machine(&mut self, peer: PeerId) {
        if let Some(Identity { agent, protocols }) = self.identities.get(&peer) {
            let protocols: Vec<_> = protocols.iter().map(String::as_str).collect();
            let now = self.clock.now();
            self.machine.handle_identified(now, peer, agent, &protocols);
        }
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
