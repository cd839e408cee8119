//! What a daemon stands on: its identity, its store, and the point over them.

use std::time::Duration;

use libp2p_identity::Keypair;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::data_dir::DataDir;
use super::identity::{IdentityError, create_identity, load_identity};
use super::{Config, DaemonError, SteadyClock};
use crate::journal::{MemoryJournal, RedbConfig, RedbJournal};
use crate::{Behaviour, random_epoch};

pub(super) struct Opened {
    pub(super) behaviour: Behaviour,
    pub(super) committer: JoinHandle<()>,
    pub(super) keypair: Keypair,
}

/// Opens everything that `config` names, and spawns the committer.
pub(super) fn open(config: &Config) -> Result<Opened, DaemonError> {
    let mut point = config.point()?;
    let given = config.identity_path().map(load_identity).transpose()?;
    let clock = SteadyClock::new();
    if config.ephemeral {
        let keypair = given.unwrap_or_else(Keypair::generate_ed25519);
        point.local_peer = Some(keypair.public().to_peer_id());
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
    point.local_peer = Some(keypair.public().to_peer_id());
    let store = RedbConfig {
        cache_bytes: config.store.cache_bytes,
        retry_pause: config.store.retry_pause,
        renew_epoch: config.restored,
    };
    if config.restored {
        tracing::info!("the store gets a new epoch: readers start anew");
    }
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

/// Starts what stands on the committer. If that fails, nothing keeps running: the error is told
/// when the committer has ended, and with it the store and the lock on the directory are free. A
/// committer that takes longer than `patience` is cut off.
pub(super) async fn start<T>(
    mut committer: JoinHandle<()>,
    starting: impl Future<Output = Result<T, DaemonError>>,
    patience: Duration,
) -> Result<(T, JoinHandle<()>), DaemonError> {
    // What failed has dropped the swarm, which is what the committer waits for.
    match starting.await {
        Ok(started) => Ok((started, committer)),
        Err(error) => {
            if timeout(patience, &mut committer).await.is_err() {
                // The disk does not answer. Nothing was served, so nothing is lost.
                committer.abort();
            }
            Err(error)
        }
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_start_that_failed_is_told_when_the_committer_has_ended() {
        let (swarm, dropped) = oneshot::channel::<()>();
        let has_ended = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&has_ended);
        let committer = tokio::spawn(async move {
            dropped.await.expect_err("nothing is sent");
            tokio::task::yield_now().await;
            ended.store(true, Ordering::SeqCst);
        });
        let starting = async move {
            let _swarm = swarm;
            Err::<(), _>(DaemonError::ListenersClosed)
        };
        let error = start(committer, starting, PATIENCE)
            .await
            .expect_err("failed");
        assert!(matches!(error, DaemonError::ListenersClosed), "{error}");
        assert!(has_ended.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_start_that_failed_waits_for_no_disk_for_ever() {
        let (held, gone) = oneshot::channel::<()>();
        let committer = tokio::spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        let starting = std::future::ready(Err::<(), _>(DaemonError::ListenersClosed));
        start(committer, starting, Duration::ZERO)
            .await
            .expect_err("failed");
        let gone = timeout(PATIENCE, gone).await.expect("in time");
        gone.expect_err("the task was ended");
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
