//! Turns the merged settings into a [`Config`], with every check that needs no other service.
//!
//! Each part takes its settings from the [`Checker`] and goes on when one is wrong, so that all errors are found
//! at a time; a `Config` comes out only when there are none.

use std::net::SocketAddr;
use std::thread::available_parallelism;
use std::time::Duration;

use super::check::Checker;
use super::consul::{Place, is_taken};
use super::error::{ConfigErrors, Problem};
use super::value::{boolean, duration, integer, percent, size};
use super::{
    BatchLimits, Config, ConsulConfig, DeadLetterLimits, GroupConfig, LayoutConfig, MetricsConfig,
    OutOfRange, SinkConfig, Start,
};
use crate::avro::codec::{Codec, Compressor};
use crate::avro::timestamp::{Candidate, TimestampRules};
use crate::core::layout::{Granularity, KeyTemplate, NullPolicy};
use crate::sink::local::LONGEST_NAME;
use crate::telemetry::logging;

mod kafka;
mod registry;
pub(super) mod sink;
mod syntax;
mod topics;

use syntax::{choice, host_port, plain_name};

/// The longest valve name: with its prefix, the dead-letter topic's name must be one that Kafka takes.
const MAX_NAME: usize = syntax::MAX_TOPIC_NAME - crate::dead_letter::TOPIC_PREFIX.len();
/// The longest `sink.prefix` and `layout.key`, in bytes; S3 takes keys of 1,024.
const MAX_KEY_PART: usize = 300;
/// What valve needs besides room for its largest records: blocks, headers, a part being uploaded.
const BASE_MEMORY: usize = 8 << 20;
/// How many records of the largest size must fit the budget: fetched, placed, compressed, uploaded.
const LARGEST_RECORDS: usize = 4;

/// What the process runs on, as far as settings depend on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    /// The bytes that the process may use; `u64::MAX` when that can't be known.
    pub(super) memory: u64,
    /// The cores that it may use.
    pub(super) cores: usize,
}

impl Machine {
    /// The machine or container of this process.
    pub(super) fn this() -> Self {
        let cores = available_parallelism().map_or(1, std::num::NonZero::get);
        Self { memory: crate::memory::container_limit(), cores }
    }
}

/// The validated configuration, or everything that is wrong.
pub(super) fn config(mut settings: Checker, machine: Machine) -> Result<Config, ConfigErrors> {
    settings.refuse_unknown();
    let config = assemble(&mut settings, machine);
    let errors = settings.into_errors();
    match config {
        Some(config) if errors.is_empty() => Ok(config),
        _ => Err(ConfigErrors::new(errors)),
    }
}

/// What no answer of Consul is needed for.
const OF_THE_PLACE: [&str; 4] = ["name", "environment", "consul.path", "consul.required"];

/// Where in Consul the settings are, or what is wrong with what says so.
pub(super) fn place(mut settings: Checker) -> Result<Place, ConfigErrors> {
    let place = take_place(&mut settings);
    only(place, settings, &OF_THE_PLACE)
}

fn take_place(settings: &mut Checker) -> Option<Place> {
    let name = settings.required("name", |text| match plain_name(text, MAX_NAME)? {
        name if is_taken(&name) => {
            Err("Consul has settings that all valves share at the key that would be this valve's own".into())
        }
        name => Ok(name),
    });
    let environment = settings.required("environment", |text| plain_name(text, 64));
    let ConsulConfig { path, required } = consul(settings)?;
    Some(Place { path, environment: environment?, name: name?, required })
}

fn consul(settings: &mut Checker) -> Option<ConsulConfig> {
    let path = settings.required("consul.path", consul_path);
    let required = settings.required("consul.required", boolean);
    Some(ConsulConfig { path: path?, required: required? })
}

fn consul_path(text: &str) -> Result<String, Problem> {
    let text = syntax::one_line(text)?;
    match text.split('/').find_map(|part| plain_name(part, MAX_KEY_PART).err()) {
        Some(_) => {
            Err("it has an empty part, or one with other characters than letters, digits, `.`, `_` and `-`"
                .into())
        }
        None => Ok(text),
    }
}

/// `http.listen` alone.
pub(super) fn http_listen(mut settings: Checker) -> Result<SocketAddr, ConfigErrors> {
    let address = settings.required("http.listen", listen);
    only(address, settings, &["http.listen"])
}

/// What was taken out of `settings`, or what is wrong with those named.
fn only<T>(taken: Option<T>, settings: Checker, names: &[&str]) -> Result<T, ConfigErrors> {
    let errors =
        settings.into_errors().into_iter().filter(|error| names.contains(&&*error.setting)).collect();
    taken.ok_or(ConfigErrors::new(errors))
}

/// Takes every setting before it gives up on any, so that each can say what is wrong with it.
fn assemble(settings: &mut Checker, machine: Machine) -> Option<Config> {
    let name = settings.required("name", |text| plain_name(text, MAX_NAME));
    let environment = settings.required("environment", |text| plain_name(text, 64));
    // Used already, if Consul was asked; but wrong they are wrong.
    let consul = consul(settings);
    let topics = topics::topics(settings);
    let topics_refresh = positive(settings, "topics_refresh");
    let kafka = kafka::kafka(settings);
    let registry = registry::registry(settings);
    let timestamp = timestamp(settings);
    let sink = sink::sink(settings);
    let batch = batch(settings);
    let layout = layout(settings);
    if let (Some(layout), Some(sink), Some(batch)) = (&layout, &sink, &batch)
        && let Some(problem) = unstorable(&layout.key, sink, batch.max_records)
    {
        settings.refuse("layout.key", problem);
    }
    let start = settings.required("start", |text| {
        let known = [("earliest", Start::Earliest), ("latest", Start::Latest), ("stored", Start::Stored)];
        choice(text, &known)
    });
    let out_of_range = settings.required("out_of_range", |text| {
        let known =
            [("fail", OutOfRange::Fail), ("earliest", OutOfRange::Earliest), ("latest", OutOfRange::Latest)];
        choice(text, &known)
    });
    let group: Option<GroupConfig> = kafka::group(settings);
    let rebalance_grace = kafka::rebalance_grace(settings);
    let codec = settings.required("codec", |text| text.trim().parse().map_err(Problem::from));
    let memory_budget = memory_budget(settings, batch.as_ref(), machine.memory);
    let each = codec.map_or(MEMORY_PER_LANE, memory_per_lane);
    let lanes = settings.required("lanes", |text| lanes(text, machine.cores, memory_budget, each));
    let nulls = settings.required("nulls", |text| {
        choice(text, &[("skip", NullPolicy::Skip), ("deadletter", NullPolicy::DeadLetter)])
    });
    let dead_letter_limits = dead_letter_limits(settings);
    let http_listen = settings.required("http.listen", listen);
    let log_filter = settings.required("log.filter", |text| {
        logging::check(text).map(|()| text.to_owned()).map_err(|error| error.to_string().into())
    });
    let metrics = metrics(settings);
    let watchdog_stall = positive(settings, "watchdog.stall");
    let shutdown_deadline = positive(settings, "shutdown.deadline");
    let hours_lateness = settings.required("hours.lateness", duration);
    Some(Config {
        name: name?,
        environment: environment?,
        consul: consul?,
        topics: topics?,
        topics_refresh: topics_refresh?,
        kafka: kafka?,
        registry: registry?,
        timestamp: timestamp?,
        sink: sink?,
        batch: batch?,
        layout: layout?,
        start: start?,
        out_of_range: out_of_range?,
        group: group?,
        rebalance_grace: rebalance_grace?,
        codec: codec?,
        lanes: lanes?,
        memory_budget: memory_budget?,
        nulls: nulls?,
        dead_letter_limits: dead_letter_limits?,
        http_listen: http_listen?,
        log_filter: log_filter?,
        metrics: metrics?,
        watchdog_stall: watchdog_stall?,
        shutdown_deadline: shutdown_deadline?,
        hours_lateness: hours_lateness?,
    })
}

/// A duration longer than nothing.
fn positive(settings: &mut Checker, name: &str) -> Option<Duration> {
    settings.required(name, |text| match duration(text)? {
        Duration::ZERO => Err("it must be longer than nothing".into()),
        duration => Ok(duration),
    })
}

/// A number or size within `least..=most`.
fn within(number: u64, least: u64, most: u64) -> Result<u64, Problem> {
    if number < least {
        return Err(format!("it must be at least {least}").into());
    }
    if number > most {
        return Err(format!("it must be at most {most}").into());
    }
    Ok(number)
}

fn narrow(number: u64) -> Result<usize, Problem> {
    usize::try_from(number).map_err(|_| "it is more than this machine can address".into())
}

fn timestamp(settings: &mut Checker) -> Option<TimestampRules> {
    let years = settings.required("timestamp_range", years);
    // Rules are checked with the default years where the given ones are wrong, and then not used.
    let rules = settings.required_list("timestamp", |items| {
        let candidates = items.iter().map(|item| item.parse::<Candidate>()).collect::<Result<Vec<_>, _>>();
        TimestampRules::new(candidates?, years.unwrap_or((1970, 2100))).map_err(Problem::from)
    });
    years.and(rules)
}

/// `<year>..<year>`, of four digits at most, since keys have four.
fn years(text: &str) -> Result<(i32, i32), Problem> {
    let (first, end) = text.split_once("..").ok_or("it isn't of the form `1970..2100`")?;
    let year = |text: &str| match text.trim().parse::<i32>() {
        Ok(year @ 1..=9999) if !text.contains('+') => Ok(year),
        _ => Err(Problem::from("a year must be a number from 1 to 9999")),
    };
    let (first, end) = (year(first)?, year(end)?);
    if first >= end { Err("the second year must be later than the first".into()) } else { Ok((first, end)) }
}

fn batch(settings: &mut Checker) -> Option<BatchLimits> {
    let max_records =
        settings.required("batch.max_records", |text| within(integer(text)?, 1, i64::MAX as u64));
    let max_bytes = settings.required("batch.max_bytes", |text| within(size(text)?, 1, i64::MAX as u64));
    let max_age = positive(settings, "batch.max_age");
    let max_idle = positive(settings, "batch.max_idle");
    let max_files = settings.required("batch.max_files", |text| narrow(within(integer(text)?, 1, 100_000)?));
    let max_record_bytes = settings
        .required("batch.max_record_bytes", |text| narrow(within(size(text)?, 1_000, 1_000_000_000)?));
    Some(BatchLimits {
        max_records: max_records?,
        max_bytes: max_bytes?,
        max_age: max_age?,
        max_idle: max_idle?,
        max_files: max_files?,
        max_record_bytes: max_record_bytes?,
    })
}

fn metrics(settings: &mut Checker) -> Option<MetricsConfig> {
    let statsd = settings.optional("metrics.statsd", host_port);
    let emf = settings.required("metrics.emf", boolean);
    let per_partition = settings.required("metrics.per_partition", boolean);
    Some(MetricsConfig { statsd, emf: emf?, per_partition: per_partition? })
}

fn dead_letter_limits(settings: &mut Checker) -> Option<DeadLetterLimits> {
    let max_per_minute = settings.required("deadletter.max_per_minute", |text| match text.trim() {
        "off" => Ok(None),
        number => within(integer(number)?, 1, i64::MAX as u64).map(Some),
    });
    let max_share = settings.optional("deadletter.max_share", |text| {
        percent(text).unwrap_or_else(|| Err("it isn't a share, as in `5 %`".into()))
    });
    Some(DeadLetterLimits { max_per_minute: max_per_minute?, max_share })
}

fn layout(settings: &mut Checker) -> Option<LayoutConfig> {
    let granularity = settings.required("layout.granularity", |text| {
        choice(text, &[("hour", Granularity::Hour), ("day", Granularity::Day)])
    });
    let key = settings.required("layout.key", |text| key_template(text, granularity));
    Some(LayoutConfig { key: key?, granularity: granularity? })
}

/// Why files with keys by `key` couldn't be stored in `sink`.
fn unstorable(key: &KeyTemplate, sink: &SinkConfig, max_records: u64) -> Option<Problem> {
    if let Err(error) = key.check_below(sink.prefix()) {
        return Some(error.to_string().into());
    }
    let sentence = format!(
        "with the prefix, it makes names of more than {LONGEST_NAME} bytes for files or folders; directories take none"
    );
    sink.longest_topic(key, max_records).is_none().then(|| sentence.into())
}

/// `layout.key`, for files of this granularity if that is known.
pub(super) fn key_template(text: &str, granularity: Option<Granularity>) -> Result<KeyTemplate, Problem> {
    if text.len() > MAX_KEY_PART {
        return Err(format!("it is longer than {MAX_KEY_PART} bytes").into());
    }
    let key: KeyTemplate = text.parse().map_err(|error| Problem::from(format!("{error}")))?;
    if let Some(granularity) = granularity {
        key.check(granularity).map_err(|error| Problem::from(error.to_string()))?;
    }
    Ok(key)
}

/// The least memory for which the budget can have a lane, in bytes: a client with the shortest fetch queue takes 4 MiB, and all
/// lanes' together shall take no more than about a half.
const MEMORY_PER_LANE: usize = 8 << 20;

/// What a compressor may take without making that more, in bytes.
const SMALL_COMPRESSOR: usize = 1 << 20;

/// The same with this codec: the tables of high levels are larger than the client's queue.
fn memory_per_lane(codec: Codec) -> usize {
    MEMORY_PER_LANE + 2 * Compressor::new(codec).memory().saturating_sub(SMALL_COMPRESSOR)
}

/// `each` is the memory that a lane needs, in bytes.
fn lanes(text: &str, cores: usize, memory_budget: Option<usize>, each: usize) -> Result<usize, Problem> {
    let most = (memory_budget.unwrap_or(usize::MAX) / each).clamp(1, 256);
    let number = match text.trim() {
        "cores" => return Ok(cores.clamp(1, most)),
        number => narrow(within(integer(number)?, 1, 256)?)?,
    };
    if number > most {
        let sentence =
            format!("`memory.budget` has room for the fetches of {most}, at {} each", mebibytes(each as u64));
        return Err(Problem::with_hint(sentence, "give more memory, or fewer lanes"));
    }
    Ok(number)
}

fn memory_budget(settings: &mut Checker, batch: Option<&BatchLimits>, memory: u64) -> Option<usize> {
    settings.required("memory.budget", |text| {
        let bytes = match percent(text) {
            Some(_) if memory == u64::MAX => return Err("the memory that it is a share of isn't known here; give a size".into()),
            Some(share) => memory / 100 * share?,
            None => size(text)?,
        };
        if bytes > memory {
            return Err(format!("that is more than the {} that this process may use", mebibytes(memory)).into());
        }
        let bytes = narrow(bytes)?;
        let needed = batch.map_or(0, |batch| LARGEST_RECORDS * batch.max_record_bytes + BASE_MEMORY);
        if bytes < needed {
            let sentence = format!(
                "it comes to {}, and records of `batch.max_record_bytes` need {} ({LARGEST_RECORDS} of them and {})",
                mebibytes(bytes as u64),
                mebibytes(needed as u64),
                mebibytes(BASE_MEMORY as u64)
            );
            return Err(Problem::with_hint(sentence, "give more memory, or lower `batch.max_record_bytes`"));
        }
        Ok(bytes)
    })
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn listen(text: &str) -> Result<SocketAddr, Problem> {
    text.trim().parse().map_err(|_| {
        let port = text.rsplit_once(':').and_then(|(_, port)| port.trim().parse::<u16>().ok());
        let hint =
            port.map(|port| format!("`127.0.0.1:{port}` for this machine only, `0.0.0.0:{port}` for all"));
        Problem { sentence: "it isn't an IP address and a port".to_owned(), hint }
    })
}
