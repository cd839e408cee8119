//! What went wrong at a point or another peer: a sentence for a person, and the exit code with it.

use std::error::Error;
use std::io;

use libp2p::core::transport::TransportError;
use libp2p::swarm::DialError;
use libp2p::{Multiaddr, PeerId, dns};
use rv_client::rv_core::client::{Cause, Failure as Fault};
use rv_client::rv_proto::Status;

use super::text;
use crate::failure::{Exit, Failure};
use crate::output;

/// What went wrong at one point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) exit: Exit,
    pub(super) sentence: String,
}

impl Trouble {
    pub(super) const fn new(exit: Exit, sentence: String) -> Self {
        Self { exit, sentence }
    }

    /// A dial failed.
    pub(super) fn of_dial(point: &PeerId, error: &DialError) -> Self {
        let sentence = match error {
            DialError::WrongPeerId { obtained, address } => format!(
                "at {} answers {obtained} and not {point}: if that is who you mean, correct \
                 the /p2p/ of its address",
                text::shown(&bare(address)),
            ),
            DialError::Transport(attempts) => match attempts.as_slice() {
                [] => format!("cannot reach {point}: it has no address that can be dialled"),
                [attempt] => of_attempt(point, attempt),
                several => {
                    let reasons = several
                        .iter()
                        .map(|(address, error)| format!("{}: {}", bare(address), reason(error)));
                    let reasons: Vec<_> = reasons.map(|it| text::shown(&it)).collect();
                    format!(
                        "cannot reach {point}, check its addresses and that it runs: {}",
                        reasons.join("; ")
                    )
                }
            },
            other => format!("cannot reach {point}: {}", text::shown(&other.to_string())),
        };
        Self::new(Exit::Unreachable, sentence)
    }

    /// A connected point did not do what was asked. `name` is how the user knows it.
    pub(super) fn of_cause(name: &str, protocols: &str, cause: &Cause) -> Self {
        let (exit, sentence) = match cause {
            Cause::Refused(status, said) => (Exit::Refused, refusal(name, *status, said)),
            Cause::Failed(Fault::Broken(breach)) => (
                Exit::Broken,
                format!("{name} broke the protocol: {breach}; use another point"),
            ),
            Cause::Failed(Fault::EndOfStream) => (
                Exit::Broken,
                format!("{name} closed the stream without an answer; use another point"),
            ),
            Cause::Failed(Fault::Unsupported) => (
                Exit::Broken,
                format!(
                    "{name} does not speak {protocols}: it is no rendezvous point, or needs its \
                     own name in --protocol"
                ),
            ),
            Cause::Failed(Fault::TimedOut) => (
                Exit::Unreachable,
                format!("{name} did not answer in time: try again, or use another point"),
            ),
            Cause::Failed(Fault::ConnectionLost | Fault::Unreachable) => (
                Exit::Unreachable,
                format!("{name} closed the connection: try again, or use another point"),
            ),
            Cause::Failed(Fault::Unsigned) => (
                Exit::Internal,
                "the identity cannot sign this record: use another identity, or fewer addresses"
                    .to_owned(),
            ),
            Cause::NoAddress => (Exit::NoAddress, no_address(name)),
            other => (Exit::Internal, format!("{name}: {other}")),
        };
        Self::new(exit, sentence)
    }
}

/// There is nothing to register at this point.
pub(super) fn no_address(name: &str) -> String {
    format!(
        "no address to register at {name}: say where others reach this identity with \
         --external-address MULTIADDR"
    )
}

/// Tells all that went wrong where something else went right.
pub(super) fn tell(troubles: &[Trouble]) {
    for trouble in troubles {
        output::note(&trouble.sentence);
    }
}

/// Everything went wrong: the exit code is that of the trouble that says most.
pub(super) fn failure(mut troubles: Vec<Trouble>) -> Failure {
    let rank = |trouble: &Trouble| match trouble.exit {
        Exit::Refused => 0,
        Exit::Broken => 1,
        Exit::NoAddress => 2,
        Exit::Unreachable => 3,
        Exit::Usage | Exit::Internal | Exit::Incomplete => 4,
    };
    // Stable, so that of equals the first stays the first.
    troubles.sort_by_key(rank);
    troubles.reverse();
    let Some(last) = troubles.pop() else {
        let nothing = anyhow::anyhow!("nothing was asked");
        return Failure::new(Exit::Internal, nothing);
    };
    let notes = troubles.into_iter().map(|it| it.sentence).collect();
    Failure::new(last.exit, anyhow::Error::msg(last.sentence)).after(notes)
}

fn refusal(name: &str, status: Status, said: &str) -> String {
    let said = if said.is_empty() {
        status.sentence().to_owned()
    } else {
        text::shown(said)
    };
    let advice = match status {
        Status::INVALID_NAMESPACE => "use another namespace",
        Status::INVALID_TTL => "use another --ttl",
        Status::INVALID_SIGNED_PEER_RECORD => "use another point, or another --external-address",
        Status::NOT_AUTHORIZED => "use another --identity, or ask its operator",
        Status::UNAVAILABLE | Status::INTERNAL_ERROR => "try again later, or use another point",
        _ => "use another point",
    };
    format!("{name} refused with {status}: {said}; {advice}")
}

fn of_attempt(point: &PeerId, attempt: &(Multiaddr, TransportError<io::Error>)) -> String {
    let (address, error) = attempt;
    let place = text::shown(&bare(address));
    let reason = text::shown(&reason(error));
    match error {
        TransportError::MultiaddrNotSupported(_) => {
            format!("cannot dial {place}: use an address with TCP, QUIC or WebSocket of {point}")
        }
        TransportError::Other(error) if is_of_dns(error) => {
            format!("cannot resolve the name in {place}: {reason}; check it and the network")
        }
        TransportError::Other(_) => {
            format!("cannot reach {point} at {place}: {reason}; check the address and that it runs")
        }
    }
}

/// The address without the peer id, which is told beside it.
fn bare(address: &Multiaddr) -> String {
    let mut address = address.clone();
    if let Some(libp2p::multiaddr::Protocol::P2p(_)) = address.iter().last() {
        address.pop();
    }
    address.to_string()
}

/// What is at the bottom of an error: the layers above it say that they failed too.
fn reason(error: &TransportError<io::Error>) -> String {
    match error {
        TransportError::MultiaddrNotSupported(_) => "cannot be dialled".to_owned(),
        TransportError::Other(error) => {
            let bottom = chain(error).last().map(ToString::to_string);
            let bottom = bottom.unwrap_or_default();
            // Without the system's number, and without what was asked of a resolver.
            let cuts = [" (os error", " for query"];
            let cut = cuts.iter().filter_map(|cut| bottom.find(cut)).min();
            let bottom = bottom[..cut.unwrap_or(bottom.len())].trim_end_matches('.');
            let mut rest = bottom.chars();
            let first = rest.next().map(|first| first.to_ascii_lowercase());
            first.into_iter().chain(rest).collect()
        }
    }
}

fn is_of_dns(error: &io::Error) -> bool {
    chain(error).any(|error| error.is::<dns::ResolveError>())
}

fn chain(error: &io::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |error| below(*error)).take(CHAIN_MAX)
}

/// What an error has below it. An `io::Error` around another one passes over it in its sources.
fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match wrapped {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// Errors in one chain that are looked at.
const CHAIN_MAX: usize = 32;
