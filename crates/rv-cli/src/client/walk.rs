//! `rv walk`: what a DHT is like from here.

mod file;
mod graph;
mod listing;
mod node;
mod show;
mod tour;

use dht_walk::AddressPolicy;
use tokio::sync::oneshot;

use super::points::Points;
use super::{progress, show as common, text, transport, trouble};
use crate::args::WalkArgs;
use crate::failure::{Exit, Failure};
use crate::{open_files, output};

/// Connections beside those of requests: some stay open a little after.
const CONNECTIONS: u32 = 1_024;

pub(super) async fn run(args: &WalkArgs, end: oneshot::Receiver<()>) -> Result<(), Failure> {
    let bootstrap = Points::of(args.bootstrap.iter().cloned());
    let mut addresses = AddressPolicy::Public;
    if args.allow_private {
        addresses = AddressPolicy::Any;
    } else if bootstrap.are_private() {
        addresses = AddressPolicy::Any;
        output::note("all bootstrap addresses are private, so private addresses are taken");
    }
    if args.resume.is_some() && args.resume == args.graph {
        let same = anyhow::anyhow!("--resume and --graph name the same file: name two");
        return Err(Failure::new(Exit::Usage, same));
    }
    open_files::allow(CONNECTIONS);
    if args.crawl {
        listing::run(args, bootstrap, addresses, end).await
    } else {
        tour::run(args, bootstrap, addresses, end).await
    }
}

fn internal(error: impl Into<anyhow::Error>) -> Failure {
    Failure::new(Exit::Internal, error)
}
