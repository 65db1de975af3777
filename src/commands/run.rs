//! `valve run`: the daemon, on the configured Kafka, registry and store.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::signals;
use crate::cli::RunArgs;
use crate::clock::SystemClock;
use crate::config;
use crate::daemon::{self, RunError, Surroundings};
use crate::telemetry::exporters::{self, Dimensions};
use crate::telemetry::logging::{self, Format};

/// The configuration or the command line is wrong.
const USAGE: u8 = 2;

/// Runs the daemon until it is asked to stop.
pub async fn run(args: RunArgs) -> ExitCode {
    let config = match config::load(args.config.as_deref(), config::process_environment()) {
        Ok(config) => config,
        Err(errors) => return refuse(&errors.to_string()),
    };
    if let Err(error) = logging::install(&config.log_filter, Format::of_stderr(), std::io::stderr) {
        return refuse(&error.to_string());
    }
    let clock = Arc::new(SystemClock::new());
    let dimensions = Dimensions::new(&config.name, &config.environment);
    let exporters = match exporters::install(&config.metrics, &dimensions, clock.clone()) {
        Ok(exporters) => exporters,
        Err(error) => return refuse(&error.to_string()),
    };
    let stop = CancellationToken::new();
    if let Err(error) = signals::listen(stop.clone()) {
        return refuse(&format!("signals can't be listened to: {error}"));
    }
    signals::enforce(stop.clone(), config.shutdown_deadline);
    let surroundings = Surroundings::new(config.lanes, clock);
    let status = surroundings.status.clone();
    let ended = daemon::run(config, surroundings, stop).await;
    let totals = status.totals();
    // The last figures leave with it.
    drop(exporters);
    match ended {
        Ok(()) => {
            tracing::info!(
                consumed = totals.consumed,
                rows = totals.rows,
                files = totals.files,
                dead_letters = totals.dead_lettered(),
                "stopped"
            );
            ExitCode::SUCCESS
        }
        Err(RunError::Settings(reason)) => refuse(&reason),
        Err(RunError::Failed(reason)) => {
            tracing::error!(reason, "failed");
            ExitCode::FAILURE
        }
    }
}

/// Says on standard error what is wrong with the settings.
fn refuse(reason: &str) -> ExitCode {
    // Where standard error is closed there is nobody to tell.
    drop(writeln!(std::io::stderr(), "{reason}"));
    ExitCode::from(USAGE)
}
