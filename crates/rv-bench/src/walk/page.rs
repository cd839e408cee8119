//! The page of results.

use super::child::Ran;
use super::measured::{Figures, Measured};
use super::{Scene, Who};
use crate::report::markdown;

/// The page, with a word in braces for each table.
const TEMPLATE: &str = include_str!("page.md");

/// One scene, among real swarms and in the simulator.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) who: Who,
    pub(crate) scene: Scene,
    pub(crate) model: Measured,
    /// Real networks.
    pub(crate) ran: Vec<Ran>,
}

impl Who {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kad => "kad",
            Self::Ours => "ours",
        }
    }
}

/// The whole page.
pub(crate) fn page(rows: &[Row]) -> String {
    let tables = [
        ("{networks}\n", networks(rows)),
        ("{sweeps}\n", sweeps(rows)),
        ("{crawls}\n", crawls(rows)),
        ("{costs}\n", costs(rows)),
    ];
    let page = TEMPLATE.to_owned();
    tables
        .iter()
        .fold(page, |page, (word, table)| page.replace(word, table))
}

/// One figure of all.
type Figure = fn(&Figures) -> f64;

/// Tables and messages, beside the models'.
fn networks(rows: &[Row]) -> String {
    let headers = [
        "who",
        "nodes",
        "figure",
        "real",
        "+-",
        "model",
        "+-",
        "model to real",
    ];
    let figures: [(&str, Figure); 4] = [
        ("coverage, %", |it| it.coverage * 100.0),
        ("fill, %", |it| it.fill * 100.0),
        ("messages of a lookup", |it| it.lookup),
        ("messages of a node", |it| it.messages),
    ];
    let mut lines = Vec::new();
    for row in rows {
        let measured = Measured::all(row.ran.iter().map(|it| it.figures));
        for (name, of) in figures {
            let (real, model) = (of(&measured.mean), of(&row.model.mean));
            lines.push(vec![
                row.who.name().to_owned(),
                row.scene.nodes.to_string(),
                name.to_owned(),
                format!("{real:.1}"),
                format!("{:.1}", of(&measured.spread)),
                format!("{model:.1}"),
                format!("{:.1}", of(&row.model.spread)),
                format!("{:+.1}%", (model / real - 1.0) * 100.0),
            ]);
        }
    }
    markdown(&headers.map(str::to_owned), &lines)
}

/// Each sweep beside what was announced.
fn sweeps(rows: &[Row]) -> String {
    let headers = [
        "nodes",
        "lookups",
        "announced messages",
        "messages",
        "told of, %",
    ];
    let mut lines = Vec::new();
    for row in rows {
        let others = f64::from(row.scene.nodes.saturating_sub(1).max(1));
        for sweep in row.ran.iter().flat_map(|it| &it.sweeps) {
            #[expect(clippy::cast_precision_loss, reason = "some thousands")]
            let found = sweep.found as f64;
            lines.push(vec![
                row.scene.nodes.to_string(),
                sweep.announced.slices.to_string(),
                sweep.announced.messages.to_string(),
                sweep.messages.to_string(),
                format!("{:.1}", found / others * 100.0),
            ]);
        }
    }
    markdown(&headers.map(str::to_owned), &lines)
}

/// Each crawl.
fn crawls(rows: &[Row]) -> String {
    let headers = ["nodes", "listed of the others", "silent", "messages", "s"];
    let mut lines = Vec::new();
    for row in rows {
        for crawl in row.ran.iter().filter_map(|it| it.crawl) {
            lines.push(vec![
                row.scene.nodes.to_string(),
                format!(
                    "{} of {}",
                    crawl.answered,
                    row.scene.nodes.saturating_sub(1)
                ),
                crawl.silent.to_string(),
                crawl.messages.to_string(),
                format!("{:.0}", crawl.elapsed.as_secs_f64()),
            ]);
        }
    }
    markdown(&headers.map(str::to_owned), &lines)
}

/// CPU and memory of each run.
fn costs(rows: &[Row]) -> String {
    let headers = ["who", "nodes", "CPU of a node, ms", "memory of a node, KiB"];
    let mut lines = Vec::new();
    for row in rows {
        for cost in row.ran.iter().map(|it| it.cost) {
            lines.push(vec![
                row.who.name().to_owned(),
                row.scene.nodes.to_string(),
                format!("{:.0}", cost.cpu_ms),
                format!("{:.0}", cost.resident_kib),
            ]);
        }
    }
    markdown(&headers.map(str::to_owned), &lines)
}
