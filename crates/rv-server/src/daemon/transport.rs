//! What one connection may make the transports hold, before anything of ours has read it.
//!
//! A peer sends as much as its windows allow, whether it is read or not. A stream is read one
//! request at a time, and not at all while its answer waits, so windows can be small.

use libp2p::{quic, tcp, websocket, yamux};

/// Streams of one connection whose protocol is being negotiated, at the most; further ones wait.
/// Room for all that a stock rust client opens at a time, 100.
pub(super) const NEGOTIATING_STREAMS_MAX: usize = 128;

/// Streams of a connection at a time besides those of the rendezvous: identify, its push and ping
/// from the other side, and as many again that are on their way out.
const OTHER_STREAMS_MAX: usize = 8;

/// At as many streams as this, yamux's guaranteed 256 KiB each use up the whole window of a
/// connection, which `libp2p-yamux` fixes at 1 GiB.
///
/// That is the point of it: nothing is left for windows to grow with. A hostile peer makes them
/// grow by answering yamux's pings late, so that the round trip seems long. How many streams there
/// really are is bounded above yamux, where one too many is reset and costs no connection:
/// `streams_per_connection`, [`NEGOTIATING_STREAMS_MAX`], and 256 that `libp2p-yamux` lets wait.
/// With the default of 128 that is 128 MiB for a connection that does its worst.
const YAMUX_STREAMS: usize = 4096;

/// The largest WebSocket message. It is held before its sender has proved any identity, and the
/// library's own bound is 256 MiB. Senders write what the layer above hands them: noise makes
/// pieces of 64 KiB, some senders join a few.
const WEBSOCKET_MESSAGE_BYTES_MAX: usize = 1 << 20;

/// What a stream over QUIC may send before it is read: 4 of the largest requests.
const QUIC_STREAM_BYTES_MAX: u32 = 64 << 10;

/// What a connection over QUIC may send before it is read: 64 of the largest requests, which is
/// more than its one task takes up in a round trip.
const QUIC_CONNECTION_BYTES_MAX: u32 = 1 << 20;

pub(super) fn yamux() -> yamux::Config {
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(YAMUX_STREAMS);
    yamux
}

pub(super) fn websocket() -> websocket::Config<tcp::tokio::Transport> {
    let tcp = tcp::tokio::Transport::new(tcp::Config::default());
    let mut websocket = websocket::Config::new(tcp);
    websocket.set_max_data_size(WEBSOCKET_MESSAGE_BYTES_MAX);
    websocket
}

/// Over QUIC a peer that has all its streams open waits for one to close, so the bound is exact.
pub(super) fn quic(mut quic: quic::Config, streams_per_connection: usize) -> quic::Config {
    let streams = streams_per_connection.saturating_add(OTHER_STREAMS_MAX);
    quic.max_concurrent_stream_limit = u32::try_from(streams).unwrap_or(u32::MAX);
    quic.max_stream_data = QUIC_STREAM_BYTES_MAX;
    quic.max_connection_data = QUIC_CONNECTION_BYTES_MAX;
    quic
}

#[cfg(test)]
mod tests;
