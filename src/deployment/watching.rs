//! Scaling and alarms look at metrics that valve publishes, by the dimensions and with the statistics that they have.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::example::{EXAMPLES, Example};
use super::module::{Module, functions};
use crate::telemetry::exporters::Dimensions;
use crate::telemetry::lag::scaling::{COOLDOWN_IN, COOLDOWN_OUT, TARGETS};
use crate::telemetry::metrics::{CATALOGUE, Entry, Kind};

/// What all metrics carry.
fn dimensions() -> [&'static str; 2] {
    Dimensions::new("", "").each().map(|(name, _)| name)
}

/// The metric called `name`.
fn metric(name: &Value) -> (Kind, &'static Entry) {
    let found = CATALOGUE.iter().find(|(_, entry)| *name == entry.name);
    let (kind, entry) = found.unwrap_or_else(|| panic!("there is no metric {name}"));
    (*kind, entry)
}

#[test]
fn given_the_policies_then_they_track_what_was_simulated() {
    for name in EXAMPLES {
        let locals = Example::read(name).locals;
        let targets = &locals["targets"];
        let simulated = [&targets["max_offset_lag"], &targets["max_time_lag"]];
        assert_eq!(simulated.map(|target| target.as_f64().expect("a number")), TARGETS);
        assert_eq!(targets["memory_percent"], 60);
        assert_eq!(
            (&locals["scale_out_cooldown"], &locals["scale_in_cooldown"]),
            (&json!(COOLDOWN_OUT), &json!(COOLDOWN_IN))
        );
        for target in targets.as_object().expect("targets").keys() {
            let (kind, entry) = metric(&json!(target));
            assert_eq!((kind, entry.labels.len()), (Kind::Gauge, 0), "{target}");
        }
    }
}

#[test]
fn given_policies_and_alarms_then_their_dimensions_are_those_of_the_metrics() {
    let locals = Example::read("archive").locals;
    let named: BTreeSet<_> =
        locals["dimensions"].as_object().expect("dimensions").keys().map(String::as_str).collect();
    assert_eq!(named, BTreeSet::from(dimensions()));
    assert_eq!(locals["dimensions"], json!({"CONSUMER_GROUP": "archive", "ENVIRONMENT": "prod"}));
}

#[test]
fn given_an_alarm_then_there_is_its_metric_and_its_statistic_makes_sense() {
    let locals = Example::read("archive").locals;
    for (name, alarm) in locals["alarms"].as_object().expect("alarms") {
        let (kind, entry) = metric(&alarm["metric"]);
        assert!(entry.labels.is_empty(), "{name}: CloudWatch has {} by {:?} only", entry.name, entry.labels);
        let statistics: &[&str] = if kind == Kind::Counter { &["Sum"] } else { &["Maximum", "SampleCount"] };
        assert!(statistics.contains(&alarm["statistic"].as_str().expect("a statistic")), "{name}");
    }
    for (name, alarm) in locals["labelled_alarms"].as_object().expect("alarms") {
        let (kind, entry) = metric(&alarm["metric"]);
        assert_eq!(json!(entry.labels), json!([alarm["label"]]), "{name}");
        assert_eq!(alarm["function"], if kind == Kind::Counter { "SUM" } else { "MAX" }, "{name}");
    }
}

#[test]
fn given_an_alarm_on_a_label_then_its_query_names_the_dimensions_in_order() {
    let text = Module::read("modules/valve").text;
    let [group, environment] = dimensions();
    assert!(text.contains(&format!(
        r#"FROM SCHEMA(\"${{var.name}}\", {group}, {environment}, \"${{each.value.label}}\")"#
    )));
    assert!(
        text.contains(&format!("WHERE {group} = '${{var.name}}' AND {environment} = '${{var.environment}}'"))
    );
}

#[test]
fn given_the_alarms_then_operators_hear_of_what_they_must() {
    let locals = Example::read("archive").locals;
    let alarms = ["alarms", "labelled_alarms"].map(|kind| locals[kind].as_object().expect("alarms").clone());
    let about: BTreeSet<_> = alarms
        .iter()
        .flat_map(|alarms| alarms.values())
        .map(|alarm| alarm["metric"].as_str().unwrap())
        .collect();
    for wanted in [
        "assigned_partitions",
        "held_partitions",
        "stalls",
        "dead_letters",
        "lost_offsets",
        "holds",
        "max_time_lag",
        "max_offset_lag",
    ] {
        assert!(about.contains(wanted), "no alarm is about {wanted}");
    }
    assert_eq!(locals["alarms"]["no-data"]["missing"], "breaching");
    // Some process has a partition: that one has none is no trouble.
    let unassigned = &locals["alarms"]["unassigned"];
    let alarm = ["metric", "statistic", "comparison", "threshold"].map(|key| &unassigned[key]);
    assert_eq!(json!(alarm), json!(["assigned_partitions", "Maximum", "LessThanThreshold", 1]));
    let manual = include_str!("../../docs/operations.md");
    for name in alarms.iter().flat_map(|alarms| alarms.keys()) {
        assert!(
            manual.contains(&format!("| `{name}` |")),
            "docs/operations.md doesn't say what to do about {name}"
        );
    }
}

#[test]
fn given_the_agent_then_it_publishes_each_metric_by_the_dimensions_that_it_has_without_one() {
    let locals = Example::read("holding-tank").locals;
    let published: BTreeSet<Vec<String>> =
        serde_json::from_value(locals["agent_config"]["metrics"]["aggregation_dimensions"].clone()).unwrap();
    let of_partitions = |entry: &&Entry| entry.labels.contains(&"partition");
    for entry in CATALOGUE.iter().map(|(_, entry)| entry).filter(|entry| !of_partitions(entry)) {
        let wanted: Vec<_> =
            dimensions().into_iter().chain(entry.labels.iter().copied()).map(str::to_owned).collect();
        assert!(published.contains(&wanted), "{}: {wanted:?}", entry.name);
    }
}

#[test]
fn given_the_functions_of_terraform_that_the_modules_use_then_they_do_what_terraforms_do() {
    use hcl::eval::Evaluate as _;
    let evaluated = |text: &str| text.parse::<hcl::Expression>().unwrap().evaluate(&functions()).unwrap();
    for (expression, value) in [
        (r#"upper(replace("a.b", ".", "__"))"#, json!("A__B")),
        (r#"trimprefix("ab", "a")"#, json!("b")),
        (r#"trimprefix("ab", "b")"#, json!("ab")),
        (r#"startswith("ab", "b")"#, json!(false)),
        ("[tostring(true), tostring(1000000)]", json!(["true", "1000000"])),
        (r#"join("/", ["a", "b"])"#, json!("a/b")),
        ("concat([1], [], [2])", json!([1, 2])),
        ("merge({a = 1, b = 1}, {b = 2})", json!({"a": 1, "b": 2})),
        ("keys({a = 1, b = 2})", json!(["a", "b"])),
        (r#"jsonencode({a = [true, null]})"#, json!(r#"{"a":[true,null]}"#)),
    ] {
        assert_eq!(super::module::json(&evaluated(expression)), value, "{expression}");
    }
}
