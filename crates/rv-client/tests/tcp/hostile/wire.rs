//! Answers as bytes, such as no honest encoder makes them.

use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use rv_client::rv_proto::{
    Dialect, PeerRecord, Response, SubscribeResponse, SubscriptionUpdate, UPDATES_TYPE,
    encode_frame,
};

/// The numbers of the message types.
pub(crate) mod kind {
    pub(crate) const REGISTER: u64 = 0;
    pub(crate) const REGISTER_RESPONSE: u64 = 1;
    pub(crate) const UNREGISTER: u64 = 2;
    pub(crate) const DISCOVER: u64 = 3;
    pub(crate) const DISCOVER_RESPONSE: u64 = 4;
    pub(crate) const SUBSCRIBE: u64 = 100;
    pub(crate) const SUBSCRIBE_RESPONSE: u64 = 101;
}

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        if value == 0 {
            out.push(low);
            return out;
        }
        out.push(low | 0x80);
    }
}

/// A field with a number.
pub(crate) fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A field with bytes.
pub(crate) fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [&varint(field << 3 | 2), &varint(value.len() as u64), value].concat()
}

/// A framed message of these fields.
pub(crate) fn message(fields: &[Vec<u8>]) -> Vec<u8> {
    encode_frame(&fields.concat())
}

/// A framed REGISTER_RESPONSE with these fields in its body.
pub(crate) fn register_response(fields: &[Vec<u8>]) -> Vec<u8> {
    let body = bytes(3, &fields.concat());
    message(&[number(1, kind::REGISTER_RESPONSE), body])
}

/// A framed DISCOVER_RESPONSE with these fields in its body.
pub(crate) fn discover_response(fields: &[Vec<u8>]) -> Vec<u8> {
    let body = bytes(6, &fields.concat());
    message(&[number(1, kind::DISCOVER_RESPONSE), body])
}

/// A framed page that is OK, of entries and a cookie.
pub(crate) fn page(entries: &[Vec<u8>], cookie: &[u8]) -> Vec<u8> {
    discover_response(&[entries.concat(), bytes(2, cookie), number(3, 0)])
}

/// The framed answer of a point that begins a subscription.
pub(crate) fn begun() -> Vec<u8> {
    let response = SubscribeResponse {
        subscription_type: Some(UPDATES_TYPE.into()),
        heartbeat_secs: Some(600),
        ..SubscribeResponse::default()
    };
    encode_frame(&Response::Subscribe(response).encode())
}

/// A framed update that is longer than it has to be: so many bytes, without its length in front.
pub(crate) fn padded_update(update: &SubscriptionUpdate, bytes_total: usize) -> Vec<u8> {
    let mut payload = update.encode();
    let unknown = |len| bytes(999, &vec![0; len]);
    let head_bytes = unknown(bytes_total).len() - bytes_total;
    payload.extend(unknown(bytes_total - payload.len() - head_bytes));
    assert_eq!(payload.len(), bytes_total);
    encode_frame(&payload)
}

/// A listed registration with these fields.
pub(crate) fn entry(namespace: Option<&[u8]>, record: Option<&[u8]>, ttl: Option<u64>) -> Vec<u8> {
    let fields = [
        namespace.map(|it| bytes(1, it)),
        record.map(|it| bytes(2, it)),
        ttl.map(|it| number(3, it)),
    ];
    bytes(
        1,
        &fields.into_iter().flatten().flatten().collect::<Vec<_>>(),
    )
}

/// A listed registration as honest points give it.
pub(crate) fn good_entry(name: &str, record: &[u8]) -> Vec<u8> {
    entry(Some(name.as_bytes()), Some(record), Some(600))
}

pub(crate) fn address(port: u16) -> Multiaddr {
    format!("/ip4/203.0.113.9/tcp/{port}")
        .parse()
        .expect("a good address")
}

/// A record of whoever has `key`, numbered, with an address at `port`.
pub(crate) fn sealed(key: &Keypair, dialect: Dialect, seq: u64, port: u16) -> Vec<u8> {
    sealed_for(key.public().to_peer_id(), key, dialect, seq, port)
}

/// A record about `peer`, signed by `key`, whoever has it.
pub(crate) fn sealed_for(
    peer: PeerId,
    key: &Keypair,
    dialect: Dialect,
    seq: u64,
    port: u16,
) -> Vec<u8> {
    let record = PeerRecord {
        peer,
        seq,
        addresses: vec![address(port)],
    };
    record.seal(dialect, key).expect("the key signs").into()
}

/// An unsigned record with addresses of any bytes.
pub(crate) fn plain(peer: &PeerId, addresses: &[Vec<u8>]) -> Vec<u8> {
    let addresses = addresses.iter().flat_map(|address| bytes(2, address));
    let id = bytes(1, &peer.to_bytes());
    id.into_iter().chain(addresses).collect()
}

/// A signed record with addresses of any bytes, in the standard dialect.
pub(crate) fn sealed_with(key: &Keypair, addresses: &[Vec<u8>]) -> Vec<u8> {
    let payload_type = [0x03, 0x01];
    let infos = addresses
        .iter()
        .flat_map(|address| bytes(3, &bytes(1, address)));
    let mut payload = bytes(1, &key.public().to_peer_id().to_bytes());
    payload.extend(number(2, 1));
    payload.extend(infos);
    let signed: Vec<_> = [&b"libp2p-peer-record"[..], &payload_type, &payload]
        .into_iter()
        .flat_map(|part| [&varint(part.len() as u64), part].concat())
        .collect();
    let signature = key.sign(&signed).expect("the key signs");
    [
        bytes(1, &key.public().encode_protobuf()),
        bytes(2, &payload_type),
        bytes(3, &payload),
        bytes(5, &signature),
    ]
    .concat()
}

/// A peer id that belongs to no key, another one for each number.
pub(crate) fn nobody(number: u32) -> PeerId {
    let mut bytes = [0; 34];
    bytes[..2].copy_from_slice(&[0x12, 0x20]);
    bytes[2..6].copy_from_slice(&number.to_be_bytes());
    PeerId::from_bytes(&bytes).expect("a hash is a peer id")
}
