//! `valve check`: whether a valve with these settings could work here, before one is started.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use super::failure::{Failure, unprinted};
use crate::check::told::Told;
use crate::check::{self, Checks, Clients, Finding};
use crate::cli::CheckArgs;
use crate::config::{Config, Sources, process_environment};
use crate::registry::confluent::Confluent;
use crate::source::offsets::Offsets;
use crate::telemetry::logging::{self, Format};

/// Tells what was tried and what came of it; succeeds when nothing failed.
pub async fn check(args: CheckArgs) -> ExitCode {
    let told = match run(&args).await {
        Ok(told) => told,
        Err(failure) => return failure.report(),
    };
    let code = ExitCode::from(told.exit_code());
    let text = if args.json { told.as_json() } else { told.as_text(io::stdout().is_terminal()) };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(error) => unprinted(&error).map_or(code, Failure::report),
    }
}

async fn run(args: &CheckArgs) -> Result<Told, Failure> {
    // The findings say what the clients would.
    logging::install("off,rdkafka=off", Format::Human { colours: false }, io::stderr)
        .map_err(Failure::usage)?;
    let checks = Checks::default();
    let local = Sources::local(args.config.as_deref(), process_environment()).map_err(Failure::usage)?;
    let told = |findings, checks: &Checks| Told { findings, took: checks.elapsed(), offline: args.offline };
    let (mut findings, sources) = if args.offline {
        (check::consul::offline(&local), local)
    } else {
        match check::consul::ask(&checks, local).await.map_err(Failure::usage)? {
            (finding, Some(sources)) => (finding.into_iter().collect(), sources),
            (finding, None) => return Ok(told(without_settings(finding), &checks)),
        }
    };
    let config = sources.validate().map_err(|errors| match &*findings {
        // Some of them may be there.
        [finding] if args.offline => Failure::Usage(format!("{errors}\n\n{}", finding.said)),
        _ => Failure::usage(errors),
    })?;
    findings.extend(check::settings::check(&config).map_err(Failure::Usage)?);
    if !args.offline {
        findings.extend(check::all(&checks, &clients(config)?).await);
    }
    Ok(told(findings, &checks))
}

fn without_settings(consul: Option<Finding>) -> Vec<Finding> {
    let since = "Consul, which has some of the settings, can't be read";
    consul.into_iter().chain([Finding::not_tried("settings", "all else", since)]).collect()
}

fn clients(config: Config) -> Result<Clients, Failure> {
    let registry = Arc::new(Confluent::new(&config.registry).map_err(Failure::usage)?);
    let offsets = Offsets::open(&config);
    let offsets = offsets.map_err(|error| Failure::Usage(format!("kafka.properties: {error}")))?;
    Ok(Clients { config: Arc::new(config), offsets, registry })
}
