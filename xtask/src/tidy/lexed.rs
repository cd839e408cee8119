//! A source file as tokens: comments and strings cannot mislead a rule that reads these.

use std::ops::RangeInclusive;

use proc_macro2::{Delimiter, Group, LexError, Span, TokenStream, TokenTree};

/// What the rules ask of a source file.
#[derive(Debug, Default)]
pub(super) struct Lexed {
    /// Every identifier with its line, also those inside macros.
    pub(super) identifiers: Vec<(String, usize)>,
    /// Every function that has a body, also those inside macros.
    pub(super) functions: Vec<Function>,
    /// The lines of modules that are compiled for tests only.
    pub(super) test_modules: Vec<RangeInclusive<usize>>,
}

/// A function: from the line of its `fn` to its closing brace.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// Where a text stops being Rust.
#[derive(Debug)]
pub(super) struct NotRust {
    pub(super) line: usize,
}

impl From<LexError> for NotRust {
    fn from(error: LexError) -> Self {
        Self {
            line: start(error.span()),
        }
    }
}

impl Lexed {
    /// Reads a whole file.
    ///
    /// # Errors
    /// When its brackets do not match, or something in it is no token.
    pub(super) fn new(text: &str) -> Result<Self, NotRust> {
        let mut lexed = Self::default();
        let mut unread = vec![text.parse::<TokenStream>()?];
        while let Some(stream) = unread.pop() {
            let mut level = Level::default();
            for token in stream {
                level.read(&token, &mut lexed);
                if let TokenTree::Group(group) = token {
                    unread.push(group.stream());
                }
            }
        }
        lexed
            .functions
            .sort_unstable_by_key(|function| function.line);
        Ok(lexed)
    }

    /// Whether a line belongs to a module that is compiled for tests only.
    pub(super) fn is_test(&self, line: usize) -> bool {
        self.test_modules.iter().any(|lines| lines.contains(&line))
    }
}

/// What has been read of one bracket's content.
#[derive(Debug, Default)]
struct Level {
    /// A function whose body is still to come, with the line of its `fn`.
    function: Option<(Option<String>, usize)>,
    /// An attribute says that the next item is for tests only.
    test_only: bool,
    /// The next item is a module for tests only.
    test_module: bool,
    /// The previous token, where it is a sign.
    sign: Option<char>,
}

impl Level {
    fn read(&mut self, token: &TokenTree, lexed: &mut Lexed) {
        let sign = match token {
            TokenTree::Group(group) => {
                self.read_group(group, lexed);
                None
            }
            TokenTree::Ident(identifier) => {
                let name = identifier.to_string();
                self.read_identifier(&name, start(identifier.span()));
                lexed.identifiers.push((name, start(identifier.span())));
                None
            }
            TokenTree::Literal(_) => None,
            TokenTree::Punct(punct) => Some(punct.as_char()),
        };
        self.sign = sign;
        if sign == Some(';') {
            *self = Self::default();
        }
    }

    fn read_identifier(&mut self, name: &str, line: usize) {
        match (&mut self.function, name) {
            (_, "fn") => self.function = Some((None, line)),
            (Some((function @ None, _)), _) => *function = Some(name.to_owned()),
            (_, "mod") => self.test_module = self.test_only,
            _ => {}
        }
    }

    fn read_group(&mut self, group: &Group, lexed: &mut Lexed) {
        match group.delimiter() {
            Delimiter::Bracket if self.sign == Some('#') => {
                self.test_only |= is_test_attribute(group);
            }
            // A function's type has no name before its arguments.
            Delimiter::Parenthesis if matches!(self.function, Some((None, _))) => {
                self.function = None;
            }
            // A constant argument of a type may stand in braces.
            Delimiter::Brace if self.sign != Some('<') => self.read_body(group, lexed),
            Delimiter::Brace | Delimiter::Bracket | Delimiter::None | Delimiter::Parenthesis => {}
        }
    }

    fn read_body(&mut self, group: &Group, lexed: &mut Lexed) {
        let end = end(group.span_close());
        if let Some((Some(name), line)) = self.function.take() {
            lexed.functions.push(Function {
                name,
                line,
                lines: end + 1 - line,
            });
        }
        if self.test_module {
            lexed.test_modules.push(start(group.span_open())..=end);
        }
        *self = Self::default();
    }
}

fn is_test_attribute(group: &Group) -> bool {
    let text: String = group.stream().to_string().split_whitespace().collect();
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

fn start(span: Span) -> usize {
    span.start().line
}

fn end(span: Span) -> usize {
    span.end().line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions(text: &str) -> Vec<(String, usize, usize)> {
        let lexed = Lexed::new(text).expect("the sample is Rust");
        lexed
            .functions
            .into_iter()
            .map(|f| (f.name, f.line, f.lines))
            .collect()
    }

    #[test]
    fn a_function_is_measured_from_its_fn_to_its_closing_brace() {
        let text =
            "#[inline]\nfn a(\n    b: fn(u8) -> u8,\n) where\n    u8: Copy,\n{\n    b(1);\n}\n";
        assert_eq!(functions(text), [("a".to_owned(), 2, 7)]);
    }

    #[test]
    fn functions_inside_macros_traits_and_functions_are_measured_too() {
        let text = "many! {\n    fn a() {\n        fn b() {}\n    }\n}\n\
                    trait T {\n    fn c();\n    fn d() {\n    }\n}\n";
        let expected = [
            ("a".to_owned(), 2, 3),
            ("b".to_owned(), 3, 1),
            ("d".to_owned(), 8, 2),
        ];
        assert_eq!(functions(text), expected);
    }

    #[test]
    fn braces_in_strings_comments_and_types_end_no_function() {
        let text = "fn a() -> B<{ 1 }> {\n    // }\n    let c = \"}\";\n    '}'\n}\n";
        assert_eq!(functions(text), [("a".to_owned(), 1, 5)]);
    }

    #[test]
    fn only_modules_under_a_test_attribute_are_tests() {
        let text = "#[cfg(test)]\nuse a::b;\nmod c {\n}\n\
                    #[cfg(test)]\n#[expect(d)]\nmod e {\n    fn f() {}\n}\nmod g {}\n";
        let lexed = Lexed::new(text).expect("the sample is Rust");
        assert_eq!(lexed.test_modules, [7..=9]);
        assert!(lexed.is_test(8) && !lexed.is_test(3));
    }

    #[test]
    fn identifiers_in_comments_and_strings_are_not_seen() {
        let lexed = Lexed::new("// one\nlet two = \"three\";\n").expect("the sample is Rust");
        let names: Vec<_> = lexed
            .identifiers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["let", "two"]);
    }
}
