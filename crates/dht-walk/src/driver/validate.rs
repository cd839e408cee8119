//! Whether a peer that was handed in can be used.

use crate::address::AddressPolicy;
use crate::peer::{Contact, Peer};

use super::error::PeerValidationError;

/// The contact with those of its addresses that are wanted.
pub(super) fn validate(
    policy: AddressPolicy,
    local: &Peer,
    contact: &Contact,
) -> Result<Contact, PeerValidationError> {
    let mut last = None;
    let kept = policy.keep(local, contact, |why| last = Some(why));
    kept.map_err(|refusal| PeerValidationError {
        peer: contact.peer.id(),
        refusal: last.unwrap_or(refusal),
    })
}
