//! The names under which points are asked.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use libp2p_core::upgrade::{OutboundUpgrade, UpgradeInfo};
use libp2p_swarm::{Stream, StreamProtocol};

use crate::Config;

/// Every configured protocol name; all speak the same messages.
#[derive(Clone, Debug)]
pub struct Protocols(pub(super) Arc<Config>);

impl UpgradeInfo for Protocols {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.protocols.clone().into_iter()
    }
}

impl OutboundUpgrade<Stream> for Protocols {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}
