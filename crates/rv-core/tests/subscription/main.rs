//! Subscriptions as machines: what a subscriber is told, and that it comes to believe the truth.

mod believes;
mod inmem;
mod updates;
mod world;
