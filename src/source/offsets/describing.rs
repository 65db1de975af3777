//! What the brokers say of themselves, of topics and of the group: for `valve check`.

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;

use super::{ASK_AT_ONCE, Offsets, QuietContext, TIMEOUT};
use crate::config::Config;
use crate::source::SourceError;
use crate::source::properties::consumer_config;
use crate::source::raw::describe::{DescribedGroup, DescribedTopic, describe_group, describe_topics};

/// A Kafka cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    /// Its id, where the brokers tell it.
    pub(crate) id: Option<String>,
    /// The brokers' ids, and the addresses under which they want to be reached.
    pub(crate) brokers: Vec<(i32, String)>,
    /// How many topics this client may see.
    pub(crate) topics: usize,
}

impl Offsets {
    /// The cluster behind the bootstrap servers.
    ///
    /// # Errors
    /// What is in the way of the connections to the brokers, in the client's words.
    pub(crate) async fn cluster(&self) -> Result<Cluster, String> {
        self.ask(|this| {
            let metadata = this.client.fetch_metadata(None, TIMEOUT).map_err(|error| error.to_string())?;
            let address = |host: &str, port| format!("{host}:{port}");
            let brokers = metadata.brokers().iter();
            let brokers = brokers.map(|broker| (broker.id(), address(broker.host(), broker.port())));
            Ok(Cluster {
                id: this.client.client().fetch_cluster_id(TIMEOUT),
                brokers: brokers.collect(),
                topics: metadata.topics().len(),
            })
        })
        .await
    }

    /// What the brokers say of these topics, and what this client may do with them.
    ///
    /// # Errors
    /// A sentence, when they don't answer.
    pub(crate) async fn describe_topics(&self, topics: Vec<String>) -> Result<Vec<DescribedTopic>, String> {
        self.ask(move |this| {
            let names: Vec<&str> = topics.iter().map(String::as_str).collect();
            let mut described = Vec::new();
            for names in names.chunks(ASK_AT_ONCE) {
                described.extend(describe_topics(this.client.client(), names, true, TIMEOUT)?);
            }
            Ok(described)
        })
        .await
    }

    /// What the coordinator says of the group, and what this client may do with it.
    ///
    /// # Errors
    /// A sentence, when it isn't found or doesn't answer.
    pub(crate) async fn describe_group(&self, group: String) -> Result<DescribedGroup, String> {
        self.ask(move |this| describe_group(this.client.client(), &group, TIMEOUT)).await
    }
}

/// Whether the brokers don't know the topic.
pub(crate) fn is_missing(topic: &DescribedTopic) -> bool {
    matches!(topic.error, Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic))
}

/// Whether the group isn't there yet, which is no trouble.
pub(crate) fn is_new(group: &DescribedGroup) -> bool {
    matches!(group.error, Some(RDKafkaErrorCode::GroupIdNotFound))
}

/// Whether librdkafka takes the properties under `kafka.properties`. Nobody is asked: the client knows no brokers.
///
/// # Errors
/// The first that it refuses.
pub(crate) fn check_properties(config: &Config) -> Result<(), SourceError> {
    let mut properties = consumer_config(config, "valve-check");
    properties.remove("bootstrap.servers");
    let client: BaseConsumer<QuietContext> = properties.create_with_context(QuietContext::default())?;
    drop(client);
    Ok(())
}
