//! The command line: arguments only. What they mean is the commands' business, and settings are `config`'s.

mod exit_codes;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::DateTime;
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use self::exit_codes::{
    AUDIT_EXIT_CODES, CHECK_EXIT_CODES, CONFIG_EXIT_CODES, DEADLETTERS_EXIT_CODES, EXIT_CODES,
    HEALTHCHECK_EXIT_CODES, HOURS_EXIT_CODES, INTENTS_EXIT_CODES, REPLAY_EXIT_CODES,
};
use crate::core::layout::Hour;
use crate::dead_letter::Reason;
use crate::types::{Offset, UnixMillis};
use crate::version;

/// Kafka to hourly Avro files on S3
///
/// Consumes Avro events from Kafka, sorts them by a timestamp inside each event into hourly partitions, and stores
/// them as Avro container files on S3.
#[derive(Clone, Debug, Parser)]
#[command(name = "valve", version = version::text(), arg_required_else_help = true, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the daemon on the configured Kafka, registry and store
    ///
    /// Settings come from the file, over it from Consul where CONSUL_HTTP_ADDR says where that is, and over both from
    /// environment variables: `sink.bucket` is VALVE_SINK__BUCKET. `valve config` lists them all, README.md with their
    /// meanings.
    #[command(after_help = EXIT_CODES)]
    Run(RunArgs),
    /// Run the daemon on an embedded Kafka and registry, and check what it stored
    ///
    /// Needs no service and no configuration. Generates events (several schema versions and hours, some late, some
    /// bad), stores them as files in a directory, and reads those back at the end.
    #[command(after_help = EXIT_CODES)]
    Demo(DemoArgs),
    /// Show which settings take effect, and where each comes from
    ///
    /// Reads the same sources as `valve run`, asks no service but Consul, and shows no secret. What is wrong with the settings follows on
    /// standard error.
    #[command(after_help = CONFIG_EXIT_CODES)]
    Config(ConfigArgs),
    /// Try out whether a valve with these settings could work here, and say what to do where it couldn't
    ///
    /// Reaches Kafka, the registry and the store, and tries what valve does there: rights on topics and the group, conditional
    /// writes, the newest records' schemas and hours. Leaves nothing behind and joins no group, so it may run beside valves that
    /// are at work. Takes a minute at most. Uses the same settings as `valve run`.
    #[command(after_help = CHECK_EXIT_CODES)]
    Check(CheckArgs),
    /// Prove that every offset is stored exactly once, or say which aren't
    ///
    /// Compares the headers of the stored files with the consumer group's committed offsets and their metadata. Uses
    /// the same settings as `valve run`.
    #[command(after_help = AUDIT_EXIT_CODES)]
    Audit(AuditArgs),
    /// Say which hours are complete: of which no file will come any more
    ///
    /// An hour of a topic is complete when its end and the lateness are over, and the group has committed, in every
    /// partition, what came before the first record of that time (by Kafka's timestamps). Uses the same settings as
    /// `valve run`. With layout.granularity = day, all of this is about days.
    #[command(after_help = HOURS_EXIT_CODES)]
    Hours(HoursArgs),
    /// Look at batches that are promised and not committed, and release one that can't be made any more
    ///
    /// A batch is promised before its files are stored; whoever owns its partition next makes it again. Where that can't be
    /// done (records are gone, other rows lie under a file's key), valve holds the partition until the batch is released.
    /// Uses the same settings as `valve run`.
    #[command(after_help = INTENTS_EXIT_CODES)]
    Intents {
        /// What to do.
        #[command(subcommand)]
        command: IntentsCommand,
    },
    /// Ask a running valve whether it lives, for the health check of a container
    ///
    /// Prints the reasons when it doesn't, or gives no answer within three seconds.
    #[command(after_help = HEALTHCHECK_EXIT_CODES)]
    Healthcheck(HealthcheckArgs),
    /// Look at the records that couldn't be stored
    ///
    /// They lie in the topic `_dead_letter_queue_<name>`, each with its original bytes and what is wrong with it. Uses the
    /// same settings as `valve run`.
    #[command(after_help = DEADLETTERS_EXIT_CODES)]
    Deadletters {
        /// What to do.
        #[command(subcommand)]
        command: DeadlettersCommand,
    },
}

/// The arguments of `valve healthcheck`.
#[derive(Args, Clone, Debug)]
pub struct HealthcheckArgs {
    /// TOML file with settings [otherwise the one that VALVE_CONFIG names, if any]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Ask here [otherwise on this machine at `http.listen`, by the same settings as `valve run`]
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub url: Option<String>,
    /// Ask whether it is ready, not only whether it lives
    #[arg(long)]
    pub ready: bool,
}

/// What can be done with dead letters.
#[derive(Clone, Debug, Subcommand)]
pub enum DeadlettersCommand {
    /// Count the dead letters by reason, topic and schema
    #[command(after_help = DEADLETTERS_EXIT_CODES)]
    List(DeadlettersListArgs),
    /// Show one dead letter: what is wrong with the record, and the record, decoded where that can be done
    #[command(after_help = DEADLETTERS_EXIT_CODES)]
    Show(DeadlettersShowArgs),
    /// Send dead letters' records to their topics again, for this valve
    ///
    /// Each once: a letter that was replayed is marked as such, in one transaction with its record. A replay that was
    /// interrupted goes on when it is run again. Records come back with their keys, headers, values and timestamps; other
    /// valves pass them over, while other consumers of the topic see them again.
    #[command(after_help = REPLAY_EXIT_CODES)]
    Replay(DeadlettersReplayArgs),
}

/// Which dead letters are meant.
#[derive(Args, Clone, Debug)]
pub struct LetterFilterArgs {
    /// Only this reason, such as `invalid_datum`; may be given several times [otherwise all]
    #[arg(long = "reason", value_name = "CODE", value_parser = PossibleValuesParser::new(Reason::ALL.map(Reason::code)), hide_possible_values = true)]
    pub reasons: Vec<String>,
    /// Only records of this topic; may be given several times [otherwise all]
    #[arg(long = "topic", value_name = "TOPIC")]
    pub topics: Vec<String>,
    /// Only records of this schema; may be given several times [otherwise all]
    #[arg(long = "schema", value_name = "ID")]
    pub schemas: Vec<u32>,
    /// Only those dead-lettered at this time or later, such as 2026-11-23T07:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<UnixMillis>,
    /// Only those dead-lettered before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<UnixMillis>,
    /// Only those dead-lettered so often at least, replays included: 2 for what failed again
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub min_attempts: u32,
}

/// The arguments of `valve deadletters list`.
#[derive(Args, Clone, Debug)]
pub struct DeadlettersListArgs {
    /// TOML file with settings [otherwise the one that VALVE_CONFIG names, if any]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Which are meant.
    #[command(flatten)]
    pub filter: LetterFilterArgs,
    /// Only those that weren't replayed
    #[arg(long)]
    pub open: bool,
    /// Print each dead letter as a line of JSON, without its record's bytes
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `valve deadletters show`.
#[derive(Args, Clone, Debug)]
pub struct DeadlettersShowArgs {
    /// Where it lies in the dead-letter topic, as `list` says: partition/offset, such as 0/17
    #[arg(value_name = "PARTITION/OFFSET", value_parser = place)]
    pub place: (i32, Offset),
    /// TOML file with settings [otherwise the one that VALVE_CONFIG names, if any]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the message as it is: JSON, with the record's bytes in base64
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `valve deadletters replay`.
#[derive(Args, Clone, Debug)]
pub struct DeadlettersReplayArgs {
    /// TOML file with settings [otherwise the one that VALVE_CONFIG names, if any]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Which are meant.
    #[command(flatten)]
    pub filter: LetterFilterArgs,
    /// Leave alone those that were dead-lettered more often than this
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub max_attempts: u32,
    /// Only say which would be sent
    #[arg(long)]
    pub dry_run: bool,
}

fn time(text: &str) -> Result<UnixMillis, String> {
    let at = DateTime::parse_from_rfc3339(text);
    at.map(|at| UnixMillis(at.timestamp_millis()))
        .map_err(|error| format!("no time such as 2026-11-23T07:00:00Z: {error}"))
}

fn place(text: &str) -> Result<(i32, Offset), String> {
    let parsed = text.split_once('/').and_then(|(partition, offset)| {
        let (partition, offset) = (partition.parse().ok()?, offset.parse().ok()?);
        (partition >= 0 && offset >= 0).then_some((partition, Offset(offset)))
    });
    parsed.ok_or_else(|| "no partition and offset such as 0/17".to_owned())
}

/// What can be done with intents.
#[derive(Clone, Debug, Subcommand)]
pub enum IntentsCommand {
    /// Show the batches that are promised
    #[command(after_help = INTENTS_EXIT_CODES)]
    Show(IntentsShowArgs),
    /// Let a promised batch go, while no process of the valve is running
    ///
    /// Says first what is there of it and what may be lost, and asks. Then stores what can still be made, commits the
    /// batch's end, and leaves a mark by which the audit reports it as long as the partition's record goes on. Where the topic
    /// was deleted and created again, the next start begins a new record, and the mark is gone with the old one.
    #[command(after_help = INTENTS_EXIT_CODES)]
    Release(IntentsReleaseArgs),
}

/// The arguments of `valve intents show`.
#[derive(Args, Clone, Debug)]
pub struct IntentsShowArgs {
    /// TOML file with settings [otherwise the one that VALVE_CONFIG names, if any]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only this topic; may be given several times [otherwise all]
    #[arg(long = "topic", value_name = "TOPIC")]
    pub topics: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `valve intents release`.
#[derive(Args, Clone, Debug)]
pub struct IntentsReleaseArgs {
    /// TOML file with settings [otherwise the one that VALVE_CONFIG names, if any]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The batch's topic
    #[arg(long, value_name = "TOPIC")]
    pub topic: String,
    /// The batch's partition
    #[arg(long, value_name = "N")]
    pub partition: i32,
    /// Don't ask
    #[arg(long)]
    pub yes: bool,
}

/// The arguments of `valve run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// TOML file with settings [otherwise the one that VALVE_CONFIG names, if any]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The arguments of `valve config`.
#[derive(Args, Clone, Debug)]
pub struct ConfigArgs {
    /// TOML file with settings [otherwise the one that VALVE_CONFIG names, if any]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How to print them
    #[arg(long, value_enum, default_value_t = ConfigFormat::Toml)]
    pub format: ConfigFormat,
    /// Say all that is known of one setting instead: what it means, what is allowed, what each source says
    #[arg(long, value_name = "SETTING", conflicts_with = "docs")]
    pub explain: Option<String>,
    /// Print the table of all settings in Markdown instead
    #[arg(long)]
    pub docs: bool,
}

/// The arguments of `valve check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// TOML file with settings [otherwise the one that VALVE_CONFIG names, if any]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only validate the settings; ask nobody
    #[arg(long)]
    pub offline: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// How settings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ConfigFormat {
    /// Lines of TOML, with each one's origin behind it.
    Toml,
    /// JSON, with what each overrides.
    Json,
}

/// The arguments of `valve demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Stop after this many events [otherwise at Ctrl-C]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub records: Option<u64>,
    /// Generate this many events a second; 0: as many as the embedded Kafka can keep
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    pub rate: u64,
    /// Write files under this directory [otherwise under a new temporary one, which is named]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Show the status page and answer /livez and /readyz at this address; port 0 is any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub http: SocketAddr,
    /// Generate the same events again as another run with this seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// The arguments of `valve audit`.
#[derive(Args, Clone, Debug)]
pub struct AuditArgs {
    /// TOML file with settings [otherwise the one that VALVE_CONFIG names, if any]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only this topic; may be given several times [otherwise all]
    #[arg(long = "topic", value_name = "TOPIC")]
    pub topics: Vec<String>,
    /// Only files of this hour (UTC) and later, such as 2026-11-23T07; proves less. With layout.granularity = day, of its day
    #[arg(long, value_name = "HOUR", requires = "to")]
    pub from: Option<Hour>,
    /// Only files of hours before this one; with layout.granularity = day, of days that begin before it
    #[arg(long, value_name = "HOUR", requires = "from")]
    pub to: Option<Hour>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Also read all files, count their rows and compare their digests
    #[arg(long)]
    pub deep: bool,
    /// Offsets without a record are wrong, too: for topics that aren't compacted and that nobody writes to in transactions
    #[arg(long)]
    pub dense: bool,
}

/// The arguments of `valve hours`.
#[derive(Args, Clone, Debug)]
pub struct HoursArgs {
    /// TOML file with settings [otherwise the one that VALVE_CONFIG names, if any]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only this topic; may be given several times [otherwise all that the setting `topics` means]
    #[arg(long = "topic", value_name = "TOPIC")]
    pub topics: Vec<String>,
    /// Only whether this hour (UTC) is complete, such as 2026-11-23T07: the exit code tells
    #[arg(long, value_name = "HOUR")]
    pub hour: Option<Hour>,
    /// How long after an hour's end its records may still come, such as 30min [otherwise hours.lateness]
    #[arg(long, value_name = "DURATION", value_parser = crate::config::duration)]
    pub lateness: Option<Duration>,
    /// Leave an empty object _SUCCESS in the folder of each finished hour that has files, once
    ///
    /// With --hour, of that one. Otherwise all files of the topics are listed.
    #[arg(long)]
    pub mark: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests;
