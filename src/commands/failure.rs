//! Why a command that looks or mends ended without success, and its exit code.

use std::io::Write as _;
use std::process::ExitCode;

/// What went wrong.
#[derive(Debug)]
pub(super) enum Failure {
    /// It couldn't or mustn't be done.
    Failed(String),
    /// The configuration or the command line is wrong.
    Usage(String),
    /// Kafka, the registry or the store could not be asked.
    Unasked(String),
}

impl Failure {
    pub(super) fn usage(error: impl ToString) -> Self {
        Self::Usage(error.to_string())
    }

    /// Says it on standard error.
    pub(super) fn report(self) -> ExitCode {
        let (reason, code) = match self {
            Self::Failed(reason) => (reason, 1),
            Self::Usage(reason) => (reason, 2),
            Self::Unasked(reason) => (reason, 4),
        };
        // Where standard error is closed there is nobody to tell.
        drop(writeln!(std::io::stderr(), "{reason}"));
        ExitCode::from(code)
    }
}
