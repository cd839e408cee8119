//! A core's `clippy.toml` repeats the one at the top, because clippy reads the nearest alone.

use super::{File, Finding};

const SHARED: &str = "clippy.toml";

/// Checks every `clippy.toml` below the top.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let Some(shared) = files.iter().find(|file| file.path == SHARED) else {
        return Vec::new();
    };
    let nested = files
        .iter()
        .filter(|file| file.path.ends_with("/clippy.toml"));
    nested.flat_map(|file| missing(shared, file)).collect()
}

fn missing(shared: &File, nested: &File) -> Vec<Finding> {
    let is_setting = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let lost = |line: &&str| !nested.text.lines().any(|other| other == *line);
    let settings = shared.text.lines().filter(is_setting);
    let finding = |line| nested.finding(1, format!("repeat from {SHARED}: {line}"));
    settings.filter(lost).map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{NONE, file, lines};
    use super::*;

    #[test]
    fn a_ban_that_a_nested_file_lost_is_found() {
        let shared = "# why\n\nallow = true\nbans = [\n    \"a\",\n]\n";
        let found = |nested| {
            lines(&check(&[
                file(SHARED, shared),
                file("crates/rv-core/clippy.toml", nested),
            ]))
        };
        assert_eq!(found("allow = true\nbans = [\n    \"b\",\n]\n"), [1]);
        assert_eq!(
            found("# other\nallow = true\nbans = [\n    \"a\",\n    \"b\",\n]\n"),
            NONE
        );
    }
}
