//! Which source wins, how settings are spelt in each, and what is said of a source that can't be read.

use super::*;

fn property(config: &Config, name: &str) -> Option<String> {
    config.kafka.properties.get(name).map(|value| value.reveal().to_owned())
}

#[test]
fn given_properties_quoted_or_as_dotted_keys_then_both_are_librdkafkas_names() {
    let toml = over_base(&[])
        + "[kafka.properties]\n\"session.timeout.ms\" = 6000\nheartbeat.interval.ms = 2000\nssl.ca.location = '/ca'\n";
    let config = load_text(&toml, &[]).unwrap();
    assert_eq!(property(&config, "session.timeout.ms").as_deref(), Some("6000"));
    assert_eq!(property(&config, "heartbeat.interval.ms").as_deref(), Some("2000"));
    assert_eq!(property(&config, "ssl.ca.location").as_deref(), Some("/ca"));
}

#[test]
fn given_a_property_in_the_environment_then_underscores_are_dots_and_it_overrides_the_file() {
    let toml = over_base(&[]) + "[kafka.properties]\n\"session.timeout.ms\" = 6000\n";
    let config = load_text(&toml, &[("VALVE_KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "7000")]).unwrap();
    assert_eq!(property(&config, "session.timeout.ms").as_deref(), Some("7000"));
}

#[test]
fn given_variables_of_others_or_of_the_tests_then_they_are_no_settings() {
    let env = [("VALVE_TEST_KAFKA", "kafka:9092"), ("VALVE_TEST_CACHE", "x"), ("HOME", "/"), ("VALVES", "x")];
    assert!(load_text(&over_base(&[]), &env).is_ok());
}

#[test]
fn given_an_empty_variable_then_it_takes_back_what_the_file_says() {
    let toml = over_base(&[("sink.region", "'eu-central-1'"), ("metrics.statsd", "'agent:1'")]);
    let config = load_text(&toml, &[("VALVE_SINK__REGION", ""), ("VALVE_METRICS__STATSD", "")]).unwrap();
    let SinkConfig::S3(s3) = config.sink else { panic!("not S3") };
    assert_eq!((s3.region, config.metrics.statsd), (None, None));
}

#[test]
fn given_the_environment_alone_then_it_is_enough() {
    let env = [
        ("VALVE_NAME", "123"),
        ("VALVE_TOPICS", "orders"),
        ("VALVE_KAFKA__BOOTSTRAP_SERVERS", "kafka:9092"),
        ("VALVE_REGISTRY__URL", "http://registry"),
        ("VALVE_TIMESTAMP", "processing"),
        ("VALVE_SINK__BUCKET", "events"),
        ("VALVE_REGISTRY__USERNAME", "42"),
        ("VALVE_REGISTRY__PASSWORD", "true"),
    ];
    let config = load_on(MACHINE, None, pairs(&env)).unwrap();
    assert_eq!(config.name, "123");
    let Some(RegistryAuth::Basic { username, password }) = &config.registry.auth else { panic!("no auth") };
    assert_eq!((username.as_str(), password.reveal()), ("42", "true"));
    assert_eq!(config.dead_letter_topic(), "_dead_letter_queue_123");
}

#[test]
fn given_valve_config_then_it_names_the_file_unless_the_command_line_does() {
    let directory = TempDir::new().unwrap();
    let write = |name: &str, valve: &str| {
        let path = directory.path().join(name);
        fs::write(&path, over_base(&[("name", valve)])).unwrap();
        path
    };
    let (by_variable, by_argument) = (write("a.toml", "'a'"), write("b.toml", "'b'"));
    let env = [("VALVE_CONFIG", by_variable.to_str().unwrap())];
    assert_eq!(load_on(MACHINE, None, pairs(&env)).unwrap().name, "a");
    assert_eq!(load_on(MACHINE, Some(&by_argument), pairs(&env)).unwrap().name, "b");
}

#[test]
fn given_a_file_that_is_not_there_then_only_that_is_said_and_who_named_it() {
    let path = Path::new("not/there.toml");
    let errors = errors_of(load_on(MACHINE, Some(path), pairs(&[])));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(
        (errors[0].setting.as_str(), errors[0].origin.as_deref()),
        ("not/there.toml", Some("--config"))
    );
    let errors = errors_of(load_on(MACHINE, None, pairs(&[("VALVE_CONFIG", "not/there.toml")])));
    assert_eq!(errors[0].origin.as_deref(), Some("environment variable VALVE_CONFIG"));
}

#[test]
fn given_a_file_that_is_not_toml_then_the_line_is_said_and_not_shown() {
    let errors = errors_of(load_text("name = 'a'\n\n[registry]\npassword = \"hunter2\n", &[]));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].problem.starts_with("line 4 is not TOML"), "{errors:?}");
    assert!(!format!("{errors:?}").contains("hunter2"), "{errors:?}");
}

#[test]
fn given_a_setting_twice_in_one_source_then_it_is_refused() {
    let toml = over_base(&[]) + "[kafka.properties]\n\"client.rack\" = 'a'\nclient.rack = 'b'\n";
    let errors = errors_of(load_text(&toml, &[]));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].setting, "kafka.properties.client.rack");
    let errors =
        errors_of(load_text(&over_base(&[]), &[("VALVE_START", "latest"), ("VALVE_start", "latest")]));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].origin.as_deref().is_some_and(|origin| origin.contains("VALVE_START and VALVE_start")));
}

#[test]
fn given_values_that_refer_to_others_then_those_are_taken_and_errors_show_what_is_written() {
    let lines = [("registry.token", "'${env:TOKEN}'"), ("name", "'${env:TEAM}-archive'")];
    let env = [("TOKEN", "hunter2"), ("TEAM", "blue")];
    let config = load_text(&over_base(&lines), &env).unwrap();
    assert_eq!(config.name, "blue-archive");
    let Some(RegistryAuth::Bearer(token)) = &config.registry.auth else { panic!("no token") };
    assert_eq!(token.reveal(), "hunter2");

    let wrong = errors_of(load_text(&over_base(&lines), &[("TOKEN", "hunter2"), ("TEAM", "a b/c")]));
    assert_eq!((wrong.len(), wrong[0].value.as_deref()), (1, Some("\"${env:TEAM}-archive\"")), "{wrong:?}");
    let missing = errors_of(load_text(&over_base(&lines), &[("TOKEN", "hunter2")]));
    assert_eq!((missing.len(), missing[0].setting.as_str()), (1, "name"), "{missing:?}");
    assert!(missing[0].problem.contains("\"TEAM\""), "{missing:?}");
}

#[test]
fn given_a_reference_to_something_empty_in_a_required_setting_then_it_is_said() {
    for setting in ["name", "topics", "registry.url", "timestamp", "codec"] {
        let toml = over_base(&[(setting, "'${env:EMPTY}'")]);
        let wrong = errors_of(load_text(&toml, &[("EMPTY", "")]));
        assert_eq!(wrong.len(), 1, "{setting}: {wrong:?}");
        assert_eq!(
            (wrong[0].setting.as_str(), wrong[0].value.as_deref()),
            (setting, Some("\"${env:EMPTY}\""))
        );
        assert!(wrong[0].problem.ends_with("what it refers to is empty"), "{wrong:?}");
    }
}
