//! Results as a page: tables in Markdown, curves in SVG.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

mod svg;

/// One experiment's part of the results.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// The name of its experiment.
    pub name: String,
    /// The network's size, where it is not the experiment's own: such results have files of their
    /// own.
    pub nodes: Option<u32>,
    /// The heading.
    pub title: String,
    /// What was done, one sentence each.
    pub text: Vec<String>,
    /// What came out.
    pub tables: Vec<Table>,
    /// Its curves.
    pub plots: Vec<Plot>,
}

/// Rows under a heading.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Some curves in one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// What its file is called.
    pub name: String,
    /// The heading.
    pub title: String,
    /// What the horizontal axis is.
    pub x: String,
    /// What the vertical axis is.
    pub y: String,
    /// The curves.
    pub series: Vec<Series>,
}

/// A curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

impl Table {
    /// A table of these rows.
    pub fn new(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Self {
        let head = head.iter().map(|it| (*it).to_owned()).collect();
        Self {
            head,
            rows: rows.into_iter().collect(),
        }
    }
}

impl Section {
    /// The page of this experiment.
    pub fn to_markdown(&self) -> String {
        let mut page = format!("# {}\n\n", self.title);
        page.push_str("<!-- Written by `cargo xtask sim walk`; do not edit. -->\n\n");
        for sentence in &self.text {
            let _ = writeln!(page, "{sentence}");
        }
        let size = self.nodes.map(|nodes| format!(" --nodes {nodes}"));
        let _ = writeln!(
            page,
            "\nRepeat it with `cargo xtask sim walk {}{}`.",
            self.name,
            size.unwrap_or_default()
        );
        for table in &self.tables {
            let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
            page.push('\n');
            page.push_str(&line(&table.head));
            page.push_str(&line(&vec!["---".to_owned(); table.head.len()]));
            table.rows.iter().for_each(|row| page.push_str(&line(row)));
        }
        for plot in &self.plots {
            let file = self.file(&plot.name, "svg");
            let _ = writeln!(page, "\n![{}]({file})", plot.title);
        }
        page
    }

    /// Writes the page and its curves into a folder.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(self.file(&self.name, "md")), self.to_markdown())?;
        for plot in &self.plots {
            fs::write(folder.join(self.file(&plot.name, "svg")), plot.to_svg())?;
        }
        Ok(())
    }

    fn file(&self, name: &str, kind: &str) -> String {
        let size = self.nodes.map(|nodes| format!("-{nodes}"));
        format!("{name}{}.{kind}", size.unwrap_or_default())
    }
}
