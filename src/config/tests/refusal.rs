//! What is refused, and what the refusal says.

use super::*;

/// The error names the setting, its file, its value, and says what is wrong in words that include these.
fn refused(lines: &[(&str, &str)], setting: &str, words: &str) {
    let error = error(lines);
    assert_eq!(error.setting, setting, "{error}");
    assert!(error.problem.contains(words), "{error}");
}

#[test]
fn given_values_that_are_wrong_then_the_setting_is_named_with_the_reason() {
    let wrong: &[(&str, &str, &str)] = &[
        ("name", "'a b'", "character other than"),
        ("name", "'..'", "besides dots"),
        ("name", "['a']", "not a list"),
        ("name", "1.5", "in quotes"),
        ("environment", "'a/b'", "character other than"),
        ("topics", "[]", "empty"),
        ("topics", "'a,,b'", "empty"),
        ("topics", "'__consumer_offsets'", "internal topics"),
        ("topics", "'_dead_letter_queue_x'", "dead-letter topics"),
        ("topics", "['a', '^b']", "pattern"),
        ("topics", "'^('", "no regular expression: unclosed group"),
        ("topics", "'a,a'", "twice"),
        ("topics", "[['a']]", "list with a list"),
        ("topics_refresh", "'60'", "needs a unit"),
        ("topics_refresh", "0", "needs a unit"),
        ("kafka.bootstrap_servers", "'kafka:x'", "port"),
        ("kafka.bootstrap_servers", "'user:pass@kafka:9092'", "host"),
        ("registry.url", "'registry:8081'", "http"),
        ("registry.url", "'ftp://registry'", "http"),
        ("registry.url", "'http://registry/?a=b'", "`?`"),
        ("registry.unknown_after", "'soon'", "number"),
        ("timestamp", "[]", ""),
        ("timestamp", "'feld:a'", ""),
        ("timestamp_range", "'1970-2100'", "1970..2100"),
        ("timestamp_range", "'2100..1970'", "later"),
        ("timestamp_range", "'0..20000'", "1 to 9999"),
        ("timestamp_range", "'+1..5'", "1 to 9999"),
        ("timestamp_range", "'1970..'", "1 to 9999"),
        ("sink.type", "'gcs'", "none of the allowed"),
        ("sink.bucket", "'Events'", "lower-case"),
        ("sink.bucket", "'ab'", "3 to 63"),
        ("sink.bucket", "'s3://events'", "bare name"),
        ("sink.bucket", "'10.0.0.1'", "IP address"),
        ("sink.prefix", "'/a'", "slash at an end"),
        ("sink.prefix", "'a/'", "slash at an end"),
        ("sink.prefix", "'a/../b'", "`..`"),
        ("sink.prefix", "'a//b'", "empty part"),
        ("sink.prefix", "\"a\\nb\"", "control"),
        ("sink.region", "'EU Central'", "eu-central-1"),
        ("sink.endpoint", "'127.0.0.1:7070'", ""),
        ("sink.path_style", "'yes'", "`true` nor `false`"),
        ("sink.storage_class", "'standard-ia'", "none of the allowed"),
        ("sink.acl", "'public'", "none of the allowed"),
        ("sink.sse", "'aes'", "none of the allowed"),
        ("batch.max_records", "0", "at least 1"),
        ("batch.max_records", "-1", "number"),
        ("batch.max_records", "'many'", "number"),
        ("batch.max_bytes", "'128 M'", "ambiguous"),
        ("batch.max_bytes", "0", "at least 1"),
        ("batch.max_age", "'0 s'", "longer than nothing"),
        ("batch.max_idle", "120", "needs a unit"),
        ("batch.max_files", "100_001", "at most"),
        ("batch.max_record_bytes", "'2 GB'", "at most"),
        ("layout.key", "'{topic}/{uid}'", "{uid}"),
        ("layout.key", "'{topic}/{uuid}'", "{year}"),
        ("layout.key", "'{year}{month}{day}/{uuid}'", "{hour}"),
        ("layout.key", "'{topic}{topic}{topic}{topic}/{year}{month}{day}{hour}{uuid}'", "S3 takes 1,024"),
        ("layout.granularity", "'minute'", "none of the allowed"),
        ("start", "'middle'", "none of the allowed"),
        ("out_of_range", "'skip'", "none of the allowed"),
        ("group.protocol", "'eager'", "none of the allowed"),
        ("group.assignment", "'sticky'", "none of the allowed"),
        ("group.isolation", "'committed'", "none of the allowed"),
        ("rebalance.grace", "'5 min'", "300000 ms"),
        ("codec", "'lz4'", ""),
        ("codec", "'zstd-99'", ""),
        ("lanes", "0", "at least 1"),
        ("lanes", "257", "at most 256"),
        ("lanes", "256", "has room for the fetches of"),
        ("memory.budget", "'8 GiB'", "4096 MiB that this process may use"),
        ("memory.budget", "'99 %'", "1 to 95"),
        ("memory.budget", "'64 MiB'", "need 72 MiB"),
        ("nulls", "'drop'", "none of the allowed"),
        ("http.listen", "':8080'", "IP address"),
        ("metrics.statsd", "'agent'", "port"),
        ("shutdown.deadline", "'2 years'", "unit"),
    ];
    for (setting, value, words) in wrong {
        let error = error(&[(setting, value)]);
        assert_eq!(&error.setting, setting, "{error}");
        assert!(error.problem.contains(words), "{error}");
        assert!(error.origin.as_deref().is_some_and(|origin| origin.starts_with("file ")), "{error}");
        assert!(error.value.is_some() && error.allowed.is_some(), "{error}");
    }
}

#[test]
fn given_a_codec_with_large_tables_then_the_budget_has_room_for_fewer_lanes() {
    let with =
        |codec, lanes| load_lines(&[("memory.budget", "'128 MiB'"), ("codec", codec), ("lanes", lanes)]);
    assert!(with("'snappy'", "16").is_ok());
    assert!(with("'deflate-12'", "4").is_ok());
    let errors = errors_of(with("'deflate-12'", "16"));
    assert!(errors[0].problem.contains("room for the fetches of 5"), "{errors:?}");
}

#[test]
fn given_a_wrong_variable_then_its_own_spelling_is_told() {
    let errors = errors_of(load_text(&over_base(&[]), &[("VALVE_BATCH__max_age", "600")]));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].setting, "batch.max_age");
    assert_eq!(errors[0].origin.as_deref(), Some("environment variable VALVE_BATCH__max_age"));
    assert_eq!(errors[0].value.as_deref(), Some("\"600\""));
}

#[test]
fn given_a_default_that_doesnt_fit_the_machine_then_the_error_says_that_it_is_the_default() {
    let small = Machine { memory: 128 << 20, cores: 1 };
    let env = [
        ("VALVE_NAME", "a"),
        ("VALVE_TOPICS", "orders"),
        ("VALVE_KAFKA__BOOTSTRAP_SERVERS", "kafka:9092"),
        ("VALVE_REGISTRY__URL", "http://registry"),
        ("VALVE_TIMESTAMP", "kafka"),
        ("VALVE_SINK__BUCKET", "events"),
    ];
    let errors = errors_of(load_on(small, None, pairs(&env)));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!((errors[0].setting.as_str(), errors[0].origin.as_deref()), ("memory.budget", Some("default")));
    let smaller_records = [("VALVE_BATCH__MAX_RECORD_BYTES", "8 MiB")];
    assert!(load_on(small, None, pairs(&env).chain(pairs(&smaller_records))).is_ok());
}

#[test]
fn given_a_share_of_a_memory_that_is_not_known_then_a_size_is_asked_for() {
    let unknown = Machine { memory: u64::MAX, cores: 1 };
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("valve.toml");
    fs::write(&path, over_base(&[])).unwrap();
    let errors = errors_of(load_on(unknown, Some(&path), pairs(&[])));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].problem.contains("give a size"), "{errors:?}");
    assert!(load_on(unknown, Some(&path), pairs(&[("VALVE_MEMORY__BUDGET", "1 GiB")])).is_ok());
}

#[test]
fn given_required_settings_missing_then_each_is_told_with_its_variable() {
    let errors = errors_of(load_text("", &[]));
    let missing: Vec<_> = errors.iter().map(|error| error.setting.as_str()).collect();
    assert_eq!(
        missing,
        ["name", "topics", "kafka.bootstrap_servers", "registry.url", "timestamp", "sink.bucket"]
    );
    for error in &errors {
        assert!(error.problem.starts_with("it is required"), "{error}");
        assert!(
            error.hint.as_deref().is_some_and(|hint| hint.contains(&variable_of(&error.setting))),
            "{error}"
        );
    }
}

#[test]
fn given_many_errors_then_all_are_told_at_a_time() {
    let lines = [
        ("name", "''"),
        ("lanes", "0"),
        ("codec", "'lz4'"),
        ("snik.bucket", "1"),
        ("nulls", "'x'"),
        ("sink.acl", "'x'"),
    ];
    let loaded = load_lines(&lines);
    let settings: Vec<_> = errors_of(loaded).into_iter().map(|error| error.setting).collect();
    for setting in ["name", "lanes", "codec", "snik.bucket", "nulls", "sink.acl"] {
        assert!(settings.iter().any(|told| told == setting), "{setting} not in {settings:?}");
    }
    assert_eq!(settings.len(), lines.len());
}

#[test]
fn given_an_unknown_name_then_the_nearest_is_suggested() {
    let meant = [
        ("sink.buckt", "sink.bucket"),
        ("sink_bucket", "sink.bucket"),
        ("batch.maxrecords", "batch.max_records"),
        ("kafka.bootstrap.servers", "kafka.bootstrap_servers"),
        ("timestmp", "timestamp"),
        ("name.first", ""),
        ("quux", ""),
        ("watchdog.stal", "watchdog.stall"),
        ("consul.requird", "consul.required"),
    ];
    for (written, meant) in meant {
        // `name` itself would be a table where `name.first` is given.
        let lines = if written == "name.first" {
            vec![("name", ""), (written, "'x'")]
        } else {
            vec![(written, "'x'")]
        };
        let errors = errors(&lines);
        let error = errors.iter().find(|error| error.setting == written).expect("the unknown name is told");
        assert_eq!(error.problem, "there is no such setting");
        match meant {
            "" => assert!(
                error.hint.as_deref().is_none_or(|hint| written == "name.first" || hint.is_empty()),
                "{error}"
            ),
            meant => assert!(
                error.hint.as_deref().is_some_and(|hint| hint.contains(&format!("`{meant}`"))),
                "{error}"
            ),
        }
    }
}

#[test]
fn given_a_variable_with_single_underscores_then_the_right_spelling_is_suggested() {
    let errors = errors_of(load_text(&over_base(&[]), &[("VALVE_SINK_BUCKET", "x")]));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].hint.as_deref().is_some_and(|hint| hint.contains("VALVE_SINK__BUCKET")), "{errors:?}");
}

#[test]
fn given_a_misspelt_choice_then_the_nearest_is_suggested() {
    assert!(error(&[("start", "'earlist'")]).hint.is_some_and(|hint| hint.contains("`earliest`")));
    assert!(
        error(&[("sink.storage_class", "'standard-ia'")])
            .hint
            .is_some_and(|hint| hint.contains("`STANDARD_IA`"))
    );
    assert_eq!(error(&[("start", "'xyzzy'")]).hint, None);
}

#[test]
fn given_a_value_for_a_group_of_settings_then_its_settings_are_told() {
    let errors =
        errors_of(load_text(&over_base(&[]), &[("VALVE_SINK", "s3"), ("VALVE_KAFKA__PROPERTIES", "x")]));
    let told: Vec<_> =
        errors.iter().map(|error| (error.setting.as_str(), error.problem.contains("group"))).collect();
    assert_eq!(told, [("kafka.properties", true), ("sink", true)]);
    assert!(errors[1].hint.as_deref().is_some_and(|hint| hint.contains("sink.bucket")), "{errors:?}");
}

#[test]
fn given_a_property_that_belongs_to_valve_then_the_reason_and_the_setting_to_use_are_told() {
    let owned = [
        ("bootstrap.servers", "kafka.bootstrap_servers"),
        ("metadata.broker.list", "kafka.bootstrap_servers"),
        ("enable.auto.commit", "remove"),
        ("auto.commit.enable", "remove"),
        ("enable.auto.offset.store", "remove"),
        ("group.id", "`name`"),
        ("group.instance.id", "remove"),
        ("group.protocol", "`group.protocol`"),
        ("partition.assignment.strategy", "group.assignment"),
        ("auto.offset.reset", "`start`"),
        ("isolation.level", "group.isolation"),
        ("enable.partition.eof", "remove"),
        ("acks", "remove"),
        ("request.required.acks", "remove"),
        ("transactional.id", "remove"),
    ];
    for (property, instead) in owned {
        let setting = format!("kafka.properties.{property}");
        let error = error(&[(&setting, "'x'")]);
        assert_eq!(error.setting, setting);
        assert!(error.problem.contains("belongs to valve"), "{error}");
        assert!(error.hint.as_deref().is_some_and(|hint| hint.contains(instead)), "{error}");
    }
    let errors = errors_of(load_text(&over_base(&[]), &[("VALVE_KAFKA__PROPERTIES__GROUP_ID", "x")]));
    assert_eq!(errors[0].origin.as_deref(), Some("environment variable VALVE_KAFKA__PROPERTIES__GROUP_ID"));
}

#[test]
fn given_the_consumer_protocol_then_what_the_broker_decides_is_refused() {
    for name in [
        "kafka.properties.session.timeout.ms",
        "kafka.properties.heartbeat.interval.ms",
        "kafka.properties.group.protocol.type",
        "kafka.properties.group.remote.assignor",
        "group.assignment",
    ] {
        let value = if name == "group.assignment" { "'range'" } else { "6000" };
        refused(&[("group.protocol", "'consumer'"), (name, value)], name, "the broker decides");
        assert!(load_lines(&[(name, value)]).is_ok(), "{name} under the classic protocol");
    }
}

#[test]
fn given_a_poll_interval_then_the_grace_must_be_shorter() {
    let interval = ("kafka.properties.max.poll.interval.ms", "15_000");
    refused(&[interval], "rebalance.grace", "15000 ms");
    assert!(load_lines(&[interval, ("rebalance.grace", "'14 s'")]).is_ok());
    refused(
        &[("kafka.properties.max.poll.interval.ms", "'x'")],
        "kafka.properties.max.poll.interval.ms",
        "number",
    );
}

#[test]
fn given_kafka_auth_then_what_it_decides_on_is_refused() {
    refused(&[("kafka.region", "'eu-central-1'")], "kafka.region", "needs `kafka.auth` = `msk-iam`");
    refused(&[("kafka.oidc.scope", "'x'")], "kafka.oidc.scope", "needs `kafka.auth` = `oidc`");
    let id =
        [("kafka.auth", "'oidc'"), ("kafka.oidc.token_url", "'http://p/'"), ("kafka.oidc.client_id", "'v'")];
    refused(&id, "kafka.oidc.client_secret", "required");
    refused(&[("kafka.auth", "'scram'")], "kafka.auth", "none of the allowed values");
    for property in ["security.protocol", "sasl.mechanism", "sasl.username"] {
        let name = format!("kafka.properties.{property}");
        refused(&[("kafka.auth", "'msk-iam'"), (&name, "'x'")], &name, "`kafka.auth` decides on it");
    }
}

#[test]
fn given_half_an_identity_for_the_registry_then_the_other_half_is_asked_for() {
    refused(&[("registry.username", "'u'")], "registry.username", "`registry.password` is missing");
    refused(&[("registry.password", "'p'")], "registry.password", "`registry.username` is missing");
    refused(
        &[("registry.username", "'u'"), ("registry.password", "'p'"), ("registry.token", "'t'")],
        "registry.token",
        "neither",
    );
    refused(&[("registry.ca", "'/ca.pem'")], "registry.ca", "no `https://` URL");
    let tls = [("registry.url", "'https://registry'"), ("registry.key", "'/k.pem'")];
    refused(&tls, "registry.key", "`registry.certificate` is missing");
    refused(&[("registry.token", "\"t\\n\"")], "registry.token", "line break");
}

#[test]
fn given_options_of_another_sink_then_they_are_refused() {
    refused(&[("sink.path", "'/srv'")], "sink.path", "`sink.type` = `local`");
    let local = [("sink.type", "'local'"), ("sink.path", "'/srv'")];
    refused(&local, "sink.bucket", "`sink.type` = `s3`");
    for (name, value) in
        [("sink.path_style", "false"), ("sink.sse", "'AES256'"), ("sink.endpoint", "'http://a'")]
    {
        let lines = [local[0], local[1], ("sink.bucket", ""), (name, value)];
        refused(&lines, name, "`sink.type` = `s3`");
    }
    refused(&[("sink.type", "'local'"), ("sink.bucket", "")], "sink.path", "required");
}

#[test]
fn given_a_key_that_makes_names_longer_than_directories_take_then_only_the_local_sink_refuses_it() {
    let key = format!("'{}{{uuid}}/{{year}}{{month}}{{day}}{{hour}}'", "a".repeat(220));
    assert!(load_lines(&[("layout.key", &key)]).is_ok());
    let local = [("sink.type", "'local'"), ("sink.path", "'/srv'"), ("sink.bucket", "''")];
    refused(&[local[0], local[1], local[2], ("layout.key", &key)], "layout.key", "more than 255 bytes");
}

#[test]
fn given_a_kms_key_without_kms_then_it_is_refused() {
    refused(&[("sink.kms_key_id", "'k'")], "sink.kms_key_id", "aws:kms");
    refused(&[("sink.kms_key_id", "'k'"), ("sink.sse", "'AES256'")], "sink.kms_key_id", "aws:kms");
    assert!(load_lines(&[("sink.kms_key_id", "'k'"), ("sink.sse", "'aws:kms:dsse'")]).is_ok());
}

#[test]
fn given_the_day_as_granularity_then_the_key_needs_no_hour() {
    let key = ("layout.key", "'{year}{month}{day}/{uuid}'");
    assert!(load_lines(&[key, ("layout.granularity", "'day'")]).is_ok());
}

#[test]
fn given_a_name_as_long_as_kafka_can_take_then_its_dead_letter_topic_is_a_topics_name() {
    let longest = format!("'{}'", "a".repeat(230));
    assert_eq!(load_lines(&[("name", &longest)]).unwrap().dead_letter_topic().len(), 249);
    refused(&[("name", &format!("'{}'", "a".repeat(231)))], "name", "longer than 230");
}

#[test]
fn given_bytes_that_are_no_text_then_the_variable_is_named() {
    let errors = errors_of(load_text(&over_base(&[]), &[("VALVE_ENVIRONMENT", "a\u{fffd}")]));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].problem, "it is not UTF-8");
}

#[test]
fn given_an_error_then_it_reads_as_a_block() {
    let errors = load_text(&over_base(&[]), &[("VALVE_START", "earlist")]).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "the configuration has an error\n\n  \
         start = \"earlist\"\n    \
         from:    environment variable VALVE_START\n    \
         problem: it is none of the allowed values\n    \
         allowed: `earliest`, `latest`, `stored`\n    \
         hint:    did you mean `earliest`?"
    );
}

#[test]
fn given_a_setting_whose_name_has_control_characters_then_the_error_moves_no_terminals_cursor() {
    let errors = load_text("\"kafka.properties\".\"a\\u001b[2J\" = 'x'\n\"na\\tme\" = 'x'", &[]).unwrap_err();
    let told = errors.to_string();
    assert!(told.contains("[2J") && told.contains("na\u{fffd}me"), "{told}");
    assert!(!told.chars().any(|c| c.is_control() && c != '\n'), "{told:?}");
}
