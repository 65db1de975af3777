//! Which settings take effect, as they are shown.

use super::*;
use crate::config::effective::{Effective, Shown, as_toml, explain};

fn sources(toml: &str, env: &[(&str, &str)]) -> Vec<Effective> {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("valve.toml");
    fs::write(&path, toml).unwrap();
    Sources::local(Some(&path), pairs(env)).unwrap().effective()
}

fn named<'a>(settings: &'a [Effective], name: &str) -> &'a Effective {
    settings.iter().find(|setting| setting.name == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn given_a_setting_in_all_sources_then_the_strongest_takes_effect_and_the_others_are_told() {
    let toml = over_base(&[("codec", "'null'"), ("sink.region", "'eu-central-1'")]);
    let settings = sources(&toml, &[("VALVE_CODEC", "zstd-3"), ("VALVE_SINK__REGION", "")]);
    let codec = named(&settings, "codec");
    assert_eq!(codec.value, Some(Shown::Text("zstd-3".to_owned())));
    assert_eq!(codec.origin.as_deref(), Some("environment variable VALVE_CODEC"));
    let overridden: Vec<_> = codec.overrides.iter().map(|over| over.origin.as_str()).collect();
    assert!(overridden[0].starts_with("file ") && overridden[1] == "default", "{overridden:?}");
    // Taken back.
    let region = named(&settings, "sink.region");
    assert_eq!((&region.value, region.overrides.len()), (&None, 1));
    assert_eq!(named(&settings, "metrics.statsd").origin, None);
}

#[test]
fn given_a_setting_without_a_value_then_it_is_said_whether_it_is_missing_or_taken_back() {
    let printed = as_toml(&sources("sink.region = 'eu-central-1'", &[("VALVE_SINK__REGION", "")]));
    for line in [
        "# name is required, and isn't set\n",
        "# sink.prefix isn't set\n",
        "# sink.region is set to nothing  # environment variable VALVE_SINK__REGION\n",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
}

#[test]
fn given_any_settings_when_they_are_shown_and_loaded_again_then_they_are_the_same() {
    let lines = [
        ("topics", "'^or\"d\\w ä'"),
        ("batch.max_records", "50_000"),
        ("timestamp", "['field:at@ms', 'kafka']"),
        ("sink.prefix", "'events/2026'"),
    ];
    let toml = over_base(&lines);
    let env = [("VALVE_LANES", "7"), ("VALVE_NAME", "123")];
    let shown = as_toml(&sources(&toml, &env));
    let (before, after) = (load_text(&toml, &env).unwrap(), load_text(&shown, &[]).unwrap());
    assert_eq!(format!("{before:?}"), format!("{after:?}"), "{shown}");
}

#[test]
fn given_secrets_then_they_are_shown_nowhere() {
    let secrets = [
        ("registry.username", "'u'"),
        ("registry.password", "'hunter2'"),
        ("kafka.properties.sasl.password", "'hunter2'"),
        ("registry.url", "'http://u:hunter2@registry'"),
        ("sink.pasword", "'hunter2'"),
        ("sink.endpoint", "'https://store/?signature=hunter2'"),
        ("metrics.statsd", "['http://u:hunter2@a', 'http://b?hunter2', 'u:hunter2@c']"),
    ];
    let settings = sources(&over_base(&secrets), &[("VALVE_REGISTRY__TOKEN", "hunter2")]);
    let mut printed =
        as_toml(&settings) + &serde_json::to_string(&settings).unwrap() + &format!("{settings:?}");
    for (name, _) in &secrets[..4] {
        printed += &explain(name, &settings).unwrap();
    }
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(printed.contains("# registry.password is given, and not shown  # file "), "{printed}");
}

#[test]
fn given_a_setting_then_all_is_explained_that_is_known_of_it() {
    let settings = sources(&over_base(&[("batch.max_age", "'1h'")]), &[("VALVE_BATCH__MAX_AGE", "2h")]);
    let text = explain("batch.max_age", &settings).unwrap();
    for said in
        ["VALVE_BATCH__MAX_AGE", "a duration", "10 min", "\"2h\", from environment", "\"1h\", from file"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(explain("kafka.properties.fetch.min.bytes", &settings).unwrap().contains("not given"));
    assert_eq!(explain("VALVE_BATCH__MAX_AGE", &settings).unwrap(), text);
    assert!(explain("batch.maxage", &settings).unwrap_err().contains("did you mean `batch.max_age`"));
}
