//! One peer in one namespace, kept encoded.

use libp2p_identity::PeerId;
use rv_proto::{
    Dialect, DialectSet, EncodedEntry, Entry, Namespace, Origin, Registered, Seq, Time, Ttl,
};

use super::forms::Forms;

/// A registration: what one REGISTER left behind.
#[derive(Clone, Debug)]
pub struct Registration {
    namespace: Namespace,
    peer: PeerId,
    seq: Seq,
    granted: Ttl,
    expires_at: Time,
    origin: Option<Origin>,
    record_seqs: [Option<u64>; 3],
    record_bytes: usize,
    registered: DialectSet,
    forms: Forms,
}

impl Registration {
    pub(super) fn new(seq: Seq, registered: Registered) -> Self {
        let Registered {
            namespace,
            peer,
            records,
            granted,
            expires_at,
            origin,
        } = registered;
        let mut record_seqs = [None; 3];
        for record in records.iter() {
            record_seqs[record.dialect().index()] = record.seq();
        }
        Self {
            forms: Forms::new(&namespace, &records),
            namespace,
            peer,
            seq,
            granted,
            expires_at,
            origin,
            record_seqs,
            record_bytes: records.bytes(),
            registered: records.dialects(),
        }
    }

    /// Where the peer is registered.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Who is registered.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// The position in the log of the REGISTER that made it, refreshes included.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The ttl that was granted.
    pub fn granted(&self) -> Ttl {
        self.granted
    }

    /// The deadline.
    pub fn expires_at(&self) -> Time {
        self.expires_at
    }

    /// The network that the REGISTER came from, unless it was exempt.
    pub fn origin(&self) -> Option<Origin> {
        self.origin
    }

    /// Whether the deadline has come.
    pub fn is_expired(&self, now: Time) -> bool {
        self.expires_at <= now
    }

    /// Seconds until the deadline, from 1 to the granted ttl: never more, should the clock have
    /// gone back.
    pub fn ttl_left_secs(&self, now: Time) -> u32 {
        let left_secs = self
            .expires_at
            .saturating_since(now)
            .as_millis()
            .div_ceil(1_000);
        let granted_secs = self.granted.as_secs();
        u32::try_from(left_secs)
            .unwrap_or(granted_secs)
            .clamp(1, granted_secs)
    }

    /// The dialects that the peer itself registered.
    pub fn registered_dialects(&self) -> DialectSet {
        self.registered
    }

    /// The dialects whose readers are shown this registration.
    pub fn servable_dialects(&self) -> DialectSet {
        self.forms.servable()
    }

    /// Bytes of the records that the peer registered.
    pub fn record_bytes(&self) -> usize {
        self.record_bytes
    }

    /// The `seq` inside the record of `dialect`.
    pub fn record_seq(&self, dialect: Dialect) -> Option<u64> {
        self.record_seqs[dialect.index()]
    }

    /// The record of `dialect`, as the peer registered it.
    pub fn record(&self, dialect: Dialect) -> Option<&[u8]> {
        let entry = self.forms.entry(dialect)?;
        self.registered.contains(dialect).then(|| entry.record())
    }

    /// What readers of `dialect` are shown, without the ttl.
    pub(crate) fn encoded(&self, dialect: Dialect) -> Option<&EncodedEntry> {
        self.forms.entry(dialect)
    }

    /// The entry of a DISCOVER answer for readers of `dialect`, `None` where no form exists.
    pub fn to_entry(&self, dialect: Dialect, now: Time) -> Option<Entry> {
        let encoded = self.encoded(dialect)?;
        Some(Entry {
            namespace: Some(self.namespace.as_str().as_bytes().to_vec().into()),
            record: Some(encoded.record().to_vec().into()),
            ttl_secs: Some(u64::from(self.ttl_left_secs(now))),
            verified: None,
        })
    }
}
