//! Waiting, with an end.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long a test waits for one thing: far above what a loaded machine needs for it.
pub const WAIT: Duration = Duration::from_secs(30);

/// The output of `future`.
///
/// # Panics
///
/// If there is none within [`WAIT`].
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match timeout(WAIT, future).await {
        Ok(output) => output,
        Err(_) => panic!("no {what} within {WAIT:?}"),
    }
}

/// Asks again and again until `ask` gives something.
///
/// # Panics
///
/// If it never does within [`WAIT`].
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// A task that ends when this is dropped.
#[derive(Debug)]
pub struct Task(JoinHandle<()>);

impl Task {
    /// Starts it.
    pub fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }

    /// Waits for its own end.
    ///
    /// # Panics
    ///
    /// If it does not end within [`WAIT`], or panicked.
    pub async fn ended(mut self) {
        within("end of the task", &mut self.0)
            .await
            .expect("the task does not panic");
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
