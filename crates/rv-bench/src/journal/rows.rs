//! The rows that every store is measured with.

/// Bytes of a peer id, as an ed25519 key has them.
const PEER_BYTES: usize = 38;
/// Bytes of a row besides its key: a sequence number and a registration with one signed record.
const VALUE_BYTES: usize = 300;

/// Makes rows from numbers, the same in every run.
#[derive(Debug)]
pub(super) struct Rows {
    count: u64,
    state: u64,
}

impl Rows {
    pub(super) fn new(count: u64) -> Self {
        Self { count, state: 1 }
    }

    /// A registration chosen at random.
    pub(super) fn pick(&mut self) -> u64 {
        self.random() % self.count
    }

    /// Bytes of one row, key and value.
    pub(super) fn row_bytes(&mut self) -> usize {
        let (key, value) = self.row(0);
        key.len() + value.len()
    }

    /// The key of this registration, and a fresh value for it.
    pub(super) fn row(&mut self, number: u64) -> (Vec<u8>, Vec<u8>) {
        let mut key = vec![0, 36, 8, 1, 18, 32];
        let mut word = number;
        while key.len() < PEER_BYTES {
            word = mix(word);
            key.extend(word.to_le_bytes());
        }
        key.truncate(PEER_BYTES);
        key.extend(format!("bench/{:04}", number % 1_000).bytes());
        let mut value = Vec::with_capacity(VALUE_BYTES + 8);
        while value.len() < VALUE_BYTES {
            value.extend(self.random().to_le_bytes());
        }
        value.truncate(VALUE_BYTES);
        (key, value)
    }

    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }
}

/// The finalizer of splitmix64.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
