//! What a running valve publishes of itself, by each way out, and how a container asks whether it is well.

use std::collections::BTreeSet;

use crate::event::orders;
use crate::patience::wait_until;
use crate::scene::Scene;
use crate::stack::Stack;
use crate::valve::{Settings, Valve, run};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_a_valve_at_work_then_prometheus_and_cloudwatch_read_the_same_sums_with_both_dimensions,
    given_a_valve_then_healthcheck_says_how_it_is_by_its_exit_code,
];

/// The value of a series at `/metrics`: the first line that begins with `name` and has all `labels`.
fn scraped(valve: &Valve, name: &str, labels: &[&str]) -> Option<f64> {
    let (_, text) = valve.get("/metrics");
    let is_it = |line: &&str| {
        line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label))
    };
    text.lines().find(is_it)?.rsplit(' ').next()?.parse().ok()
}

fn given_a_valve_at_work_then_prometheus_and_cloudwatch_read_the_same_sums_with_both_dimensions(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 2);
    scene.produce(&orders(&scene.topic.clone(), 0..60, 2));
    let settings = scene.settings().with("VALVE_METRICS__EMF", "true").with("VALVE_ENVIRONMENT", "staging");
    let valve = Valve::run(&settings.with("VALVE_METRICS__PER_PARTITION", "true"));
    scene.wait_committed();
    let group = format!("CONSUMER_GROUP=\"{}\"", scene.name);
    let topic = format!("topic=\"{}\"", scene.topic);
    let of_topic = [&*group, "ENVIRONMENT=\"staging\"", &*topic];
    wait_until("all rows to be counted", || scraped(&valve, "valve_rows_total", &of_topic) == Some(60.0));
    let files = scraped(&valve, "valve_files_total", &of_topic);
    for name in [
        "valve_file_size_bytes_count",
        "valve_publish_latency_seconds_count",
        "valve_commit_latency_seconds_count",
    ] {
        assert!(scraped(&valve, name, &[&group]).is_some_and(|count| count >= 1.0), "{name}");
    }
    assert_eq!(scraped(&valve, "valve_file_size_bytes_count", &[&group]), files, "each file has a size");
    assert!(scraped(&valve, "valve_rebalances_total", &["change=\"assigned\""]).is_some());
    assert!(scraped(&valve, "valve_memory_budget_bytes", &[&group]) == Some(f64::from(256 << 20)));
    wait_until("the lag of both partitions", || {
        ["partition=\"0\"", "partition=\"1\""]
            .iter()
            .all(|partition| scraped(&valve, "valve_partition_offset_lag", &[&topic, partition]) == Some(0.0))
    });

    // Lines come once a minute and at the end.
    let output = valve.stop_and_listen();
    let documents: Vec<serde_json::Value> = output
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|document| document["_aws"].is_object())
        .collect();
    let sum =
        |metric: &str| -> f64 { documents.iter().filter_map(|document| document[metric].as_f64()).sum() };
    assert_eq!((sum("rows"), Some(sum("files"))), (60.0, files));
    let namespaces: BTreeSet<_> = documents
        .iter()
        .map(|document| document["_aws"]["CloudWatchMetrics"][0]["Namespace"].as_str().unwrap())
        .collect();
    assert_eq!(namespaces, BTreeSet::from([&*scene.name]));
    assert!(documents.iter().all(|document| document["ENVIRONMENT"] == "staging"));
}

fn given_a_valve_then_healthcheck_says_how_it_is_by_its_exit_code(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    scene.produce(&orders(&scene.topic.clone(), 0..10, 1));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = scene.settings().with("VALVE_HTTP__LISTEN", &format!("0.0.0.0:{port}"));
    let check = |arguments: &[&str]| run(&settings, &[&["healthcheck"], arguments].concat());
    let (code, said) = check(&[]);
    assert!(code == 1 && said.contains("refused"), "{said}");

    let valve = Valve::run(&settings.clone().with("VALVE_SINK__BUCKET", "there-is-none"));
    valve.wait_unready("sink");
    assert_eq!(check(&[]), (0, "ok\n".to_owned()));
    let (code, said) = check(&["--ready"]);
    assert!(code == 1 && said.contains("sink: "), "{said}");
    valve.crash();

    let valve = Valve::run(&settings);
    valve.wait_ready();
    assert_eq!(check(&["--ready"]).0, 0);
    let url = format!("http://127.0.0.1:{port}");
    assert_eq!(run(&Settings::none(), &["healthcheck", "--url", &url]).0, 0, "a URL needs no settings");
    valve.stop();
}
