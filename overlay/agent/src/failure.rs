//! How a command ends.

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// What a command comes to: an exit status, or an error that [`status`] maps to one.
pub(crate) type Outcome = Result<ExitCode, Box<dyn Error>>;

/// Wrong usage or a wrong configuration: nothing was tried.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

impl From<crate::config::Wrong> for Usage {
    fn from(wrong: crate::config::Wrong) -> Self {
        Self(wrong.to_string())
    }
}

/// Says what went wrong, in one line. 0 done, 1 the operation failed, 2 wrong usage.
pub(crate) fn status(outcome: Outcome) -> ExitCode {
    let error = match outcome {
        Ok(code) => return code,
        Err(error) => error,
    };
    // Whoever read the output has enough of it.
    if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
}

/// Prints a line, at once.
pub(crate) fn say(line: impl std::fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
