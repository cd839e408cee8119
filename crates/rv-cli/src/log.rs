//! Logs, on stderr.

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use rv_server::daemon::{LogConfig, LogFormat};
use tracing_subscriber::EnvFilter;

use crate::failure::{Exit, Failure};

/// Sends the logs of the whole process to stderr.
///
/// # Errors
///
/// If the filter is not one.
pub(crate) fn install(config: &LogConfig) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.filter)
        .with_context(|| {
            format!(
                "log filter {:?} is not valid: use target=level",
                config.filter
            )
        })
        .map_err(|error| Failure::new(Exit::Usage, error))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match config.format {
        LogFormat::Json => lines.json().flatten_event(true).init(),
        LogFormat::Text => lines.init(),
    }
    Ok(())
}
