//! Targets of lookups: peer ids of nobody, whose hash lands where it is wanted.
//!
//! A FIND_NODE carries bytes, and each side hashes them. To aim at a bucket, one therefore needs
//! bytes whose SHA-256 shares the wanted number of bits with the own position: a pre-image, found
//! by trying. Sharing exactly `c` bits takes 2^(c+1) hashes on average. At 20 million hashes a
//! second (one core with SHA extensions) that is 25 us at depth 8, 6 ms at 16 and 0.1 s at 20,
//! which only a network of tens of millions of peers needs; `cargo bench -p dht-walk` measures it.
//!
//! Targets are fresh at each use and follow from a secret seed. A fixed table of them, one of
//! 65,536 public ones as other implementations have, lets anybody place peers next to all of them.

use libp2p_identity::PeerId;

use crate::key::{Cpl, Key};
use crate::peer::Peer;
use crate::rng::{Rng, Seed};

/// A peer id to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(Peer);

impl Target {
    /// Looks for the neighbours of this peer.
    pub fn peer(peer: Peer) -> Self {
        Self(peer)
    }

    /// The target as a peer.
    pub fn as_peer(&self) -> &Peer {
        &self.0
    }

    /// The target as a peer id, for queries that take one.
    pub fn peer_id(&self) -> PeerId {
        self.0.id()
    }

    /// What a FIND_NODE carries: "the key" is "the binary PeerId of the node" that is looked for,
    /// <https://github.com/libp2p/specs/blob/master/kad-dht/README.md#rpc-messages>.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.id().to_bytes()
    }

    /// Where the target stands.
    pub fn key(&self) -> &Key {
        self.0.key()
    }
}

/// Makes targets.
#[derive(Clone, Debug)]
pub struct Targets {
    rng: Rng,
}

impl Targets {
    /// The deepest bucket that is aimed at. Buckets beyond hold less than a bucket's worth of peers
    /// in any network below 40 million, and the lookup of oneself covers those.
    pub const CPL_MAX: Cpl = Cpl::new(20);

    /// The most slices of one sweep. 2^16 slices of 20 peers cover more than a million.
    pub const SLICES_MAX: usize = 1 << 16;

    /// Bytes of a target: a multihash of SHA-256, the form of the ids of RSA keys.
    const BYTES: usize = 34;

    /// Targets that follow from the seed.
    pub const fn new(seed: Seed) -> Self {
        Self::from_rng(Rng::new(seed))
    }

    pub(crate) const fn from_rng(rng: Rng) -> Self {
        Self { rng }
    }

    pub(crate) const fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// A target anywhere.
    pub fn uniform(&mut self) -> Target {
        self.draw().target()
    }

    /// A target that shares exactly `cpl` bits with `local`; `None` above [`Self::CPL_MAX`].
    pub fn in_bucket(&mut self, local: &Key, cpl: Cpl) -> Option<Target> {
        if cpl > Self::CPL_MAX {
            return None;
        }
        let local = local.prefix();
        let bits = u32::from(cpl.bits());
        // Each try hits with 2^-(bits+1): that all of 64 times the mean miss has a chance of
        // e^-64. The bound is there so that no hash function, however broken, makes this endless.
        let tries = 64_u64 << (bits + 1);
        let mut draw = self.draw();
        for _ in 0..tries {
            if (draw.key().prefix() ^ local).leading_zeros() == bits {
                return Some(draw.target());
            }
            draw.step();
        }
        None
    }

    /// One target in each of `slices` equal parts of the key space, in an order of no meaning; at
    /// most [`Self::SLICES_MAX`]. Takes about `slices * ln(slices)` hashes.
    pub fn stratified(&mut self, slices: usize) -> Vec<Target> {
        let slices = slices.min(Self::SLICES_MAX);
        let mut found: Vec<Option<Target>> = vec![None; slices];
        let mut missing = slices;
        // The last slice is still missed after 64 n (1 + log2 n) tries with a chance below e^-64.
        let tries = slices.saturating_mul(64 * (1 + slices.max(1).ilog2() as usize));
        let mut draw = self.draw();
        for _ in 0..tries {
            if missing == 0 {
                break;
            }
            let slot = &mut found[slice_of(&draw.key(), slices)];
            if slot.is_none() {
                *slot = Some(draw.target());
                missing -= 1;
            }
            draw.step();
        }
        let mut targets: Vec<Target> = found.into_iter().flatten().collect();
        for end in (1..targets.len()).rev() {
            targets.swap(end, self.rng.below(end + 1));
        }
        targets
    }

    fn draw(&mut self) -> Draw {
        let mut bytes = [0; Self::BYTES];
        // The codes of SHA-256 and of its length, see the table of multicodec.
        bytes[..2].copy_from_slice(&[0x12, 0x20]);
        bytes[2..].copy_from_slice(&self.rng.bytes());
        Draw { bytes }
    }
}

/// Which of `slices` equal parts of the key space a position is in.
pub(crate) fn slice_of(key: &Key, slices: usize) -> usize {
    let product = u128::from(key.prefix()) * slices as u128;
    usize::try_from(product >> 64).expect("a slice's number is below their count")
}

/// One try, and the next ones.
struct Draw {
    bytes: [u8; Targets::BYTES],
}

impl Draw {
    fn key(&self) -> Key {
        Key::of(&self.bytes)
    }

    /// The next try: the last eight bytes counted on.
    fn step(&mut self) {
        let counter = self
            .bytes
            .last_chunk_mut::<8>()
            .expect("a target has 34 bytes");
        *counter = u64::from_be_bytes(*counter).wrapping_add(1).to_be_bytes();
    }

    fn target(&self) -> Target {
        let id = PeerId::from_bytes(&self.bytes).expect("a multihash of SHA-256 is a peer id");
        Target(Peer::new(id))
    }
}
