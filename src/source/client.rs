//! What every Kafka client of the process has in common.

use rdkafka::ClientConfig;

use crate::config::KafkaConfig;

/// A client's configuration with the brokers and the properties of `kafka`; what belongs to one kind of client
/// is set on top of it.
#[must_use]
pub(crate) fn client_config(kafka: &KafkaConfig) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &kafka.bootstrap_servers);
    config.set("client.id", "valve");
    for (property, value) in &kafka.properties {
        config.set(property, value.reveal());
    }
    config
}
