//! What is made of the entries of a page. Pure, so that it runs where time may be spent.

use std::sync::Arc;

use bytes::Bytes;
use libp2p_identity::PeerId;
use rv_proto::{
    DiscoverResponse, Entry, Namespace, Record, RecordError, RegisterResponse, Response, Scope,
    Status, Ttl, UnverifiedRecord,
};
use thiserror::Error;

use super::{Breach, Cause, Wanted};

/// A response that was compared with its request and whose records were verified.
///
/// Signatures are most of what a page costs, so a shell can make this in a task of its own, for
/// instance the one that read the response, and hand it to
/// [`handle_checked`](super::Client::handle_checked).
#[derive(Clone, Debug)]
pub struct Checked {
    pub(super) answer: Answer,
}

#[derive(Clone, Debug)]
pub(super) enum Answer {
    Failed(Cause),
    Page(CheckedPage),
    Register { ttl_secs: Option<u64> },
    Written,
}

#[derive(Clone, Debug)]
pub(super) struct CheckedPage {
    pub(super) entries: Vec<CheckedEntry>,
    pub(super) skipped: Skipped,
    /// How many entries there were, usable or not.
    pub(super) count: usize,
    pub(super) cookie: Option<Bytes>,
}

#[derive(Clone, Debug)]
pub(super) struct CheckedEntry {
    pub(super) namespace: Namespace,
    pub(super) record: Arc<Record>,
    pub(super) ttl: Ttl,
}

/// Entries that are not usable. One bad entry costs no other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub count: usize,
    /// Each reason with its number, in the order in which they came; the first
    /// [`Skipped::REASONS_MAX`].
    pub reasons: Vec<(Skip, usize)>,
}

/// Why an entry is not usable.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skip {
    /// Its ttl is 0.
    #[error("expired")]
    Expired,
    /// It is of another namespace than was asked for.
    #[error("of another namespace")]
    ForeignNamespace,
    /// It names no namespace, and none was asked for.
    #[error("without a namespace")]
    NoNamespace,
    /// It has no record.
    #[error("without a record")]
    NoRecord,
    /// It is the asking peer itself.
    #[error("our own")]
    Own,
    /// Its record is no record, or forged.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Skipped {
    /// As many different reasons are told apart.
    pub const REASONS_MAX: usize = 16;

    pub(super) fn add(&mut self, skip: Skip) {
        self.count += 1;
        let known = self.reasons.iter().position(|(reason, _)| *reason == skip);
        match known {
            Some(index) => self.reasons[index].1 += 1,
            None if self.reasons.len() < Self::REASONS_MAX => self.reasons.push((skip, 1)),
            None => {}
        }
    }
}

impl Checked {
    /// Compares the response with its request, and verifies its records. Entries of `unwanted`,
    /// usually the asking peer itself, are left out.
    pub fn new(unwanted: Option<&PeerId>, request: &Wanted, response: Response) -> Self {
        let answer = match (request, response) {
            (Wanted::Register { .. }, Response::Register(response)) => check_register(response),
            (Wanted::Discover { scope, .. }, Response::Discover(response)) => {
                check_page(unwanted, scope, response)
            }
            (Wanted::Unregister { .. }, _) => Answer::Written,
            (Wanted::Register { .. }, Response::Discover(_) | Response::Subscribe(_))
            | (Wanted::Discover { .. }, Response::Register(_) | Response::Subscribe(_))
            | (Wanted::Subscribe { .. }, _) => Answer::Failed(Breach::WrongResponse.into()),
        };
        Self { answer }
    }

    /// What a page lists: who registered where, and for how long that stands. Nothing if it is no
    /// page.
    pub fn listed(&self) -> impl Iterator<Item = (&Namespace, &Arc<Record>, Ttl)> {
        let page = match &self.answer {
            Answer::Page(page) => Some(page),
            Answer::Failed(_) | Answer::Register { .. } | Answer::Written => None,
        };
        let entries = page.into_iter().flat_map(|page| &page.entries);
        entries.map(|entry| (&entry.namespace, &entry.record, entry.ttl))
    }

    pub(super) const fn written() -> Self {
        let answer = Answer::Written;
        Self { answer }
    }
}

fn check_register(response: RegisterResponse) -> Answer {
    let RegisterResponse {
        status,
        status_text,
        ttl_secs,
    } = response;
    if status == Status::OK {
        Answer::Register { ttl_secs }
    } else {
        Answer::Failed(Cause::refused(status, &status_text))
    }
}

fn check_page(unwanted: Option<&PeerId>, scope: &Scope, response: DiscoverResponse) -> Answer {
    if response.status != Status::OK {
        return Answer::Failed(Cause::refused(response.status, &response.status_text));
    }
    let cookie = response.cookie.filter(|cookie| !cookie.is_empty());
    let mut page = CheckedPage {
        entries: Vec::new(),
        skipped: Skipped::default(),
        count: response.entries.len(),
        // A part of the frame would keep the whole frame for as long as the cookie is kept.
        cookie: cookie.map(|cookie| Bytes::copy_from_slice(&cookie)),
    };
    for entry in response.entries {
        match check_entry(unwanted, scope, entry) {
            Ok(entry) => page.entries.push(entry),
            Err(skip) => page.skipped.add(skip),
        }
    }
    Answer::Page(page)
}

pub(super) fn check_entry(
    unwanted: Option<&PeerId>,
    scope: &Scope,
    entry: Entry,
) -> Result<CheckedEntry, Skip> {
    let namespace = read_namespace(scope, entry.namespace.as_deref().unwrap_or_default())?;
    let ttl = read_ttl(entry.ttl_secs)?;
    let bytes = entry.record.filter(|record| !record.is_empty());
    let record = UnverifiedRecord::parse(bytes.ok_or(Skip::NoRecord)?)?;
    // Before the signature, which costs a thousand times more.
    if unwanted == Some(record.peer()) {
        return Err(Skip::Own);
    }
    let record = Arc::new(record.verify()?);
    Ok(CheckedEntry {
        namespace,
        record,
        ttl,
    })
}

/// go leaves the namespace out where it was asked for.
pub(super) fn read_namespace(scope: &Scope, named: &[u8]) -> Result<Namespace, Skip> {
    match (scope, named) {
        (Scope::Namespace(asked), []) => Ok(asked.clone()),
        (Scope::Namespace(asked), named) if named == asked.as_str().as_bytes() => Ok(asked.clone()),
        (Scope::Namespace(_), _) => Err(Skip::ForeignNamespace),
        (Scope::All, []) => Err(Skip::NoNamespace),
        (Scope::All, named) => Namespace::from_bytes(named).map_err(|_| Skip::ForeignNamespace),
    }
}

/// What remains, at most what the protocol allows; 2 h if the point does not say.
fn read_ttl(ttl_secs: Option<u64>) -> Result<Ttl, Skip> {
    match ttl_secs {
        Some(0) => Err(Skip::Expired),
        Some(secs) => Ok(Ttl::from_secs(secs).unwrap_or(Ttl::MAX)),
        None => Ok(Ttl::DEFAULT),
    }
}
