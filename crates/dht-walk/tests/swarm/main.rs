//! The behaviour by hand, and in swarms over TCP on loopback among stock nodes of libp2p-kad.

mod answers;
mod connections;
mod cut_off;
mod guards;
mod hand;
mod handle;
mod hung;
mod notes;
mod reports;
mod stage;
mod tables;
mod tended;
