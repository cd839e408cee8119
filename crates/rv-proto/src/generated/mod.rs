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
#[path = "journal.pb.rs"]
pub(crate) mod journal;
#[rustfmt::skip]
#[path = "record.pb.rs"]
pub(crate) mod record;
#[rustfmt::skip]
#[path = "rendezvous.pb.rs"]
pub(crate) mod rendezvous;
