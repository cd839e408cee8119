//! Replies, read as strictly as the strictest reader does.

use libp2p::PeerId;

use super::read_varint;

/// A reply of the point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To a REGISTER.
    Register(RegisterReply),
    /// To a DISCOVER.
    Discover(DiscoverReply),
    /// To a subscription.
    Subscribe(SubscribeReply),
}

/// The reply to a REGISTER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterReply {
    /// `status`.
    pub status: u64,
    /// `statusText`.
    pub text: String,
    /// `ttl`.
    pub ttl: u64,
}

/// The reply to a DISCOVER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoverReply {
    /// `registrations`.
    pub entries: Vec<EntryReply>,
    /// `cookie`.
    pub cookie: Option<Vec<u8>>,
    /// `status`.
    pub status: u64,
    /// `statusText`.
    pub text: String,
    /// Bytes of the message.
    pub len: usize,
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryReply {
    /// `ns`.
    pub namespace: String,
    /// `signedPeerRecord`.
    pub record: Vec<u8>,
    /// `ttl`.
    pub ttl: u64,
    /// The extension field 1002.
    pub verified: Option<bool>,
}

/// The reply to a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeReply {
    /// `subscription_type`.
    pub subscription_type: String,
    /// `subscription_details`.
    pub details: String,
    /// `status`.
    pub status: u64,
    /// `statusText`.
    pub text: String,
}

impl Reply {
    /// Reads a reply.
    ///
    /// # Panics
    ///
    /// If a field that a stock reader needs is absent, or anything unknown is there.
    pub fn decode(payload: &[u8]) -> Self {
        let message = Fields::parse(payload);
        let only = |body: u64| {
            message.assert_known(&[1, body]);
            Fields::parse(message.bytes(body).expect("the body of its type"))
        };
        match message.number(1).expect("the type is explicit") {
            1 => Self::Register(RegisterReply::read(&only(3))),
            4 => Self::Discover(DiscoverReply::read(&only(6), payload.len())),
            101 => Self::Subscribe(SubscribeReply::read(&only(101))),
            other => panic!("{other} is no type of a response"),
        }
    }

    /// As the reply to a REGISTER.
    ///
    /// # Panics
    ///
    /// If it is another.
    pub fn into_register(self) -> RegisterReply {
        let Self::Register(reply) = self else {
            panic!("not to a REGISTER: {self:?}")
        };
        reply
    }

    /// As the reply to a DISCOVER.
    ///
    /// # Panics
    ///
    /// If it is another.
    pub fn into_discover(self) -> DiscoverReply {
        let Self::Discover(reply) = self else {
            panic!("not to a DISCOVER: {self:?}")
        };
        reply
    }
}

impl RegisterReply {
    fn read(fields: &Fields) -> Self {
        fields.assert_known(&[1, 2, 3]);
        Self {
            status: fields.number(1).expect("the status is explicit"),
            text: fields.text(2),
            ttl: fields.number(3).expect("the ttl is explicit"),
        }
    }
}

impl DiscoverReply {
    fn read(fields: &Fields, len: usize) -> Self {
        fields.assert_known(&[1, 2, 3, 4]);
        let entries: Vec<_> = fields.all_bytes(1).map(EntryReply::read).collect();
        let status = fields.number(3).expect("the status is explicit");
        let cookie = fields.bytes(2).map(<[u8]>::to_vec);
        assert!(
            status != 0 || cookie.is_some(),
            "rust's readers need a cookie"
        );
        assert!(status == 0 || entries.is_empty(), "a refusal lists nothing");
        Self {
            entries,
            cookie,
            status,
            text: fields.text(4),
            len,
        }
    }

    /// The peers listed, in their order.
    pub fn peers(&self) -> Vec<PeerId> {
        self.entries.iter().map(EntryReply::peer).collect()
    }

    /// The cookie of an answer that has one.
    ///
    /// # Panics
    ///
    /// If it has none.
    pub fn cookie(&self) -> &[u8] {
        self.cookie.as_deref().expect("a cookie")
    }
}

impl EntryReply {
    fn read(entry: &[u8]) -> Self {
        let fields = Fields::parse(entry);
        fields.assert_known(&[1, 2, 3, 1002]);
        let ttl = fields.number(3).expect("the ttl is explicit");
        assert!((1..=259_200).contains(&ttl), "{ttl} s: nim drops the entry");
        Self {
            namespace: fields
                .bytes(1)
                .map(utf8)
                .expect("the namespace is explicit"),
            record: fields.bytes(2).expect("a record").to_vec(),
            ttl,
            verified: fields.number(1002).map(|number| number == 1),
        }
    }

    /// Whose entry it is.
    ///
    /// # Panics
    ///
    /// If it has no record of any dialect.
    pub fn peer(&self) -> PeerId {
        let record = Fields::parse(&self.record);
        let id = match record.bytes(3) {
            Some(payload) => Fields::parse(payload).bytes(1).map(<[u8]>::to_vec),
            None => record.bytes(1).map(<[u8]>::to_vec),
        };
        PeerId::from_bytes(&id.expect("a record names its peer")).expect("a peer id")
    }

    /// "legacy", "standard" or "plain".
    ///
    /// # Panics
    ///
    /// If it is none of them.
    pub fn dialect(&self) -> &'static str {
        let record = Fields::parse(&self.record);
        match (record.bytes(3), record.bytes(2)) {
            (None, _) => "plain",
            (Some(_), Some(b"/libp2p/routing-state-record")) => "legacy",
            (Some(_), Some([0x03, 0x01])) => "standard",
            (Some(_), other) => panic!("payload type {other:?}"),
        }
    }

    /// The addresses of an unsigned record, as bytes.
    pub fn plain_addresses(&self) -> Vec<Vec<u8>> {
        Fields::parse(&self.record)
            .all_bytes(2)
            .map(<[u8]>::to_vec)
            .collect()
    }
}

impl SubscribeReply {
    fn read(fields: &Fields) -> Self {
        fields.assert_known(&[1, 2, 3, 4]);
        Self {
            subscription_type: fields.text(1),
            details: fields.text(2),
            status: fields.number(3).expect("the status is explicit"),
            text: fields.text(4),
        }
    }
}

/// A message as its fields.
struct Fields(Vec<(u64, Value)>);

enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

impl Fields {
    fn parse(mut message: &[u8]) -> Self {
        let mut fields = Vec::new();
        while !message.is_empty() {
            let (tag, used) = read_varint(message).expect("a tag");
            let (number, rest) = read_varint(&message[used..]).expect("a value or a length");
            message = &message[used + rest..];
            let value = match tag & 7 {
                0 => Value::Number(number),
                2 => {
                    let length = usize::try_from(number).expect("a length");
                    let (value, rest) = message.split_at(length);
                    message = rest;
                    Value::Bytes(value.to_vec())
                }
                other => panic!("wire type {other}"),
            };
            fields.push((tag >> 3, value));
        }
        Self(fields)
    }

    fn assert_known(&self, known: &[u64]) {
        let unknown = self.0.iter().find(|(field, _)| !known.contains(field));
        assert!(
            unknown.is_none(),
            "field {}",
            unknown.map_or(0, |(field, _)| *field)
        );
    }

    fn number(&self, wanted: u64) -> Option<u64> {
        self.0.iter().find_map(|(field, value)| match value {
            Value::Number(number) if *field == wanted => Some(*number),
            Value::Number(_) | Value::Bytes(_) => None,
        })
    }

    fn all_bytes(&self, wanted: u64) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter_map(move |(field, value)| match value {
            Value::Bytes(bytes) if *field == wanted => Some(bytes.as_slice()),
            Value::Number(_) | Value::Bytes(_) => None,
        })
    }

    fn bytes(&self, wanted: u64) -> Option<&[u8]> {
        self.all_bytes(wanted).next()
    }

    fn text(&self, wanted: u64) -> String {
        self.bytes(wanted).map(utf8).unwrap_or_default()
    }
}

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}
