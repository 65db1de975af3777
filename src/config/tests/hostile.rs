//! Whatever is written, the outcome is a configuration or errors that name a setting: never a panic.

use proptest::prelude::*;

use super::super::settings::SETTINGS;
use super::*;

/// A setting's name, right or nearly so.
fn name() -> impl Strategy<Value = String> {
    let known = prop::sample::select(SETTINGS.iter().map(|setting| setting.name).collect::<Vec<_>>());
    prop_oneof![
        8 => known.clone().prop_map(str::to_owned),
        1 => "kafka\\.properties\\.[a-z.]{0,20}",
        1 => (known, "[a-z._]{0,2}").prop_map(|(name, more)| format!("{name}{more}")),
        1 => "[a-z_.]{0,12}",
    ]
}

/// A value, likely to be nearly right for some setting.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{1,20} ?(ms|s|min|h|MiB|GB|%|x)?",
        "(field:)?[a-z.]{0,8}(@(ms|s|x))?(,kafka)?",
        "(\\^|https?://|s3://)?[a-z0-9.:/@?#\\[\\]{}()|*-]{0,20}",
        "[0-9-]{0,8}\\.\\.[0-9-]{0,8}",
        "(zstd|deflate|snappy|null)(-[0-9]{0,4})?",
        "\\{(topic|year|hour|uuid|x)\\}?/?\\{?(uuid|day)\\}",
        "(-?[0-9]{0,3},? ?)*",
        ".{0,40}",
    ]
}

/// A value as TOML: text, or something else.
fn toml_value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => value().prop_map(|text| serde_json::to_string(&text).unwrap()),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| format!("{number:?}").replace("NaN", "nan")),
        1 => any::<bool>().prop_map(|truth| truth.to_string()),
        1 => prop::collection::vec(value(), 0..3).prop_map(|items| serde_json::to_string(&items).unwrap()),
        1 => Just("1979-05-27T07:32:00Z".to_owned()),
        1 => Just("{ a = { b = [1, [2]] } }".to_owned()),
        1 => Just("[{ a = 1 }]".to_owned()),
    ]
}

fn config_or_named_errors(loaded: Result<Config, ConfigErrors>) -> Result<(), TestCaseError> {
    if let Err(errors) = loaded {
        prop_assert!(errors.iter().count() > 0);
        for error in errors.iter() {
            prop_assert!(!error.problem.is_empty(), "{:?}", error);
            prop_assert!(
                error.origin.is_some() || error.problem.starts_with("it is required"),
                "{:?}",
                error
            );
        }
        prop_assert!(!errors.to_string().is_empty());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn given_random_variables_then_there_is_a_configuration_or_errors(
        variables in prop::collection::vec((name(), value()), 0..6)
    ) {
        let env: Vec<_> = variables.iter().map(|(name, value)| (variable_of(name), value.clone())).collect();
        let base = BASE.iter().map(|(name, value)| (variable_of(name), value.trim_matches('\'').to_owned()));
        let all: Vec<_> = base.chain(env).collect();
        config_or_named_errors(load_on(MACHINE, None, all.into_iter()))?;
    }

    #[test]
    fn given_random_lines_of_toml_then_there_is_a_configuration_or_errors(
        lines in prop::collection::vec((name(), toml_value()), 0..6)
    ) {
        let lines: Vec<_> = lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        config_or_named_errors(load_lines(&lines))?;
    }

    #[test]
    fn given_any_text_as_the_file_then_there_is_a_configuration_or_errors(text in "(?s).{0,200}") {
        config_or_named_errors(load_text(&text, &[]))?;
    }

    #[test]
    fn given_one_random_value_in_a_right_configuration_then_at_most_errors_of_it_and_its_partners_are_told(
        name in prop::sample::select(SETTINGS.iter().map(|s| s.name).collect::<Vec<_>>()), value in value()
    ) {
        let errors = errors_of(load_text(&over_base(&[]), &[(&variable_of(name), &value)]));
        prop_assert!(errors.len() <= 2, "{:?}", errors);
    }
}
