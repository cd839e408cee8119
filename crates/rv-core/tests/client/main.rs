//! The client as a machine: what goes in, and exactly what comes out; and as one of many in a
//! small network that fails in every way.

mod bytes;
mod cache;
mod cases;
mod dial_bounds;
mod dial_places;
mod dialects;
mod dialling;
mod discovery;
mod driver;
mod hostile;
mod leaving;
mod listing_time;
mod moving;
mod network;
mod outages;
mod points;
mod push;
mod push_ends;
mod push_lookups;
mod registrations;
mod samples;
mod server;
mod stalls;
mod watch_start;
mod watches;
