//! The subscription type `inmem`, as the go implementation `go-libp2p-rendezvous` v0.5.1 has it.
//!
//! A DISCOVER_SUBSCRIBE is answered with a peer and a channel. The client opens a stream of
//! [`INMEM_PROTOCOL`] to that peer and sends a DISCOVER_SUBSCRIBE with the channel as namespace for
//! each that it wants. From then on it is sent an [`InmemRecord`] for each registration.

use bytes::Bytes;
use libp2p_identity::PeerId;
use prost::Message as _;

use crate::frame::encode_frame;
use crate::generated::record::PeerInfo;
use crate::generated::rendezvous::RegistrationRecord;
use crate::{DecodeError, Namespace, Time};

/// The name of the type.
pub const INMEM_TYPE: &str = "inmem";

/// The protocol of its streams.
pub const INMEM_PROTOCOL: &str = "/rendezvous/sync/inmem/1.0.0";

/// The details of a subscription, as JSON: who sends the records, and under which name. The channel
/// is the namespace.
pub fn inmem_details(peer: &PeerId, namespace: &str) -> String {
    let mut channel = String::with_capacity(namespace.len());
    for it in namespace.chars() {
        match it {
            '"' | '\\' => channel.extend(['\\', it]),
            '\0'..'\u{20}' => channel.push_str(&format!("\\u{:04x}", u32::from(it))),
            _ => channel.push(it),
        }
    }
    format!(r#"{{"PeerID":"{peer}","ChannelName":"{channel}"}}"#)
}

/// A registration, as subscribers of this type are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InmemRecord {
    /// The peer id, as text.
    pub peer: String,
    /// Its addresses, in their binary form.
    pub addresses: Vec<Bytes>,
    /// The namespace.
    pub namespace: String,
    /// The deadline. It goes out as milliseconds since the Unix epoch.
    pub expires_at: Time,
}

impl InmemRecord {
    /// The registration of `peer` with the addresses of a plain record; a record that is none has
    /// no addresses.
    pub fn new(peer: &PeerId, record: &[u8], namespace: &Namespace, expires_at: Time) -> Self {
        Self {
            peer: peer.to_string(),
            addresses: PeerInfo::decode(record).map_or_else(|_| Vec::new(), |info| info.addrs),
            namespace: namespace.as_str().to_owned(),
            expires_at,
        }
    }

    /// The message with its length in front.
    pub fn to_frame(&self) -> Vec<u8> {
        let bytes = |text: &str| Some(Bytes::copy_from_slice(text.as_bytes()));
        let record = RegistrationRecord {
            id: bytes(&self.peer),
            addrs: self.addresses.clone(),
            ns: bytes(&self.namespace),
            ttl: i64::try_from(self.expires_at.as_millis()).ok(),
        };
        encode_frame(&record.encode_to_vec())
    }

    /// Reads a message, without the length that is in front of it. What is absent is empty or 0.
    ///
    /// # Errors
    ///
    /// If it is no such message.
    pub fn decode(payload: Bytes) -> Result<Self, DecodeError> {
        let RegistrationRecord { id, addrs, ns, ttl } = RegistrationRecord::decode(payload)?;
        let text = |bytes: Option<Bytes>| {
            String::from_utf8(bytes.unwrap_or_default().into()).map_err(|_| DecodeError::Malformed)
        };
        let millis = u64::try_from(ttl.unwrap_or_default()).unwrap_or_default();
        Ok(Self {
            peer: text(id)?,
            addresses: addrs,
            namespace: text(ns)?,
            expires_at: Time::from_millis(millis),
        })
    }
}
