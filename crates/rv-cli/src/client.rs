//! The commands that talk to others: to rendezvous points, and to peers of a DHT.

mod discover;
mod identity;
mod node;
mod points;
mod progress;
mod register;
mod show;
mod text;
mod transport;
mod trouble;
mod unregister;
mod walk;
mod watch;

use anyhow::Context as _;
use rv_server::daemon::{LogConfig, LogFormat};
use tokio::sync::oneshot::error::RecvError;

use crate::args::{DiscoverArgs, RegisterArgs, UnregisterArgs, WalkArgs, WatchArgs};
use crate::failure::{Exit, Failure};
use crate::log;
use crate::signals::{self, Ends};

pub(crate) use points::PointAddress;

/// `rv discover`.
pub(crate) fn discover(args: &DiscoverArgs) -> Result<(), Failure> {
    run(args.common.log.as_deref(), async |ends| {
        unless(ends.first, discover::run(args)).await
    })
}

/// `rv register`.
pub(crate) fn register(args: &RegisterArgs) -> Result<(), Failure> {
    run(args.common.log.as_deref(), async |ends| {
        register::run(args, ends).await
    })
}

/// `rv unregister`.
pub(crate) fn unregister(args: &UnregisterArgs) -> Result<(), Failure> {
    run(args.common.log.as_deref(), async |ends| {
        unless(ends.first, unregister::run(args)).await
    })
}

/// `rv watch`.
pub(crate) fn watch(args: &WatchArgs) -> Result<(), Failure> {
    run(args.common.log.as_deref(), async |ends| {
        watch::run(args, ends.first).await
    })
}

/// `rv walk`.
pub(crate) fn walk(args: &WalkArgs) -> Result<(), Failure> {
    run(args.log.as_deref(), async |ends| {
        walk::run(args, ends.first).await
    })
}

fn run(
    filter: Option<&str>,
    work: impl AsyncFnOnce(Ends) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // What goes wrong is told in sentences; the log is for who looks into a library.
    let filter = filter.filter(|filter| !filter.is_empty());
    log::install(&LogConfig {
        filter: filter.unwrap_or("off").to_owned(),
        format: LogFormat::Text,
    })?;
    let internal = |error| Failure::new(Exit::Internal, error);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start")
        .map_err(internal)?;
    let done = runtime.block_on(async {
        let ends = signals::watch()
            .context("signals cannot be watched")
            .map_err(internal)?;
        work(ends).await
    });
    // A resolver's thread may hang on a network that does not answer.
    runtime.shutdown_background();
    done
}

/// Does the work, unless a signal ends it.
async fn unless<T>(
    end: impl Future<Output = Result<(), RecvError>>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        done = work => done,
        Ok(()) = end => {
            let interrupted = anyhow::anyhow!("interrupted before it was done");
            Err(Failure::new(Exit::Internal, interrupted))
        }
    }
}
