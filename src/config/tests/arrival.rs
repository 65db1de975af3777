//! Every setting, from every source, arrives in its field of `Config`.

use std::collections::BTreeSet;

use super::super::settings::{FROM_CONSUL_NEVER, SETTINGS};
use super::*;

/// One setting: what its field shows by default, and what it shows when given.
struct Case {
    setting: &'static str,
    /// The default's field; `None` where `BASE` has to give the setting.
    default: Option<&'static str>,
    toml: &'static str,
    env: &'static str,
    given: &'static str,
    field: fn(&Config) -> String,
    /// Further settings that this one needs.
    with: &'static [(&'static str, &'static str)],
}

const fn case(
    setting: &'static str,
    default: Option<&'static str>,
    (toml, env): (&'static str, &'static str),
    given: &'static str,
    field: fn(&Config) -> String,
) -> Case {
    Case { setting, default, toml, env, given, field, with: &[] }
}

const fn with(case: Case, with: &'static [(&'static str, &'static str)]) -> Case {
    Case { with, ..case }
}

fn s3(config: &Config) -> S3Config {
    match &config.sink {
        SinkConfig::S3(s3) => s3.clone(),
        SinkConfig::Local { .. } => panic!("the sink is local"),
    }
}

fn auth(config: &Config) -> String {
    match &config.registry.auth {
        None => "none".to_owned(),
        Some(RegistryAuth::Basic { username, password }) => format!("{username}:{}", password.reveal()),
        Some(RegistryAuth::Bearer(token)) => format!("bearer {}", token.reveal()),
    }
}

fn shown<T: std::fmt::Debug>(value: T) -> String {
    format!("{value:?}")
}

fn oidc(config: &Config) -> Oidc {
    match &config.kafka.auth {
        Some(KafkaAuth::Oidc(oidc)) => oidc.clone(),
        other => panic!("{other:?}"),
    }
}

const OIDC: &[(&str, &str)] = &[
    ("kafka.auth", "'oidc'"),
    ("kafka.oidc.token_url", "'http://provider'"),
    ("kafka.oidc.client_id", "'valve'"),
    ("kafka.oidc.client_secret", "'s'"),
];

const HTTPS: &[(&str, &str)] = &[("registry.url", "'https://registry'")];

const IDENTITY: &str = r#"Some(("/c.pem", "/k.pem"))"#;

const LOCAL: &[(&str, &str)] = &[("sink.type", "'local'"), ("sink.bucket", "")];

const CASES: &[Case] = &[
    case("name", None, ("'valve-1'", "valve-1"), "valve-1", |c| c.name.clone()),
    case("name", None, ("123", "123"), "123", |c| c.name.clone()),
    case("environment", Some("dev"), ("'prod'", "prod"), "prod", |c| c.environment.clone()),
    case("consul.path", Some("data-pipeline"), ("'a/b'", "a/b"), "a/b", |c| c.consul.path.clone()),
    case("consul.required", Some("true"), ("false", "false"), "false", |c| shown(c.consul.required)),
    case("topics", None, ("['a', 'b.c']", "a,b.c"), r#"List(["a", "b.c"])"#, |c| shown(&c.topics)),
    case("topics", None, ("'a, b'", "[a, b]"), r#"List(["a", "b"])"#, |c| shown(&c.topics)),
    case("topics", None, ("'^[^_]{1,9}'", "^[^_]{1,9}"), r#"Pattern(Regex("^[^_]{1,9}"))"#, |c| {
        shown(&c.topics)
    }),
    case("topics", None, ("'registry'", "registry"), "Registry", |c| shown(&c.topics)),
    case("topics_refresh", Some("60s"), ("'30 s'", "30 s"), "30s", |c| shown(c.topics_refresh)),
    case("kafka.bootstrap_servers", None, ("['a:1', 'b:2']", "a:1,b:2"), "a:1,b:2", |c| {
        c.kafka.bootstrap_servers.clone()
    }),
    case("kafka.auth", Some("None"), ("'msk-iam'", "msk-iam"), "Some(MskIam { region: None })", |c| {
        shown(&c.kafka.auth)
    }),
    with(
        case(
            "kafka.region",
            Some("None"),
            ("'eu-central-1'", "eu-central-1"),
            r#"Some(MskIam { region: Some("eu-central-1") })"#,
            |c| shown(&c.kafka.auth),
        ),
        &[("kafka.auth", "'msk-iam'")],
    ),
    with(
        case("kafka.oidc.token_url", None, ("'https://p/t'", "https://p/t"), "https://p/t", |c| {
            oidc(c).token_url
        }),
        OIDC,
    ),
    with(case("kafka.oidc.client_id", None, ("123", "123"), "123", |c| oidc(c).client_id), OIDC),
    with(
        case("kafka.oidc.client_secret", None, ("true", "true"), "true", |c| {
            oidc(c).client_secret.reveal().to_owned()
        }),
        OIDC,
    ),
    with(case("kafka.oidc.scope", None, ("'a b'", "a b"), r#"Some("a b")"#, |c| shown(oidc(c).scope)), OIDC),
    case(
        "registry.url",
        None,
        ("['http://a/', 'https://b/x']", "http://a/, https://b/x"),
        r#"["http://a", "https://b/x"]"#,
        |c| shown(&c.registry.urls),
    ),
    with(case("registry.username", Some("none"), ("'u'", "u"), "u:p", auth), &[("registry.password", "'p'")]),
    with(
        case("registry.password", Some("none"), ("true", "true"), "u:true", auth),
        &[("registry.username", "'u'")],
    ),
    case("registry.token", Some("none"), ("123", "123"), "bearer 123", auth),
    with(
        case("registry.ca", Some("None"), ("'/ca.pem'", "/ca.pem"), r#"Some("/ca.pem")"#, |c| {
            shown(&c.registry.tls.authorities)
        }),
        HTTPS,
    ),
    with(
        case("registry.certificate", Some("None"), ("'/c.pem'", "/c.pem"), IDENTITY, |c| {
            shown(&c.registry.tls.identity)
        }),
        &[("registry.url", "'https://registry'"), ("registry.key", "'/k.pem'")],
    ),
    with(
        case("registry.key", Some("None"), ("'/k.pem'", "/k.pem"), IDENTITY, |c| {
            shown(&c.registry.tls.identity)
        }),
        &[("registry.url", "'https://registry'"), ("registry.certificate", "'/c.pem'")],
    ),
    case("registry.unknown_after", Some("30s"), ("'0 s'", "0 s"), "0ns", |c| shown(c.registry.unknown_after)),
    case("timestamp", None, ("['field:a.b@ms', 'processing']", "field:a.b@ms,processing"), "2", |c| {
        shown(c.timestamp.candidates().len())
    }),
    case("timestamp_range", Some("(1970, 2100)"), ("'2000..2050'", "2000..2050"), "(2000, 2050)", |c| {
        shown(c.timestamp.years())
    }),
    with(
        case("sink.type", None, ("'local'", "local"), r#"Local { path: "x", prefix: "" }"#, |c| {
            shown(&c.sink)
        }),
        &[("sink.bucket", ""), ("sink.path", "'x'")],
    ),
    with(
        case(
            "sink.path",
            None,
            ("'/srv/files'", "/srv/files"),
            r#"Local { path: "/srv/files", prefix: "" }"#,
            |c| shown(&c.sink),
        ),
        LOCAL,
    ),
    case("sink.bucket", None, ("'my-bucket.1'", "my-bucket.1"), "my-bucket.1", |c| s3(c).bucket),
    case("sink.prefix", Some(""), ("'a/b=c'", "a/b=c"), "a/b=c", |c| s3(c).prefix),
    case("sink.region", Some("None"), ("'eu-central-1'", "eu-central-1"), r#"Some("eu-central-1")"#, |c| {
        shown(s3(c).region)
    }),
    case(
        "sink.endpoint",
        Some("None"),
        ("'http://127.0.0.1:7070'", "http://127.0.0.1:7070"),
        r#"Some("http://127.0.0.1:7070")"#,
        |c| shown(s3(c).endpoint),
    ),
    case("sink.path_style", Some("false"), ("true", "true"), "true", |c| shown(s3(c).path_style)),
    case(
        "sink.storage_class",
        Some("None"),
        ("'STANDARD_IA'", "STANDARD_IA"),
        r#"Some("STANDARD_IA")"#,
        |c| shown(s3(c).storage_class),
    ),
    case(
        "sink.acl",
        Some("None"),
        ("'bucket-owner-read'", "bucket-owner-read"),
        r#"Some("bucket-owner-read")"#,
        |c| shown(s3(c).acl),
    ),
    case("sink.sse", Some("None"), ("'aws:kms'", "aws:kms"), r#"Some("aws:kms")"#, |c| shown(s3(c).sse)),
    with(
        case("sink.kms_key_id", Some("None"), ("'alias/key'", "alias/key"), r#"Some("alias/key")"#, |c| {
            shown(s3(c).kms_key_id)
        }),
        &[("sink.sse", "'aws:kms'")],
    ),
    case("batch.max_records", Some("1000000"), ("50_000", "50_000"), "50000", |c| shown(c.batch.max_records)),
    case("batch.max_bytes", Some("134217728"), ("'64 MiB'", "64 MiB"), "67108864", |c| {
        shown(c.batch.max_bytes)
    }),
    case("batch.max_age", Some("600s"), ("'1h 30m'", "1h 30m"), "5400s", |c| shown(c.batch.max_age)),
    case("batch.max_idle", Some("120s"), ("'500 ms'", "500ms"), "500ms", |c| shown(c.batch.max_idle)),
    case("batch.max_files", Some("2000"), ("10", "10"), "10", |c| shown(c.batch.max_files)),
    case("batch.max_record_bytes", Some("16777216"), ("'1 MB'", "1 MB"), "1000000", |c| {
        shown(c.batch.max_record_bytes)
    }),
    case(
        "layout.key",
        Some(
            "KeyTemplate({topic}/year={year}/month={month}/day={day}/hour={hour}/{topic}_{count}-messages_{uuid}.avro)",
        ),
        ("'{year}{month}{day}{hour}/{uuid}'", "{year}{month}{day}{hour}/{uuid}"),
        "KeyTemplate({year}{month}{day}{hour}/{uuid})",
        |c| shown(&c.layout.key),
    ),
    case("layout.granularity", Some("Hour"), ("'day'", "day"), "Day", |c| shown(c.layout.granularity)),
    case("start", Some("Earliest"), ("'latest'", "latest"), "Latest", |c| shown(c.start)),
    case("out_of_range", Some("Fail"), ("'earliest'", "earliest"), "Earliest", |c| shown(c.out_of_range)),
    case("group.protocol", Some("Classic"), ("'consumer'", "consumer"), "Consumer", |c| {
        shown(c.group.protocol)
    }),
    case("group.assignment", Some("CooperativeSticky"), ("'roundrobin'", "roundrobin"), "RoundRobin", |c| {
        shown(c.group.assignment)
    }),
    case(
        "group.isolation",
        Some("ReadCommitted"),
        ("'read_uncommitted'", "read_uncommitted"),
        "ReadUncommitted",
        |c| shown(c.group.isolation),
    ),
    case("rebalance.grace", Some("20s"), ("'4 min'", "4 min"), "240s", |c| shown(c.rebalance_grace)),
    case("codec", Some("Snappy"), ("'zstd-3'", "zstd-3"), "Zstd(3)", |c| shown(c.codec)),
    case("lanes", Some("3"), ("7", "7"), "7", |c| shown(c.lanes)),
    case("memory.budget", Some("1717986880"), ("'1 GiB'", "1 GiB"), "1073741824", |c| shown(c.memory_budget)),
    case("memory.budget", Some("1717986880"), ("'50 %'", "50%"), "2147483600", |c| shown(c.memory_budget)),
    case("nulls", Some("Skip"), ("'deadletter'", "deadletter"), "DeadLetter", |c| shown(c.nulls)),
    case("deadletter.max_per_minute", Some("Some(100000)"), ("500", "500"), "Some(500)", |c| {
        shown(c.dead_letter_limits.max_per_minute)
    }),
    case("deadletter.max_per_minute", Some("Some(100000)"), ("'off'", "off"), "None", |c| {
        shown(c.dead_letter_limits.max_per_minute)
    }),
    case("deadletter.max_share", Some("None"), ("'5 %'", "5%"), "Some(5)", |c| {
        shown(c.dead_letter_limits.max_share)
    }),
    case("http.listen", Some("127.0.0.1:8080"), ("'[::1]:0'", "[::1]:0"), "[::1]:0", |c| {
        c.http_listen.to_string()
    }),
    case(
        "log.filter",
        Some("info"),
        ("'warn,valve::sink=debug'", "warn,valve::sink=debug"),
        "warn,valve::sink=debug",
        |c| c.log_filter.clone(),
    ),
    case("metrics.statsd", Some("None"), ("'agent:8125'", "agent:8125"), r#"Some("agent:8125")"#, |c| {
        shown(&c.metrics.statsd)
    }),
    case("metrics.emf", Some("false"), ("true", "true"), "true", |c| shown(c.metrics.emf)),
    case("metrics.per_partition", Some("false"), ("true", "true"), "true", |c| {
        shown(c.metrics.per_partition)
    }),
    case("watchdog.stall", Some("300s"), ("'90 s'", "90 s"), "90s", |c| shown(c.watchdog_stall)),
    case("shutdown.deadline", Some("90s"), ("'2 min'", "2 min"), "120s", |c| shown(c.shutdown_deadline)),
    case("hours.lateness", Some("600s"), ("'0 s'", "0s"), "0ns", |c| shown(c.hours_lateness)),
    case("kafka.properties.fetch.wait.max.ms", Some("None"), ("250", "250"), r#"Some("250")"#, |c| {
        shown(c.kafka.properties.get("fetch.wait.max.ms").map(Secret::reveal))
    }),
    case("kafka.properties.check.crcs", Some("None"), ("true", "true"), r#"Some("true")"#, |c| {
        shown(c.kafka.properties.get("check.crcs").map(Secret::reveal))
    }),
];

#[test]
fn given_the_table_of_settings_then_each_has_a_case() {
    let with_case: BTreeSet<_> = CASES.iter().map(|case| case.setting).collect();
    let without: Vec<_> = SETTINGS.iter().map(|s| s.name).filter(|name| !with_case.contains(name)).collect();
    assert!(without.is_empty(), "no case for {without:?}");
}

#[test]
fn given_no_source_then_the_default_arrives() {
    let config = load_lines(&[]).unwrap();
    for case in CASES {
        if let Some(default) = case.default {
            assert_eq!((case.field)(&config), default, "{}", case.setting);
        }
    }
}

#[test]
fn given_a_setting_in_the_file_then_it_arrives() {
    for case in CASES {
        let with = case.with.iter().copied().filter(|(name, _)| *name != case.setting);
        let lines: Vec<_> = with.chain([(case.setting, case.toml)]).collect();
        let config = load_lines(&lines).unwrap_or_else(|errors| panic!("{}: {errors}", case.setting));
        assert_eq!((case.field)(&config), case.given, "{}", case.setting);
    }
}

#[test]
fn given_a_setting_in_the_environment_then_it_arrives_over_the_file() {
    for case in CASES {
        let config = load_text(&over_base(case.with), &[(&variable_of(case.setting), case.env)])
            .unwrap_or_else(|errors| panic!("{}: {errors}", case.setting));
        assert_eq!((case.field)(&config), case.given, "{}", case.setting);
    }
}

#[test]
fn given_a_setting_in_consul_then_it_arrives_over_the_file_or_is_refused_where_it_must_be_known_before() {
    for case in CASES {
        let said = consul_says(&[(case.setting, case.env)], &over_base(case.with));
        if FROM_CONSUL_NEVER.contains(&case.setting) {
            let errors = errors_of(said);
            assert_eq!((errors.len(), errors[0].setting.as_str()), (1, case.setting), "{errors:?}");
            continue;
        }
        let config = said.unwrap_or_else(|errors| panic!("{}: {errors}", case.setting));
        assert_eq!((case.field)(&config), case.given, "{}", case.setting);
    }
}
