//! What outlives a run of a crawl: a text with one line for each peer.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use thiserror::Error;

use crate::peer::{Contact, Peer};
use crate::time::millis;

use super::output::Fate;

/// How far a crawl came: enough to go on with it.
///
/// Its text, by `Display` and `FromStr`, is for a file:
///
/// ```text
/// dht-walk crawl 1
/// messages 812
/// elapsed_millis 16240
/// answered 12D3KooW... /ip4/203.0.113.7/tcp/4001 /ip4/203.0.113.7/udp/4001/quic-v1
/// waiting 12D3KooW... /ip4/203.0.113.9/tcp/4001
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrawlState {
    /// Each peer, with what became of it.
    pub peers: Vec<(Contact, Fate)>,
    /// Messages that were sent.
    pub messages: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// A text that is no state of a crawl.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line} is not that of a crawl's state: {what}")]
pub struct CrawlStateError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

const HEADER: &str = "dht-walk crawl 1";

impl fmt::Display for CrawlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        writeln!(f, "messages {}", self.messages)?;
        writeln!(f, "elapsed_millis {}", millis(self.elapsed))?;
        for (contact, fate) in &self.peers {
            write!(f, "{} {}", fate.name(), contact.peer)?;
            for address in contact.addresses.as_slice() {
                write!(f, " {address}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl FromStr for CrawlState {
    type Err = CrawlStateError;

    fn from_str(text: &str) -> Result<Self, CrawlStateError> {
        let mut state = Self::default();
        let mut has_header = false;
        for (at, line) in text.lines().enumerate() {
            let read = if at == 0 {
                has_header = line == HEADER;
                has_header
                    .then_some(())
                    .ok_or("the first line is another one")
            } else {
                state.read(line)
            };
            read.map_err(|what| CrawlStateError { line: at + 1, what })?;
        }
        if !has_header {
            let what = "there is none";
            return Err(CrawlStateError { line: 1, what });
        }
        Ok(state)
    }
}

impl CrawlState {
    fn read(&mut self, line: &str) -> Result<(), &'static str> {
        let mut words = line.split_ascii_whitespace();
        let (Some(kind), Some(value)) = (words.next(), words.next()) else {
            return Err("a word and a value are missing");
        };
        let number = || value.parse::<u64>().map_err(|_| "it has no number");
        match kind {
            "messages" => self.messages = number()?,
            "elapsed_millis" => self.elapsed = Duration::from_millis(number()?),
            _ => {
                let fate = Fate::ALL.into_iter().find(|fate| fate.name() == kind);
                let fate = fate.ok_or("its first word is unknown")?;
                let id: PeerId = value.parse().map_err(|_| "it has no peer id")?;
                let addresses = words.map(str::parse::<Multiaddr>);
                let addresses: Result<Vec<_>, _> = addresses.collect();
                let addresses = addresses.map_err(|_| "an address of it is none")?;
                self.peers
                    .push((Contact::new(Peer::new(id), addresses), fate));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;
    use crate::target::Targets;

    #[test]
    fn a_state_comes_back_from_its_text() {
        let mut random = Targets::new(Seed::from_bytes([1; 32]));
        let mut contact = |addresses: &[&str]| {
            let addresses = addresses.iter().map(|it| it.parse().expect("an address"));
            Contact::new(random.uniform().as_peer().clone(), addresses)
        };
        let two = ["/ip4/8.8.8.8/tcp/1", "/dns4/example.org/udp/3/quic-v1"];
        let state = CrawlState {
            peers: vec![
                (contact(&two), Fate::Answered),
                (contact(&two[..1]), Fate::Waiting),
                (contact(&two[1..]), Fate::Silent),
                (contact(&[]), Fate::NotServing),
            ],
            messages: 7,
            elapsed: Duration::from_millis(8_009),
        };
        let text = state.to_string();
        assert_eq!(text.lines().count(), 7);
        assert_eq!(text.parse(), Ok(state));
    }

    #[test]
    fn a_text_that_is_no_state_is_told_by_its_line() {
        let error = |text: &str| {
            let error = text.parse::<CrawlState>().expect_err("it is broken");
            (error.line, error.what)
        };
        assert_eq!(error(""), (1, "there is none"));
        let other = "the first line is another one";
        assert_eq!(error("dht-walk crawl 2\n"), (1, other));
        let wrong = |line: &str| error(&format!("{HEADER}\nmessages 1\n{line}\n"));
        assert_eq!(wrong("messages x"), (3, "it has no number"));
        assert_eq!(wrong(""), (3, "a word and a value are missing"));
        assert_eq!(wrong("gone here"), (3, "its first word is unknown"));
        assert_eq!(wrong("silent here"), (3, "it has no peer id"));
        let id = "12D3KooWFveZXZ2xpZMybP4JSjQbX71psER8xR5fhNbbkm1jWhk8";
        let line = format!("silent {id} here");
        assert_eq!(wrong(&line), (3, "an address of it is none"));
    }
}
