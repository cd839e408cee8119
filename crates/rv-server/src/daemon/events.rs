//! What the daemon says about itself in its log.

use std::time::Instant;

use libp2p::Swarm;
use libp2p::identify;
use libp2p::swarm::{ListenError, SwarmEvent};
use rv_proto::{Dialect, classify};

use super::swarm::{PointBehaviour, PointBehaviourEvent};
use super::{Daemon, DaemonError};
use crate::Stats;

/// What was last told about the point's work, so that nothing is told twice.
#[derive(Debug)]
pub(super) struct Report {
    started: Instant,
    told: Stats,
    connections_denied: u64,
    connections_denied_told: u64,
}

impl Report {
    pub(super) fn new(started: Instant) -> Self {
        let told = Stats::default();
        Self {
            started,
            told,
            connections_denied: 0,
            connections_denied_told: 0,
        }
    }

    /// Tells what the point holds and has done, if that changed since the last time or `always`.
    pub(super) fn tell(&mut self, swarm: &Swarm<PointBehaviour>, always: bool) {
        let stats = swarm.behaviour().rendezvous.stats();
        let denied = self.connections_denied;
        if !always && stats == self.told && denied == self.connections_denied_told {
            return;
        }
        let info = swarm.network_info();
        tracing::info!(
            uptime_secs = self.started.elapsed().as_secs(),
            peers = info.num_peers(),
            connections = info.connection_counters().num_established(),
            connections_denied = denied,
            registrations = stats.registrations,
            namespaces = stats.namespaces,
            record_bytes = stats.record_bytes,
            registers = stats.registers,
            registers_refused = stats.registers_refused,
            unregisters = stats.unregisters,
            unregisters_lost = stats.unregisters_lost,
            discovers = stats.discovers,
            discovers_refused = stats.discovers_refused,
            discovers_held = stats.discovers_held,
            subscriptions = stats.subscriptions,
            subscribes = stats.subscribes,
            subscribes_refused = stats.subscribes_refused,
            updates = stats.updates,
            undecodable = stats.undecodable,
            streams_refused = stats.streams_refused,
            streams_timed_out = stats.streams_timed_out,
            batches_failed = stats.batches_failed,
            erased = stats.erased,
            refusals = ?stats.refusals,
            dialects_decided = ?stats.dialects_decided,
            "stats"
        );
        self.told = stats;
        self.connections_denied_told = denied;
    }
}

impl Daemon {
    /// Takes note of what happened in the swarm.
    ///
    /// # Errors
    ///
    /// [`DaemonError::ListenersClosed`] if nobody can connect any more.
    pub(super) fn handle_event(
        &mut self,
        event: SwarmEvent<PointBehaviourEvent>,
    ) -> Result<(), DaemonError> {
        match event {
            SwarmEvent::NewListenAddr {
                listener_id,
                address,
            } => {
                self.listeners.handle_new(listener_id, address);
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => self.listeners.handle_expired(address),
            SwarmEvent::ListenerClosed {
                listener_id,
                addresses,
                reason,
            } => {
                return self
                    .listeners
                    .handle_closed(listener_id, addresses, &reason);
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a listener could not accept");
            }
            SwarmEvent::ConnectionEstablished {
                peer_id,
                endpoint,
                established_in,
                ..
            } => {
                let address = endpoint.get_remote_address();
                tracing::debug!(peer = %peer_id, %address, ?established_in, "connected");
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                num_established,
                cause,
                ..
            } => {
                let cause = cause.map(|cause| cause.to_string());
                tracing::debug!(peer = %peer_id, left = num_established, cause, "disconnected");
            }
            SwarmEvent::IncomingConnectionError {
                send_back_addr,
                error,
                ..
            } => {
                self.report.connections_denied += u64::from(is_denied(&error));
                tracing::debug!(address = %send_back_addr, %error, "connection refused or broken");
            }
            SwarmEvent::Behaviour(PointBehaviourEvent::Identify(event)) => {
                self.note_identify(event)
            }
            event => tracing::trace!(?event, "swarm"),
        }
        Ok(())
    }

    /// Sibling behaviours are not shown what identify says, so the point is told here.
    fn note_identify(&mut self, event: identify::Event) {
        if let identify::Event::Received { peer_id, info, .. } = event {
            tracing::debug!(peer = %peer_id, agent = info.agent_version, "identified");
            let record = record_dialect(&info);
            let point = &mut self.swarm.behaviour_mut().rendezvous;
            point.on_identified(peer_id, &info.agent_version, record);
        }
    }
}

fn is_denied(error: &ListenError) -> bool {
    matches!(error, ListenError::Denied { .. })
}

/// The dialect of the signed record that a peer sent in identify.
fn record_dialect(info: &identify::Info) -> Option<Dialect> {
    let record = info.signed_peer_record.clone()?;
    classify(&record.into_protobuf_encoding()).ok()
}
