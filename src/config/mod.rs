//! The settings of one valve: raw text from several sources, turned once, here, into a [`Config`] in which
//! everything is checked.
//!
//! Nothing else in the program reads the environment, a configuration file or Consul.
//!
//! The way of a setting: `sources` has it read, `layers` (and `consul`) give it its one name and its origin, figment merges
//! the layers, `check` takes it out, `validate` makes it a field of [`Config`], or `error` says what is wrong with it.
//! `settings` is the table of all of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::avro::codec::Codec;
use crate::avro::timestamp::TimestampRules;
use crate::core::layout::{Granularity, KeyTemplate, NullPolicy};
use crate::sink::local::LONGEST_NAME;

mod check;
mod consul;
pub mod effective;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzed;
mod layers;
mod references;
mod secret;
mod settings;
mod sources;
#[cfg(test)]
mod tests;
mod validate;
mod value;

#[cfg(test)]
pub(crate) use consul::tests::consul as test_consul;
pub use error::{ConfigError, ConfigErrors};
pub use secret::Secret;
pub use sources::{LoadError, Patience, Sources};

/// The environment of this process, for [`Sources::local`]. A value that isn't UTF-8 has U+FFFD for what isn't, by which a
/// setting is refused rather than ignored.
pub fn process_environment() -> impl Iterator<Item = (String, String)> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (lossy(name), lossy(value)))
}

/// The file of the authorities that all programs here trust, where the environment names one, as OpenSSL does it.
pub(crate) fn system_authorities() -> Option<String> {
    let named = process_environment().find(|(name, value)| name == "SSL_CERT_FILE" && !value.is_empty());
    named.map(|(_, path)| path)
}

/// Where a test wants the process to fail (`crate::fault_point`).
#[cfg(feature = "fault-points")]
pub(crate) fn fault_point() -> Option<String> {
    process_environment().find(|(name, _)| name == "FAULT_POINT").map(|(_, value)| value)
}

/// A duration as settings have it (`90s`, `10 min`, `1h 30m`), for arguments.
///
/// # Errors
/// Says what is wrong with it.
pub fn duration(text: &str) -> Result<Duration, String> {
    value::duration(text).map_err(|problem| problem.sentence)
}

/// Where this machine keeps temporary files.
#[must_use]
pub fn temporary_directory() -> PathBuf {
    std::env::temp_dir()
}

/// Everything one valve needs to know, validated.
#[derive(Clone, Debug)]
pub struct Config {
    /// `name`: the consumer group, the dead-letter topic's suffix and `processed_by`.
    pub name: String,
    /// `environment`: the metrics' dimension `ENVIRONMENT` and Consul's path.
    pub environment: String,
    /// `consul.*`
    pub consul: ConsulConfig,
    /// `topics`: what is consumed.
    pub topics: Topics,
    /// `topics_refresh`: how often the topics are discovered again.
    pub topics_refresh: Duration,
    /// `kafka.*`.
    pub kafka: KafkaConfig,
    /// `registry.*`.
    pub registry: RegistryConfig,
    /// `timestamp` and `timestamp_range`: where a record's hour comes from.
    pub timestamp: TimestampRules,
    /// `sink.*`.
    pub sink: SinkConfig,
    /// `batch.*`.
    pub batch: BatchLimits,
    /// `layout.*`.
    pub layout: LayoutConfig,
    /// `start`: where a partition without a committed offset begins.
    pub start: Start,
    /// `out_of_range`: what happens when retention has passed the committed offset.
    pub out_of_range: OutOfRange,
    /// `group.*`.
    pub group: GroupConfig,
    /// `rebalance.grace`: how long a revoked partition's batch may take to finish.
    pub rebalance_grace: Duration,
    /// `codec`: how the blocks of a container file are compressed.
    pub codec: Codec,
    /// `lanes`: consumer threads.
    pub lanes: usize,
    /// `memory.budget`, resolved to bytes.
    pub memory_budget: usize,
    /// `nulls`: what becomes of messages without a value.
    pub nulls: NullPolicy,
    /// `deadletter.*`
    pub dead_letter_limits: DeadLetterLimits,
    /// `http.listen`.
    pub http_listen: SocketAddr,
    /// `log.filter`: which lines are logged.
    pub log_filter: String,
    /// `metrics.*`.
    pub metrics: MetricsConfig,
    /// `watchdog.stall`: how long a lane may make no progress although there is a backlog.
    pub watchdog_stall: Duration,
    /// `shutdown.deadline`: for the flush on SIGTERM.
    pub shutdown_deadline: Duration,
    /// `hours.lateness`: how long after an hour's end its records may still come.
    pub hours_lateness: Duration,
}

impl Config {
    /// The topic that takes what can never be stored.
    #[must_use]
    pub fn dead_letter_topic(&self) -> String {
        format!("{}{}", crate::dead_letter::TOPIC_PREFIX, self.name)
    }
}

/// `consul.*`: where in Consul the settings are.
#[derive(Clone, Debug)]
pub struct ConsulConfig {
    /// `consul.path`
    pub path: String,
    /// `consul.required`: whether a start waits until Consul answers.
    pub required: bool,
}

/// What is consumed. Internal topics (`__…`) and dead-letter topics never are.
#[derive(Clone, Debug)]
pub enum Topics {
    /// These, by name.
    List(Vec<String>),
    /// Those whose name matches.
    Pattern(regex::Regex),
    /// Those for which the registry has a `<topic>-value` subject.
    Registry,
}

/// `kafka.*`
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// `kafka.bootstrap_servers`
    pub bootstrap_servers: String,
    /// `kafka.auth`: a way to sign in that valve itself knows; others are properties.
    pub auth: Option<KafkaAuth>,
    /// `kafka.properties`: librdkafka properties by their own names (`session.timeout.ms`), none of which
    /// belongs to valve. Values may be secrets.
    pub properties: BTreeMap<String, Secret>,
}

/// `kafka.auth`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KafkaAuth {
    /// Amazon MSK's IAM, with the credentials of the AWS SDK's ordinary chain.
    MskIam {
        /// `kafka.region`; otherwise the ordinary chain's.
        region: Option<String>,
    },
    /// Tokens of an OpenID provider.
    Oidc(Oidc),
}

/// `kafka.oidc.*`: the client-credentials grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oidc {
    /// `kafka.oidc.token_url`
    pub token_url: String,
    /// `kafka.oidc.client_id`
    pub client_id: String,
    /// `kafka.oidc.client_secret`
    pub client_secret: Secret,
    /// `kafka.oidc.scope`
    pub scope: Option<String>,
}

/// `registry.*`
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// `registry.url`: base URLs, tried in order; at least one.
    pub urls: Vec<String>,
    /// `registry.username` with `registry.password`, or `registry.token`.
    pub auth: Option<RegistryAuth>,
    /// `registry.ca`, `registry.certificate` and `registry.key`.
    pub tls: RegistryTls,
    /// `registry.unknown_after`: for how long a registry must insist that it doesn't know an id.
    pub unknown_after: Duration,
}

/// The PEM files for `https://` registries.
#[derive(Clone, Debug, Default)]
pub struct RegistryTls {
    /// `registry.ca`: the authorities that are trusted instead of the system's.
    pub authorities: Option<PathBuf>,
    /// `registry.certificate` and `registry.key`: what valve shows of itself.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// How valve identifies itself to the registry.
#[derive(Clone, Debug)]
pub enum RegistryAuth {
    /// HTTP basic authentication.
    Basic {
        /// `registry.username`
        username: String,
        /// `registry.password`
        password: Secret,
    },
    /// A bearer token, `registry.token`.
    Bearer(Secret),
}

/// `sink.*`
#[derive(Clone, Debug)]
pub enum SinkConfig {
    /// `sink.type = "s3"`
    S3(S3Config),
    /// `sink.type = "local"`
    Local {
        /// `sink.path`: the directory under which keys become paths.
        path: PathBuf,
        /// `sink.prefix`: what every key begins with; without slashes at its ends, may be empty.
        prefix: String,
    },
}

impl SinkConfig {
    /// `sink.prefix`
    #[must_use]
    pub fn prefix(&self) -> &str {
        match self {
            Self::S3(s3) => &s3.prefix,
            Self::Local { prefix, .. } => prefix,
        }
    }

    /// The longest name of a topic, in bytes, of which it can have files with keys by `key` and of up to about `max_records`
    /// rows; `None` when there is none.
    pub(crate) fn longest_topic(&self, key: &KeyTemplate, max_records: u64) -> Option<usize> {
        match self {
            // The whole key was checked with the longest name that Kafka gives a topic.
            Self::S3(_) => Some(usize::MAX),
            Self::Local { prefix, .. } => {
                key.longest_topic(prefix, LONGEST_NAME, max_records.saturating_mul(2))
            }
        }
    }
}

/// `sink.*` for `sink.type = "s3"`
#[derive(Clone, Debug)]
pub struct S3Config {
    /// `sink.bucket`
    pub bucket: String,
    /// `sink.prefix`: what every key begins with; without slashes at its ends, may be empty.
    pub prefix: String,
    /// `sink.region`; otherwise the ordinary chain's.
    pub region: Option<String>,
    /// `sink.endpoint`: the URL of a compatible store.
    pub endpoint: Option<String>,
    /// `sink.path_style`
    pub path_style: bool,
    /// `sink.storage_class`, as S3 spells it.
    pub storage_class: Option<String>,
    /// `sink.acl`: a canned ACL, as S3 spells it.
    pub acl: Option<String>,
    /// `sink.sse`: `AES256`, `aws:kms` or `aws:kms:dsse`.
    pub sse: Option<String>,
    /// `sink.kms_key_id`
    pub kms_key_id: Option<String>,
}

/// `batch.*`: when a batch is sealed, and how large a record may be.
#[derive(Clone, Debug)]
pub struct BatchLimits {
    /// `batch.max_records`
    pub max_records: u64,
    /// `batch.max_bytes`: compressed bytes of one batch.
    pub max_bytes: u64,
    /// `batch.max_age`
    pub max_age: Duration,
    /// `batch.max_idle`
    pub max_idle: Duration,
    /// `batch.max_files`
    pub max_files: usize,
    /// `batch.max_record_bytes`: a larger value is a dead letter.
    pub max_record_bytes: usize,
}

/// `deadletter.*`: how many dead letters of a topic are too many for a minute; none without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterLimits {
    /// `deadletter.max_per_minute`
    pub max_per_minute: Option<u64>,
    /// `deadletter.max_share`: per cent of the topic's records.
    pub max_share: Option<u64>,
}

/// `layout.*`
#[derive(Clone, Debug)]
pub struct LayoutConfig {
    /// `layout.key`
    pub key: KeyTemplate,
    /// `layout.granularity`
    pub granularity: Granularity,
}

/// `metrics.*`: where metrics go beside `/metrics`.
#[derive(Clone, Debug, Default)]
pub struct MetricsConfig {
    /// `metrics.statsd`: `host:port` of a StatsD receiver.
    pub statsd: Option<String>,
    /// `metrics.emf`: CloudWatch's embedded metric format on standard output.
    pub emf: bool,
    /// `metrics.per_partition`: each partition's lag has series of its own.
    pub per_partition: bool,
}

/// `group.*`
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// `group.protocol`
    pub protocol: GroupProtocol,
    /// `group.assignment`: the strategy under the classic protocol.
    pub assignment: Assignment,
    /// `group.isolation`
    pub isolation: Isolation,
}

/// `group.protocol`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupProtocol {
    /// Assignment by the members.
    Classic,
    /// Assignment by the broker (KIP-848).
    Consumer,
}

/// `group.assignment`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// Partitions stay where they are as far as can be; the others keep flowing during a rebalance.
    CooperativeSticky,
    /// Eager, by topic.
    Range,
    /// Eager, one by one.
    RoundRobin,
}

/// `group.isolation`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Records of aborted transactions are not delivered.
    ReadCommitted,
    /// All records are.
    ReadUncommitted,
}

/// `start`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first record that is still there.
    Earliest,
    /// Behind the last record that is there.
    Latest,
    /// Where the files that this valve has stored of it end.
    Stored,
}

/// `out_of_range`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfRange {
    /// Hold the partition and say so.
    Fail,
    /// Go on at the first record that is still there; what was lost is reported.
    Earliest,
    /// Go on behind the last record; what was lost is reported.
    Latest,
}
