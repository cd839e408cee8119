//! Code from `proto/`, written by `cargo xtask codegen`.
#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    reason = "generated"
)]
#![allow(clippy::use_self, clippy::or_fun_call, dead_code, reason = "generated")]

#[rustfmt::skip]
#[path = "dht.pb.rs"]
pub(crate) mod kademlia;
