//! The gate: what must hold before a change goes in, quick checks first.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::cargo::{EVERYTHING, cargo, execute};
use crate::stages::{Budget, Stages};
use crate::{codegen, say, suite, tidy};

/// The target that keeps the cores, the walk's shells and the client honest: it has no clock,
/// sockets or files.
const WASM: &str = "wasm32-unknown-unknown";

/// Runs every check, then, if all hold, every test.
///
/// # Errors
/// When a stage fails.
pub(crate) fn run() -> Result<()> {
    let mut stages = Stages::default();
    let mut lint = |name, work: &dyn Fn() -> Result<()>| {
        stages.run(Budget::BuildsAndLints, name, work);
    };
    lint("tidy", &tidy::run);
    lint("fmt", &|| execute(&mut cargo(["fmt", "--all", "--check"])));
    lint("codegen", &|| codegen::run(true));
    lint("clippy", &clippy);
    lint("clean for wasm", &wasm);
    lint("doc", &doc);
    lint("deny", &deny);

    if let Err(error) = stages.finish() {
        say(&stages.table());
        return Err(error);
    }
    suite::run_into(&mut stages)
}

fn clippy() -> Result<()> {
    let deny_warnings = ["--", "-D", "warnings"];
    execute(
        cargo(["clippy", "--quiet", "--all-targets"])
            .args(EVERYTHING)
            .args(deny_warnings),
    )?;
    // What an embedder without the daemon compiles.
    let embedded = [
        "clippy",
        "--quiet",
        "-p",
        "rv-server",
        "--no-default-features",
    ];
    execute(cargo(embedded).args(deny_warnings))
}

fn wasm() -> Result<()> {
    let mut ask = Command::new("rustc");
    let answer = ask
        .args(["--print", "target-libdir", "--target", WASM])
        .output()?;
    let folder = String::from_utf8_lossy(&answer.stdout);
    if !Path::new(folder.trim()).is_dir() {
        say(&format!("left out: the target {WASM} is not installed"));
        return Ok(());
    }
    let clean = [
        "-p",
        "dht-walk",
        "-p",
        "rv-proto",
        "-p",
        "rv-core",
        "-p",
        "rv-client",
        "--features",
        "dht-walk/swarm,rv-client/walk",
    ];
    let mut check = cargo(["check", "--quiet", "--target", WASM]);
    // A check links nothing, so what a dependency has in C need not be compiled.
    check.args(clean).env("CC_wasm32_unknown_unknown", "true");
    execute(check.env("AR_wasm32_unknown_unknown", "true"))
}

fn doc() -> Result<()> {
    let mut command = cargo(["doc", "--quiet", "--no-deps", "--document-private-items"]);
    execute(command.args(EVERYTHING).env("RUSTDOCFLAGS", "-D warnings"))
}

fn deny() -> Result<()> {
    let installed = cargo(["deny", "--version"]).output()?.status.success();
    if !installed {
        say("left out: cargo-deny is not installed");
        return Ok(());
    }
    execute(&mut cargo([
        "deny",
        "--all-features",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}
