//! Cookies: where a DISCOVER goes on.

use thiserror::Error;

use crate::{Dialect, Epoch, Scope, Seq};

/// What we write into a cookie.
///
/// 8 opaque bytes and then the namespace, because rust's clients read it so: they drop a cookie
/// that is shorter, and compare its tail with the namespace that they asked for. All state is in
/// it; a point keeps none. It grants nothing, so it is not signed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cookie {
    /// The dialect that the listing so far was in, if that was decided for good.
    pub dialect: Option<Dialect>,
    /// The life of the log that `seq` is a position of.
    pub epoch: Epoch,
    /// Everything up to here was listed.
    pub seq: Seq,
    /// What was listed.
    pub scope: Scope,
}

/// A cookie as received: whoever sent it may have made it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawCookie<'a> {
    /// As in [`Cookie`].
    pub dialect: Option<Dialect>,
    /// As in [`Cookie`].
    pub epoch: Epoch,
    /// As in [`Cookie`].
    pub seq: Seq,
    /// The namespace, or any other bytes.
    pub namespace: &'a [u8],
}

const HEAD_BYTES: usize = 8;
const EPOCH_SHIFT: u32 = Seq::BITS;
const DIALECT_SHIFT: u32 = Seq::BITS + Epoch::BITS;

const _: () = assert!(DIALECT_SHIFT + 2 == u64::BITS);

impl Cookie {
    /// The bytes of it.
    pub fn encode(&self) -> Vec<u8> {
        let dialect = self.dialect.map_or(0, Dialect::number);
        let head = u64::from(dialect) << DIALECT_SHIFT
            | u64::from(self.epoch.get()) << EPOCH_SHIFT
            | self.seq.get();
        [&head.to_be_bytes(), self.scope.namespace_bytes()].concat()
    }

    /// How many bytes [`Cookie::encode`] gives.
    pub fn encoded_len(&self) -> usize {
        HEAD_BYTES + self.scope.namespace_bytes().len()
    }

    /// Reads a cookie that came back.
    ///
    /// # Errors
    ///
    /// If there is no room in it for what we write.
    pub fn decode(bytes: &[u8]) -> Result<RawCookie<'_>, CookieError> {
        let (head, namespace) = bytes
            .split_first_chunk::<HEAD_BYTES>()
            .ok_or(CookieError::Short)?;
        let head = u64::from_be_bytes(*head);
        let epoch = Epoch::from_bits((head >> EPOCH_SHIFT) as u32);
        Ok(RawCookie {
            dialect: Dialect::from_number(head >> DIALECT_SHIFT),
            epoch,
            seq: Seq::from_low_bits(head),
            namespace,
        })
    }
}

/// Why bytes are no cookie.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieError {
    /// Less than 8 bytes.
    #[error("cookie is too short")]
    Short,
}
