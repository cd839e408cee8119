//! Calls whose end somebody waits for.

use std::sync::Arc;

use futures::channel::mpsc;

use crate::command::Command;

/// What tells one call from another.
#[derive(Clone, Debug)]
pub(crate) struct CallId(Arc<()>);

/// Who waits for a call. To drop it before the call is over cancels that.
#[derive(Debug)]
pub(crate) struct Pending {
    call: CallId,
    commands: mpsc::Sender<Command>,
    is_over: bool,
}

impl PartialEq for CallId {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Pending {
    pub(crate) fn new(commands: mpsc::Sender<Command>) -> Self {
        Self {
            call: CallId(Arc::new(())),
            commands,
            is_over: false,
        }
    }

    pub(crate) fn call(&self) -> CallId {
        self.call.clone()
    }

    /// Nothing is left to cancel.
    pub(crate) fn over(mut self) {
        self.is_over = true;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.is_over {
            let call = self.call.clone();
            // A sender's first message always has room; without a receiver there is nothing to end.
            let _ = self.commands.try_send(Command::Cancel { call });
        }
    }
}
