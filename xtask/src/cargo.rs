//! Runs cargo, always without a terminal to read from.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::{Metadata, MetadataCommand};

use crate::say;

/// The same selection in every stage: another one would unify features differently, and build
/// libp2p once more.
pub(crate) const EVERYTHING: [&str; 2] = ["--workspace", "--all-features"];

/// A call of the cargo that runs us.
pub(crate) fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command to its end; its output is the terminal's.
///
/// # Errors
/// When it cannot be started or does not succeed.
pub(crate) fn execute(command: &mut Command) -> Result<()> {
    let line = show(command);
    say(&format!("$ {line}"));
    let status = command
        .status()
        .with_context(|| format!("could not start `{line}`"))?;
    ensure!(status.success(), "`{line}`: {status}");
    Ok(())
}

/// Runs a command to its end and hands back what it wrote to stdout, with whether it succeeded.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn capture(command: &mut Command) -> Result<(Vec<u8>, bool)> {
    let line = show(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("could not start `{line}`"))?;
    Ok((output.stdout, output.status.success()))
}

/// The workspace's packages, without those of others.
///
/// # Errors
/// When a manifest is not valid.
pub(crate) fn workspace() -> Result<Metadata> {
    MetadataCommand::new()
        .no_deps()
        .exec()
        .context("could not read the workspace")
}

/// A command as somebody would type it.
fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut line = program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}
