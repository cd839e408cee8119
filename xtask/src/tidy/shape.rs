//! Sizes, and what every source file must have.

use super::lexed::Lexed;
use super::{File, Finding};

/// Above it a file holds two machines; one wants a room of its own.
const FILE_LINES_MAX: usize = 500;

/// Scenarios are long and flat, so tests may have more.
const TEST_FILE_LINES_MAX: usize = 800;

/// What fits on a screen.
pub(super) const FUNCTION_LINES_MAX: usize = 70;

/// Two files beside each other on a laptop's screen.
const COLUMNS_MAX: usize = 100;

/// Checks one source file.
pub(super) fn check(file: &File, lexed: &Lexed) -> Vec<Finding> {
    if file.is_generated() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if !file.text.starts_with("//!") {
        findings.push(file.finding(1, "begin with a module doc (`//!`): what is in here"));
    }

    let lines_max = if file.is_test() {
        TEST_FILE_LINES_MAX
    } else {
        FILE_LINES_MAX
    };
    let lines = file.text.lines().count();
    if lines > lines_max {
        let message = format!("{lines} lines, at most {lines_max}: give one machine its own file");
        findings.push(file.finding(lines, message));
    }
    for function in lexed
        .functions
        .iter()
        .filter(|f| f.lines > FUNCTION_LINES_MAX)
    {
        let (name, lines) = (&function.name, function.lines);
        let message = format!("`{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}: split it");
        findings.push(file.finding(function.line, message));
    }
    for (number, line) in file.lines() {
        findings.extend(check_line(file, number, line));
    }
    findings
}

fn check_line(file: &File, number: usize, line: &str) -> Option<Finding> {
    if let Some(odd) = line.chars().find(|letter| !letter.is_ascii()) {
        let escaped = odd.escape_unicode();
        return Some(file.finding(number, format!("not ASCII: write {escaped} another way")));
    }
    // A link in a comment cannot be broken.
    let is_link = line.trim_start().starts_with("//") && line.contains("://");
    let columns = line.len();
    (columns > COLUMNS_MAX && !is_link)
        .then(|| file.finding(number, format!("{columns} columns, at most {COLUMNS_MAX}")))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, NONE};
    use super::*;

    fn found(path: &str, text: String) -> Vec<usize> {
        let lexed = Lexed::new(&text).expect("the sample is Rust");
        samples::lines(&check(&samples::file(path, text), &lexed))
    }

    fn found_in_source(text: String) -> Vec<usize> {
        found("crates/rv-core/src/registry.rs", text)
    }

    #[test]
    fn a_file_without_a_module_doc_is_found() {
        assert_eq!(found_in_source("\n//! Late.\n".to_owned()), [1]);
        assert_eq!(found_in_source("//! In time.\n".to_owned()), NONE);
    }

    #[test]
    fn a_file_is_found_from_its_first_line_too_many() {
        let file = |lines| format!("//! Doc.\n{}", "//\n".repeat(lines - 1));
        assert_eq!(found_in_source(file(FILE_LINES_MAX)), NONE);
        assert_eq!(
            found_in_source(file(FILE_LINES_MAX + 1)),
            [FILE_LINES_MAX + 1]
        );

        let test = "crates/rv-core/tests/model.rs";
        assert_eq!(found(test, file(TEST_FILE_LINES_MAX)), NONE);
        assert_eq!(
            found(test, file(TEST_FILE_LINES_MAX + 1)),
            [TEST_FILE_LINES_MAX + 1]
        );
    }

    #[test]
    fn a_function_is_found_from_its_first_line_too_many() {
        let function = |lines| {
            format!(
                "//! Doc.\nfn a() {{\n{}}}\n",
                "    a();\n".repeat(lines - 2)
            )
        };
        assert_eq!(found_in_source(function(FUNCTION_LINES_MAX)), NONE);
        assert_eq!(found_in_source(function(FUNCTION_LINES_MAX + 1)), [2]);
    }

    #[test]
    fn a_line_is_found_from_its_first_column_too_many_unless_it_is_a_link() {
        let line = |columns| format!("//! Doc.\n//{}\n", "a".repeat(columns - 2));
        assert_eq!(found_in_source(line(COLUMNS_MAX)), NONE);
        assert_eq!(found_in_source(line(COLUMNS_MAX + 1)), [2]);

        let link = "a".repeat(COLUMNS_MAX);
        assert_eq!(
            found_in_source(format!("//! Doc.\n// https://example.org/{link}\n")),
            NONE
        );
    }

    #[test]
    fn a_letter_beyond_ascii_is_found() {
        assert_eq!(found_in_source("//! Doc.\n// caf\u{e9}\n".to_owned()), [2]);
    }

    #[test]
    fn generated_files_have_no_shape() {
        let path = "crates/rv-proto/src/generated/journal.rs";
        assert_eq!(found(path, "//\n".repeat(TEST_FILE_LINES_MAX + 1)), NONE);
    }
}
