//! `valve demo`: the daemon, on an embedded broker and registry, and whether it did what it should.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::signals;
use crate::cli::DemoArgs;
use crate::clock::SystemClock;
use crate::config::{self, MetricsConfig};
use crate::demo::progress::{LogLine, Progress};
use crate::demo::run::{Demo, DemoError, Options, empty_directory};
use crate::demo::summary::Summary;
use crate::telemetry::exporters;
use crate::telemetry::logging::{self, Format};

/// What the daemon logs: what goes well, the progress line shows.
const FILTER: &str = "warn";

/// The options are wrong.
const USAGE: u8 = 2;

/// Runs the demo; success means that every event is exactly one row or one expected dead letter.
pub async fn demo(args: DemoArgs) -> ExitCode {
    match run(args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Where standard error is closed there is nobody to tell.
            drop(writeln!(io::stderr(), "{error}"));
            match error {
                DemoError::Options(_) => ExitCode::from(USAGE),
                DemoError::Failed(_) => ExitCode::FAILURE,
            }
        }
    }
}

async fn run(args: DemoArgs) -> Result<bool, DemoError> {
    let directory = empty_directory(&args.out.unwrap_or_else(new_directory))?;
    let terminal = io::stderr().is_terminal();
    let log = move || LogLine::new(io::stderr(), terminal);
    logging::install(FILTER, Format::Human { colours: terminal }, log).map_err(failed)?;
    let stop = CancellationToken::new();
    signals::listen(stop.clone()).map_err(failed)?;

    let DemoArgs { records, rate, http, seed, .. } = args;
    let demo = Demo::start(Options { records, rate, directory: directory.clone(), http, seed }).await?;
    let clock = Arc::new(SystemClock::new());
    let exporters = exporters::install(&MetricsConfig::default(), &demo.dimensions(), clock.clone());
    let _exporters = exporters.map_err(failed)?;
    say(&demo)?;
    let mut progress = Progress::new(io::stderr(), terminal);
    let report = demo.run(&mut progress, clock, &stop).await?;
    say(&Summary { directory: &directory, report: &report })?;
    Ok(report.is_right())
}

/// A directory that nobody has used, below the system's temporary one.
fn new_directory() -> PathBuf {
    let id = uuid::Uuid::new_v4().simple().to_string();
    config::temporary_directory().join(format!("valve-demo-{}", &id[..8]))
}

fn say(text: &impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{text}")?;
    out.flush()
}

fn failed(error: impl Display) -> DemoError {
    DemoError::Failed(error.to_string())
}
