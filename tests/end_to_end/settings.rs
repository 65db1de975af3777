//! Settings that are wrong: a clear error that names them, and exit code 2, before anything is read or written.

use std::fs;

use crate::valve::{Settings, Valve, run};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn()>] = tests![
    given_right_settings_but_one_then_the_error_names_it,
    given_a_setting_that_doesnt_exist_then_the_error_names_it,
    given_a_required_setting_that_is_missing_then_the_error_names_it,
    given_a_librdkafka_property_that_belongs_to_valve_then_the_error_names_it,
    given_a_configuration_file_that_cant_be_read_then_the_error_names_it,
    given_several_errors_then_all_are_said_at_once,
    given_settings_then_config_shows_which_take_effect_and_what_is_wrong_with_them,
];

/// Settings that are right as far as they go; nothing listens at their addresses.
fn right() -> Settings {
    Settings::none()
        .with("VALVE_NAME", "a-valve")
        .with("VALVE_TOPICS", "orders")
        .with("VALVE_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
        .with("VALVE_REGISTRY__URL", "http://127.0.0.1:1")
        .with("VALVE_TIMESTAMP", "field:at")
        .with("VALVE_SINK__BUCKET", "bucket")
        .with("VALVE_SINK__REGION", "us-east-1")
        .with("AWS_EC2_METADATA_DISABLED", "true")
}

fn assert_refused(settings: &Settings, names: &[&str]) {
    assert_refused_with(&["run"], settings, names);
}

fn assert_refused_with(arguments: &[&str], settings: &Settings, names: &[&str]) {
    let mut valve = Valve::start(arguments, settings);
    assert_eq!(valve.exit_code(), Some(2), "the exit code under {settings:?}");
    for name in names {
        crate::patience::wait_until(&format!("the error to name {name}"), || valve.output().contains(name));
    }
}

fn given_right_settings_but_one_then_the_error_names_it() {
    let wrong = [
        ("VALVE_NAME", "a valve", "name"),
        ("VALVE_TOPICS", "^(", "topics"),
        ("VALVE_TOPICS_REFRESH", "soon", "topics_refresh"),
        ("VALVE_KAFKA__BOOTSTRAP_SERVERS", "kafka:nine", "kafka.bootstrap_servers"),
        ("VALVE_REGISTRY__URL", "registry:8081", "registry.url"),
        ("VALVE_TIMESTAMP", "at", "timestamp"),
        ("VALVE_TIMESTAMP", "field:at@minutes", "timestamp"),
        ("VALVE_TIMESTAMP_RANGE", "2100..1970", "timestamp_range"),
        ("VALVE_SINK__TYPE", "ftp", "sink.type"),
        ("VALVE_SINK__ENDPOINT", "localhost", "sink.endpoint"),
        ("VALVE_BATCH__MAX_RECORDS", "0", "batch.max_records"),
        ("VALVE_BATCH__MAX_BYTES", "much", "batch.max_bytes"),
        ("VALVE_LAYOUT__KEY", "{topic}/{year}/{month}/{day}/{hour}", "layout.key"),
        ("VALVE_CODEC", "brotli", "codec"),
        ("VALVE_LANES", "0", "lanes"),
        ("VALVE_NULLS", "store", "nulls"),
        ("VALVE_HTTP__LISTEN", "8080", "http.listen"),
        ("VALVE_GROUP__PROTOCOL", "raft", "group.protocol"),
    ];
    for (variable, value, name) in wrong {
        assert_refused(&right().with(variable, value), &[name]);
    }
}

fn given_a_setting_that_doesnt_exist_then_the_error_names_it() {
    assert_refused(&right().with("VALVE_SINK__BUKET", "b"), &["sink.buket", "sink.bucket"]);
}

fn given_a_required_setting_that_is_missing_then_the_error_names_it() {
    let required = [
        ("VALVE_NAME", "name"),
        ("VALVE_TOPICS", "topics"),
        ("VALVE_KAFKA__BOOTSTRAP_SERVERS", "kafka.bootstrap_servers"),
        ("VALVE_REGISTRY__URL", "registry.url"),
        ("VALVE_TIMESTAMP", "timestamp"),
        ("VALVE_SINK__BUCKET", "sink.bucket"),
    ];
    for (variable, name) in required {
        assert_refused(&right().without(variable), &[name]);
    }
}

fn given_a_librdkafka_property_that_belongs_to_valve_then_the_error_names_it() {
    for property in ["GROUP_ID", "ENABLE_AUTO_COMMIT", "AUTO_OFFSET_RESET", "ISOLATION_LEVEL"] {
        let name = format!("kafka.properties.{}", property.to_lowercase().replace('_', "."));
        assert_refused(&right().with(&format!("VALVE_KAFKA__PROPERTIES__{property}"), "x"), &[&name]);
    }
}

fn given_a_configuration_file_that_cant_be_read_then_the_error_names_it() {
    assert_refused_with(&["run", "--config", "/nowhere/valve.toml"], &right(), &["/nowhere/valve.toml"]);

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("valve.toml");
    fs::write(&file, "[sink\nbucket = 1").unwrap();
    assert_refused_with(&["run", "--config", file.to_str().unwrap()], &right(), &["valve.toml"]);
}

fn given_several_errors_then_all_are_said_at_once() {
    let settings = right().with("VALVE_LANES", "none").without("VALVE_TOPICS").with("VALVE_CODEC", "zip");
    assert_refused(&settings, &["lanes", "topics", "codec"]);
}

fn given_settings_then_config_shows_which_take_effect_and_what_is_wrong_with_them() {
    let (code, shown) = run(&right().with("VALVE_CODEC", "zstd-3"), &["config"]);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("codec = \"zstd-3\"  # environment variable VALVE_CODEC\n"), "{shown}");
    assert!(shown.contains("batch.max_age = \"10 min\"  # default\n"), "{shown}");

    let wrong = right().with("VALVE_CODEC", "lz4").with("VALVE_REGISTRY__TOKEN", "hunter2");
    let (code, shown) = run(&wrong, &["config", "--format", "json"]);
    assert!(
        code == 2 && shown.contains("lz4") && shown.contains("the configuration has an error"),
        "{shown}"
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    let (code, said) = run(&right(), &["config", "--explain", "codecs"]);
    assert!(code == 2 && said.contains("did you mean `codec`"), "{said}");
}
