//! Words that must not stand in the project's files.

use super::lexed::Lexed;
use super::{File, Finding};

/// A forbidden word. The table's words are written in two parts, so that this file may be read by
/// its own rule, and by any plain search.
#[derive(Debug)]
struct Word {
    text: &'static str,
    within: Within,
    advice: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Within {
    /// Every text, except what cargo locks.
    Everything,
    /// Sources, comments included.
    Sources,
    /// Sources of the crates, except files of tests.
    Crates,
}

const NOT_DONE: &str = "finish it, or write down where it will be done";
const ONE_MACHINE: &str = "a path of one machine: take it as an argument, or ask for a folder";
const REGISTRY: &str = "name no registry's host: cargo knows its own";

const WORDS: [Word; 14] = [
    Word {
        text: concat!("to", "do!("),
        within: Within::Sources,
        advice: NOT_DONE,
    },
    Word {
        text: concat!("unimpl", "emented!("),
        within: Within::Sources,
        advice: NOT_DONE,
    },
    Word {
        text: concat!("FIX", "ME"),
        within: Within::Sources,
        advice: NOT_DONE,
    },
    Word {
        text: concat!("XX", "X"),
        within: Within::Sources,
        advice: NOT_DONE,
    },
    Word {
        text: concat!("#[ig", "nore"),
        within: Within::Sources,
        advice: "run the test in the stage that can afford it, or delete it",
    },
    Word {
        text: concat!(".unw", "rap()"),
        within: Within::Crates,
        advice: "return the error; in a test or for an invariant, `expect` and say why it holds",
    },
    Word {
        text: concat!("/wo", "rk/"),
        within: Within::Everything,
        advice: ONE_MACHINE,
    },
    Word {
        text: concat!("/tm", "p/"),
        within: Within::Everything,
        advice: ONE_MACHINE,
    },
    Word {
        text: concat!("/ro", "ot/"),
        within: Within::Everything,
        advice: ONE_MACHINE,
    },
    Word {
        text: concat!("crates", ".io"),
        within: Within::Everything,
        advice: REGISTRY,
    },
    Word {
        text: concat!("npm", "js."),
        within: Within::Everything,
        advice: REGISTRY,
    },
    Word {
        text: concat!("pypi", ".org"),
        within: Within::Everything,
        advice: REGISTRY,
    },
    Word {
        text: concat!("python", "hosted.org"),
        within: Within::Everything,
        advice: REGISTRY,
    },
    Word {
        text: concat!("proxy.", "golang.org"),
        within: Within::Everything,
        advice: REGISTRY,
    },
];

/// What makes a test wait for a clock.
const SLEEPS: [&str; 2] = [concat!("thread::", "sleep"), concat!("time::", "sleep")];

/// Checks one text file.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let words: Vec<&Word> = WORDS
        .iter()
        .filter(|word| word.within.includes(file))
        .collect();
    let mut findings = Vec::new();
    for (number, line) in file.lines() {
        for word in words.iter().filter(|word| line.contains(word.text)) {
            findings.push(file.finding(number, format!("`{}`: {}", word.text, word.advice)));
        }
    }
    findings
}

/// Checks that the tests of one source file do not sleep.
pub(super) fn check_sleeps(file: &File, lexed: &Lexed) -> Vec<Finding> {
    let advice = "a test that sleeps is slow and still races: wait for the event, or step the time";
    file.lines()
        .filter(|(number, _)| file.is_test() || lexed.is_test(*number))
        .filter(|(_, line)| SLEEPS.iter().any(|sleep| line.contains(sleep)))
        .map(|(number, _)| file.finding(number, advice))
        .collect()
}

impl Within {
    fn includes(self, file: &File) -> bool {
        match self {
            Self::Everything => !file.path.ends_with(".lock"),
            Self::Sources => file.is_rust() || file.path.ends_with(".proto"),
            Self::Crates => {
                file.is_rust()
                    && file.path.starts_with("crates/")
                    && file.path.contains("/src/")
                    && !file.is_test()
                    && !file.is_generated()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, NONE};
    use super::*;

    const SOURCE: &str = "crates/rv-core/src/a.rs";

    fn found(path: &str, line: &str) -> Vec<usize> {
        samples::lines(&check(&samples::file(path, format!("first\n{line}\n"))))
    }

    fn sleeps(path: &str, text: &str) -> Vec<usize> {
        let lexed = Lexed::new(text).expect("the sample is Rust");
        samples::lines(&check_sleeps(&samples::file(path, text), &lexed))
    }

    #[test]
    fn every_word_of_the_table_is_found_in_a_source() {
        for word in &WORDS {
            assert_eq!(
                found(SOURCE, &format!("a {} b", word.text)),
                [2],
                "{}",
                word.text
            );
        }
    }

    #[test]
    fn a_machines_path_and_a_registry_are_found_in_any_text_but_a_lock_file() {
        for word in WORDS
            .iter()
            .filter(|word| matches!(word.within, Within::Everything))
        {
            assert_eq!(found("docs/a.md", word.text), [2], "{}", word.text);
            assert_eq!(found(".ci/run", word.text), [2], "{}", word.text);
            assert_eq!(found("Cargo.lock", word.text), NONE, "{}", word.text);
        }
    }

    #[test]
    fn words_about_code_are_left_alone_in_prose_and_unwrap_in_files_of_tests() {
        assert_eq!(found("docs/a.md", WORDS[0].text), NONE);
        let unwrap = concat!(".unw", "rap()");
        assert_eq!(found("crates/rv-core/tests/a.rs", unwrap), NONE);
        assert_eq!(found("crates/rv-core/src/a/tests.rs", unwrap), NONE);
        assert_eq!(found(SOURCE, unwrap), [2]);
    }

    #[test]
    fn a_sleep_is_found_in_files_and_modules_of_tests_only() {
        for sleep in SLEEPS {
            let text = format!("fn a() {{ {sleep}(b); }}");
            assert_eq!(sleeps("crates/rv-cli/tests/kill.rs", &text), [1], "{sleep}");
            assert_eq!(sleeps(SOURCE, &text), NONE, "{sleep}");
            assert_eq!(
                sleeps(SOURCE, &format!("#[cfg(test)]\nmod tests {{\n{text}\n}}")),
                [3]
            );
        }
    }
}
