//! The names under which this point speaks.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use libp2p_core::upgrade::{InboundUpgrade, UpgradeInfo};
use libp2p_swarm::{Stream, StreamProtocol};
use rv_proto::{EXTENSION_PROTOCOL, INMEM_PROTOCOL};

use crate::Config;

/// What a stream was opened for.
#[derive(Debug)]
pub enum Inbound {
    /// Requests and answers.
    Requests(Stream),
    /// Registrations as go's type of subscription has them.
    Inmem(Stream),
}

/// Every configured protocol name, and beside the specification's the one that announces the
/// extension; all speak the same messages. Beside the specification's also go's for its type of
/// subscription, if this point knows its own peer id.
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
        // A network with a name of its own is met under that name alone.
        if self.0.is_public() {
            let extension = StreamProtocol::new(EXTENSION_PROTOCOL);
            if !names.contains(&extension) {
                names.push(extension);
            }
        }
        if self.0.inmem_peer().is_some() {
            names.push(StreamProtocol::new(INMEM_PROTOCOL));
        }
        names.into_iter()
    }
}

impl InboundUpgrade<Stream> for Protocols {
    type Output = Inbound;
    type Error = Infallible;
    type Future = Ready<Result<Inbound, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, name: StreamProtocol) -> Self::Future {
        ready(Ok(if name == INMEM_PROTOCOL {
            Inbound::Inmem(stream)
        } else {
            Inbound::Requests(stream)
        }))
    }
}
