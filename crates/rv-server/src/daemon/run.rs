//! Serving, and stopping in order.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{Daemon, DaemonError};

/// How often the log tells what the point has done, if it has done anything.
const STATS_INTERVAL: Duration = Duration::from_secs(60);

/// How long a stop waits for requests in work and for connections to close. A client that neither
/// reads its answer nor closes is not waited for any longer.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a stop looks whether requests are still in work: they end in the connections' tasks,
/// which tell the swarm nothing.
const DRAIN_CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// How long connections stay open after the last answer was written, unless the peers close them:
/// QUIC throws away what has not arrived when it closes, and TCP clients that write into a closed
/// connection do not read on. A round trip around the world with one packet lost fits.
const LINGER: Duration = Duration::from_millis(500);

/// How long a stop waits for the journal after the last connection is gone.
pub(super) const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

impl Daemon {
    /// Serves until `shutdown` resolves, then stops: nobody can connect and nothing can be written
    /// any more, requests in work are answered, connections are closed, the journal is closed. That
    /// takes 20 s at the most, and usually a moment.
    ///
    /// Dropping the future instead stops at once. What was acknowledged is kept even then.
    ///
    /// # Errors
    ///
    /// [`DaemonError::JournalStopped`] and [`DaemonError::ListenersClosed`] while it serves,
    /// [`DaemonError::JournalStuck`] while it stops.
    pub async fn run(mut self, shutdown: impl Future) -> Result<(), DaemonError> {
        let mut shutdown = pin!(shutdown);
        let mut stats = interval(STATS_INTERVAL);
        stats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                // 1. Without its journal a point can only refuse. The process starts again, or its
                //    clients go elsewhere.
                _ = &mut self.committer => return Err(DaemonError::JournalStopped),
                // 2. A stop does not wait for a busy swarm.
                _ = &mut shutdown => break,
                // 3. Rare, so it holds nobody up.
                _ = stats.tick() => self.report.tell(&self.swarm, false),
                // 4. New connections, and whatever else the swarm has. Requests are not among it:
                //    they are served in the connections' own tasks.
                event = self.swarm.select_next_some() => self.handle_event(event)?,
            }
        }
        self.stop().await
    }

    async fn stop(mut self) -> Result<(), DaemonError> {
        let began = Instant::now();
        let deadline = began + DRAIN_TIMEOUT;
        tracing::info!(
            in_work = self.swarm.behaviour().rendezvous.requests_in_work(),
            "stopping"
        );
        self.swarm.behaviour_mut().refuse_connections();
        self.swarm.behaviour_mut().rendezvous.drain();
        self.listeners.close(&mut self.swarm);

        // Requests in work first. Then their answers must arrive before the connections close, and
        // what was read at the very moment of the stop may have come to light meanwhile.
        let idle = |daemon: &Self| daemon.swarm.behaviour().rendezvous.requests_in_work() == 0;
        let alone = |daemon: &Self| daemon.swarm.network_info().num_peers() == 0;
        self.poll_until(deadline, idle).await;
        self.poll_until(deadline.min(Instant::now() + LINGER), alone)
            .await;
        let mut is_clean = self.poll_until(deadline, idle).await;
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // Err: it has gone by itself meanwhile.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        is_clean &= self.poll_until(deadline, alone).await;
        if !is_clean {
            let in_work = self.swarm.behaviour().rendezvous.requests_in_work();
            tracing::warn!(in_work, "some clients did not take their answers in time");
        }

        self.report.tell(&self.swarm, true);
        let Self {
            swarm, committer, ..
        } = self;
        drop(swarm);
        let Ok(ended) = timeout(FLUSH_TIMEOUT, committer).await else {
            return Err(DaemonError::JournalStuck {
                seconds: FLUSH_TIMEOUT.as_secs(),
            });
        };
        if ended.is_err() {
            return Err(DaemonError::JournalStopped);
        }
        tracing::info!(took_ms = began.elapsed().as_millis(), "stopped");
        Ok(())
    }

    /// Polls the swarm until `is_done`, or until the deadline; whether it is done.
    async fn poll_until(&mut self, deadline: Instant, is_done: impl Fn(&Self) -> bool) -> bool {
        let mut check = interval(DRAIN_CHECK_INTERVAL);
        loop {
            if is_done(self) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            tokio::select! {
                _ = check.tick() => {}
                event = self.swarm.select_next_some() => {
                    // That listeners close is wanted now.
                    let _ = self.handle_event(event);
                }
            }
        }
    }
}
