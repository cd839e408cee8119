//! What outlives a run: the contacts of a table.
//!
//! They are hints. Whoever restores a snapshot asks each of them before it becomes an entry again,
//! so an old or a forged one costs messages and nothing else.

use multiaddr::{Multiaddr, Protocol};

use crate::peer::{Addresses, Contact, Peer};

/// The contacts of a table, those heard latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    contacts: Vec<Contact>,
}

impl Snapshot {
    /// Contacts kept. A table of a network of a million holds 332.
    pub const CONTACTS_MAX: usize = 1_024;

    pub(crate) fn new(mut contacts: Vec<Contact>) -> Self {
        contacts.truncate(Self::CONTACTS_MAX);
        Self { contacts }
    }

    /// The contacts.
    pub fn contacts(&self) -> &[Contact] {
        &self.contacts
    }

    /// One address for each line of a file: each with its peer's id at the end.
    pub fn to_addresses(&self) -> Vec<Multiaddr> {
        let mut all = Vec::new();
        for contact in &self.contacts {
            let with_id = |it: &Multiaddr| it.clone().with(Protocol::P2p(contact.peer.id()));
            all.extend(contact.addresses.as_slice().iter().map(with_id));
        }
        all
    }

    /// What [`Self::to_addresses`] gave. Addresses without a peer's id are left out, and so is
    /// whatever is beyond [`Self::CONTACTS_MAX`] contacts.
    pub fn from_addresses(addresses: impl IntoIterator<Item = Multiaddr>) -> Self {
        let mut contacts: Vec<Contact> = Vec::new();
        for mut address in addresses {
            let Some(Protocol::P2p(id)) = address.pop() else {
                continue;
            };
            // Those of one peer stand together.
            if let Some(last) = contacts.last_mut().filter(|last| last.peer.id() == id) {
                let one: Addresses = [address].into_iter().collect();
                last.addresses = last.addresses.joined(&one, 1).0;
            } else if contacts.len() < Self::CONTACTS_MAX {
                contacts.push(Contact::new(Peer::new(id), [address]));
            } else {
                break;
            }
        }
        Self { contacts }
    }
}

#[cfg(test)]
mod tests {
    use libp2p_identity::PeerId;

    use super::*;

    #[test]
    fn a_snapshot_comes_back_from_its_addresses() {
        let peer = |byte: u8| {
            let bytes = [vec![0x12, 0x20], vec![byte; 32]].concat();
            Peer::new(PeerId::from_bytes(&bytes).expect("a multihash of SHA-256"))
        };
        let address = |text: &str| text.parse::<Multiaddr>().expect("an address");
        let snapshot = Snapshot::new(vec![
            Contact::new(
                peer(1),
                [address("/ip4/8.8.8.8/tcp/1"), address("/ip4/8.8.8.8/tcp/2")],
            ),
            Contact::new(peer(2), [address("/dns4/example.org/udp/3/quic-v1")]),
        ]);
        let mut addresses = snapshot.to_addresses();
        assert_eq!(addresses.len(), 3);
        addresses.insert(1, address("/ip4/8.8.8.8/tcp/9"));
        assert_eq!(
            Snapshot::from_addresses(addresses),
            snapshot,
            "the bare address is left out"
        );
    }
}
