//! The client against points on this machine, over TCP.

mod dialling;
mod every_dialect;
mod hostile;
mod one_point;
mod own_point;
mod protocols;
mod pushing;
mod raw_point;
mod scenarios;
mod several_points;
mod stock_point;
mod streams;
mod support;
#[cfg(feature = "walk")]
mod two_sources;
mod watching;
