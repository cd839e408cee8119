//! What goes to stdout: results, and nothing else. And what is said beside it, on stderr.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Writes one line and flushes it, since who reads it may wait for it.
///
/// # Errors
///
/// If stdout is closed or full.
pub(crate) fn line(line: impl Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// Says something to whoever looks at stderr.
pub(crate) fn note(note: impl Display) {
    // Without a stderr there is still the exit code.
    let _ = writeln!(io::stderr(), "rv: {note}");
}
