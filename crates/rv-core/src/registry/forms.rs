//! The forms in which a registration can be shown, one per dialect of readers.
//!
//! A record that is valid may still break a reader: rust, py and js clients fail a whole list over
//! one entry that they cannot parse. So each dialect has a table of what every known reader of it
//! parses, and a registration outside the table has no form there. Where the form carries no
//! signature over the addresses, only the address is left out.

use multiaddr::Multiaddr;
use rv_proto::{Dialect, DialectSet, EncodedEntry, KeyType, Namespace, Record, Records};

/// Address parts that every reader has parsed for years. Newer and rarer ones (`http-path`,
/// `memory`, `x-parity-ws`, `garlic64`, ...) are missing in some deployed multiaddr library.
const PARTS_EVERYWHERE: [&str; 18] = [
    "certhash",
    "dns",
    "dns4",
    "dns6",
    "dnsaddr",
    "ip4",
    "ip6",
    "onion3",
    "p2p",
    "p2p-circuit",
    "quic",
    "quic-v1",
    "tcp",
    "tls",
    "udp",
    "webtransport",
    "ws",
    "wss",
];

/// Key types that every reader of signed records in a dialect can check.
///
/// Legacy readers are rust programs, and the other key types are optional features there. Of the
/// standard readers, js lacks ECDSA.
const fn key_types(dialect: Dialect) -> &'static [KeyType] {
    match dialect {
        Dialect::Legacy => &[KeyType::Ed25519],
        Dialect::Standard => &[KeyType::Ed25519, KeyType::Secp256k1, KeyType::RSA],
        Dialect::Plain => &[],
    }
}

/// A registration encoded for every dialect in which it has a form.
#[derive(Clone, Debug)]
pub(super) struct Forms {
    entries: [Option<EncodedEntry>; 3],
    servable: DialectSet,
}

impl Forms {
    pub(super) fn new(namespace: &Namespace, records: &Records) -> Self {
        let mut entries = [const { None }; 3];
        let mut servable = DialectSet::EMPTY;
        for record in records.iter() {
            let dialect = record.dialect();
            entries[dialect.index()] = Some(EncodedEntry::new(namespace, record.bytes()));
            if is_parsed_everywhere(record) {
                servable.insert(dialect);
            }
        }
        let source = [Dialect::Plain, Dialect::Legacy, Dialect::Standard];
        if let Some(record) = source.into_iter().find_map(|dialect| records.of(dialect))
            && let Some(plain) = plain_form(record)
        {
            entries[Dialect::Plain.index()] = Some(EncodedEntry::new(namespace, plain.bytes()));
            servable.insert(Dialect::Plain);
        }
        Self { entries, servable }
    }

    /// The entry for `dialect`, servable or as the peer registered it.
    pub(super) fn entry(&self, dialect: Dialect) -> Option<&EncodedEntry> {
        self.entries[dialect.index()].as_ref()
    }

    pub(super) fn servable(&self) -> DialectSet {
        self.servable
    }
}

fn is_parsed_everywhere(record: &Record) -> bool {
    let known_key = record
        .key_type()
        .is_some_and(|key_type| key_types(record.dialect()).contains(&key_type));
    known_key && record.addresses().iter().all(is_known_address)
}

fn is_known_address(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    parts.all(|part| PARTS_EVERYWHERE.contains(&part.tag()))
}

/// The record as an unsigned one, with the addresses that readers of it parse.
fn plain_form(record: &Record) -> Option<Record> {
    let all = record.addresses();
    let known: Vec<_> = all
        .iter()
        .filter(|address| is_known_address(address))
        .cloned()
        .collect();
    if known.is_empty() {
        return None;
    }
    if record.dialect() == Dialect::Plain && known.len() == all.len() {
        return Some(record.clone());
    }
    Some(Record::plain(record.peer(), &known))
}

#[cfg(test)]
mod tests;
