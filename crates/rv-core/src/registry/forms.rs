//! The forms in which a registration can be shown, one per dialect of readers.
//!
//! A record that is valid may still break a reader: rust, py and js clients fail a whole list over
//! one entry that they cannot parse. So each dialect has a table of what every known reader of it
//! parses, and a registration outside the table has no form there. Where the form carries no
//! signature over the addresses, only the address is left out.

mod table;

use rv_proto::{Dialect, DialectSet, EncodedEntry, Namespace, Record, Records};

use table::{is_readable_address, is_readable_key};

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
            if is_readable(record) {
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

/// Whether every reader of the record's dialect parses it whole. A plain record is no matter of
/// this: it is cut down to what they parse.
fn is_readable(record: &Record) -> bool {
    let dialect = record.dialect();
    is_readable_key(dialect, record.key_type())
        && record
            .addresses()
            .iter()
            .all(|address| is_readable_address(dialect, address))
}

/// The record as an unsigned one, with the addresses that readers of it parse.
fn plain_form(record: &Record) -> Option<Record> {
    let all = record.addresses();
    let readable = all
        .iter()
        .filter(|address| is_readable_address(Dialect::Plain, address));
    let readable: Vec<_> = readable.cloned().collect();
    if readable.is_empty() {
        return None;
    }
    if record.dialect() == Dialect::Plain && readable.len() == all.len() {
        return Some(record.clone());
    }
    Some(Record::plain(record.peer(), &readable))
}

#[cfg(test)]
mod tests;
