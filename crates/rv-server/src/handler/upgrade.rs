//! The names under which this point speaks.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use libp2p_core::upgrade::{InboundUpgrade, UpgradeInfo};
use libp2p_swarm::{Stream, StreamProtocol};
use rv_proto::EXTENSION_PROTOCOL;

use crate::Config;
use crate::config::PROTOCOL;

/// Every configured protocol name, and beside the specification's the one that announces the
/// extension; all speak the same messages.
#[derive(Clone, Debug)]
pub struct Protocols(Arc<Config>);

impl Protocols {
    pub(super) fn new(config: Arc<Config>) -> Self {
        Self(config)
    }
}

impl UpgradeInfo for Protocols {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        let mut names = self.0.protocols.clone();
        let extension = StreamProtocol::new(EXTENSION_PROTOCOL);
        // A network with a name of its own is met under that name alone.
        if names.contains(&PROTOCOL) && !names.contains(&extension) {
            names.push(extension);
        }
        names.into_iter()
    }
}

impl InboundUpgrade<Stream> for Protocols {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}
