//! When to stop.

use std::io;

use tokio::sync::oneshot;

/// The exit code after a second signal: what was in work was given up.
const GIVEN_UP: i32 = 1;

/// Watches for SIGTERM and SIGINT (elsewhere than on unix: for Ctrl-C). The first one resolves what
/// is returned; a second one ends the process at once.
///
/// # Errors
///
/// If the system does not let signals be watched.
pub(crate) fn stop() -> io::Result<oneshot::Receiver<()>> {
    let mut signals = Signals::new()?;
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        signals.next().await;
        // Nobody waits if the daemon is about to fail anyway.
        let _ = sender.send(());
        signals.next().await;
        tracing::error!("second signal: what is in work is given up");
        std::process::exit(GIVEN_UP);
    });
    Ok(receiver)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self {
            interrupt,
            terminate,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    const fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            // It cannot be watched: then only the system ends the process.
            std::future::pending::<()>().await;
        }
    }
}
