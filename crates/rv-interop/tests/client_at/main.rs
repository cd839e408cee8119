//! Our client at every point that can be had: our own, and the stock ones of three languages.
//!
//! The client is told nothing about a point but its address.

mod js;
mod own;
mod py;
mod rust;
mod scenes;
