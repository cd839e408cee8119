//! The messages of `/rendezvous/1.0.0`, as they are said and not as they are judged.

mod request;
mod response;
mod update;

pub use self::request::{
    DiscoverRequest, RegisterRequest, Request, SUBSCRIPTION_TYPES_MAX, SubscribeRequest,
    UnregisterRequest,
};
pub use self::response::{
    DISCOVER_ENTRIES_MAX, DiscoverResponse, Entry, RegisterResponse, Response, SubscribeResponse,
};
pub use self::update::{
    Removal, SubscriptionUpdate, UPDATE_BYTES_MAX, UPDATE_ENTRIES_MAX, UPDATES_TYPE,
};

use bytes::Bytes;
use prost::Message as _;

use self::response::{parse_status, parse_text, text_bytes};
use crate::generated::rendezvous::Message;
use crate::wire::{Fields, Value};
use crate::{DecodeError, wire};

/// The protocol name by which a point announces the extension: it takes both signed dialects in one
/// REGISTER, answers in what a DISCOVER accepts, and says what it verified. A stream opened under
/// this name speaks the same messages as any other.
pub const EXTENSION_PROTOCOL: &str = "/rendezvous/ext/1.0.0";

/// `Message.discoverResponse`, and in it `registrations`.
const DISCOVER_RESPONSE_FIELD: u32 = 6;
const REGISTRATIONS_FIELD: u32 = 1;
/// `Message.discoverSubscribe`, and in it `supported_subscription_types`.
const SUBSCRIBE_FIELD: u32 = 100;
const TYPES_FIELD: u32 = 1;
/// `Message.subscriptionUpdate`, and in it `removals`; `registrations` is as above.
const UPDATE_FIELD: u32 = 1001;
const REMOVALS_FIELD: u32 = 2;

/// Decodes a message after it is known that no list in it is longer than its bytes are worth: an
/// empty element takes 2 bytes on the wire and more than 100 in memory.
fn decode_message(payload: Bytes) -> Result<Message, DecodeError> {
    let mut entries = 0;
    let mut types = 0;
    let (mut updated, mut removals) = (0, 0);
    for field in Fields::new(&payload) {
        match field.map_err(|_| DecodeError::Malformed)? {
            (DISCOVER_RESPONSE_FIELD, Value::Bytes(response)) => {
                entries += count(response, REGISTRATIONS_FIELD)?;
            }
            (SUBSCRIBE_FIELD, Value::Bytes(subscribe)) => types += count(subscribe, TYPES_FIELD)?,
            (UPDATE_FIELD, Value::Bytes(update)) => {
                updated += count(update, REGISTRATIONS_FIELD)?;
                removals += count(update, REMOVALS_FIELD)?;
            }
            _ => {}
        }
    }
    check_count("entries", entries, DISCOVER_ENTRIES_MAX)?;
    check_count("subscription types", types, SUBSCRIPTION_TYPES_MAX)?;
    check_count("entries", updated, UPDATE_ENTRIES_MAX)?;
    check_count("removals", removals, UPDATE_ENTRIES_MAX)?;
    Ok(Message::decode(payload)?)
}

fn count(message: &[u8], number: u32) -> Result<usize, DecodeError> {
    // What the count would pass over, the decoder might not.
    if Fields::new(message).any(|field| field.is_err()) {
        return Err(DecodeError::Malformed);
    }
    Ok(wire::count(message, number))
}

const fn check_count(what: &'static str, count: usize, max: usize) -> Result<(), DecodeError> {
    if count > max {
        Err(DecodeError::TooMany { what, max })
    } else {
        Ok(())
    }
}
