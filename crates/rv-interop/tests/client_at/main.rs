//! Our client at every point that can be had: our own, and the stock ones of four languages.
//!
//! The client is told nothing about a point but its address.

mod go;
mod js;
mod own;
mod py;
mod rust;
mod scenes;
