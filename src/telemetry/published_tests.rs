//! What other files say of the metrics: `docs/metrics.md` is made from the catalogue, dashboards and alert rules in
//! `docker/` are checked against it, so that none names a metric or a label that there isn't.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::Value;

use super::exporters::Dimensions;
use super::metrics::{CATALOGUE, Entry, Kind, find};
use super::{emf, prometheus};

const BEGIN: &str = "<!-- metrics: begin (generated from src/telemetry/metrics.rs) -->\n";
const END: &str = "<!-- metrics: end -->\n";

/// What the CloudWatch dashboard must show; the Grafana dashboard shows everything.
const OPERATORS_NEED: &[&str] = &[
    "max_offset_lag",
    "max_time_lag",
    "memory_percent",
    "memory_used",
    "held_partitions",
    "holds",
    "stalls",
    "consume_succeeded",
    "process_succeeded",
    "process_failed",
    "dead_letters",
    "lost_offsets",
    "batches",
    "publish_latency",
    "rebalances",
];

fn path(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

fn read(of: &str) -> String {
    fs::read_to_string(path(of)).unwrap_or_else(|error| panic!("{of}: {error}"))
}

fn json(of: &str) -> Value {
    serde_json::from_str(&read(of)).unwrap_or_else(|error| panic!("{of}: {error}"))
}

/// The table of `docs/metrics.md`.
fn table() -> String {
    let mut table = String::from(
        "| metric | Prometheus | StatsD | unit | labels | meaning |\n|---|---|---|---|---|---|\n",
    );
    for (kind, entry) in CATALOGUE {
        let (prometheus, statsd) = match kind {
            Kind::Counter => ("counter", "c"),
            Kind::Gauge => ("gauge", "g"),
            Kind::Histogram => ("histogram", "h"),
        };
        let labels: Vec<_> = entry.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, labels, unit) = (prometheus::name(*kind, entry), labels.join(", "), emf::unit(entry.unit));
        let Entry { name: plain, description, .. } = entry;
        writeln!(
            table,
            "| `{plain}` | `{name}` {prometheus} | `{statsd}` | {unit} | {labels} | {description} |"
        )
        .unwrap();
    }
    table
}

/// What is before, in and behind the table.
fn parts(text: &str) -> (&str, &str, &str) {
    let (before, rest) = text.split_once(BEGIN).expect("docs/metrics.md has the line that begins the table");
    let (table, after) = rest.split_once(END).expect("docs/metrics.md has the line that ends the table");
    (before, table, after)
}

#[test]
fn given_docs_metrics_then_its_table_is_the_one_made_from_the_catalogue() {
    let text = read("docs/metrics.md");
    let hint = "run `cargo test --lib telemetry::published -- --ignored` to write it again";
    assert_eq!(parts(&text).1, table(), "docs/metrics.md is stale: {hint}");
}

#[test]
#[ignore = "writes the table of docs/metrics.md"]
fn write_the_table() {
    let text = read("docs/metrics.md");
    let (before, _, after) = parts(&text);
    fs::write(path("docs/metrics.md"), format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
}

/// Every series that Prometheus may read, with its entry.
fn series() -> BTreeMap<String, &'static Entry> {
    let of = |(kind, entry): &'static (Kind, Entry)| {
        let suffixes: &[&str] = if *kind == Kind::Histogram { &["_bucket", "_sum", "_count"] } else { &[""] };
        suffixes.iter().map(move |suffix| (format!("{}{suffix}", prometheus::name(*kind, entry)), entry))
    };
    CATALOGUE.iter().flat_map(of).collect()
}

/// Checks that a query names series and labels that there are; the entries that it is about.
fn queried(query: &str) -> Vec<&'static Entry> {
    let series = series();
    let words = Regex::new(r"\bvalve_\w+").unwrap();
    let entries: Vec<_> = words
        .find_iter(query)
        .map(|word| *series.get(word.as_str()).unwrap_or_else(|| panic!("{} in {query}", word.as_str())))
        .collect();
    assert!(!entries.is_empty(), "{query} is about no metric");
    let dimensions = Dimensions::new("", "").each().map(|(name, _)| name);
    let known: BTreeSet<_> =
        entries.iter().flat_map(|entry| entry.labels).copied().chain(dimensions).chain(["le"]).collect();
    let selected = Regex::new(r#"(\w+)\s*(?:=~|!~|!=|=)\s*""#).unwrap();
    let grouped = Regex::new(r"\bby \(([^)]*)\)").unwrap();
    let selected = selected.captures_iter(query).map(|found| found[1].to_owned());
    let grouped = grouped
        .captures_iter(query)
        .flat_map(|found| found[1].split(',').map(|label| label.trim().to_owned()).collect::<Vec<_>>());
    for label in selected.chain(grouped) {
        assert!(known.contains(&*label), "there is no label {label} in {query}");
    }
    assert_eq!(query.matches('(').count(), query.matches(')').count(), "{query}");
    entries
}

/// The panels of the dashboard, those in rows as well.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let outer = dashboard["panels"].as_array().expect("panels");
    outer.iter().flat_map(|panel| panel["panels"].as_array().into_iter().flatten().chain([panel])).collect()
}

#[test]
fn given_the_grafana_dashboard_then_every_metric_is_on_a_panel_and_no_query_names_another() {
    let dashboard = json("docker/grafana-dashboard.json");
    let legends = Regex::new(r"\{\{(\w+)\}\}").unwrap();
    let mut shown = BTreeSet::new();
    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().expect("a query");
            shown.extend(queried(query).iter().map(|entry| entry.name));
            for label in legends.captures_iter(target["legendFormat"].as_str().expect("a legend")) {
                assert!(
                    query.contains("by (") && query.contains(&label[1]),
                    "{} isn't in {query}",
                    &label[1]
                );
            }
        }
    }
    for variable in dashboard["templating"]["list"].as_array().expect("variables") {
        if let Some(query) = variable["query"]["query"].as_str() {
            queried(query);
        }
    }
    let missing: Vec<_> =
        CATALOGUE.iter().map(|(_, entry)| entry.name).filter(|name| !shown.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?} are on no panel");
}

#[test]
fn given_the_grafana_dashboard_then_the_overview_comes_first_and_panels_do_not_overlap() {
    let dashboard = json("docker/grafana-dashboard.json");
    let panels = panels(&dashboard);
    let outer = &dashboard["panels"];
    assert_eq!((&outer[0]["title"], &outer[1]["type"]), (&"Is it well?".into(), &"stat".into()));
    let (mut taken, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64()), "two panels with the id {}", panel["id"]);
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a place"));
        assert!(x + w <= 24, "{} is too wide", panel["title"]);
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{} overlaps another panel", panel["title"]);
        }
    }
}

#[test]
fn given_the_alert_rules_then_each_has_a_summary_and_names_what_there_is() {
    let rules: Value = serde_yaml_ng::from_str(&read("docker/prometheus-alerts.yml")).expect("YAML");
    let labels = Regex::new(r"\$labels\.(\w+)").unwrap();
    let mut about = BTreeSet::new();
    for rule in rules["groups"][0]["rules"].as_array().expect("rules") {
        let name = rule["alert"].as_str().expect("a name");
        assert!(
            rule["annotations"]["summary"].is_string() && rule["labels"]["severity"].is_string(),
            "{name}"
        );
        let query = rule["expr"].as_str().expect("a query");
        about.extend(queried(query).iter().map(|entry| entry.name));
        for label in labels.captures_iter(rule["annotations"]["summary"].as_str().unwrap()) {
            assert!(query.contains(&label[1]), "{name}: {} isn't in its query", &label[1]);
        }
    }
    for name in [
        "assigned_partitions",
        "held_partitions",
        "stalls",
        "lost_offsets",
        "holds",
        "max_time_lag",
        "max_offset_lag",
        "memory_percent",
    ] {
        assert!(about.contains(name), "no rule is about {name}");
    }
}

/// The metric of a row of a CloudWatch widget, and its dimensions.
fn row(row: &Value) -> (String, Vec<String>) {
    let words = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let Some(expression) = row[0]["expression"].as_str() else {
        let cells: Vec<_> = row.as_array().expect("a row").iter().filter_map(Value::as_str).collect();
        let dimensions = cells[2..].iter().step_by(2).map(|name| (*name).to_owned());
        return (cells[1].to_owned(), dimensions.collect());
    };
    let search = Regex::new(r#"SEARCH\('\{"\$\{namespace\}",([\w,]+)\} MetricName="(\w+)""#).unwrap();
    let found = search.captures(expression).unwrap_or_else(|| panic!("{expression}"));
    (found[2].to_owned(), words(&found[1]))
}

#[test]
fn given_the_cloudwatch_dashboard_then_it_names_metrics_with_their_dimensions_and_shows_what_operators_need()
{
    let dashboard = json("docker/cloudwatch-dashboard.json");
    let dimensions = Dimensions::new("", "").each().map(|(name, _)| name);
    let mut shown = BTreeSet::new();
    for widget in dashboard["widgets"].as_array().expect("widgets") {
        for metric in widget["properties"]["metrics"].as_array().expect("metrics") {
            let (name, named) = row(metric);
            let entry = find(&name).unwrap_or_else(|| panic!("there is no metric {name}"));
            let wanted: Vec<_> = dimensions.iter().chain(entry.labels).copied().collect();
            assert_eq!(named, wanted, "the dimensions of {name}");
            shown.insert(entry.name);
        }
    }
    let missing: Vec<_> = OPERATORS_NEED.iter().filter(|name| !shown.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?} are on no widget");
}
