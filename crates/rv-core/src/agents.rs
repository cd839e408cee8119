//! Which dialect a program speaks, by the name that it gives itself in identify.

use std::collections::BTreeMap;

use rv_proto::Dialect;

/// Names of programs, and the dialect of each.
///
/// A name stands for every agent that contains it; of several the longest counts. An agent without
/// a name in the table may still have the form that go-libp2p gives it. Programs choose their agent
/// freely, so all of this is a hint and not a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agents(BTreeMap<String, Dialect>);

/// What a reader makes of the end of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paging {
    /// It goes on from its last cookie, at any later time, and finds what is new.
    #[default]
    Resumes,
    /// It takes a cookie, and a page of as many entries as it asked for, as the signs that more
    /// follows, and it wants the whole listing whenever it forgot the one before. py's client does.
    Restarts,
}

impl Paging {
    /// How the program pages that calls itself `agent`.
    pub fn of_agent(agent: &str) -> Self {
        // No application on py-libp2p can change its agent, so this is no matter of a table.
        if agent.starts_with(PY) {
            Self::Restarts
        } else {
            Self::Resumes
        }
    }
}

const PY: &str = "py-libp2p/";

/// What the known implementations call themselves.
const KNOWN: [(&str, Dialect); 6] = [
    ("rust-libp2p/", Dialect::Legacy),
    (PY, Dialect::Plain),
    ("go-libp2p", Dialect::Plain),
    ("nim-libp2p", Dialect::Standard),
    ("js-libp2p/", Dialect::Standard),
    ("nwaku", Dialect::Standard),
];

impl Agents {
    /// Names that a table may have: each agent is compared with all of them.
    pub const NAMES_MAX: usize = 64;

    /// Bytes of an agent that are looked at; the longest known are below 100.
    pub const AGENT_BYTES_MAX: usize = 256;

    /// Adds a name, or gives a known one another dialect.
    pub fn insert(&mut self, name: String, dialect: Dialect) {
        self.0.insert(name, dialect);
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of the names is empty: it would stand for every agent.
    pub fn has_empty_name(&self) -> bool {
        self.0.contains_key("")
    }

    /// The dialect that a reader reads who calls itself `agent`.
    pub fn dialect(&self, agent: &str) -> Option<Dialect> {
        let agent = &agent[..agent.floor_char_boundary(Self::AGENT_BYTES_MAX)];
        let named = self.named(agent);
        named.or_else(|| is_of_go(agent).then_some(Dialect::Plain))
    }

    /// The dialect of the longest name in `agent`, if there is one in it. The form of the agent
    /// does not count: of a point that is made with go it does not show whose protocol it speaks.
    pub fn named(&self, agent: &str) -> Option<Dialect> {
        let agent = &agent[..agent.floor_char_boundary(Self::AGENT_BYTES_MAX)];
        let fitting = self
            .0
            .iter()
            .filter(|(name, _)| agent.contains(name.as_str()));
        let longest = fitting.max_by_key(|(name, _)| name.len());
        longest.map(|(_, dialect)| *dialect)
    }
}

/// Whether go-libp2p made the agent: by default it is the main module's path and version,
/// `PATH@VERSION`, where a program that was built from its sources has the revision or nothing
/// behind the `@`.
fn is_of_go(agent: &str) -> bool {
    let Some((path, version)) = agent.rsplit_once('@') else {
        return false;
    };
    let in_path = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let in_version = |byte: u8| byte.is_ascii_alphanumeric() || b"-.+".contains(&byte);
    let revision = version.strip_suffix("-dirty").unwrap_or(version);
    let is_revision = revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_version = match version.as_bytes() {
        [b'v', first, rest @ ..] => first.is_ascii_digit() && rest.iter().copied().all(in_version),
        _ => false,
    };
    !path.is_empty() && path.bytes().all(in_path) && (is_revision || is_version)
}

impl Default for Agents {
    fn default() -> Self {
        let known = KNOWN.into_iter();
        Self(
            known
                .map(|(name, dialect)| (name.to_owned(), dialect))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_known_by_the_longest_name_in_it() {
        let mut agents = Agents::default();
        let cases = [
            ("rust-libp2p/0.47.0", Some(Dialect::Legacy)),
            ("py-libp2p/0.8.1", Some(Dialect::Plain)),
            ("github.com/libp2p/go-libp2p", Some(Dialect::Plain)),
            ("nim-libp2p", Some(Dialect::Standard)),
            ("js-libp2p/2.8.0 node/22", Some(Dialect::Standard)),
            ("my-app/1.0.0", None),
            ("", None),
        ];
        for (agent, dialect) in cases {
            assert_eq!(agents.dialect(agent), dialect, "{agent}");
        }
        agents.insert("go-libp2p-fork".to_owned(), Dialect::Standard);
        agents.insert("rust-libp2p/".to_owned(), Dialect::Plain);
        assert_eq!(agents.dialect("go-libp2p-fork@v1"), Some(Dialect::Standard));
        assert_eq!(agents.dialect("go-libp2p@v1"), Some(Dialect::Plain));
        assert_eq!(agents.dialect("rust-libp2p/0.47.0"), Some(Dialect::Plain));
    }

    #[test]
    fn an_agent_of_the_form_that_go_gives_it_reads_plain_records() {
        let mut agents = Agents::default();
        for agent in [
            "github.com/berty/berty/v2@v2.471.2",
            "example.org/my-app@v0.0.0-20240805091500-24528bc0f6d1+dirty",
            "my-app@24528bc0f",
            "my-app@24528bc0f-dirty",
            "my-app@",
        ] {
            assert_eq!(agents.dialect(agent), Some(Dialect::Plain), "{agent}");
            assert_eq!(agents.named(agent), None, "{agent}");
        }
        for agent in [
            "@v1.0.0",
            "my app@v1.0.0",
            "my-app@1.0.0",
            "my-app@v",
            "my-app@vx",
            "my-app@v1 2",
            "me@example.org",
            "my-app/v1.0.0",
        ] {
            assert_eq!(agents.dialect(agent), None, "{agent}");
        }
        agents.insert("my-app@".to_owned(), Dialect::Standard);
        assert_eq!(agents.dialect("my-app@v1.0.0"), Some(Dialect::Standard));
    }

    #[test]
    fn py_alone_lists_anew_whenever_it_forgot() {
        assert_eq!(Paging::of_agent("py-libp2p/0.8.1"), Paging::Restarts);
        for agent in ["", "github.com/libp2p/go-libp2p", "not-py-libp2p/1"] {
            assert_eq!(Paging::of_agent(agent), Paging::Resumes, "{agent}");
        }
    }

    #[test]
    fn of_a_long_agent_the_beginning_counts() {
        let at = |offset: usize| format!("{}nim-libp2p", "\u{e9}".repeat(offset / 2));
        let agents = Agents::default();
        assert_eq!(agents.dialect(&at(246)), Some(Dialect::Standard));
        assert_eq!(agents.dialect(&at(248)), None);
        assert_eq!(agents.dialect(&at(10_000)), None);
    }
}
