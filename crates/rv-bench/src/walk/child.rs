//! A network in a process of its own, so that what it costs is what the process costs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dht_walk::{CrawlCounts, SweepForecast};

use super::measured::Figures;
use super::node::Sweep;
use super::{Scene, Who, real};
use crate::process::{cpu_time, memory};

/// What a network came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ran {
    pub(crate) figures: Figures,
    pub(crate) cost: Cost,
    pub(crate) sweeps: Vec<Sweep>,
    pub(crate) crawl: Option<CrawlCounts>,
}

/// Of each node of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cost {
    /// User and system time, in milliseconds.
    pub(crate) cpu_ms: f64,
    /// Resident memory at the end, less that of the process before, in KiB.
    pub(crate) resident_kib: f64,
}

/// The network that the child is to run.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// Who tends the tables.
    #[arg(value_enum)]
    who: Who,
    /// How many nodes.
    nodes: u32,
}

/// Runs the scene in a process of its own.
///
/// # Errors
///
/// When there can be no process, or it fails.
pub(crate) fn run(who: Who, nodes: u32) -> Result<Ran> {
    let program = std::env::current_exe().context("find our own program")?;
    let output = Command::new(program)
        .args(["walk-network", who.name(), &nodes.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("start a process")?;
    ensure!(output.status.success(), "the process failed");
    let said = String::from_utf8_lossy(&output.stdout);
    parse(&said).with_context(|| format!("the process said something else: {said}"))
}

/// Runs the scene, and prints what it came to.
///
/// # Errors
///
/// When a node cannot listen, or the kernel does not say.
pub(crate) fn serve(args: &Args) -> Result<()> {
    let pid = std::process::id();
    let (cpu, resident) = (cpu_time(pid)?, memory(pid)?.resident_kib);
    let mut cost = Cost::default();
    let mut ran = real::run(args.who, &Scene::of(args.nodes), || {
        let nodes = f64::from(args.nodes.max(1));
        let spent: Duration = cpu_time(pid)?.saturating_sub(cpu);
        let held = memory(pid)?.resident_kib.saturating_sub(resident);
        cost.cpu_ms = spent.as_secs_f64() * 1_000.0 / nodes;
        #[expect(clippy::cast_precision_loss, reason = "less than terabytes")]
        let held = held as f64;
        cost.resident_kib = held / nodes;
        Ok(())
    })?;
    ran.cost = cost;
    std::io::stdout().write_all(write(&ran).as_bytes())?;
    Ok(())
}

/// A line for the network, one for each sweep, one for the crawl.
fn write(ran: &Ran) -> String {
    let Ran { figures, cost, .. } = ran;
    let mut text = format!(
        "network {} {} {} {} {} {}\n",
        figures.coverage,
        figures.fill,
        figures.messages,
        figures.lookup,
        cost.cpu_ms,
        cost.resident_kib
    );
    for it in &ran.sweeps {
        let (slices, announced) = (it.announced.slices, it.announced.messages);
        let _ = writeln!(
            text,
            "sweep {slices} {announced} {} {}",
            it.messages, it.found
        );
    }
    if let Some(it) = &ran.crawl {
        let millis = it.elapsed.as_millis();
        let _ = writeln!(
            text,
            "crawl {} {} {} {millis}",
            it.answered, it.silent, it.messages
        );
    }
    text
}

fn parse(text: &str) -> Option<Ran> {
    let mut ran = Ran::default();
    let mut has_figures = false;
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["network", coverage, fill, messages, lookup, cpu, resident] => {
                has_figures = true;
                ran.figures = Figures {
                    coverage: coverage.parse().ok()?,
                    fill: fill.parse().ok()?,
                    messages: messages.parse().ok()?,
                    lookup: lookup.parse().ok()?,
                };
                ran.cost = Cost {
                    cpu_ms: cpu.parse().ok()?,
                    resident_kib: resident.parse().ok()?,
                };
            }
            ["sweep", slices, announced, messages, found] => ran.sweeps.push(Sweep {
                announced: SweepForecast {
                    slices: slices.parse().ok()?,
                    messages: announced.parse().ok()?,
                },
                messages: messages.parse().ok()?,
                found: found.parse().ok()?,
            }),
            ["crawl", answered, silent, messages, millis] => {
                ran.crawl = Some(CrawlCounts {
                    answered: answered.parse().ok()?,
                    silent: silent.parse().ok()?,
                    messages: messages.parse().ok()?,
                    elapsed: Duration::from_millis(millis.parse().ok()?),
                    ..CrawlCounts::default()
                });
            }
            _ => return None,
        }
    }
    has_figures.then_some(ran)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_child_writes_is_read_and_nothing_else_is() {
        let ran = Ran {
            figures: Figures {
                coverage: 0.5,
                fill: 0.75,
                messages: 100.25,
                lookup: 20.5,
            },
            cost: Cost {
                cpu_ms: 12.5,
                resident_kib: 700.0,
            },
            sweeps: vec![Sweep {
                announced: SweepForecast {
                    slices: 10,
                    messages: 250,
                },
                messages: 240,
                found: 99,
            }],
            crawl: Some(CrawlCounts {
                answered: 99,
                silent: 1,
                messages: 400,
                elapsed: Duration::from_millis(8_125),
                ..CrawlCounts::default()
            }),
        };
        assert_eq!(parse(&write(&ran)), Some(ran));
        assert_eq!(parse(""), None);
        assert_eq!(parse("network 1 2 3 4\n"), None);
    }
}
