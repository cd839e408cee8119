//! Found peers that are dialled, where the application wants that.

use std::collections::BTreeMap;
use std::sync::Arc;

use libp2p_identity::PeerId;
use libp2p_swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p_swarm::{ConnectionId, DialError};
use rv_core::client::dialling::{
    DialEnd, DialEvent, Dialler, DiallingConfig, DiallingConfigError, Taken,
};
use rv_proto::{Namespace, Record, Time, Ttl};

use crate::clock::random;

/// A dialler, and the swarm's dials that it asked for.
pub(super) struct Dialling {
    dialler: Dialler,
    dials: BTreeMap<ConnectionId, PeerId>,
}

impl Dialling {
    pub(super) fn new(config: DiallingConfig, local: PeerId) -> Result<Self, DiallingConfigError> {
        Ok(Self {
            dialler: Dialler::new(config, local, random())?,
            dials: BTreeMap::new(),
        })
    }

    /// Takes in what a point lists.
    pub(super) fn listed<'a>(
        &mut self,
        now: Time,
        point: PeerId,
        listed: impl Iterator<Item = (&'a Namespace, &'a Arc<Record>, Ttl)>,
    ) {
        for (namespace, record, ttl) in listed {
            let until = now.saturating_add(ttl.as_duration());
            let taken = self
                .dialler
                .handle_listed(now, point, namespace, record, until);
            if matches!(taken, Taken::Full | Taken::NoAddress) {
                let peer = record.peer();
                tracing::trace!(%peer, %point, ?taken, "a found peer is not dialled");
            }
        }
    }

    /// The next dial, to be made.
    pub(super) fn poll(&mut self, now: Time) -> Option<(DialOpts, DialEvent)> {
        let dial = self.dialler.poll_dial(now)?;
        // Only at these addresses: what siblings would add is not judged.
        let opts = DialOpts::peer_id(dial.peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(dial.addresses.clone())
            .build();
        self.dials.insert(opts.connection_id(), dial.peer);
        Some((opts, DialEvent::Started(dial)))
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.dialler.poll_timeout()
    }

    pub(super) fn connected(
        &mut self,
        now: Time,
        connection: ConnectionId,
        peer: PeerId,
    ) -> Option<DialEvent> {
        let told = self.ended(now, connection, DialEnd::Connected);
        self.dialler.handle_connected(now, peer);
        told
    }

    /// The last connection to a peer is gone.
    pub(super) fn disconnected(&mut self, now: Time, peer: PeerId) {
        self.dialler.handle_disconnected(now, peer);
    }

    pub(super) fn dial_failed(
        &mut self,
        now: Time,
        connection: ConnectionId,
        error: &DialError,
    ) -> Option<DialEvent> {
        let end = match error {
            DialError::DialPeerConditionFalse(_) => DialEnd::NotMade,
            _ => DialEnd::Failed,
        };
        self.ended(now, connection, end)
    }

    pub(super) fn forget_point(&mut self, point: PeerId) {
        self.dialler.forget_source(point);
    }

    pub(super) fn clear(&mut self) {
        self.dialler.clear();
    }

    fn ended(&mut self, now: Time, connection: ConnectionId, end: DialEnd) -> Option<DialEvent> {
        let peer = self.dials.remove(&connection)?;
        self.dialler.handle_dial_ended(now, peer, end)
    }
}
