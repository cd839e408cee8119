//! What a point answers.

use std::fmt;

/// The status of a response: one of the specification's, or any number that somebody sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(u32);

/// Number, name, sentence.
const TABLE: [(Status, &str, &str); 8] = [
    (Status::OK, "OK", "done"),
    (
        Status::INVALID_NAMESPACE,
        "E_INVALID_NAMESPACE",
        "the namespace cannot be used",
    ),
    (
        Status::INVALID_SIGNED_PEER_RECORD,
        "E_INVALID_SIGNED_PEER_RECORD",
        "the peer record cannot be used",
    ),
    (
        Status::INVALID_TTL,
        "E_INVALID_TTL",
        "the ttl is outside what the point grants",
    ),
    (
        Status::INVALID_COOKIE,
        "E_INVALID_COOKIE",
        "the cookie cannot be used, start without one",
    ),
    (
        Status::NOT_AUTHORIZED,
        "E_NOT_AUTHORIZED",
        "the point does not allow this",
    ),
    (
        Status::INTERNAL_ERROR,
        "E_INTERNAL_ERROR",
        "the point is at fault",
    ),
    (
        Status::UNAVAILABLE,
        "E_UNAVAILABLE",
        "the point cannot do this now",
    ),
];

impl Status {
    /// Done.
    pub const OK: Self = Self(0);
    /// The namespace is missing, empty, too long, or unknown to a point that says so.
    pub const INVALID_NAMESPACE: Self = Self(100);
    /// The record is missing, does not parse, or is not proven. go and py call it
    /// E_INVALID_PEER_INFO.
    pub const INVALID_SIGNED_PEER_RECORD: Self = Self(101);
    /// The ttl is outside what the point grants.
    pub const INVALID_TTL: Self = Self(102);
    /// The cookie is not one, or of another namespace.
    pub const INVALID_COOKIE: Self = Self(103);
    /// The peer may not do that.
    pub const NOT_AUTHORIZED: Self = Self(200);
    /// The point's own fault.
    pub const INTERNAL_ERROR: Self = Self(300);
    /// A limit is reached, or the point is about to stop.
    pub const UNAVAILABLE: Self = Self(400);

    /// The status of that number, known or not.
    pub const fn from_code(code: u32) -> Self {
        Self(code)
    }

    /// The number on the wire.
    pub const fn code(self) -> u32 {
        self.0
    }

    /// The specification's name; `None` if it has none.
    pub fn name(self) -> Option<&'static str> {
        self.row().map(|(_, name, _)| *name)
    }

    /// What it means, as part of a sentence.
    pub fn sentence(self) -> &'static str {
        self.row().map_or(
            "the point answered with an unknown status",
            |(_, _, sentence)| sentence,
        )
    }

    fn row(self) -> Option<&'static (Self, &'static str, &'static str)> {
        TABLE.iter().find(|(status, _, _)| *status == self)
    }

    /// Protobuf's enums are signed; a negative one comes back as it went.
    pub(crate) const fn from_wire(code: i32) -> Self {
        Self(code.cast_unsigned())
    }

    pub(crate) const fn to_wire(self) -> i32 {
        self.0.cast_signed()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "unknown status {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::rendezvous::message::ResponseStatus;

    #[test]
    fn names_and_numbers_are_those_of_the_proto_file() {
        for (status, name, _) in TABLE {
            let wire = ResponseStatus::try_from(status.to_wire()).expect("in the proto file");
            assert_eq!(name, wire.as_str_name());
        }
        let known = (0..1_000)
            .filter(|code| ResponseStatus::try_from(*code).is_ok())
            .count();
        assert_eq!(known, TABLE.len());
    }

    #[test]
    fn a_status_reads_as_name_and_number() {
        assert_eq!(Status::INVALID_TTL.to_string(), "E_INVALID_TTL (102)");
        assert_eq!(Status::from_code(7).to_string(), "unknown status 7");
        assert_eq!(Status::from_code(7).name(), None);
    }
}
