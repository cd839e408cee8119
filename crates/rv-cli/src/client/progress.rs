//! What a person at a terminal sees while something takes long, on stderr.

use std::borrow::Cow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A line that moves until it is dropped. Nothing is shown where stderr is no terminal.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

/// Fast enough to look alive.
const TICK: Duration = Duration::from_millis(100);

impl Progress {
    pub(super) fn new(doing: impl Into<Cow<'static, str>>) -> Self {
        let bar = ProgressBar::new_spinner().with_message(doing);
        // The default style stands in for a template that cannot be read.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    pub(super) fn say(&self, doing: impl Into<Cow<'static, str>>) {
        self.0.set_message(doing);
    }

    /// Lets something else be written where the line stands.
    pub(super) fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
