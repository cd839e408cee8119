//! The names under which points are asked.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use libp2p_core::upgrade::{OutboundUpgrade, UpgradeInfo};
use libp2p_swarm::{Stream, StreamProtocol};
use rv_proto::EXTENSION_PROTOCOL;

use crate::Config;
use crate::config::PROTOCOL;

/// Every configured protocol name; all speak the same messages. In front of them the extension's,
/// so that what comes of it tells whether the point has it, be there identify or not; but only
/// where the specification's name is among them, so that a network with a name of its own meets no
/// public point.
#[derive(Clone, Debug)]
pub struct Protocols {
    pub(super) config: Arc<Config>,
    /// Whether the extension's name is offered. A point that lacks it costs one more round trip.
    pub(super) has_extension: bool,
}

impl UpgradeInfo for Protocols {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        let configured = &self.config.protocols;
        let extension = StreamProtocol::new(EXTENSION_PROTOCOL);
        let offers_extension = self.has_extension && configured.contains(&PROTOCOL);
        let others = configured.iter().filter(|name| **name != extension);
        let first = offers_extension.then_some(&extension);
        let names: Vec<_> = first.into_iter().chain(others).cloned().collect();
        names.into_iter()
    }
}

impl OutboundUpgrade<Stream> for Protocols {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, name: StreamProtocol) -> Self::Future {
        ready(Ok((stream, name)))
    }
}
