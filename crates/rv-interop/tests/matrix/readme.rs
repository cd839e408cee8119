//! The matrix as a table, and its place in the README.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::client::Kind;

/// What to do with the README; set by `cargo xtask matrix`.
const RV_MATRIX: &str = "RV_MATRIX";

const BEGIN: &str = "<!-- matrix: written by `cargo xtask matrix` -->\n";
const END: &str = "<!-- end of the matrix -->\n";

/// Which kinds each reader finds.
#[derive(Default)]
pub(crate) struct Matrix {
    registered: Vec<(Kind, Vec<Kind>)>,
    only_reading: Vec<(Kind, Vec<Kind>)>,
}

impl Matrix {
    /// What a reader finds that is registered itself.
    pub(crate) fn is_registered(&mut self, reader: Kind, found: Vec<Kind>) {
        self.registered.push((reader, found));
    }

    /// What a reader finds that never registered.
    pub(crate) fn only_reads(&mut self, reader: Kind, found: Vec<Kind>) {
        self.only_reading.push((reader, found));
    }

    /// Nobody is left out of whom there is a form that the reader parses.
    pub(crate) fn check_forms(&self) {
        for (reader, found) in self.registered.iter().chain(&self.only_reading) {
            let kinds = Kind::ALL.into_iter();
            let expected: Vec<_> = kinds.filter(|kind| kind.has_form_for(*reader)).collect();
            assert_eq!(*found, expected, "as {reader:?} reads\n{}", self.table());
        }
    }

    /// The README says the same, or is made to.
    pub(crate) fn check_readme(&self) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
        let text = fs::read_to_string(&path).expect("there is a README");
        let (before, rest) = text.split_once(BEGIN).expect("the place begins");
        let (written, after) = rest.split_once(END).expect("the place ends");
        let table = self.table();
        if env::var_os(RV_MATRIX).is_some_and(|value| value == "write") {
            let text = [before, BEGIN, &table, END, after].concat();
            fs::write(&path, text).expect("it can be written");
            return;
        }
        assert_eq!(
            written, table,
            "the README is stale: run `cargo xtask matrix`"
        );
    }

    fn table(&self) -> String {
        let mut table = String::from("| reads \\ is registered |");
        for kind in Kind::ALL {
            let _ = write!(table, " {} |", kind.name());
        }
        table.push_str("\n|---|");
        table.push_str(&"---|".repeat(Kind::ALL.len()));
        table.push('\n');
        let both = self.registered.iter().zip(&self.only_reading);
        for ((reader, registered), (_, only_reading)) in both {
            let _ = write!(table, "| {} |", reader.name());
            for kind in Kind::ALL {
                let cell = (registered.contains(&kind), only_reading.contains(&kind));
                let cell = match cell {
                    (true, true) => "found",
                    (true, false) => "found once registered",
                    (false, true) => "found until registered",
                    (false, false) => "no form",
                };
                let _ = write!(table, " {cell} |");
            }
            table.push('\n');
        }
        table
    }
}
