//! Peers, and where they can be dialled.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use crate::address::{Group, is_plain};
use crate::key::{Cpl, Distance, Key};

/// A peer with its position. Cloning it is cheap, and the position is computed once.
#[derive(Clone)]
pub struct Peer {
    /// The position's first bits, at hand: they decide nearly every comparison.
    prefix: u64,
    identity: Arc<Identity>,
}

struct Identity {
    id: PeerId,
    key: Key,
}

/// A peer and its addresses, as somebody told them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The peer.
    pub peer: Peer,
    /// Where it may be dialled.
    pub addresses: Addresses,
}

/// A peer's addresses: few, none twice, shared between whoever holds them.
#[derive(Clone)]
pub struct Addresses(Arc<Listed>);

/// Addresses, with what is asked about them for each answer that tells of them.
struct Listed {
    all: Box<[Multiaddr]>,
    /// Each of them is kept just as it is, whatever the policy.
    is_plain: bool,
    group: Option<Group>,
}

impl Peer {
    /// The peer of that id.
    pub fn new(id: PeerId) -> Self {
        let key = Key::of(&id.to_bytes());
        let (prefix, identity) = (key.prefix(), Arc::new(Identity { id, key }));
        Self { prefix, identity }
    }

    /// The peer's id.
    pub fn id(&self) -> PeerId {
        self.identity.id
    }

    /// Where the peer stands.
    pub fn key(&self) -> &Key {
        &self.identity.key
    }

    /// How far the peer is from a position.
    pub fn distance(&self, from: &Key) -> Distance {
        self.identity.key.distance(from)
    }

    /// The bucket of another peer as seen from this one; `None` for itself.
    pub fn cpl(&self, other: &Self) -> Option<Cpl> {
        let differing = self.prefix ^ other.prefix;
        if differing == 0 {
            return self.key().cpl(other.key());
        }
        u8::try_from(differing.leading_zeros()).ok().map(Cpl::new)
    }

    pub(crate) const fn prefix(&self) -> u64 {
        self.prefix
    }

    /// Which of two peers is nearer to `here`.
    pub(crate) fn nearer(here: &Self, left: &Self, right: &Self) -> Ordering {
        let by_prefix = (left.prefix ^ here.prefix).cmp(&(right.prefix ^ here.prefix));
        by_prefix.then_with(|| left.distance(here.key()).cmp(&right.distance(here.key())))
    }
}

impl Contact {
    /// A peer with these addresses; only the first [`Addresses::MAX`] are kept.
    pub fn new(peer: Peer, addresses: impl IntoIterator<Item = Multiaddr>) -> Self {
        let addresses = addresses.into_iter().collect();
        Self { peer, addresses }
    }
}

impl Addresses {
    /// The most addresses that are kept of one peer. Peers behind several interfaces announce up
    /// to a dozen, of which the first few are those that work; more would be memory that whoever
    /// lies can make us spend.
    pub const MAX: usize = 8;

    /// No address.
    pub fn none() -> Self {
        Self::of(Vec::new())
    }

    fn of(all: Vec<Multiaddr>) -> Self {
        Self(Arc::new(Listed {
            is_plain: all.iter().all(is_plain),
            group: Group::of(&all),
            all: all.into(),
        }))
    }

    /// The addresses.
    pub fn as_slice(&self) -> &[Multiaddr] {
        &self.0.all
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.all.is_empty()
    }

    /// Whether no policy changes or refuses any of them.
    pub(crate) fn is_plain(&self) -> bool {
        self.0.is_plain
    }

    /// Under whose hand they are, most likely.
    pub(crate) fn group(&self) -> Option<Group> {
        self.0.group
    }

    /// These, then up to `further_max` of the other ones that are new. Nothing that is known is
    /// overwritten. Also says how many of the new ones found no room.
    pub(crate) fn joined(&self, other: &Self, further_max: usize) -> (Self, usize) {
        if self.is_shared_with(other) {
            return (self.clone(), 0);
        }
        let (known, told) = (self.as_slice(), other.as_slice());
        let new = told.iter().filter(|address| !known.contains(address));
        let room = Self::MAX.saturating_sub(known.len()).min(further_max);
        let all = new.clone().count();
        if all == 0 || room == 0 {
            return (self.clone(), all);
        }
        let taken = known.iter().chain(new.take(room)).cloned();
        (Self::of(taken.collect()), all.saturating_sub(room))
    }

    /// Whether two are the same without looking at each address.
    pub(crate) fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl FromIterator<Multiaddr> for Addresses {
    fn from_iter<I: IntoIterator<Item = Multiaddr>>(all: I) -> Self {
        let mut kept: Vec<Multiaddr> = Vec::new();
        for address in all {
            if kept.len() == Self::MAX {
                break;
            }
            if !kept.contains(&address) {
                kept.push(address);
            }
        }
        Self::of(kept)
    }
}

impl PartialEq for Addresses {
    fn eq(&self, other: &Self) -> bool {
        self.is_shared_with(other) || self.as_slice() == other.as_slice()
    }
}

impl Eq for Addresses {}

impl PartialEq for Peer {
    fn eq(&self, other: &Self) -> bool {
        self.prefix == other.prefix
            && (Arc::ptr_eq(&self.identity, &other.identity) || self.key() == other.key())
    }
}

impl Eq for Peer {}

impl PartialOrd for Peer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By position.
impl Ord for Peer {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_prefix = self.prefix.cmp(&other.prefix);
        by_prefix.then_with(|| self.key().cmp(other.key()))
    }
}

impl From<PeerId> for Peer {
    fn from(id: PeerId) -> Self {
        Self::new(id)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity.id.fmt(f)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity.id.fmt(f)
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}
