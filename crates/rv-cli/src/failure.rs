//! How the command ends when it could not do what was asked.

use std::io::Write as _;
use std::process::ExitCode;

use rv_server::daemon::{ConfigError, DaemonError, IdentityError};

/// Why the command ends. The exit codes are documented in `docs/CLI.md`; 5 and 6 belong to
/// commands that talk to a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Something broke that the command line does not decide: a disk, a store, this program.
    Internal = 1,
    /// What was asked for cannot be done as asked: flags, the configuration, an identity file.
    Usage = 2,
    /// What was asked for is somebody else's: a directory in use, a file that exists.
    Refused = 3,
    /// A listen address could not be had.
    NoAddress = 4,
}

/// A message and the exit code with it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: error.into(),
        }
    }

    /// Says on stderr what is wrong.
    pub(crate) fn tell(self) -> ExitCode {
        // Without a stderr there is still the exit code.
        let _ = writeln!(std::io::stderr(), "rv: {:#}", self.error);
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
