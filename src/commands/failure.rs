//! How a command that looks or mends ends: with a text, or the reason why not, and its exit code.

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

/// Prints the text, or says why there is none.
pub(super) fn report(done: Result<String, Failure>) -> ExitCode {
    match done {
        Ok(text) => {
            // A reader who has seen enough is no failure.
            drop(std::io::stdout().lock().write_all(text.as_bytes()));
            ExitCode::SUCCESS
        }
        Err(failure) => failure.report(),
    }
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
