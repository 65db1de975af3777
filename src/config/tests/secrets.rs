//! Secrets are printed by nothing.

use super::*;

const PLANTED: &str = "hunter2";

fn hides(what: &str, printed: &str) {
    assert!(!printed.contains(PLANTED), "{what} shows a secret: {printed}");
}

#[test]
fn given_secrets_in_a_right_configuration_then_debug_hides_them() {
    let secret = format!("'{PLANTED}'");
    let basic = load_lines(&[
        ("registry.username", "'u'"),
        ("registry.password", &secret),
        ("kafka.properties.sasl.password", &secret),
        ("kafka.properties.ssl.key.password", &secret),
    ]);
    let bearer = load_lines(&[("registry.token", &secret)]);
    for config in [basic.unwrap(), bearer.unwrap()] {
        hides("Debug", &format!("{config:?}"));
        hides("pretty Debug", &format!("{config:#?}"));
    }
}

#[test]
fn given_secrets_in_wrong_settings_then_errors_hide_them() {
    let planted = [
        ("registry.password", "hunter2"),
        ("registry.password", "hunter2\n"),
        ("registry.token", "hunter2\n"),
        ("registry.pasword", "hunter2"),
        ("kafka.properties.group.id", "hunter2"),
        ("kafka.properties.max.poll.interval.ms", "hunter2"),
        ("registry.url", "http://u:hunter2@registry"),
        ("registry.url", "http://u:hunter2@a,http://v:hunter2@b"),
        ("registry.url", "u:hunter2@registry"),
        ("sink.endpoint", "https://u:hunter2@store"),
        ("kafka.bootstrap_servers", "u:hunter2@kafka:9092"),
        ("metrics.statsd", "u:hunter2@agent:1"),
        ("registry.url", "https://registry?token=hunter2"),
        ("sink.endpoint", "https://u@store/?signature=hunter2"),
    ];
    for (setting, value) in planted {
        let errors = load_lines(&[(setting, &format!("{value:?}"))]).unwrap_err();
        hides(setting, &errors.to_string());
        hides(setting, &format!("{errors:?}"));
        let env = [(&*variable_of(setting), value)];
        let errors = load_text(&over_base(&[(setting, "")]), &env).unwrap_err();
        hides(setting, &errors.to_string());
    }
    let not_a_property = load_lines(&[("kafka.properties.sasl.Password", "'hunter2'")]).unwrap_err();
    hides("a property that can't be one", &not_a_property.to_string());
    let listed = load_lines(&[("registry.url", "['http://u:hunter2@a', 'http://v:hunter2@b']")]).unwrap_err();
    hides("a list", &listed.to_string());
    let as_list = load_lines(&[("registry.token", "['hunter2']")]).unwrap_err();
    hides("a secret as a list", &as_list.to_string());
}

#[test]
fn given_secrets_near_a_mistake_in_toml_then_the_error_hides_them() {
    for toml in [
        "[registry]\npassword = hunter2\n",
        "[registry]\npassword = \"hunter2\n",
        "[registry]\npassword = 'hunter2' 'x'\n",
        "[registry]\npassword = 'hunter2'\npassword = 'hunter2'\n",
        "[registry]\npassword : 'hunter2'\n",
        "[registry]\npassword = 'hunter2'\n[registry]\n",
    ] {
        let errors = load_text(toml, &[]).unwrap_err();
        hides(toml, &errors.to_string());
    }
}
