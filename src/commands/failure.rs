//! How a command that looks or mends ends: with a text, or the reason why not, and its exit code.

use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::config::{Config, LoadError, Patience, Sources, process_environment};
use crate::telemetry::troubles::Troubles;

/// How long Consul is waited for.
const CONSUL_LIMIT: Duration = Duration::from_secs(15);

/// The settings, of all sources.
///
/// # Errors
/// When they are wrong, or Consul doesn't answer.
pub(super) async fn settings(file: Option<&Path>) -> Result<Config, Failure> {
    sources(file).await?.validate().map_err(Failure::usage)
}

/// What all sources say.
///
/// # Errors
/// When one can't be read.
pub(super) async fn sources(file: Option<&Path>) -> Result<Sources, Failure> {
    let local = Sources::local(file, process_environment()).map_err(Failure::usage)?;
    let sources = local.with_consul(&Troubles::default(), Patience::Limited(CONSUL_LIMIT)).await;
    sources.map_err(|error| match error {
        LoadError::Wrong(errors) => Failure::usage(errors),
        error @ LoadError::Consul { .. } => Failure::Unasked(error.to_string()),
    })
}

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
        Ok(text) => match std::io::stdout().lock().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => unprinted(&error).map_or(ExitCode::SUCCESS, Failure::report),
        },
        Err(failure) => failure.report(),
    }
}

/// What it means that the output isn't taken. A reader who has seen enough is no failure.
pub(super) fn unprinted(error: &std::io::Error) -> Option<Failure> {
    let enough = error.kind() == ErrorKind::BrokenPipe;
    (!enough).then(|| Failure::Failed(format!("cannot write to standard output: {error}")))
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
