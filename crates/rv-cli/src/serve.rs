//! `rv serve`: a rendezvous point.

use std::path::Path;

use anyhow::Context as _;
use rv_server::daemon::{Config, Daemon, LogFormat};
use rv_server::libp2p_swarm::derive_prelude::Multiaddr;
use tokio::sync::oneshot;

use crate::args::ServeArgs;
use crate::failure::{Exit, Failure};
use crate::{log, open_files, output, signals};

/// Serves until a signal comes.
pub(crate) fn run(args: ServeArgs) -> Result<(), Failure> {
    let config = args.config()?;
    log::install(&config.log)?;
    open_files::allow(config.connections.total);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start")
        .map_err(|error| Failure::new(Exit::Internal, error))?;
    let served = runtime.block_on(serve(config));
    // All that matters was waited for. What is left may hang on a disk that does not answer.
    runtime.shutdown_background();
    served
}

async fn serve(config: Config) -> Result<(), Failure> {
    // Before the store is opened, so that a signal meanwhile ends in an orderly stop too.
    let ends = signals::watch()
        .context("signals cannot be watched")
        .map_err(|error| Failure::new(Exit::Internal, error))?;
    // In a task of its own: opening the store blocks, and a second signal must not wait for it.
    let serving = tokio::spawn(bind_and_run(config, ends.first));
    tokio::select! {
        served = serving => served.map_err(|panic| Failure::new(Exit::Internal, panic))?,
        Ok(()) = ends.second => {
            let given_up = anyhow::anyhow!("second signal: what was in work is given up");
            Err(Failure::new(Exit::Internal, given_up))
        }
    }
}

async fn bind_and_run(config: Config, stop: oneshot::Receiver<()>) -> Result<(), Failure> {
    let is_for_people = config.log.format == LogFormat::Text;
    let daemon = Daemon::bind(config).await?.on_address(announce);
    if is_for_people {
        hint(daemon.addresses());
    }
    daemon.run(stop).await?;
    Ok(())
}

fn announce(address: &Multiaddr) {
    if let Err(error) = output::line(format_args!("listening on {address}")) {
        tracing::warn!(%error, "stdout takes no address; the log names them");
    }
}

/// Tells a person at a terminal what the point is good for now.
fn hint(addresses: &[Multiaddr]) {
    let is_loopback = |address: &&Multiaddr| address.to_string().starts_with("/ip4/127.");
    let Some(address) = addresses
        .iter()
        .find(is_loopback)
        .or_else(|| addresses.first())
    else {
        return;
    };
    let rv = this_command();
    output::note(format_args!(
        "Ctrl-C stops. To try it, in a second terminal:\n\
         {rv} register my-app --keep --point {address}\n\
         and in a third:\n\
         {rv} discover my-app --point {address}"
    ));
}

/// How this program is called in a shell, whatever its folder.
fn this_command() -> String {
    let is_on_path = std::env::args_os()
        .next()
        .is_some_and(|called| Path::new(&called).components().count() == 1);
    let path = std::env::current_exe().ok().filter(|_| !is_on_path);
    path.map_or_else(|| "rv".to_owned(), |path| quoted(&path.to_string_lossy()))
}

/// As one word of a shell.
fn quoted(path: &str) -> String {
    let is_plain = |it: char| it.is_alphanumeric() || "/._-+:\\".contains(it);
    if path.chars().all(is_plain) {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        assert_eq!(quoted("/opt/rv-1.0/rv"), "/opt/rv-1.0/rv");
        assert_eq!(quoted("/a b/it's/rv"), r"'/a b/it'\''s/rv'");
    }
}
