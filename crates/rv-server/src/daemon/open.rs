//! What a daemon stands on: its identity, its store, and the point over them.

use libp2p_identity::{Keypair, PublicKey};
use rv_proto::Epoch;
use tokio::task::JoinHandle;

use super::data_dir::DataDir;
use super::identity::{IdentityError, create_identity, load_identity};
use super::{Config, DaemonError, SteadyClock};
use crate::Behaviour;
use crate::journal::{MemoryJournal, RedbConfig, RedbJournal};

pub(super) struct Opened {
    pub(super) behaviour: Behaviour,
    pub(super) committer: JoinHandle<()>,
    pub(super) keypair: Keypair,
}

/// Opens everything that `config` names, and spawns the committer.
pub(super) fn open(config: &Config) -> Result<Opened, DaemonError> {
    let point = config.point()?;
    let given = config.identity_path().map(load_identity).transpose()?;
    let clock = SteadyClock::new();
    if config.ephemeral {
        let keypair = given.unwrap_or_else(Keypair::generate_ed25519);
        let journal = MemoryJournal::new(random_epoch());
        let (behaviour, committer) = crate::point(point, clock, journal)?;
        return Ok(Opened {
            behaviour,
            committer: tokio::spawn(committer),
            keypair,
        });
    }
    let data_dir = DataDir::open(&config.data_dir)?;
    let keypair = match given {
        Some(keypair) => keypair,
        None => own_identity(&data_dir)?,
    };
    let store = RedbConfig {
        cache_bytes: config.store.cache_bytes,
        retry_pause: config.store.retry_pause,
    };
    let journal = RedbJournal::open(data_dir.store(), store, random_epoch())?;
    let (behaviour, committer) = crate::point(point, clock, journal)?;
    let committer = tokio::spawn(async move {
        committer.await;
        // Only now, with the store closed, may another process have the directory.
        drop(data_dir);
    });
    Ok(Opened {
        behaviour,
        committer,
        keypair,
    })
}

/// The identity in the data directory; a new one at the very first start, and never after it.
fn own_identity(data_dir: &DataDir) -> Result<Keypair, IdentityError> {
    let path = data_dir.identity();
    let is_first_start = |store: std::io::Result<bool>| matches!(store, Ok(false));
    match load_identity(&path) {
        // The identity is durable before the store is made, so a store alone has lost its own.
        Err(IdentityError::Missing { .. }) if is_first_start(data_dir.store().try_exists()) => {
            let keypair = create_identity(&path)?;
            tracing::info!(peer_id = %keypair.public().to_peer_id(), path = %path.display(),
                "made a new identity: keep a copy of it");
            Ok(keypair)
        }
        Err(IdentityError::Missing { path }) => Err(IdentityError::Lost { path }),
        other => other,
    }
}

/// An epoch for a new store. Its bits are those of a public key made for nothing else, which the
/// system's randomness is behind.
fn random_epoch() -> Epoch {
    let key: PublicKey = Keypair::generate_ed25519().public();
    let encoded = key.encode_protobuf();
    let bits = encoded
        .last_chunk()
        .map_or(0, |bytes| u32::from_be_bytes(*bytes));
    Epoch::from_bits(bits)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn epochs_differ() {
        let epochs: BTreeSet<_> = (0..32).map(|_| random_epoch()).collect();
        // Two of 32 collide once in 500 runs, and seven never.
        assert!(epochs.len() > 25, "{epochs:?}");
    }

    #[test]
    fn an_identity_is_made_once_and_never_again_beside_a_store() {
        let folder = tempfile::tempdir().expect("folder");
        let data_dir = DataDir::open(folder.path()).expect("free");
        let first = own_identity(&data_dir).expect("made");
        let second = own_identity(&data_dir).expect("loaded");
        assert_eq!(first.public(), second.public());

        std::fs::write(data_dir.store(), b"").expect("written");
        own_identity(&data_dir).expect("loaded");
        std::fs::remove_file(data_dir.identity()).expect("removed");
        let error = own_identity(&data_dir).expect_err("lost");
        assert!(matches!(error, IdentityError::Lost { .. }), "{error}");
        assert!(!data_dir.identity().exists());
    }
}
