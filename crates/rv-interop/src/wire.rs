//! Requests and replies as bytes, by a few lines of protobuf that share nothing with the point's.

mod reply;

pub use reply::{DiscoverReply, EntryReply, RegisterReply, Reply, SubscribeReply};

/// A varint.
#[expect(
    clippy::cast_possible_truncation,
    reason = "only the masked byte is kept"
)]
pub fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A field with a number.
pub fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A field with bytes.
pub fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [&varint(field << 3 | 2), &varint(value.len() as u64), value].concat()
}

/// A payload behind its length.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    [&varint(payload.len() as u64), payload].concat()
}

/// Bytes that are written as hexadecimal digits.
///
/// # Panics
///
/// If they are not.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<_> = digits
        .chars()
        .filter(|digit| !digit.is_whitespace())
        .collect();
    let byte = |pair: &[char]| {
        let pair: String = pair.iter().collect();
        u8::from_str_radix(&pair, 16).expect("two hexadecimal digits")
    };
    digits.chunks(2).map(byte).collect()
}

/// The first whole frame of `inbound` and how many bytes it takes.
pub(crate) fn split_frame(inbound: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (length, prefix) = read_varint(inbound)?;
    let end = prefix + usize::try_from(length).expect("an answer is short");
    inbound
        .get(prefix..end)
        .map(|payload| (payload.to_vec(), end))
}

fn read_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, index + 1));
        }
    }
    None
}

/// A REGISTER.
#[derive(Clone, Debug, Default)]
pub struct Register {
    /// Its `ns`.
    pub namespace: Option<Vec<u8>>,
    /// Its `signedPeerRecord`.
    pub record: Option<Vec<u8>>,
    /// Its `ttl`, in seconds.
    pub ttl: Option<u64>,
    /// The extension field 1001.
    pub counterpart: Option<Vec<u8>>,
}

impl Register {
    /// A usual one, without a ttl.
    pub fn new(namespace: &str, record: Vec<u8>) -> Self {
        Self {
            namespace: Some(namespace.into()),
            record: Some(record),
            ..Self::default()
        }
    }

    /// With a ttl.
    #[must_use]
    pub fn with_ttl(self, secs: u64) -> Self {
        Self {
            ttl: Some(secs),
            ..self
        }
    }

    /// The message.
    pub fn payload(&self) -> Vec<u8> {
        let mut register = Vec::new();
        register.extend(
            self.namespace
                .iter()
                .flat_map(|namespace| bytes(1, namespace)),
        );
        register.extend(self.record.iter().flat_map(|record| bytes(2, record)));
        register.extend(self.ttl.iter().flat_map(|ttl| number(3, *ttl)));
        register.extend(
            self.counterpart
                .iter()
                .flat_map(|record| bytes(1001, record)),
        );
        [number(1, 0), bytes(2, &register)].concat()
    }
}

/// A DISCOVER.
#[derive(Clone, Debug, Default)]
pub struct Discover {
    /// Its `ns`.
    pub namespace: Option<Vec<u8>>,
    /// Its `limit`.
    pub limit: Option<u64>,
    /// Its `cookie`.
    pub cookie: Option<Vec<u8>>,
    /// The extension field 1001, packed: any numbers.
    pub accepts: Vec<u64>,
}

impl Discover {
    /// Of one namespace.
    pub fn new(namespace: &str) -> Self {
        Self {
            namespace: Some(namespace.into()),
            ..Self::default()
        }
    }

    /// Of everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// With a limit.
    #[must_use]
    pub fn with_limit(self, limit: u64) -> Self {
        Self {
            limit: Some(limit),
            ..self
        }
    }

    /// With a cookie.
    #[must_use]
    pub fn with_cookie(self, cookie: &[u8]) -> Self {
        Self {
            cookie: Some(cookie.into()),
            ..self
        }
    }

    /// With what the reader says that it accepts.
    #[must_use]
    pub fn accepting(self, accepts: &[u64]) -> Self {
        Self {
            accepts: accepts.into(),
            ..self
        }
    }

    /// The message.
    pub fn payload(&self) -> Vec<u8> {
        let mut discover = Vec::new();
        discover.extend(
            self.namespace
                .iter()
                .flat_map(|namespace| bytes(1, namespace)),
        );
        discover.extend(self.limit.iter().flat_map(|limit| number(2, *limit)));
        discover.extend(self.cookie.iter().flat_map(|cookie| bytes(3, cookie)));
        if !self.accepts.is_empty() {
            let packed: Vec<_> = self.accepts.iter().flat_map(|it| varint(*it)).collect();
            discover.extend(bytes(1001, &packed));
        }
        [number(1, 3), bytes(5, &discover)].concat()
    }
}

/// An UNREGISTER.
pub fn unregister(namespace: Option<&str>, id: Option<&[u8]>) -> Vec<u8> {
    let mut unregister = Vec::new();
    unregister.extend(
        namespace
            .iter()
            .flat_map(|namespace| bytes(1, namespace.as_bytes())),
    );
    unregister.extend(id.iter().flat_map(|id| bytes(2, id)));
    [number(1, 2), bytes(4, &unregister)].concat()
}
