//! Facts: what a journal keeps.

use bytes::Bytes;
use libp2p_identity::PeerId;
use prost::Message as _;

use crate::generated::journal::{self as pb, fact::Kind};
use crate::{
    DecodeError, Dialect, Namespace, Origin, Record, Records, Time, Ttl, UnverifiedRecord,
};

/// Something that happened, with all that is needed to apply it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A peer stands in a namespace.
    Registered(Registered),
    /// A peer no longer does.
    Removed(Removed),
}

/// A registration, which replaces the one that the peer had in the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Where.
    pub namespace: Namespace,
    /// Who.
    pub peer: PeerId,
    /// What readers get.
    pub records: Records,
    /// What the peer was told. Never more than this is told to readers.
    pub granted: Ttl,
    /// From then on it is gone.
    pub expires_at: Time,
    /// The network that it came from.
    pub origin: Option<Origin>,
}

/// The end of a registration before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Where.
    pub namespace: Namespace,
    /// Who.
    pub peer: PeerId,
    /// The deadline of what was removed: behind it, this may be forgotten.
    pub expires_at: Time,
}

impl Fact {
    /// Where it happened.
    pub const fn namespace(&self) -> &Namespace {
        match self {
            Self::Registered(registered) => &registered.namespace,
            Self::Removed(removed) => &removed.namespace,
        }
    }

    /// To whom it happened.
    pub const fn peer(&self) -> &PeerId {
        match self {
            Self::Registered(registered) => &registered.peer,
            Self::Removed(removed) => &removed.peer,
        }
    }

    /// The bytes that are kept.
    pub fn encode(&self) -> Vec<u8> {
        let kind = match self {
            Self::Registered(registered) => Kind::Registered(registered.to_pb()),
            Self::Removed(removed) => Kind::Removed(pb::Removed {
                ns: Some(ns_bytes(&removed.namespace)),
                peer: Some(removed.peer.to_bytes().into()),
                expires_at_millis: Some(removed.expires_at.as_millis()),
            }),
        };
        pb::Fact { kind: Some(kind) }.encode_to_vec()
    }

    /// Reads what was kept. Signatures are not checked again.
    ///
    /// # Errors
    ///
    /// If the bytes are no fact.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        match pb::Fact::decode(bytes)?
            .kind
            .ok_or(DecodeError::Missing("kind of fact"))?
        {
            Kind::Registered(registered) => Registered::from_pb(registered).map(Self::Registered),
            Kind::Removed(pb::Removed {
                ns,
                peer,
                expires_at_millis,
            }) => Ok(Self::Removed(Removed {
                namespace: parse_namespace(ns)?,
                peer: parse_peer(peer)?,
                expires_at: parse_deadline(expires_at_millis)?,
            })),
        }
    }
}

impl Registered {
    fn to_pb(&self) -> pb::Registered {
        let bytes_of = |dialect| {
            self.records
                .of(dialect)
                .map(|record| record.bytes().clone())
        };
        pb::Registered {
            ns: Some(ns_bytes(&self.namespace)),
            peer: Some(self.peer.to_bytes().into()),
            legacy: bytes_of(Dialect::Legacy),
            standard: bytes_of(Dialect::Standard),
            plain: bytes_of(Dialect::Plain),
            granted_secs: Some(u64::from(self.granted.as_secs())),
            expires_at_millis: Some(self.expires_at.as_millis()),
            origin: self
                .origin
                .map(|origin| Bytes::copy_from_slice(origin.as_bytes())),
        }
    }

    fn from_pb(registered: pb::Registered) -> Result<Self, DecodeError> {
        let pb::Registered {
            ns,
            peer,
            legacy,
            standard,
            plain,
            granted_secs,
            expires_at_millis,
            origin,
        } = registered;
        let peer = parse_peer(peer)?;
        let records = parse_records([legacy, standard, plain])?;
        if *records.peer() != peer {
            return Err(DecodeError::Records);
        }
        let parse_origin = |bytes: Bytes| Origin::from_bytes(&bytes).ok_or(DecodeError::Origin);
        Ok(Self {
            namespace: parse_namespace(ns)?,
            peer,
            records,
            granted: Ttl::from_secs(granted_secs.ok_or(DecodeError::Missing("granted ttl"))?)?,
            expires_at: parse_deadline(expires_at_millis)?,
            origin: origin.map(parse_origin).transpose()?,
        })
    }
}

/// In the order of [`Dialect::ALL`].
fn parse_records(by_dialect: [Option<Bytes>; 3]) -> Result<Records, DecodeError> {
    let mut records = Vec::with_capacity(by_dialect.len());
    for (dialect, bytes) in Dialect::ALL.into_iter().zip(by_dialect) {
        let Some(bytes) = bytes else { continue };
        let record: Record = UnverifiedRecord::parse_stored(bytes)?.trust();
        if record.dialect() != dialect {
            return Err(DecodeError::Records);
        }
        records.push(record);
    }
    Records::new(records).ok_or(DecodeError::Records)
}

fn ns_bytes(namespace: &Namespace) -> Bytes {
    Bytes::copy_from_slice(namespace.as_str().as_bytes())
}

fn parse_namespace(bytes: Option<Bytes>) -> Result<Namespace, DecodeError> {
    Ok(Namespace::from_bytes(
        &bytes.ok_or(DecodeError::Missing("namespace"))?,
    )?)
}

fn parse_peer(bytes: Option<Bytes>) -> Result<PeerId, DecodeError> {
    let bytes = bytes.ok_or(DecodeError::Missing("peer id"))?;
    PeerId::from_bytes(&bytes).map_err(|_| DecodeError::PeerId)
}

fn parse_deadline(millis: Option<u64>) -> Result<Time, DecodeError> {
    millis
        .map(Time::from_millis)
        .ok_or(DecodeError::Missing("deadline"))
}
