//! `valve hours`: which hours are complete, for people, for programs, and for whoever waits for a `_SUCCESS`.

mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::failure::{Failure, settings, unprinted};
use crate::cli::HoursArgs;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::core::layout::Hour;
use crate::hours::ask::{Question, ask};
use crate::hours::mark::Marker;
use crate::hours::search::Goal;
use crate::hours::{Rules, TopicHours};
use crate::registry::confluent::Confluent;
use crate::sink;
use crate::sink::SinkError;
use crate::sink::retry::Retrying;
use crate::source::offsets::Offsets;
use crate::telemetry::logging::{self, Format};
use crate::telemetry::troubles::Troubles;
use crate::topics::Discovery;

use told::Told;

/// For how long the store may be in trouble without a break.
const GIVE_UP: Duration = Duration::from_secs(60);

/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Tells which hours are complete, and by the exit code whether the one is that was asked about.
pub async fn hours(args: HoursArgs) -> ExitCode {
    let json = args.json;
    let told = match run(args).await {
        Ok(told) => told,
        Err(failure) => return failure.report(),
    };
    let code = told.exit_code();
    let text = if json { told.as_json(code) } else { told.as_text() };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::from(code),
        Err(error) => unprinted(&error).map_or(ExitCode::from(code), Failure::report),
    }
}

async fn run(args: HoursArgs) -> Result<Told, Failure> {
    let config = settings(args.config.as_deref()).await?;
    let colours = io::stderr().is_terminal();
    logging::install("warn", Format::Human { colours }, io::stderr).map_err(Failure::usage)?;
    let rules = Rules {
        granularity: config.layout.granularity,
        lateness: args.lateness.unwrap_or(config.hours_lateness),
    };
    let troubles = Troubles::default();
    let marker = if args.mark { Some(marker(&config, &troubles).await?) } else { None };
    let offsets = Offsets::open(&config);
    let offsets = offsets.map_err(|error| Failure::Usage(format!("kafka.properties: {error}")))?;
    let named = !args.topics.is_empty();
    let topics = topics(args.topics, &config, &offsets, &troubles).await?;

    // The clock first: what comes into a log later comes too late.
    let now = SystemClock::new().now();
    let hour = args.hour.map(|hour| Hour::of(hour.start(), rules.granularity));
    let (goal, last) = match hour {
        Some(hour) => (Goal::Whether, rules.end_of(hour)),
        None => (Goal::Last, rules.last_over(now)),
    };
    let over_at = rules.over_at(if hour.is_some() { last } else { rules.end_of(last) });
    let found = if hour.is_some() && now < over_at {
        not_over(topics)
    } else {
        ask(&offsets, Question { topics, rules, goal, last }).await.map_err(Failure::Unasked)?
    };
    let mut told = Told { rules, hour, named, now, over_at, topics: found, marked: BTreeMap::new() };
    if let Some(marker) = marker {
        let marking = mark(&marker, &told);
        told.marked = tokio::select! {
            marked = marking => marked.map_err(|error| Failure::Unasked(error.to_string()))?,
            reason = given_up(&troubles) => return Err(Failure::Unasked(reason)),
        };
    }
    Ok(told)
}

/// Nobody is asked about an hour that isn't over.
fn not_over(topics: BTreeSet<String>) -> Vec<TopicHours> {
    topics.into_iter().map(|topic| TopicHours { topic, partitions: Vec::new() }).collect()
}

async fn marker(config: &Config, troubles: &Troubles) -> Result<Marker, Failure> {
    let sink = sink::open(&config.sink).await.map_err(Failure::usage)?;
    let sink = Arc::new(Retrying::new(sink, troubles.clone()));
    Marker::new(sink, &config.name, &config.layout.key, config.sink.prefix()).map_err(Failure::Usage)
}

/// The topics that are named, or those that the valve consumes.
async fn topics(
    named: Vec<String>,
    config: &Config,
    offsets: &Offsets,
    troubles: &Troubles,
) -> Result<BTreeSet<String>, Failure> {
    if !named.is_empty() {
        return Ok(named.into_iter().collect());
    }
    let registry = Arc::new(Confluent::new(&config.registry).map_err(Failure::usage)?);
    let discovery = Discovery::new(config.topics.clone(), offsets.clone(), registry, troubles.clone());
    let found = discovery.look().await;
    Ok(found.map_err(|reason| Failure::Unasked(format!("topics: {reason}")))?.into_iter().collect())
}

/// The keys of new marks, by topic.
async fn mark(marker: &Marker, told: &Told) -> Result<BTreeMap<String, Vec<String>>, SinkError> {
    let mut marked = BTreeMap::new();
    for hours in &told.topics {
        let keys = match (told.hour, hours.complete_before()) {
            (Some(hour), _) if told.is_complete_in(hours) => {
                marker.mark(&hours.topic, hour).await?.into_iter().collect()
            }
            (None, Some(end)) => marker.mark_before(&hours.topic, end).await?,
            _ => Vec::new(),
        };
        marked.insert(hours.topic.clone(), keys);
    }
    Ok(marked)
}

/// Waits until the store has been in trouble for too long, and says with what.
async fn given_up(troubles: &Troubles) -> String {
    let mut in_trouble = Duration::ZERO;
    loop {
        tokio::time::sleep(LOOK).await;
        match troubles.lines().into_iter().next() {
            Some(reason) if in_trouble >= GIVE_UP => {
                return format!("given up after {GIVE_UP:?}: {reason}");
            }
            Some(_) => in_trouble += LOOK,
            None => in_trouble = Duration::ZERO,
        }
    }
}
