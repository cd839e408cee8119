//! Makes requests out of what the machine wants: signs, numbers, and fits them into a frame.

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
    /// What was numbered last.
    addresses: Arc<[Multiaddr]>,
    seq: u64,
    /// The last record of each dialect that was sealed with `addresses`.
    sealed: [Option<(u64, usize, Bytes)>; 3],
}

impl Signer {
    pub(super) fn new(key: Keypair) -> Self {
        Self {
            local: PeerId::from(key.public()),
            key,
            addresses: Arc::from([]),
            seq: 0,
            sealed: [const { None }; 3],
        }
    }

    pub(super) const fn local(&self) -> PeerId {
        self.local
    }

    /// The request's bytes.
    pub(super) fn message(&mut self, wanted: Wanted) -> Result<Message, Failure> {
        let frame = self.frame(&wanted)?;
        let extended = match extended(&wanted) {
            Some(wanted) => Some(self.frame(&wanted)?),
            None => None,
        };
        Ok(Message {
            wanted,
            frame,
            extended,
        })
    }

    fn frame(&mut self, wanted: &Wanted) -> Result<Bytes, Failure> {
        let frame = match wanted {
            Wanted::Discover { .. } | Wanted::Unregister { .. } => {
                encode_frame(&wanted.to_request(&self.local, None, None).encode())
            }
            Wanted::Register {
                dialect,
                counterpart,
                seq_above,
                addresses,
                ..
            } => {
                let seq = self.seq_for(addresses, *seq_above);
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

    /// Seconds, as rust and nim count them, but never a number twice for different addresses, and
    /// above what the point holds.
    fn seq_for(&mut self, addresses: &Arc<[Multiaddr]>, above: Option<u64>) -> u64 {
        if self.addresses != *addresses {
            self.addresses = Arc::clone(addresses);
            self.seq = unix_secs().max(self.seq.saturating_add(1));
            self.sealed = [const { None }; 3];
        }
        match above {
            // For this point alone: what one point claims to hold says nothing about others.
            Some(above) if above >= self.seq => above.saturating_add(1),
            Some(_) | None => self.seq,
        }
    }

    fn seal(
        &mut self,
        dialect: Dialect,
        seq: u64,
        addresses: &[Multiaddr],
    ) -> Result<Bytes, Failure> {
        let slot = &mut self.sealed[dialect.index()];
        if let Some((sealed_seq, count, bytes)) = slot
            && (*sealed_seq, *count) == (seq, addresses.len())
        {
            return Ok(bytes.clone());
        }
        let bytes = match dialect {
            Dialect::Plain => Record::plain(&self.local, addresses).bytes().clone(),
            Dialect::Legacy | Dialect::Standard => {
                let record = PeerRecord {
                    peer: self.local,
                    seq,
                    addresses: addresses.to_vec(),
                };
                let sealed = record.seal(dialect, &self.key);
                sealed.map_err(|error| {
                    tracing::warn!(%error, "cannot sign the peer record");
                    Failure::Unsigned
                })?
            }
        };
        *slot = Some((seq, addresses.len(), bytes.clone()));
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
        Wanted::Discover { .. } | Wanted::Register { .. } | Wanted::Unregister { .. } => {
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

    fn sign(signer: &mut Signer, wanted: Wanted) -> (Bytes, Option<Bytes>) {
        let message = signer.message(wanted).expect("it can be signed");
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
        let (first, _) = sign(&mut signer, wanted(&here, None));
        let (again, second) = sign(&mut signer, wanted(&here, None));
        assert_eq!(first, again);
        let first = seq(first);
        assert_eq!(first, seq(second.expect("both signatures")));
        let (moved, _) = sign(&mut signer, wanted(&there, None));
        assert!(seq(moved) > first);
    }

    #[test]
    fn a_seq_above_what_one_point_holds_is_used_for_that_point_alone() {
        let mut signer = Signer::new(Keypair::generate_ed25519());
        let here = addresses(1, "here");
        let (usual, _) = sign(&mut signer, wanted(&here, None));
        let (high, _) = sign(&mut signer, wanted(&here, Some(1 << 60)));
        assert_eq!(seq(high), (1 << 60) + 1);
        let (next, _) = sign(&mut signer, wanted(&here, None));
        assert_eq!(seq(next), seq(usual));
    }

    #[test]
    fn what_does_not_fit_loses_the_second_signature_then_its_last_addresses() {
        let mut signer = Signer::new(Keypair::generate_ed25519());
        let (_, second) = sign(&mut signer, wanted(&addresses(20, &"a".repeat(100)), None));
        assert_eq!(second, None);
        let (record, _) = sign(&mut signer, wanted(&addresses(64, &"a".repeat(200)), None));
        let record = UnverifiedRecord::parse(record).expect("a record");
        assert!((10..20).contains(&record.addresses().len()));
    }
}
