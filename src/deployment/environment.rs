//! The settings that a task gets are settings that valve takes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::example::{EXAMPLES, Example};
use crate::config::{Config, Patience, Sources, test_consul};
use crate::telemetry::troubles::Troubles;

/// What valve makes of a file, these keys in Consul and these variables, if those say that there is a Consul.
pub(super) async fn loaded(
    file: Option<&Path>,
    keys: Vec<(String, String)>,
    mut environment: BTreeMap<String, String>,
) -> Config {
    let keys: Vec<(&str, &str)> =
        keys.into_iter().map(|(key, value)| (&*key.leak(), &*value.leak())).collect();
    let there =
        Sources::local(file, environment.clone().into_iter()).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(there.asks_consul(), !keys.is_empty(), "Consul's address is told where there are keys in it");
    if there.asks_consul() {
        environment.insert("CONSUL_HTTP_ADDR".to_owned(), test_consul(&keys).await);
        environment.insert("CONSUL_HTTP_SSL".to_owned(), "false".to_owned());
    }
    let sources = Sources::local(file, environment.into_iter()).unwrap_or_else(|errors| panic!("{errors}"));
    let patience = Patience::Limited(Duration::from_secs(2));
    let sources = sources.with_consul(&Troubles::default(), patience).await;
    let sources = sources.unwrap_or_else(|error| panic!("{error}"));
    sources.validate().unwrap_or_else(|errors| panic!("{errors}"))
}

/// The environment of the valve's container, with something for each secret.
fn environment(example: &Example) -> BTreeMap<String, String> {
    let mut environment = example.pairs("valve", "environment", "value");
    let secrets = example.pairs("valve", "secrets", "valueFrom");
    environment.extend(secrets.into_keys().map(|name| (name, "a-secret".to_owned())));
    environment
}

/// The configuration of an example's valve.
async fn configuration(name: &str) -> Config {
    let example = Example::read(name);
    loaded(None, example.in_consul.clone(), environment(&example)).await
}

#[tokio::test]
async fn given_an_example_then_valve_takes_the_environment_that_its_task_gets() {
    for name in EXAMPLES {
        let config = configuration(name).await;
        assert_eq!((&*config.name, &*config.environment), (*name, "prod"));
        let listen = config.http_listen;
        assert!(listen.ip().is_unspecified(), "{listen}: nobody would reach the page");
        let example = Example::read(name);
        assert_eq!(example.container("valve")["portMappings"][0]["containerPort"], listen.port());
    }
}

#[tokio::test]
async fn given_the_holding_tank_then_shared_and_own_settings_come_from_consul() {
    let config = configuration("holding-tank").await;
    assert_eq!(config.kafka.bootstrap_servers, "kafka-1.example:9096,kafka-2.example:9096");
    assert_eq!(config.kafka.properties["socket.keepalive.enable"].reveal(), "true");
    assert_eq!(config.batch.max_age, Duration::from_secs(300));
}

#[tokio::test]
async fn given_the_holding_tank_then_its_metrics_go_to_the_agent_and_those_of_the_archive_to_its_output() {
    let (archive, tank) =
        (configuration("archive").await.metrics, configuration("holding-tank").await.metrics);
    assert_eq!((archive.emf, archive.statsd), (true, None));
    let agent = Example::read("holding-tank").pairs("agent", "environment", "value");
    let agent: serde_json::Value = serde_json::from_str(&agent["CW_CONFIG_CONTENT"]).expect("JSON");
    let listens = &agent["metrics"]["metrics_collected"]["statsd"]["service_address"];
    assert_eq!((tank.emf, tank.statsd.as_deref()), (false, listens.as_str()));
    assert_eq!(agent["metrics"]["namespace"], "holding-tank");
    let statsd = &agent["metrics"]["metrics_collected"]["statsd"];
    for interval in ["metrics_collection_interval", "metrics_aggregation_interval"] {
        assert_eq!(
            statsd[interval], 60,
            "{interval}: of a gauge there is one value a minute, so sums are right"
        );
    }
}

#[tokio::test]
async fn given_the_archive_then_properties_of_the_kafka_client_have_their_values_and_secrets() {
    let properties = configuration("archive").await.kafka.properties;
    let property = |name: &str| properties[name].reveal();
    assert_eq!(property("security.protocol"), "sasl_ssl");
    assert_eq!(property("sasl.mechanism"), "SCRAM-SHA-512");
    assert_eq!((property("sasl.username"), property("sasl.password")), ("a-secret", "a-secret"));
}
