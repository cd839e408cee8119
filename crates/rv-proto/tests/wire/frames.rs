//! Frames.

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use rv_proto::{FrameError, REQUEST_BYTES_MAX, decode_frame, encode_frame};

use crate::common::{any_bytes, vectors};

/// Everything that comes out while `stream` goes in chunk by chunk.
fn read_all<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut buffer = BytesMut::new();
    let mut read = Vec::new();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        while let Some(payload) = decode_frame(&mut buffer, 1 << 20).expect("frames") {
            read.push(payload.to_vec());
        }
    }
    assert!(buffer.is_empty(), "bytes after the last frame");
    read
}

proptest! {
    #[test]
    fn messages_come_out_however_the_stream_is_cut(
        payloads in vec(any_bytes(), 1..5),
        chunk_bytes in 1_usize..50,
    ) {
        let stream: Vec<u8> = payloads.iter().flat_map(|payload| encode_frame(payload)).collect();
        prop_assert_eq!(read_all(stream.chunks(chunk_bytes)), payloads);
    }
}

#[test]
fn golden_frames_come_out_wherever_they_are_cut() {
    for (name, frame) in vectors().filter(|(name, _)| name.ends_with("-frame")) {
        for at in 0..=frame.len() {
            let (head, tail) = frame.split_at(at);
            let read = read_all([head, tail].into_iter());
            assert_eq!(read.len(), 1, "{name} cut at {at}");
            assert_eq!(encode_frame(&read[0]), frame, "{name} cut at {at}");
        }
    }
}

#[test]
fn an_incomplete_frame_stays_in_the_buffer() {
    let mut buffer = BytesMut::from(&[5, 1, 2][..]);
    assert_eq!(decode_frame(&mut buffer, 100), Ok(None));
    assert_eq!(&buffer[..], [5, 1, 2]);
}

#[test]
fn a_claimed_length_reserves_nothing() {
    let mut buffer = BytesMut::from(&[0xff, 0x7f][..]);
    let capacity = buffer.capacity();
    assert_eq!(decode_frame(&mut buffer, REQUEST_BYTES_MAX), Ok(None));
    assert_eq!(buffer.capacity(), capacity);
}

#[test]
fn a_frame_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
    let frame = encode_frame(&vec![7; REQUEST_BYTES_MAX]);
    let mut buffer = BytesMut::from(&frame[..]);
    let payload = decode_frame(&mut buffer, REQUEST_BYTES_MAX).expect("at the limit");
    assert_eq!(
        payload.map(|payload| payload.len()),
        Some(REQUEST_BYTES_MAX)
    );

    // Refused by its length alone, before the rest has arrived.
    let mut buffer = BytesMut::from(&encode_frame(&vec![7; REQUEST_BYTES_MAX + 1])[..3]);
    let too_long = FrameError::TooLong {
        bytes: 16_385,
        bytes_max: REQUEST_BYTES_MAX,
    };
    assert_eq!(decode_frame(&mut buffer, REQUEST_BYTES_MAX), Err(too_long));
}

#[test]
fn lengths_that_are_no_numbers_are_refused() {
    let bad: [&[u8]; 4] = [&[0xff; 10], &[0x80; 10], &[0x80, 0x00], &[0x85, 0x80, 0x00]];
    for prefix in bad {
        let read = decode_frame(&mut BytesMut::from(prefix), 100);
        assert_eq!(read, Err(FrameError::BadPrefix), "{prefix:x?}");
    }
}

#[test]
fn the_largest_number_is_too_long_and_no_overflow() {
    let mut prefix = [0xff; 10];
    prefix[9] = 1;
    let too_long = FrameError::TooLong {
        bytes: u64::MAX,
        bytes_max: 100,
    };
    assert_eq!(
        decode_frame(&mut BytesMut::from(&prefix[..]), 100),
        Err(too_long)
    );
}
