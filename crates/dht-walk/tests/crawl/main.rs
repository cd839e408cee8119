//! The crawl, against networks in memory: each test says what is true of it.

mod bounds;
mod listing;
mod network;
mod resuming;
