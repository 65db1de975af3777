//! What brokers and topics are configured with, as far as this client may know it: for `valve check`.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;

use super::client::{producer_config, reason, sign_in};
use crate::config::KafkaConfig;

/// How long the brokers may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Values by their names.
pub(crate) type Configs = HashMap<String, String>;

/// What a topic is configured with.
///
/// # Errors
/// A sentence, when the brokers don't answer or don't allow it (`DescribeConfigs` on the topic).
pub(crate) async fn of_topic(kafka: &KafkaConfig, topic: &str) -> Result<Configs, String> {
    describe(kafka, ResourceSpecifier::Topic(topic)).await
}

/// What a broker is configured with.
///
/// # Errors
/// A sentence, when the broker doesn't answer or doesn't allow it (`DescribeConfigs` on the cluster).
pub(crate) async fn of_broker(kafka: &KafkaConfig, id: i32) -> Result<Configs, String> {
    describe(kafka, ResourceSpecifier::Broker(id)).await
}

async fn describe(kafka: &KafkaConfig, which: ResourceSpecifier<'_>) -> Result<Configs, String> {
    let mut properties = producer_config(kafka);
    properties.set_log_level(RDKafkaLogLevel::Emerg);
    let admin: AdminClient<DefaultClientContext> = properties.create().map_err(|error| reason(&error))?;
    sign_in(admin.inner(), kafka);
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let described = admin.describe_configs([&which], &options).await.map_err(|error| reason(&error))?;
    let described = described.into_iter().next().ok_or("an answer about nothing")?;
    let entries = described.map_err(|code| code.to_string())?.entries.into_iter();
    Ok(entries.filter_map(|entry| Some((entry.name, entry.value?))).collect())
}
