//! Facts for journals to keep, and the state that they amount to.

use std::collections::BTreeMap;

use libp2p_identity::{Keypair, PeerId};
use multiaddr::Multiaddr;
use rv_proto::{Fact, Namespace, Record, Records, Registered, Removed, Seq, Time, Ttl};
use rv_server::journal::{Batch, BatchId, Forget};

/// splitmix64: the same numbers from the same seed, everywhere.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).expect("fits")).expect("fits")
    }
}

pub fn peer(number: u8) -> PeerId {
    let keypair = Keypair::ed25519_from_bytes([number; 32]).expect("32 bytes are a key");
    keypair.public().to_peer_id()
}

pub fn namespace(number: usize) -> Namespace {
    Namespace::new(format!("crash/{number}")).expect("a valid namespace")
}

/// A registration with `addresses` addresses, told apart from others of its key by its deadline.
pub fn registered(peer: PeerId, namespace: Namespace, addresses: usize, at: u64) -> Fact {
    let addresses: Vec<Multiaddr> = (0..addresses)
        .map(|port| {
            format!("/ip4/192.0.2.1/tcp/{}", 1_000 + port)
                .parse()
                .expect("an address")
        })
        .collect();
    let record = Record::plain(&peer, &addresses);
    Fact::Registered(Registered {
        namespace,
        peer,
        records: Records::new([record]).expect("one record"),
        granted: Ttl::DEFAULT,
        expires_at: Time::from_millis(at),
        origin: None,
    })
}

pub fn removed(peer: PeerId, namespace: Namespace, at: u64) -> Fact {
    Fact::Removed(Removed {
        namespace,
        peer,
        expires_at: Time::from_millis(at),
    })
}

type Key = (PeerId, Namespace);

/// What a journal is to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub rows: BTreeMap<Key, (Seq, Vec<u8>)>,
    pub head: Seq0,
}

/// A sequence number that begins at zero, so that a state can begin empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seq0(pub Seq);

impl Default for Seq0 {
    fn default() -> Self {
        Self(Seq::ZERO)
    }
}

impl State {
    pub fn apply(&mut self, batch: &Batch, seqs: &[Seq]) {
        assert_eq!(batch.facts.len(), seqs.len(), "one sequence number a fact");
        for (fact, seq) in batch.facts.iter().zip(seqs) {
            assert!(*seq > self.head.0, "{seq:?} was given before");
            self.head = Seq0(*seq);
            let key = (*fact.peer(), fact.namespace().clone());
            match fact {
                Fact::Registered(_) => {
                    self.rows.insert(key, (*seq, fact.encode()));
                }
                Fact::Removed(_) => {
                    self.rows.remove(&key);
                }
            }
        }
        for forget in &batch.forget {
            let key = (forget.peer, forget.namespace.clone());
            if self
                .rows
                .get(&key)
                .is_some_and(|(seq, _)| *seq == forget.seq)
            {
                self.rows.remove(&key);
            }
        }
    }

    /// The sequence numbers that a log without gaps gives to `count` more facts.
    pub fn next_seqs(&self, count: usize) -> Vec<Seq> {
        let mut seq = self.head.0;
        (0..count)
            .map(|_| {
                seq = seq.next().expect("not the last one");
                seq
            })
            .collect()
    }
}

/// A batch of 1 to 6 facts about few registrations, and sometimes something to forget.
pub fn random_batch(id: u64, state: &State, random: &mut Random) -> Batch {
    let facts = (0..=random.below(6))
        .map(|_| {
            let peer = peer(u8::try_from(random.below(12)).expect("fits"));
            let namespace = namespace(random.below(3));
            if random.below(5) == 0 {
                removed(peer, namespace, id)
            } else {
                registered(peer, namespace, 1 + random.below(30), id)
            }
        })
        .collect();
    let mut forget = Vec::new();
    if random.below(3) == 0
        && let Some(((peer, namespace), (seq, _))) =
            state.rows.iter().nth(random.below(state.rows.len().max(1)))
    {
        let stale = Seq::new(seq.get().saturating_sub(1)).expect("below the limit");
        let seq = if random.below(2) == 0 { *seq } else { stale };
        forget.push(Forget {
            seq,
            namespace: namespace.clone(),
            peer: *peer,
        });
    }
    Batch {
        id: BatchId(id),
        facts,
        forget,
    }
}
