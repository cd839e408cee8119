//! Peers, names and records that all tests share.

use std::sync::Arc;

use bytes::Bytes;
use libp2p_identity::{Keypair, PeerId};
use rv_core::client::{Cause, Listed, Wanted};
use rv_proto::multiaddr::Multiaddr;
use rv_proto::{
    Dialect, DiscoverResponse, Entry, Namespace, PeerRecord, Record, RegisterResponse, Request,
    Response, Scope, Status, Time,
};

pub(crate) fn keypair(number: u8) -> Keypair {
    Keypair::ed25519_from_bytes([number; 32]).expect("32 bytes")
}

pub(crate) fn peer(number: u8) -> PeerId {
    keypair(number).public().to_peer_id()
}

/// The peer whose client is tested.
pub(crate) fn local() -> PeerId {
    peer(1)
}

/// Points: 101, 102, and so on.
pub(crate) fn point(number: u8) -> PeerId {
    peer(100 + number)
}

pub(crate) fn name(name: &str) -> Namespace {
    Namespace::new(name).expect("a name")
}

pub(crate) fn chat() -> Namespace {
    name("chat")
}

pub(crate) fn in_chat() -> Scope {
    Scope::Namespace(chat())
}

pub(crate) fn secs(secs: u64) -> Time {
    Time::from_millis(secs * 1_000)
}

pub(crate) fn address(port: u16) -> Multiaddr {
    format!("/ip4/203.0.113.9/tcp/{port}")
        .parse()
        .expect("an address")
}

/// The bytes of a record.
pub(crate) fn sealed(number: u8, dialect: Dialect, seq: u64, ports: &[u16]) -> Bytes {
    let addresses: Vec<_> = ports.iter().map(|port| address(*port)).collect();
    match dialect {
        Dialect::Plain => Record::plain(&peer(number), &addresses).bytes().clone(),
        Dialect::Legacy | Dialect::Standard => PeerRecord {
            peer: peer(number),
            seq,
            addresses,
        }
        .seal(dialect, &keypair(number))
        .expect("sealed"),
    }
}

pub(crate) fn record(number: u8, dialect: Dialect, seq: u64, port: u16) -> Arc<Record> {
    let bytes = sealed(number, dialect, seq, &[port]);
    let parsed = rv_proto::UnverifiedRecord::parse(bytes).expect("parsed");
    Arc::new(parsed.verify().expect("verified"))
}

/// A good entry of the namespace "chat".
pub(crate) fn entry(number: u8, ttl_secs: u64) -> Entry {
    Entry {
        namespace: Some(Bytes::from_static(b"chat")),
        record: Some(sealed(number, Dialect::Standard, 1, &[4_001])),
        ttl_secs: Some(ttl_secs),
        verified: None,
    }
}

pub(crate) fn page(entries: Vec<Entry>, cookie: &'static str) -> Response {
    Response::Discover(DiscoverResponse {
        entries,
        cookie: Some(Bytes::from_static(cookie.as_bytes())),
        status: Status::OK,
        status_text: String::new(),
    })
}

pub(crate) fn refused_page(status: Status) -> Response {
    Response::Discover(DiscoverResponse::refused(status, "no".to_owned()))
}

pub(crate) fn granted(ttl_secs: u64) -> Response {
    Response::Register(RegisterResponse {
        status: Status::OK,
        status_text: String::new(),
        ttl_secs: Some(ttl_secs),
    })
}

pub(crate) fn refused(status: Status, text: &str) -> Response {
    Response::Register(RegisterResponse::refused(status, text.to_owned()))
}

/// What was listed at one point: by whom, pages, entries, cookie, and why no more.
pub(crate) fn facts(listed: &Listed) -> (PeerId, usize, usize, Option<&[u8]>, Option<&Cause>) {
    let cookie = listed.cookie.as_deref();
    let cause = listed.cause.as_ref();
    (listed.point, listed.pages, listed.entries, cookie, cause)
}

/// What a shell makes of a request: it signs. `clock` is the seq unless it has to be higher.
pub(crate) fn to_request(number: u8, wanted: &Wanted, clock: u64) -> Request {
    let (mut record, mut counterpart) = (None, None);
    if let Wanted::Register {
        dialect,
        counterpart: second,
        seq_above,
        addresses,
        ..
    } = wanted
    {
        let seq = clock.max(seq_above.map_or(0, |seq| seq + 1));
        let seal = |dialect| match dialect {
            Dialect::Plain => Record::plain(&peer(number), addresses).bytes().clone(),
            Dialect::Legacy | Dialect::Standard => PeerRecord {
                peer: peer(number),
                seq,
                addresses: addresses.to_vec(),
            }
            .seal(dialect, &keypair(number))
            .expect("sealed"),
        };
        record = Some(seal(*dialect));
        counterpart = second.map(seal);
    }
    wanted.to_request(&peer(number), record, counterpart)
}
