//! How the command ends when it could not do what was asked.

use std::io;
use std::process::ExitCode;

use rv_server::daemon::{ConfigError, DaemonError, IdentityError};

use crate::output;

/// Why the command ends. The exit codes are documented in `docs/CLI.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Something broke that the command line does not decide: a disk, a store, this program.
    Internal = 1,
    /// What was asked for cannot be done as asked: flags, the configuration, an identity file.
    Usage = 2,
    /// What was asked for is somebody else's, who said no: a directory in use, a file that exists,
    /// a point.
    Refused = 3,
    /// A listen address could not be had, or there is none to register.
    NoAddress = 4,
    /// A point or a peer could not be reached, or did not answer.
    Unreachable = 5,
    /// A point or a peer does not speak the protocol, or broke it.
    Broken = 6,
    /// It ended before all was seen: out of budget or time, or by a signal. What was found is
    /// printed.
    Incomplete = 7,
}

/// A message and the exit code with it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    error: anyhow::Error,
    /// What else is told before it.
    notes: Vec<String>,
    is_quiet: bool,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: error.into(),
            notes: Vec::new(),
            is_quiet: false,
        }
    }

    /// Stdout takes no more. Whoever read it has seen enough if it is a pipe that was closed: then
    /// the command ends without a word, and well.
    pub(crate) fn of_stdout(error: io::Error) -> Self {
        let is_closed = error.kind() == io::ErrorKind::BrokenPipe;
        Self {
            is_quiet: is_closed,
            ..Self::new(Exit::Internal, error)
        }
    }

    /// The same, with other sentences told before it.
    pub(crate) fn after(mut self, notes: Vec<String>) -> Self {
        self.notes = notes;
        self
    }

    /// Says on stderr what is wrong.
    pub(crate) fn tell(self) -> ExitCode {
        if self.is_quiet {
            return ExitCode::SUCCESS;
        }
        for note in &self.notes {
            output::note(note);
        }
        output::note(format_args!("{:#}", self.error));
        ExitCode::from(self.exit as u8)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        let exit = match &error {
            DaemonError::Config(_) => Exit::Usage,
            DaemonError::DataDirInUse { .. } => Exit::Refused,
            DaemonError::Identity(error) => identity_exit(error),
            DaemonError::Listen { .. } => Exit::NoAddress,
            DaemonError::DataDir { .. }
            | DaemonError::JournalStopped
            | DaemonError::JournalStuck { .. }
            | DaemonError::ListenersClosed
            | DaemonError::Store(_)
            | DaemonError::Transport(_) => Exit::Internal,
        };
        Self::new(exit, error)
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        Self::new(identity_exit(&error), error)
    }
}

const fn identity_exit(error: &IdentityError) -> Exit {
    match error {
        IdentityError::Exists { .. } => Exit::Refused,
        IdentityError::Io { .. } => Exit::Internal,
        IdentityError::Lost { .. }
        | IdentityError::Malformed { .. }
        | IdentityError::Missing { .. }
        | IdentityError::Open { .. } => Exit::Usage,
    }
}
