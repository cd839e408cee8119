//! A fingerprint of the state, to compare copies of one log.

use rv_proto::{Dialect, Time};
use sha2::{Digest as _, Sha256};

use super::Registry;

/// A fingerprint of all that is unexpired. Equal on equal state, whatever way led there.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest(")?;
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

impl Registry {
    /// The fingerprint of what is unexpired at `now`.
    ///
    /// Expired registrations are left out, so that a copy which already erased them agrees with one
    /// which did not.
    pub fn digest(&self, now: Time) -> Digest {
        let mut hash = Sha256::new();
        hash.update(self.epoch.get().to_be_bytes());
        for registration in self.by_key.values().filter(|held| !held.is_expired(now)) {
            update_framed(&mut hash, &registration.peer().to_bytes());
            update_framed(&mut hash, registration.namespace().as_str().as_bytes());
            hash.update(registration.seq().get().to_be_bytes());
            hash.update(registration.granted().as_secs().to_be_bytes());
            hash.update(registration.expires_at().as_millis().to_be_bytes());
            for dialect in Dialect::ALL {
                update_framed(&mut hash, registration.record(dialect).unwrap_or_default());
            }
        }
        Digest(hash.finalize().into())
    }
}

/// A length before each part, so that no two different states hash the same bytes.
fn update_framed(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_be_bytes());
    hash.update(part);
}
