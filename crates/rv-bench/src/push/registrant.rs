//! Who registers while others are told.

use std::time::Instant;

use anyhow::Result;
use rv_proto::Dialect;

use super::WATCHED;
use crate::{
    client::{BenchPeer, Connection, FrameStream, PROTOCOL, Server, check_registered},
    server::Kind,
};

/// Numbers of these peers begin here, above those that are registered before.
const NUMBERS_FROM: u32 = 500_000;

/// A registered peer, to be.
pub(super) struct Registrant {
    peer: BenchPeer,
    dialect: Dialect,
    stream: FrameStream,
    _connection: Connection,
}

/// When a request was sent, and when its answer was here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Took {
    pub(super) sent: Instant,
    pub(super) acknowledged: Instant,
}

impl Registrant {
    /// `count` of them, which speak as a point of `kind` wants it.
    pub(super) async fn several(server: &Server, kind: Kind, count: u32) -> Result<Vec<Self>> {
        let [dialect] = *kind.dialects();
        let mut several = Vec::new();
        for number in 0..count {
            let peer = BenchPeer::new(NUMBERS_FROM + number)?;
            let connection = Connection::dial(server, &peer.key).await?;
            several.push(Self {
                stream: connection.open(PROTOCOL).await?,
                peer,
                dialect,
                _connection: connection,
            });
        }
        Ok(several)
    }

    /// Registers, each time with a new record.
    pub(super) async fn register(&mut self) -> Result<Took> {
        let frame = self.peer.register(WATCHED, self.dialect)?;
        let sent = Instant::now();
        let answer = self.stream.request(&frame).await?;
        let acknowledged = Instant::now();
        check_registered(answer)?;
        Ok(Took { sent, acknowledged })
    }
}
