//! Points that lie, stall and break off: each with the exact error, while a healthy point beside
//! them goes on serving.

mod answers;
mod endless;
mod entries;
mod frames;
mod memory;
pub(crate) mod muxed;
mod scene;
mod slow;
mod stages;
mod updates;
mod wicked;
mod wire;
