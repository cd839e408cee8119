//! Makes requests out of what the machine wants: signs, numbers, and fits them into a frame.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use libp2p_identity::{Keypair, PeerId};
use multiaddr::Multiaddr;
use rv_core::client::{Failure, Wanted};
use rv_proto::{Dialect, DialectSet, PeerRecord, Record, encode_frame};

use crate::Config;
use crate::clock::unix_secs;
use crate::handler::Message;

/// Signs this peer's records.
///
/// The same addresses keep their `seq`, and so their very bytes: points need not verify them again.
pub(super) struct Signer {
    key: Keypair,
    local: PeerId,
    /// The highest `seq` that is good for every point.
    seq: u64,
    /// What was sent to each point last.
    sent: BTreeMap<PeerId, Numbered>,
    /// The newest last.
    sealed: VecDeque<(Dialect, PeerRecord, Bytes)>,
}

struct Numbered {
    addresses: Arc<[Multiaddr]>,
    seq: u64,
}

/// Signed records that are kept to be sent again: two dialects for each of some sets of addresses,
/// as points may be told different ones.
const SEALED_MAX: usize = 16;

impl Signer {
    pub(super) fn new(key: Keypair) -> Self {
        Self {
            local: PeerId::from(key.public()),
            key,
            seq: 0,
            sent: BTreeMap::new(),
            sealed: VecDeque::new(),
        }
    }

    pub(super) const fn local(&self) -> PeerId {
        self.local
    }

    /// Forgets what was sent to a point.
    pub(super) fn forget(&mut self, point: &PeerId) {
        self.sent.remove(point);
    }

    /// The bytes of a request to `point`.
    pub(super) fn message(&mut self, point: PeerId, wanted: Wanted) -> Result<Message, Failure> {
        let frame = self.frame(point, &wanted)?;
        let extended = match extended(&wanted) {
            Some(wanted) => Some(self.frame(point, &wanted)?),
            None => None,
        };
        Ok(Message {
            wanted,
            frame,
            extended,
            may_be_read: false,
        })
    }

    fn frame(&mut self, point: PeerId, wanted: &Wanted) -> Result<Bytes, Failure> {
        let frame = match wanted {
            Wanted::Discover { .. } | Wanted::Subscribe { .. } | Wanted::Unregister { .. } => {
                encode_frame(&wanted.to_request(&self.local, None, None).encode())
            }
            Wanted::Register {
                dialect,
                counterpart,
                seq_above,
                addresses,
                ..
            } => {
                let seq = self.seq_for(point, addresses, *seq_above);
                self.fit(wanted, (*dialect, *counterpart), seq, addresses)?
            }
        };
        Ok(frame.into())
    }

    /// The second signature is left out, then addresses, until the frame is short enough.
    fn fit(
        &mut self,
        wanted: &Wanted,
        (dialect, mut counterpart): (Dialect, Option<Dialect>),
        seq: u64,
        addresses: &[Multiaddr],
    ) -> Result<Vec<u8>, Failure> {
        let mut count = addresses.len();
        loop {
            let kept = &addresses[..count];
            let record = self.seal(dialect, seq, kept)?;
            let second = match counterpart {
                Some(dialect) => Some(self.seal(dialect, seq, kept)?),
                None => None,
            };
            let request = wanted.to_request(&self.local, Some(record), second);
            let frame = encode_frame(&request.encode());
            if frame.len() <= Config::REGISTER_BYTES_MAX {
                return Ok(frame);
            }
            // A guess that is at least one less each time.
            let guess = count * Config::REGISTER_BYTES_MAX / frame.len();
            count = match counterpart.take() {
                Some(_) => count,
                None if count > 1 => guess.clamp(1, count - 1),
                None => return Err(Failure::Unsigned),
            };
        }
    }

    /// Seconds, as rust and nim count them, but never a number twice for different addresses at one
    /// point, and above what the point holds.
    fn seq_for(&mut self, point: PeerId, addresses: &Arc<[Multiaddr]>, above: Option<u64>) -> u64 {
        let here = self.sent.get(&point);
        let replaced = here.filter(|it| it.addresses != *addresses);
        let above = above.max(replaced.map(|it| it.seq));
        let is_above = |seq: &u64| above.is_none_or(|above| *seq > above);
        // A number that only one point made necessary says nothing to others.
        let elsewhere = self.sent.values().filter(|it| it.seq <= self.seq);
        let known = here.into_iter().chain(elsewhere);
        let known = known.filter(|it| it.addresses == *addresses);
        let seq = known.map(|it| it.seq).find(is_above).unwrap_or_else(|| {
            let next = unix_secs().max(self.seq.saturating_add(1));
            if is_above(&next) {
                self.seq = next;
                return next;
            }
            above.map_or(next, |above| above.saturating_add(1))
        });
        let addresses = Arc::clone(addresses);
        self.sent.insert(point, Numbered { addresses, seq });
        seq
    }

    fn seal(
        &mut self,
        dialect: Dialect,
        seq: u64,
        addresses: &[Multiaddr],
    ) -> Result<Bytes, Failure> {
        if dialect == Dialect::Plain {
            return Ok(Record::plain(&self.local, addresses).bytes().clone());
        }
        let mut sealed = self.sealed.iter();
        let same = sealed.find(|(sealed_as, record, _)| {
            *sealed_as == dialect && record.seq == seq && record.addresses == addresses
        });
        if let Some((.., bytes)) = same {
            return Ok(bytes.clone());
        }
        let record = PeerRecord {
            peer: self.local,
            seq,
            addresses: addresses.to_vec(),
        };
        let bytes = record.seal(dialect, &self.key).map_err(|error| {
            tracing::warn!(%error, "cannot sign the peer record");
            Failure::Unsigned
        })?;
        if self.sealed.len() >= SEALED_MAX {
            self.sealed.pop_front();
        }
        self.sealed.push_back((dialect, record, bytes.clone()));
        Ok(bytes)
    }
}

/// The request as a point with the extension should get it; `None` if it is that already.
fn extended(wanted: &Wanted) -> Option<Wanted> {
    let mut extended = wanted.clone();
    match &mut extended {
        Wanted::Discover { accepts, .. } if accepts.is_empty() => *accepts = DialectSet::ALL,
        Wanted::Register {
            dialect,
            counterpart,
            ..
        } if counterpart.is_none() => {
            *dialect = Dialect::Standard;
            *counterpart = Some(Dialect::Legacy);
        }
        Wanted::Discover { .. }
        | Wanted::Register { .. }
        | Wanted::Subscribe { .. }
        | Wanted::Unregister { .. } => {
            return None;
        }
    }
    Some(extended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rv_proto::{Namespace, Request, Ttl, UnverifiedRecord, decode_frame};

    fn wanted(addresses: &Arc<[Multiaddr]>, seq_above: Option<u64>) -> Wanted {
        Wanted::Register {
            namespace: Namespace::new("ns").expect("a namespace"),
            ttl: Ttl::DEFAULT,
            dialect: Dialect::Standard,
            counterpart: Some(Dialect::Legacy),
            seq_above,
            addresses: Arc::clone(addresses),
        }
    }

    fn addresses(count: usize, name: &str) -> Arc<[Multiaddr]> {
        let address = |port| format!("/dns4/{name}/tcp/{port}").parse().expect("good");
        (1..=count).map(address).collect()
    }

    fn point(number: u8) -> PeerId {
        let key = Keypair::ed25519_from_bytes([number; 32]).expect("32 bytes");
        key.public().to_peer_id()
    }

    fn sign(signer: &mut Signer, number: u8, wanted: Wanted) -> (Bytes, Option<Bytes>) {
        let message = signer.message(point(number), wanted);
        let message = message.expect("it can be signed");
        assert!(message.frame.len() <= Config::REGISTER_BYTES_MAX);
        let mut frame = message.frame.as_ref().into();
        let payload = decode_frame(&mut frame, usize::MAX).expect("a frame");
        let Ok(Request::Register(request)) = Request::decode(payload.expect("whole")) else {
            panic!("not a REGISTER");
        };
        (request.record.expect("a record"), request.counterpart)
    }

    fn seq(bytes: Bytes) -> u64 {
        let record = UnverifiedRecord::parse(bytes).expect("a record");
        let record = record.verify().expect("signed well");
        record.seq().expect("signed records are numbered")
    }

    #[test]
    fn the_same_addresses_keep_their_bytes_and_others_get_a_higher_seq() {
        let mut signer = Signer::new(Keypair::generate_ed25519());
        let (here, there) = (addresses(2, "here"), addresses(2, "there"));
        let (first, _) = sign(&mut signer, 1, wanted(&here, None));
        let (again, second) = sign(&mut signer, 2, wanted(&here, None));
        assert_eq!(first, again);
        let first = seq(first);
        assert_eq!(first, seq(second.expect("both signatures")));
        let moved = seq(sign(&mut signer, 1, wanted(&there, None)).0);
        assert!(moved > first);
        let back = seq(sign(&mut signer, 1, wanted(&here, None)).0);
        assert!(back > moved);
    }

    #[test]
    fn points_that_are_told_different_addresses_keep_their_numbers() {
        let mut signer = Signer::new(Keypair::generate_ed25519());
        let (here, there) = (addresses(2, "here"), addresses(2, "there"));
        let (first, _) = sign(&mut signer, 1, wanted(&here, None));
        let (second, _) = sign(&mut signer, 2, wanted(&there, None));
        assert_ne!(seq(first.clone()), seq(second.clone()));
        assert_eq!(sign(&mut signer, 1, wanted(&here, None)).0, first);
        assert_eq!(sign(&mut signer, 2, wanted(&there, None)).0, second);
    }

    #[test]
    fn a_seq_above_what_one_point_holds_is_used_for_that_point_alone() {
        let mut signer = Signer::new(Keypair::generate_ed25519());
        let here = addresses(1, "here");
        let (usual, _) = sign(&mut signer, 1, wanted(&here, None));
        let (high, _) = sign(&mut signer, 2, wanted(&here, Some(1 << 60)));
        assert_eq!(seq(high), (1 << 60) + 1);
        let (next, _) = sign(&mut signer, 3, wanted(&here, None));
        assert_eq!(seq(next), seq(usual));
    }

    #[test]
    fn addresses_that_change_where_a_high_seq_stands_get_a_higher_one() {
        let mut signer = Signer::new(Keypair::generate_ed25519());
        let sets = [addresses(1, "a"), addresses(1, "b"), addresses(1, "a")];
        let above = Some(1 << 60);
        let sent = sets.map(|set| {
            let (record, _) = sign(&mut signer, 1, wanted(&set, above));
            let (again, _) = sign(&mut signer, 1, wanted(&set, above));
            assert_eq!(record, again);
            seq(record)
        });
        assert_eq!(sent, [1, 2, 3].map(|more| (1 << 60) + more));
    }

    #[test]
    fn what_does_not_fit_loses_the_second_signature_then_its_last_addresses() {
        let mut signer = Signer::new(Keypair::generate_ed25519());
        let long = addresses(20, &"a".repeat(100));
        let (_, second) = sign(&mut signer, 1, wanted(&long, None));
        assert_eq!(second, None);
        let long = addresses(64, &"a".repeat(200));
        let (record, _) = sign(&mut signer, 1, wanted(&long, None));
        let record = UnverifiedRecord::parse(record).expect("a record");
        assert!((10..20).contains(&record.addresses().len()));
    }
}
