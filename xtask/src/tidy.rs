//! The rules that no compiler checks: who may depend on what, sizes, forbidden words.
//!
//! Every finding is one line, `path:line: what to do`.

mod changelog;
mod dependencies;
mod lexed;
mod lints;
mod purity;
mod shape;
mod words;

use std::fmt;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::cargo::workspace;

/// Checks every file that git tracks or would track.
///
/// # Errors
/// When a rule is broken; each finding is printed to stdout first.
#[expect(clippy::print_stdout, reason = "findings are this command's product")]
pub(crate) fn run() -> Result<()> {
    let files = files()?;
    let mut findings = dependencies::check(&workspace()?, &files);
    findings.extend(changelog::check(&files, env!("CARGO_PKG_VERSION")));
    findings.extend(lints::check(&files));
    findings.extend(files.iter().flat_map(check));
    findings.sort_unstable();
    findings.dedup();
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => bail!("{count} findings"),
    }
}

/// The rules that look at one file alone.
fn check(file: &File) -> Vec<Finding> {
    let mut findings = words::check(file);
    if file.is_rust() {
        match lexed::Lexed::new(&file.text) {
            Ok(lexed) => {
                findings.extend(shape::check(file, &lexed));
                findings.extend(purity::check(file, &lexed));
                findings.extend(words::check_sleeps(file, &lexed));
            }
            Err(error) => findings.push(file.finding(error.line, "is not Rust: correct it")),
        }
    }
    findings
}

fn files() -> Result<Vec<File>> {
    let listing = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .output()
        .context("tidy asks git which files are the project's")?;
    ensure!(listing.status.success(), "git ls-files: {}", listing.status);
    let paths = String::from_utf8(listing.stdout).context("a file's name is not UTF-8")?;

    let mut files = Vec::new();
    for path in paths.split_terminator('\0') {
        // A deleted file stays listed until its removal is staged.
        let Ok(bytes) = fs::read(path) else { continue };
        // What is not text has no lines to look at.
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        files.push(File {
            path: path.to_owned(),
            text,
        });
    }
    Ok(files)
}

/// One text file, by its path from the top with forward slashes.
#[derive(Debug)]
struct File {
    path: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Written by `cargo xtask codegen`: nobody reads its shape.
    fn is_generated(&self) -> bool {
        self.path.contains("/generated/")
    }

    /// Nothing but tests and what they need.
    fn is_test(&self) -> bool {
        let of_tests = |folder| folder == "tests" || folder == "test";
        self.path.split('/').any(of_tests) || self.path.ends_with("tests.rs")
    }

    /// Lines with their numbers from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    fn finding(&self, line: usize, message: impl Into<String>) -> Finding {
        Finding {
            path: self.path.clone(),
            line,
            message: message.into(),
        }
    }
}

/// One broken rule: where, and what to do.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// What the rules' tests share.
#[cfg(test)]
mod samples {
    use super::{File, Finding};

    /// A file that exists in a test only.
    pub(super) fn file(path: &str, text: impl Into<String>) -> File {
        File {
            path: path.to_owned(),
            text: text.into(),
        }
    }

    /// Nothing was found.
    pub(super) const NONE: [usize; 0] = [];

    /// The lines that were found, when exactly one rule is under test.
    pub(super) fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::samples::file;
    use super::*;

    #[test]
    fn a_finding_is_one_line_that_an_editor_can_jump_to() {
        let finding = file("crates/rv-core/src/a.rs", "").finding(7, "split it");
        assert_eq!(finding.to_string(), "crates/rv-core/src/a.rs:7: split it");
    }

    #[test]
    fn every_rule_of_a_single_file_is_asked() {
        let text = format!(
            "use std::fs;\nfn a() {{\n{}}}\nfn b() {{ {} }}\n",
            "    a();\n".repeat(shape::FUNCTION_LINES_MAX),
            concat!("thread::", "sleep(d)"),
        );
        let found = check(&file("crates/rv-core/src/tests.rs", text));
        let asked = |part: &str| found.iter().any(|finding| finding.message.contains(part));
        assert!(asked("module doc") && asked("`fs`") && asked("`a` has") && asked("sleep"));
        assert_eq!(found.len(), 4, "{found:?}");
    }

    #[test]
    fn a_file_that_does_not_lex_is_a_finding_not_a_pass() {
        let found = check(&file("xtask/src/a.rs", "//! Doc.\nfn a() {\n"));
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn files_of_tests_and_generated_files_are_told_by_their_paths() {
        for path in [
            "crates/a/tests/b.rs",
            "crates/a/src/b/tests.rs",
            "crates/a/src/b_tests.rs",
        ] {
            assert!(file(path, "").is_test(), "{path}");
        }
        for path in ["crates/a/src/contests/b.rs", "crates/a/src/suite.rs"] {
            assert!(!file(path, "").is_test(), "{path}");
        }
        assert!(file("crates/a/src/generated/b.rs", "").is_generated());
        assert!(!file("crates/a/src/b.rs", "").is_generated());
    }
}
