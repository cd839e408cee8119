//! Frames: a message on a stream, behind its length.

use bytes::{Bytes, BytesMut};
use prost::encoding::{encode_varint, encoded_len_varint};
use thiserror::Error;

use crate::wire::{VarintError, read_varint};

/// The longest request that a point reads, in bytes: two records with room to spare.
pub const REQUEST_BYTES_MAX: usize = 16_384;

/// The longest response, in bytes. rust reads 1,048,576 and go 4,194,304.
pub const RESPONSE_BYTES_MAX: usize = 1_000_000;

/// A message with its length in front, as a varint.
pub fn encode_frame(payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u64;
    let mut frame = Vec::with_capacity(encoded_len_varint(len) + payload.len());
    encode_varint(len, &mut frame);
    frame.extend_from_slice(payload);
    frame
}

/// Splits the first message off a buffer; `None`, with the buffer as it was, while it is not
/// complete.
///
/// Reserves nothing, so that a length costs its sender as many bytes as it claims. `bytes_max` is
/// for the message without the length in front.
///
/// # Errors
///
/// If the message is longer than `bytes_max`, which shows before it has arrived, or its length is
/// not a number. Nothing that follows can be read then.
pub fn decode_frame(buffer: &mut BytesMut, bytes_max: usize) -> Result<Option<Bytes>, FrameError> {
    let (bytes, prefix_bytes) = match read_varint(buffer) {
        Ok(read) => read,
        Err(VarintError::Incomplete) => return Ok(None),
        Err(VarintError::Overflow) => return Err(FrameError::BadPrefix),
    };
    // Longer forms of the same number are refused by every multiformats reader.
    if prefix_bytes != encoded_len_varint(bytes) {
        return Err(FrameError::BadPrefix);
    }
    let payload_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    if payload_bytes > bytes_max {
        return Err(FrameError::TooLong { bytes, bytes_max });
    }
    if buffer.len() - prefix_bytes < payload_bytes {
        return Ok(None);
    }
    let mut frame = buffer.split_to(prefix_bytes + payload_bytes).freeze();
    Ok(Some(frame.split_off(prefix_bytes)))
}

/// Why a stream cannot be read any further.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The length is not a varint in its shortest form.
    #[error("length of the message is not a number")]
    BadPrefix,
    /// The stream ended within a message.
    #[error("the stream ended within a message")]
    Truncated,
    /// Longer than the reader takes.
    #[error("message of {bytes} bytes, at most {bytes_max} are taken")]
    TooLong {
        /// The length that it has, or claims.
        bytes: u64,
        /// The longest that is taken.
        bytes_max: usize,
    },
}
