//! What a client sent on its streams, and what it was answered, as a file that people can read.

use std::fmt::Write as _;

use libp2p::PeerId;

use crate::wire::{Reply, hex, split_frame};

/// The requests of one client, with the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Where they come from, in one line.
    pub origin: String,
    /// Who sent them.
    pub peer: PeerId,
    /// The name that the client gave itself in identify.
    pub agent: Option<String>,
    /// Whether it closes each stream for writing behind its request.
    pub closes: bool,
    /// In the order in which they came.
    pub exchanges: Vec<Exchange>,
}

/// A request, and the answer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The frame, length included.
    pub request: Vec<u8>,
    /// The fields of the answer, one a line; nothing for a request that has none.
    pub answer: Vec<String>,
}

impl Exchange {
    /// With the answer as it came, length included.
    ///
    /// # Panics
    ///
    /// If the answer is not one that every reader understands.
    pub fn new(request: Vec<u8>, answer: Option<&[u8]>) -> Self {
        let answer = answer.map(fields).unwrap_or_default();
        Self { request, answer }
    }

    /// Whether there is no answer to it: it is an UNREGISTER.
    pub fn is_unanswered(&self) -> bool {
        self.answer.is_empty()
    }
}

impl Recording {
    /// The file.
    pub fn to_text(&self) -> String {
        let mut text = format!("origin {}\npeer {}\n", self.origin, self.peer);
        if let Some(agent) = &self.agent {
            let _ = writeln!(text, "agent {agent}");
        }
        if self.closes {
            text.push_str("closes\n");
        }
        for exchange in &self.exchanges {
            let _ = writeln!(text, "\n> {}", digits(&exchange.request));
            for field in &exchange.answer {
                let _ = writeln!(text, "< {field}");
            }
        }
        text
    }

    /// Reads a file.
    ///
    /// # Panics
    ///
    /// If it is none.
    pub fn parse(text: &str) -> Self {
        let mut lines = text.lines().filter(|line| !line.is_empty()).peekable();
        let mut head = |word: &str| {
            let line = lines.next_if(|line| line.split(' ').next() == Some(word));
            line.map(|line| line[word.len()..].trim_start().to_owned())
        };
        let origin = head("origin").expect("a line of origin");
        let peer = head("peer").expect("a peer").parse().expect("a peer id");
        let (agent, closes) = (head("agent"), head("closes").is_some());
        let mut exchanges: Vec<Exchange> = Vec::new();
        for line in lines {
            if let Some(request) = line.strip_prefix("> ") {
                exchanges.push(Exchange::new(hex(request), None));
            } else {
                let field = line.strip_prefix("< ").expect("a field of an answer");
                let exchange = exchanges.last_mut().expect("a request before it");
                exchange.answer.push(field.to_owned());
            }
        }
        Self {
            origin,
            peer,
            agent,
            closes,
            exchanges,
        }
    }
}

/// The fields of an answer, each in a line.
fn fields(frame: &[u8]) -> Vec<String> {
    let (payload, used) = split_frame(frame).expect("a whole frame");
    assert_eq!(used, frame.len(), "one frame");
    match Reply::decode(&payload) {
        Reply::Register(reply) => vec![
            "REGISTER_RESPONSE".to_owned(),
            format!("status {}", reply.status),
            format!("statusText {:?}", reply.text),
            format!("ttl {}", reply.ttl),
        ],
        Reply::Discover(reply) => {
            let cookie = match reply.cookie.as_deref() {
                None => "absent".to_owned(),
                Some([]) => "empty".to_owned(),
                Some(cookie) => digits(cookie),
            };
            let mut lines = vec![
                "DISCOVER_RESPONSE".to_owned(),
                format!("status {}", reply.status),
                format!("statusText {:?}", reply.text),
                format!("cookie {cookie}"),
            ];
            for entry in &reply.entries {
                lines.push(format!("entry ns {:?}", entry.namespace));
                lines.push(format!("entry ttl {}", entry.ttl));
                if let Some(verified) = entry.verified {
                    lines.push(format!("entry verified {verified}"));
                }
                lines.push(format!("entry record {}", entry.dialect()));
                lines.push(format!("entry bytes {}", digits(&entry.record)));
            }
            lines
        }
        Reply::Subscribe(reply) => vec![
            "DISCOVER_SUBSCRIBE_RESPONSE".to_owned(),
            format!("status {}", reply.status),
            format!("statusText {:?}", reply.text),
        ],
    }
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
