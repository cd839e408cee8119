//! The changelog has a place for the next change.

use super::{File, Finding};

const CHANGELOG: &str = "CHANGELOG.md";

/// Checks that the changelog has a heading for what is not released, or for this version.
pub(super) fn check(files: &[File], version: &str) -> Option<Finding> {
    let Some(file) = files.iter().find(|file| file.path == CHANGELOG) else {
        let message = "write a changelog".to_owned();
        return Some(Finding {
            path: CHANGELOG.to_owned(),
            line: 1,
            message,
        });
    };
    let is_heading = |line: &str| {
        let heading = line
            .strip_prefix("## ")
            .unwrap_or_default()
            .trim_start_matches('[');
        let name = heading.split([']', ' ']).next().unwrap_or_default();
        name == "Unreleased" || name == version
    };
    let advice = || format!("add a heading `## [Unreleased]`, or one for {version}");
    (!file.text.lines().any(is_heading)).then(|| file.finding(1, advice()))
}

#[cfg(test)]
mod tests {
    use super::super::samples::file;
    use super::*;

    fn is_found(path: &str, text: &str) -> bool {
        check(
            &[file("README.md", "## [Unreleased]"), file(path, text)],
            "0.1.0",
        )
        .is_some()
    }

    #[test]
    fn a_changelog_without_a_place_for_the_next_change_is_found() {
        assert!(is_found(
            CHANGELOG,
            "# Changelog\n\n## [0.0.9] - 2026-01-01\n"
        ));
        assert!(is_found(CHANGELOG, "# Unreleased\n"));
        assert!(
            is_found("docs/CHANGELOG.md", "## [Unreleased]\n"),
            "there must be one at the top"
        );
    }

    #[test]
    fn the_next_release_or_this_version_is_a_place() {
        assert!(!is_found(CHANGELOG, "# Changelog\n\n## [Unreleased]\n"));
        assert!(!is_found(CHANGELOG, "## Unreleased\n"));
        assert!(!is_found(CHANGELOG, "## [0.1.0] - 2026-01-01\n"));
    }
}
