//! What a point takes back before its deadline.

use libp2p_identity::PeerId;
use rv_proto::Namespace;

use super::PeerCache;

impl PeerCache {
    /// `point` lists a peer no longer. Returns whether nobody does now.
    pub(in crate::client) fn retract(
        &mut self,
        point: PeerId,
        namespace: &Namespace,
        peer: &PeerId,
    ) -> bool {
        self.remove_report(point, namespace, peer)
    }
}
