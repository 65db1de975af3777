//! `docker-compose.yml`, and what it mounts: files that are there, settings that valve takes, and an order of starting that works.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::environment::loaded;
use crate::config::{self, Config};

/// The services that are valves.
const VALVES: &[&str] = &["holding-tank", "archive"];

fn path(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

fn yaml(of: &str) -> Value {
    let text = fs::read_to_string(path(of)).unwrap_or_else(|error| panic!("{of}: {error}"));
    let mut value: serde_yaml_ng::Value =
        serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{of}: {error}"));
    value.apply_merge().expect("what is merged is a mapping");
    serde_json::to_value(value).expect("YAML of text keys")
}

fn services() -> serde_json::Map<String, Value> {
    yaml("docker-compose.yml")["services"].as_object().expect("services").clone()
}

/// The host's side of a service's bind mounts.
fn mounted(service: &Value) -> Vec<&str> {
    let volumes = service["volumes"].as_array().into_iter().flatten();
    volumes
        .filter_map(|volume| volume.as_str()?.split(':').next())
        .filter(|host| host.starts_with('.'))
        .collect()
}

/// The keys that `docker/consul-seed.sh` puts, with their values.
fn in_consul() -> Vec<(String, String)> {
    let script = fs::read_to_string(path("docker/consul-seed.sh")).expect("the script");
    let folder = script.split_once("consul kv put \"").and_then(|(_, rest)| rest.split_once("/$1\""));
    let folder = folder.expect("a folder").0;
    let puts = script.lines().filter_map(|line| line.strip_prefix("put "));
    let keys = puts.map(|put| {
        let (key, value) = put.split_once(' ').expect("a key and a value");
        (format!("{folder}/{key}"), value.trim_matches('"').to_owned())
    });
    keys.collect()
}

/// The configuration of a valve: its file, what Consul has, its environment.
async fn configuration(name: &str) -> Config {
    let service = services()[name].clone();
    let variables = service["environment"].as_object().expect("an environment").iter();
    let mut environment: BTreeMap<_, _> =
        variables.map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned())).collect();
    environment.remove("VALVE_CONFIG").expect("a file");
    let file = path(mounted(&service).first().expect("the file is mounted"));
    loaded(Some(&file), in_consul(), environment).await
}

#[tokio::test]
async fn given_the_valves_then_they_take_their_file_with_what_is_in_consul() {
    for name in VALVES {
        let config = configuration(name).await;
        assert_eq!((&*config.name, &*config.environment), (*name, "compose"));
        assert_eq!(config.kafka.bootstrap_servers, "kafka:9092");
        assert_eq!(config.batch.max_age, Duration::from_secs(30));
    }
}

#[tokio::test]
async fn given_the_valves_then_they_have_the_time_to_leave_that_they_take() {
    for name in VALVES {
        let service = services()[*name].clone();
        let grace =
            config::duration(service["stop_grace_period"].as_str().expect("a duration")).expect("a duration");
        assert!(
            grace >= configuration(name).await.shutdown_deadline + Duration::from_secs(5),
            "{name}: {grace:?}"
        );
        assert_eq!(service["read_only"], true, "{name}");
    }
}

#[test]
fn given_a_service_that_others_wait_for_then_it_says_when_it_is_healthy() {
    let services = services();
    let image = fs::read_to_string(path("Dockerfile")).expect("a Dockerfile");
    for (name, service) in &services {
        for (other, condition) in service["depends_on"].as_object().into_iter().flatten() {
            let waited_for = &services[other];
            let is_valve = waited_for["build"]["context"] == ".";
            match condition["condition"].as_str().expect("a condition") {
                "service_healthy" => assert!(
                    waited_for["healthcheck"].is_object() || is_valve && image.contains("HEALTHCHECK"),
                    "{name} waits for {other}"
                ),
                other => assert_eq!(other, "service_completed_successfully", "{name}"),
            }
        }
    }
}

#[test]
fn given_what_is_mounted_then_it_is_there() {
    for (name, service) in &services() {
        for file in mounted(service) {
            assert!(path(file).is_file(), "{name} mounts {file}");
        }
    }
}

#[test]
fn given_prometheus_then_it_asks_each_valve() {
    let targets = &yaml("docker/prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"];
    let targets =
        targets.as_array().expect("targets").iter().map(|target| target.as_str().expect("text").to_owned());
    let valves = VALVES.iter().map(|name| format!("{name}:8080"));
    assert_eq!(targets.collect::<BTreeSet<_>>(), valves.collect());
}
