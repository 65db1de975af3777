//! The table of all settings: the one place that names them. What is unknown, what is the default, what an error
//! says is allowed, and the README's table all follow from it.

use crate::core::layout::DEFAULT_KEY;

/// What the names of librdkafka's properties have before them.
pub(super) const PROPERTIES: &str = "kafka.properties.";

/// One setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// Its name, as in TOML.
    pub(super) name: &'static str,
    /// What it is when no source gives it.
    pub(super) preset: Preset,
    /// Whether its value must not be shown.
    pub(super) secret: bool,
    /// The values that it takes.
    pub(super) allowed: &'static str,
    /// What it does.
    pub(super) meaning: &'static str,
}

/// What a setting is when no source gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preset {
    /// This, as one would write it.
    Is(&'static str),
    /// Off.
    Off,
    /// An error.
    Required,
}

const fn required(name: &'static str, allowed: &'static str, meaning: &'static str) -> Setting {
    Setting { name, preset: Preset::Required, secret: false, allowed, meaning }
}

const fn preset(
    name: &'static str,
    default: &'static str,
    allowed: &'static str,
    meaning: &'static str,
) -> Setting {
    Setting { name, preset: Preset::Is(default), secret: false, allowed, meaning }
}

const fn optional(name: &'static str, allowed: &'static str, meaning: &'static str) -> Setting {
    Setting { name, preset: Preset::Off, secret: false, allowed, meaning }
}

const fn secret(name: &'static str, allowed: &'static str, meaning: &'static str) -> Setting {
    Setting { name, preset: Preset::Off, secret: true, allowed, meaning }
}

const DURATION: &str = "a duration: `90s`, `10 min`, `1h 30m`";
const SIZE: &str = "a size: `128 MiB`, `128 MB`, bytes";

/// What says where Consul's settings are, or must be known while it doesn't answer.
pub(super) const FROM_CONSUL_NEVER: [&str; 5] =
    ["name", "environment", "consul.path", "consul.required", "http.listen"];

/// All settings, but for librdkafka's properties, whose names are librdkafka's.
pub(super) const SETTINGS: &[Setting] = &[
    required(
        "name",
        "letters, digits, `.`, `_`, `-`; at most 230",
        "the valve's name: consumer group, suffix of the dead-letter topic, `processed_by` of dead letters",
    ),
    preset(
        "environment",
        "dev",
        "letters, digits, `.`, `_`, `-`; at most 64",
        "the metrics' dimension `ENVIRONMENT`, and a part of Consul's keys",
    ),
    preset(
        "consul.path",
        "data-pipeline",
        "a path without slashes at its ends",
        "settings are below `<path>/<environment>` in Consul, where CONSUL_HTTP_ADDR names one",
    ),
    preset(
        "consul.required",
        "true",
        "`true`, `false`",
        "whether `valve run` waits for Consul until it answers; `false` = goes on after 10 s without what it says, and warns",
    ),
    required(
        "topics",
        "a list of names, `^pattern`, or `registry`",
        "what is consumed; `registry` = all that have a `<topic>-value` subject; internal and dead-letter topics never are",
    ),
    preset(
        "topics_refresh",
        "1 min",
        DURATION,
        "how often the topics and their partitions are discovered again",
    ),
    required("kafka.bootstrap_servers", "a list of `host:port`", "the brokers to begin with"),
    optional(
        "kafka.auth",
        "`msk-iam`, `oidc`",
        "signs in over TLS, at Amazon MSK by IAM with the AWS SDK's ordinary credentials, or with tokens of an OpenID provider; for other ways see docs/security.md",
    ),
    optional(
        "kafka.region",
        "an AWS region; only with `kafka.auth` = `msk-iam`",
        "the cluster's region; otherwise the SDK's ordinary chain decides",
    ),
    optional(
        "kafka.oidc.token_url",
        "an `http://` or `https://` URL; only with `kafka.auth` = `oidc`, which needs it",
        "where the provider gives tokens",
    ),
    optional(
        "kafka.oidc.client_id",
        "text; only with `kafka.auth` = `oidc`, which needs it",
        "the name by which the provider knows valve",
    ),
    secret(
        "kafka.oidc.client_secret",
        "text; only with `kafka.auth` = `oidc`, which needs it",
        "the password to that name",
    ),
    optional("kafka.oidc.scope", "text; only with `kafka.auth` = `oidc`", "what the token shall be good for"),
    required("registry.url", "a list of `http://` or `https://` URLs", "the schema registry; tried in order"),
    optional("registry.username", "text; with `registry.password`", "for HTTP basic authentication"),
    secret("registry.password", "text; with `registry.username`", "for HTTP basic authentication"),
    secret("registry.token", "text; without `registry.username`", "a bearer token"),
    optional(
        "registry.ca",
        "a file; with an `https://` URL",
        "the authorities (PEM) that are trusted instead of the system's",
    ),
    optional(
        "registry.certificate",
        "a file; with `registry.key` and an `https://` URL",
        "the certificate (PEM) that valve shows, with those between it and its authority",
    ),
    optional(
        "registry.key",
        "a file; with `registry.certificate`",
        "the certificate's private key (PEM), without a password",
    ),
    preset(
        "registry.unknown_after",
        "30 s",
        DURATION,
        "for how long the registry must insist that it doesn't know a schema id before its record is a dead letter",
    ),
    required(
        "timestamp",
        "`field:<dot.path>[@s|ms|us|ns]`, `kafka`, `processing`, or a list of these",
        "which time decides on a record's hour; the first of a list that is usable",
    ),
    preset(
        "timestamp_range",
        "1970..2100",
        "`<year>..<year>` of 1 to 9999, the second excluded",
        "the years in which a time is usable",
    ),
    preset("sink.type", "s3", "`s3`, `local`", "where files go"),
    optional("sink.path", "a directory; only with `local`, which needs it", "under which keys become paths"),
    optional("sink.bucket", "a bucket's name; only with `s3`, which needs it", "the bucket"),
    optional(
        "sink.prefix",
        "a path without slashes at its ends; at most 300 bytes",
        "what every key begins with",
    ),
    optional("sink.region", "an AWS region; only with `s3`", "otherwise the SDK's ordinary chain decides"),
    optional("sink.endpoint", "an `http://` or `https://` URL; only with `s3`", "a compatible store"),
    preset(
        "sink.path_style",
        "false",
        "`true`, `false`; only with `s3`",
        "`endpoint/bucket/key` instead of `bucket.endpoint/key`",
    ),
    optional(
        "sink.storage_class",
        "`STANDARD`, `REDUCED_REDUNDANCY`, `STANDARD_IA`, `ONEZONE_IA`, `INTELLIGENT_TIERING`, `GLACIER`, `GLACIER_IR`, `DEEP_ARCHIVE`; only with `s3`",
        "the objects' storage class; with `GLACIER` and `DEEP_ARCHIVE` nothing reads files back: no audit, no marks, no `start` = `stored`",
    ),
    optional(
        "sink.acl",
        "`private`, `public-read`, `public-read-write`, `authenticated-read`, `aws-exec-read`, `bucket-owner-read`, `bucket-owner-full-control`; only with `s3`",
        "the objects' canned ACL",
    ),
    optional("sink.sse", "`AES256`, `aws:kms`, `aws:kms:dsse`; only with `s3`", "server-side encryption"),
    optional(
        "sink.kms_key_id",
        "a key's id, ARN or alias; only with `sink.sse` = `aws:kms` or `aws:kms:dsse`",
        "the key of the encryption",
    ),
    preset("batch.max_records", "1_000_000", "a number, at least 1", "a batch is sealed at so many records"),
    preset("batch.max_bytes", "128 MiB", SIZE, "a batch is sealed at so many compressed bytes"),
    preset("batch.max_age", "10 min", DURATION, "a batch is sealed when it is so old"),
    preset("batch.max_idle", "2 min", DURATION, "a batch is sealed when nothing has come for so long"),
    preset("batch.max_files", "2_000", "a number from 1 to 100,000", "a batch is sealed at so many files"),
    preset(
        "batch.max_record_bytes",
        "16 MiB",
        "a size from 1 kB to 1 GB: `16 MiB`; 4 x it + 8 MiB must fit `memory.budget`",
        "a larger value is a dead letter",
    ),
    preset(
        "layout.key",
        DEFAULT_KEY,
        "a path with `{year}`, `{month}`, `{day}`, `{hour}`, `{uuid}` and perhaps `{topic}`, `{count}`; at most 300 bytes",
        "the template of an object's key, below `sink.prefix`",
    ),
    preset(
        "layout.granularity",
        "hour",
        "`hour`, `day`",
        "how much time shares a file; `day` needs no `{hour}` in the key",
    ),
    preset(
        "start",
        "earliest",
        "`earliest`, `latest`, `stored`",
        "where a partition without a committed offset begins; `stored` = where the files of this valve end",
    ),
    preset(
        "out_of_range",
        "fail",
        "`fail`, `earliest`, `latest`",
        "what happens when retention has passed the committed offset: hold the partition, or go on and report what was lost",
    ),
    preset(
        "group.protocol",
        "classic",
        "`classic`, `consumer`",
        "Kafka's group protocol; `consumer` is KIP-848",
    ),
    preset(
        "group.assignment",
        "cooperative-sticky",
        "`cooperative-sticky`, `range`, `roundrobin`; only with `group.protocol` = `classic`",
        "how partitions are shared out",
    ),
    preset(
        "group.isolation",
        "read_committed",
        "`read_committed`, `read_uncommitted`",
        "whether records of aborted transactions are left out",
    ),
    preset(
        "rebalance.grace",
        "20 s",
        "a duration below the property `max.poll.interval.ms` (5 min): `20 s`",
        "how long a revoked partition's batch may take to finish",
    ),
    preset(
        "codec",
        "snappy",
        "`null`, `snappy`, `deflate[-N]` (1 to 12), `zstd[-N]` (1 to 22)",
        "how files are compressed",
    ),
    preset(
        "lanes",
        "cores",
        "a number from 1 to 256, or `cores`; each needs 8 MiB of `memory.budget`, more with high levels of `codec`",
        "consumer threads; `cores` = one for each core, as far as `memory.budget` has room",
    ),
    preset(
        "memory.budget",
        "40 %",
        "a size, or a share of the container's memory, 1 to 95 %: `400 MiB`, `40 %`",
        "what the buffers of the process may take together",
    ),
    preset("nulls", "skip", "`skip`, `deadletter`", "what becomes of messages without a value"),
    preset(
        "deadletter.max_per_minute",
        "100_000",
        "a number, at least 1, or `off`",
        "over so many dead letters of a topic in a minute, the process reads no more of that topic for a minute, and says so",
    ),
    optional(
        "deadletter.max_share",
        "a share of the topic's records, 1 to 95 %: `5 %`",
        "the same, over such a share, once there are 1,000 dead letters in a minute",
    ),
    preset(
        "http.listen",
        "127.0.0.1:8080",
        "`address:port`; port 0 = any free one",
        "where the status page is, and `/api/status`, `/livez`, `/readyz` and `/metrics` answer",
    ),
    preset(
        "log.filter",
        "info",
        "a level (`error`, `warn`, `info`, `debug`), or directives: `warn,valve::sink=debug`",
        "what is logged, to standard error: for people on a terminal, JSON otherwise",
    ),
    optional("metrics.statsd", "`host:port`", "a StatsD receiver for the metrics; off without"),
    preset(
        "metrics.emf",
        "false",
        "`true`, `false`",
        "whether metrics go to standard output in CloudWatch's embedded metric format, once a minute, with the valve's name as namespace",
    ),
    preset(
        "metrics.per_partition",
        "false",
        "`true`, `false`",
        "whether each partition's lag and backlog are published, too: as many series as there are partitions",
    ),
    preset(
        "watchdog.stall",
        "5 min",
        DURATION,
        "how long a lane may make no progress although there is a backlog until it says why; after twice as long `/livez` fails, unless a restart is no cure",
    ),
    preset("shutdown.deadline", "90 s", DURATION, "how long the flush on SIGTERM may take"),
    preset(
        "hours.lateness",
        "10 min",
        DURATION,
        "how long after an hour's end its records may still come, by their Kafka timestamps: `valve hours` calls no hour \
         complete before",
    ),
];

/// The setting called `name`, if there is one in the table.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// Whether the value of `name` may be shown. Of librdkafka's properties, any may hold a secret.
pub(super) fn is_secret(name: &str) -> bool {
    name.starts_with(PROPERTIES) || find(name).is_none_or(|setting| setting.secret)
}

/// All settings as a table in Markdown, for the README.
pub(super) fn table() -> String {
    let mut table = String::from("| setting | default | allowed | meaning |\n|---|---|---|---|\n");
    for setting in SETTINGS {
        let default = match setting.preset {
            Preset::Is(default) => format!("`{default}`"),
            Preset::Required => "required".to_owned(),
            Preset::Off => String::new(),
        };
        let row = [&format!("`{}`", setting.name), &default, setting.allowed, setting.meaning]
            .map(|cell| cell.replace('|', "\\|"));
        table.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    const BEGIN: &str = "<!-- settings: begin (generated from src/config/settings.rs) -->\n";
    const END: &str = "<!-- settings: end -->\n";

    fn readme() -> (std::path::PathBuf, String) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    }

    /// The README before, in and behind the table.
    fn parts(readme: &str) -> (&str, &str, &str) {
        let (before, rest) = readme.split_once(BEGIN).expect("the README has the line that begins the table");
        let (table, after) = rest.split_once(END).expect("the README has the line that ends the table");
        (before, table, after)
    }

    #[test]
    fn given_the_readme_then_its_table_is_the_one_made_from_the_settings() {
        let (_, readme) = readme();
        let hint = "run `cargo test --lib config::settings -- --ignored` to write it again";
        assert_eq!(parts(&readme).1, table(), "the README's table of settings is stale: {hint}");
    }

    #[test]
    #[ignore = "writes the README's table of settings"]
    fn write_the_readme() {
        let (path, readme) = readme();
        let (before, _, after) = parts(&readme);
        fs::write(path, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
    }

    #[test]
    fn given_the_table_then_no_name_is_there_twice_or_begins_another() {
        let names: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(names.len(), SETTINGS.len());
        for name in &names {
            let inside = format!("{name}.");
            assert!(names.iter().all(|other| !other.starts_with(&inside)), "{name} is a setting and a group");
        }
    }
}
