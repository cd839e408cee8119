//! Pages built by copying are the pages that the message encoder makes.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use rv_proto::{
    DiscoverResponse, EncodedEntry, Entry, Namespace, Response, encode_discover_page_frame,
    encode_frame,
};

use crate::common::{any_bytes, any_namespace};

type Row = (Namespace, Bytes, u32, Option<bool>);

fn any_row() -> impl Strategy<Value = Row> {
    let ttl = prop_oneof![0..=259_200_u32, any::<u32>()];
    (any_namespace(), any_bytes(), ttl, any::<Option<bool>>())
}

fn entry((namespace, record, ttl_secs, verified): &Row) -> Entry {
    Entry {
        namespace: Some(Bytes::copy_from_slice(namespace.as_str().as_bytes())),
        record: Some(record.clone()),
        ttl_secs: Some(u64::from(*ttl_secs)),
        verified: *verified,
    }
}

/// Appends, and checks the length that was announced.
fn append((namespace, record, ttl_secs, verified): &Row, page: &mut Vec<u8>) {
    let encoded = EncodedEntry::new(namespace, record);
    assert_eq!(encoded.record(), record);
    let before = page.len();
    let announced = match verified {
        None => {
            encoded.append_to(*ttl_secs, page);
            encoded.len_with_ttl(*ttl_secs)
        }
        Some(verified) => {
            encoded.append_marked_to(*ttl_secs, *verified, page);
            encoded.len_marked_with_ttl(*ttl_secs)
        }
    };
    assert_eq!(page.len() - before, announced);
}

proptest! {
    #[test]
    fn a_page_is_byte_for_byte_the_encoded_response(
        rows in vec(any_row(), 0..20),
        cookie in any_bytes(),
    ) {
        let mut entries = Vec::new();
        for row in &rows {
            append(row, &mut entries);
        }
        let response = Response::Discover(DiscoverResponse {
            entries: rows.iter().map(entry).collect(),
            cookie: Some(cookie.clone()),
            ..Default::default()
        });
        let frame = encode_discover_page_frame(&entries, &cookie);
        prop_assert_eq!(&frame, &encode_frame(&response.encode()));
        prop_assert_eq!(frame.len(), frame.capacity(), "one allocation");
    }
}

#[test]
fn the_longest_namespace_and_record_fit() {
    let namespace = Namespace::new("n".repeat(255)).expect("255 bytes");
    let row = (namespace, Bytes::from(vec![1; 4_096]), 259_200, None);
    let mut page = Vec::new();
    append(&row, &mut page);
    let response = Response::Discover(DiscoverResponse {
        entries: vec![entry(&row)],
        cookie: Some(Bytes::from_static(b"12345678")),
        ..Default::default()
    });
    assert_eq!(
        encode_discover_page_frame(&page, b"12345678"),
        encode_frame(&response.encode())
    );
}
