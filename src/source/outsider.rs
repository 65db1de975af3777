//! Commits of a process that is no member of the group. The brokers take them only while the group has no members, which
//! is just when they do no harm: nobody is promising or storing anything then.

use std::sync::Arc;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset as ClientOffset, TopicPartitionList};

use super::SourceError;
use super::client::sign_in;
use super::offsets::QuietContext;
use super::properties::consumer_config;
use crate::config::Config;
use crate::core::Commit;

/// What the brokers made of a commit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outside {
    /// It is durable; the group has no members.
    Committed,
    /// It was refused: the group has members.
    HasMembers,
}

/// A client of the group that never joins it.
pub(crate) struct Outsider {
    consumer: Arc<BaseConsumer<QuietContext>>,
}

impl Outsider {
    /// A client.
    ///
    /// # Errors
    /// When librdkafka refuses a property.
    pub(crate) fn open(config: &Config) -> Result<Self, SourceError> {
        let mut properties = consumer_config(config, "valve-outsider");
        properties.set("group.protocol", "classic");
        let consumer: BaseConsumer<_> = properties.create_with_context(QuietContext::default())?;
        sign_in(consumer.client(), &config.kafka);
        Ok(Self { consumer: Arc::new(consumer) })
    }

    /// Commits, and waits for the answer: for as long as the client does, a minute or so.
    ///
    /// # Errors
    /// A sentence, when nobody knows whether it was applied or the brokers refuse it otherwise.
    pub(crate) async fn commit(&self, commit: Commit) -> Result<Outside, String> {
        let consumer = Arc::clone(&self.consumer);
        let done = tokio::task::spawn_blocking(move || {
            let mut list = TopicPartitionList::new();
            let mut element = list.add_partition(&commit.partition.topic, commit.partition.partition);
            element.set_offset(ClientOffset::Offset(commit.offset.0))?;
            element.set_metadata(&commit.metadata);
            consumer.commit(&list, CommitMode::Sync)
        });
        match done.await {
            Ok(Ok(())) => Ok(Outside::Committed),
            Ok(Err(error)) if is_of_a_group_with_members(&error) => Ok(Outside::HasMembers),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl std::fmt::Debug for Outsider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outsider").finish_non_exhaustive()
    }
}

fn is_of_a_group_with_members(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let members = [
        Code::UnknownMemberId,
        Code::IllegalGeneration,
        Code::RebalanceInProgress,
        Code::StaleMemberEpoch,
        Code::FencedMemberEpoch,
        Code::FencedInstanceId,
    ];
    error.rdkafka_error_code().is_some_and(|code| members.contains(&code))
}
