//! Whether a peer that was handed in can be used.

use crate::address::AddressPolicy;
use crate::peer::{Contact, Peer};
use crate::refusal::Refusal;

use super::error::PeerValidationError;

/// The contact with those of its addresses that are wanted.
pub(super) fn validate(
    policy: AddressPolicy,
    local: &Peer,
    contact: &Contact,
) -> Result<Contact, PeerValidationError> {
    let peer = contact.peer.id();
    let refused = |refusal| PeerValidationError { peer, refusal };
    if contact.peer == *local {
        return Err(refused(Refusal::OwnId));
    }
    let mut why = Refusal::NoAddress;
    let mut addresses = Vec::new();
    for address in contact.addresses.as_slice() {
        match policy.judge(&peer, address) {
            Ok(address) => addresses.push(address),
            Err(refusal) => why = refusal,
        }
    }
    if addresses.is_empty() {
        return Err(refused(why));
    }
    Ok(Contact::new(contact.peer.clone(), addresses))
}
