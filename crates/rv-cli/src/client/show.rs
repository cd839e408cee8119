//! What goes to stdout, in each of its forms.

use std::io::{self, IsTerminal as _};

use comfy_table::{Table, presets};
use libp2p::{Multiaddr, PeerId};
use rv_client::rv_core::client::{Discovered, GoneReason, Grant};
use rv_client::rv_proto::Namespace;
use serde::Serialize;

use super::text;
use crate::failure::{Exit, Failure};
use crate::output;

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One object a line.
    Json,
    /// For other programs: one line each, with tabs between the parts.
    Plain,
    /// For people at a terminal.
    Terminal,
}

impl Form {
    pub(super) fn new(is_json: bool) -> Self {
        if is_json {
            Self::Json
        } else if io::stdout().is_terminal() {
            Self::Terminal
        } else {
            Self::Plain
        }
    }
}

/// Something that happened to a registration of ours.
#[derive(Debug, Serialize)]
pub(super) struct Standing<'a> {
    /// "registered", "renewed", "lapsed" or "unregistered".
    event: &'static str,
    namespace: &'a str,
    point: String,
    peer_id: String,
    #[serde(flatten)]
    granted: Option<Granted<'a>>,
    #[serde(skip)]
    point_name: String,
}

#[derive(Debug, Serialize)]
struct Granted<'a> {
    addresses: &'a [Multiaddr],
    ttl_secs: u32,
    expires_at: u64,
}

impl<'a> Standing<'a> {
    pub(super) fn new(
        event: &'static str,
        namespace: &'a Namespace,
        peer: PeerId,
        point: PeerId,
        point_name: String,
    ) -> Self {
        Self {
            event,
            namespace: namespace.as_str(),
            point: point.to_string(),
            peer_id: peer.to_string(),
            granted: None,
            point_name,
        }
    }

    /// With what was granted for these addresses.
    pub(super) fn granted(mut self, grant: &Grant, addresses: &'a [Multiaddr]) -> Self {
        self.granted = Some(Granted {
            addresses,
            ttl_secs: grant.ttl.as_secs(),
            expires_at: grant.until.as_millis() / 1_000,
        });
        self
    }

    pub(super) fn print(&self, form: Form) -> Result<(), Failure> {
        let namespace = text::shown(self.namespace);
        match (form, &self.granted) {
            (Form::Json, _) => json(self),
            (Form::Plain, None) => {
                line(format_args!("{}\t{}\t{namespace}", self.event, self.point))
            }
            (Form::Plain, Some(granted)) => line(format_args!(
                "{}\t{}\t{namespace}\t{}\t{}",
                self.event,
                self.point,
                granted.ttl_secs,
                words(granted.addresses),
            )),
            (Form::Terminal, None) => line(format_args!(
                "{} {namespace} at {}",
                self.event, self.point_name
            )),
            (Form::Terminal, Some(granted)) => line(format_args!(
                "{} {namespace} at {} for {}",
                self.event,
                self.point_name,
                text::duration(granted.ttl_secs.into()),
            )),
        }
    }
}

/// A listed peer.
#[derive(Debug, Serialize)]
pub(super) struct Listed<'a> {
    peer_id: String,
    namespace: &'a str,
    addresses: &'a [Multiaddr],
    verified: bool,
    own: bool,
    ttl_secs: u64,
    expires_at: u64,
}

impl<'a> Listed<'a> {
    /// `us` is who asked.
    pub(super) fn new(found: &'a Discovered, us: PeerId) -> Self {
        Self {
            peer_id: found.peer().to_string(),
            namespace: found.namespace.as_str(),
            addresses: found.addresses(),
            verified: found.is_verified(),
            own: found.peer() == us,
            ttl_secs: text::secs_until(found.until),
            expires_at: found.until.as_millis() / 1_000,
        }
    }

    const fn record(&self) -> &'static str {
        match (self.verified, self.own) {
            (true, false) => "signed",
            (false, false) => "unsigned",
            (true, true) => "signed, own",
            (false, true) => "unsigned, own",
        }
    }

    fn plain(&self) -> String {
        let kind = if self.verified { "signed" } else { "unsigned" };
        format!(
            "{}\t{}\t{}\t{kind}\t{}",
            self.peer_id,
            text::shown(self.namespace),
            self.ttl_secs,
            words(self.addresses),
        )
    }

    fn row(&self, with_namespace: bool) -> Vec<String> {
        let addresses = self.addresses.iter().map(|it| text::word(&it.to_string()));
        let addresses: Vec<_> = addresses.collect();
        let mut row = vec![self.peer_id.clone()];
        if with_namespace {
            row.push(text::shown(self.namespace));
        }
        row.push(text::duration(self.ttl_secs));
        row.push(self.record().to_owned());
        row.push(addresses.join("\n"));
        row
    }
}

/// A list of peers; of several namespaces where that is worth a column.
pub(super) fn list(form: Form, peers: &[Listed<'_>], with_namespace: bool) -> Result<(), Failure> {
    match form {
        Form::Json => peers.iter().try_for_each(json),
        Form::Plain => peers.iter().try_for_each(|peer| line(peer.plain())),
        Form::Terminal if peers.is_empty() => Ok(()),
        Form::Terminal => {
            let mut table = Table::new();
            table.load_style(presets::NOTHING);
            let mut header = vec!["PEER", "EXPIRES IN", "RECORD", "ADDRESSES"];
            if with_namespace {
                header.insert(1, "NAMESPACE");
            }
            table.set_header(header);
            table.add_rows(peers.iter().map(|peer| peer.row(with_namespace)));
            for column in table.column_iter_mut() {
                column.set_padding((0, 2));
            }
            line(table.trim_fmt())?;
            line(text::count(peers.len(), "peer"))
        }
    }
}

/// A change in a watched namespace.
#[derive(Debug, Serialize)]
struct Change<'a> {
    event: &'static str,
    #[serde(flatten)]
    peer: &'a Listed<'a>,
}

/// A peer joined or renewed.
pub(super) fn there(form: Form, event: &'static str, peer: &Listed<'_>) -> Result<(), Failure> {
    match form {
        Form::Json => json(&Change { event, peer }),
        Form::Plain => line(format_args!("{event}\t{}", peer.plain())),
        Form::Terminal => line(format_args!(
            "{event:<8} {}  for {:<11}  {}  {}",
            peer.peer_id,
            text::duration(peer.ttl_secs),
            peer.record(),
            words(peer.addresses),
        )),
    }
}

#[derive(Debug, Serialize)]
struct Gone<'a> {
    event: &'static str,
    peer_id: String,
    namespace: &'a str,
    reason: &'static str,
}

/// A peer is gone.
pub(super) fn gone(
    form: Form,
    namespace: &Namespace,
    peer: PeerId,
    reason: GoneReason,
) -> Result<(), Failure> {
    let gone = Gone {
        event: "gone",
        peer_id: peer.to_string(),
        namespace: namespace.as_str(),
        reason: reason.name(),
    };
    let namespace = text::shown(gone.namespace);
    match form {
        Form::Json => json(&gone),
        Form::Plain => line(format_args!(
            "gone\t{}\t{namespace}\t{}",
            gone.peer_id, gone.reason
        )),
        Form::Terminal => line(format_args!("gone     {}  {}", gone.peer_id, gone.reason)),
    }
}

pub(super) fn words(addresses: &[Multiaddr]) -> String {
    let words = addresses.iter().map(|it| text::word(&it.to_string()));
    words.collect::<Vec<_>>().join(" ")
}

pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value);
    line(text.map_err(|error| Failure::new(Exit::Internal, error))?)
}

pub(super) fn line(text: impl std::fmt::Display) -> Result<(), Failure> {
    output::line(text).map_err(Failure::of_stdout)
}
