//! Our walk among nodes of stock Kademlias: go's and py's, each in a process of its own.
//!
//! Nobody tells our node anything but the address of one node, where a test does not say otherwise.

mod joined;
mod listed;
mod stage;
mod tended;
