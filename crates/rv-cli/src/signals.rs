//! When to stop.

use std::io;

use tokio::sync::oneshot;

/// The first and the second time that somebody wants the process to end.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Stop in order.
    pub(crate) first: oneshot::Receiver<()>,
    /// Give up what is in work.
    pub(crate) second: oneshot::Receiver<()>,
}

/// Watches for SIGTERM and SIGINT (elsewhere than on unix: for Ctrl-C).
///
/// # Errors
///
/// If the system does not let signals be watched.
pub(crate) fn watch() -> io::Result<Ends> {
    let mut signals = Signals::new()?;
    let (stop, first) = oneshot::channel();
    let (give_up, second) = oneshot::channel();
    tokio::spawn(async move {
        for told in [stop, give_up] {
            signals.next().await;
            // Nobody waits if the daemon has ended already.
            let _ = told.send(());
        }
    });
    Ok(Ends { first, second })
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
