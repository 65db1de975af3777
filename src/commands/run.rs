//! `valve run`: the daemon, on the configured Kafka, registry and store.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::signals;
use crate::cli::RunArgs;
use crate::clock::SystemClock;
use crate::config::{self, Config, Patience, Sources};
use crate::daemon::{self, RunError, Surroundings};
use crate::telemetry::exporters::{self, Dimensions};
use crate::telemetry::http::{Health, Server};
use crate::telemetry::logging::{self, Format};
use crate::telemetry::status::Status;
use crate::telemetry::troubles::Troubles;

/// The configuration or the command line is wrong.
const USAGE: u8 = 2;

/// Runs the daemon until it is asked to stop.
pub async fn run(args: RunArgs) -> ExitCode {
    let stop = CancellationToken::new();
    if let Err(error) = signals::listen(stop.clone()) {
        return refuse(&format!("signals can't be listened to: {error}"));
    }
    let config = match stop.run_until_cancelled(settings(args.config.as_deref())).await {
        Some(Ok(config)) => config,
        Some(Err(reason)) => return refuse(&reason),
        // Nothing was begun.
        None => return ExitCode::SUCCESS,
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

/// The settings. While Consul doesn't answer, `/readyz` and the log say why.
async fn settings(file: Option<&Path>) -> Result<Config, String> {
    let local = Sources::local(file, config::process_environment()).map_err(|error| error.to_string())?;
    if !local.asks_consul() {
        return local.validate().map_err(|error| error.to_string());
    }
    // How much is to be logged may be what Consul says. Only what this task does is logged meanwhile.
    let logging = logging::meanwhile(Format::of_stderr(), std::io::stderr);
    if local.trusts_any_consul() {
        tracing::warn!(
            "CONSUL_HTTP_SSL_VERIFY is false: whoever answers in Consul's place gets the token and says the settings"
        );
    }
    let troubles = Troubles::default();
    // A lane that hasn't joined: nothing is ready before there are settings, also while the first answer is awaited.
    let health = Health::new(Status::new(1, Arc::new(SystemClock::new())), troubles.clone());
    let server = local.http_listen().map_err(|error| error.to_string())?;
    let server = Server::bind(server, health).await.map_err(|error| error.to_string())?;
    let done = CancellationToken::new();
    let serving = tokio::spawn(server.run(done.clone()));
    let sources = local.with_consul(&troubles, Patience::Endless).await;
    done.cancel();
    // The daemon listens at the same address.
    drop(serving.await);
    drop(logging);
    sources.map_err(|error| error.to_string())?.validate().map_err(|error| error.to_string())
}

/// Says on standard error what is wrong with the settings.
fn refuse(reason: &str) -> ExitCode {
    // Where standard error is closed there is nobody to tell.
    drop(writeln!(std::io::stderr(), "{reason}"));
    ExitCode::from(USAGE)
}
