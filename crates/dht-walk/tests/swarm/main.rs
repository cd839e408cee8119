//! The behaviour in swarms over TCP on loopback, among stock nodes of libp2p-kad.

mod cut_off;
mod guards;
mod handle;
mod hung;
mod reports;
mod stage;
mod tended;
