//! What librdkafka calls back with, turned into [`SourceEvent`]s for the lane to take at its own pace.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{TopicPartitionList, TopicPartitionListElem};
use rdkafka::types::RDKafkaRespErr;

use super::news::Heard;
use crate::core::CommitAnswer;
use crate::types::TopicPartition;

/// What happened to a lane's membership, apart from records.
#[derive(Debug)]
pub(crate) enum SourceEvent {
    /// The group gives these; the assignment is still to be acknowledged.
    Assigned(Vec<TopicPartition>),
    /// The group wants these back.
    Revoked(Vec<TopicPartition>),
    /// These are gone already.
    Lost(Vec<TopicPartition>),
    /// The broker answered an offset commit.
    Committed(Vec<(TopicPartition, CommitAnswer)>),
    /// The client is in trouble that it recovers from by itself.
    Trouble(String),
    /// The client can't go on.
    Fatal(String),
}

/// Collects what is called back; everything happens on the thread that polls.
#[derive(Debug, Default)]
pub(crate) struct GroupContext {
    events: Mutex<Vec<SourceEvent>>,
    heard: Heard,
    /// From now on nobody takes events any more: revocations are answered at once, or closing would wait for ever.
    closing: AtomicBool,
}

impl GroupContext {
    pub(super) fn drain(&self) -> Vec<SourceEvent> {
        std::mem::take(&mut self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whatever the client has called back with.
    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    pub(super) fn push(&self, event: SourceEvent) {
        self.heard.count();
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}

impl ClientContext for GroupContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.heard.count();
        super::client::token()
    }

    fn stats_raw(&self, _: &[u8]) {
        self.heard.count();
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.heard.count();
        super::client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition) {
            self.push(SourceEvent::Trouble(format!("{reason} (create the topic, or correct `topics`)")));
            return;
        }
        self.push(SourceEvent::Trouble(format!("{error}: {reason}")));
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<_> = list.elements().iter().map(partition_of).collect();
        let assigned = what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Relaxed) {
            if let Err(error) = answer_while_closing(consumer, assigned, list) {
                tracing::debug!(%error, "answering a rebalance while closing");
            }
            return;
        }
        self.push(if assigned {
            SourceEvent::Assigned(partitions)
        } else if consumer.assignment_lost() {
            SourceEvent::Lost(partitions)
        } else {
            SourceEvent::Revoked(partitions)
        });
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        let answers = offsets.elements();
        let answers = answers.iter().map(|element| {
            let error = element.error().err().or_else(|| result.clone().err());
            (partition_of(element), error.map_or(CommitAnswer::Accepted, |error| answer_of(&error)))
        });
        self.push(SourceEvent::Committed(answers.collect()));
    }
}

fn answer_while_closing(
    consumer: &BaseConsumer<GroupContext>,
    assigned: bool,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match (consumer.rebalance_protocol(), assigned) {
        (RebalanceProtocol::Cooperative, true) => consumer.incremental_assign(&TopicPartitionList::new()),
        (RebalanceProtocol::Cooperative, false) => {
            // Only what was really taken can be given back: partitions are assigned one by one as they are resolved.
            let owned = consumer.assignment()?;
            let mut ours = TopicPartitionList::new();
            for element in list.elements() {
                if owned.find_partition(element.topic(), element.partition()).is_some() {
                    ours.add_partition(element.topic(), element.partition());
                }
            }
            consumer.incremental_unassign(&ours)
        }
        (_, true) => consumer.assign(&TopicPartitionList::new()),
        (_, false) => consumer.unassign(),
    }
}

fn partition_of(element: &TopicPartitionListElem<'_>) -> TopicPartition {
    TopicPartition::new(element.topic(), element.partition())
}

/// What an error of a commit says about whether it was applied.
fn answer_of(error: &KafkaError) -> CommitAnswer {
    use RDKafkaErrorCode as Code;
    let Some(code) = error.rdkafka_error_code() else { return CommitAnswer::Unanswered(error.to_string()) };
    let reason = code.to_string();
    match code {
        Code::UnknownMemberId | Code::FencedInstanceId | Code::FencedMemberEpoch | Code::AssignmentLost => {
            CommitAnswer::Fenced(reason)
        }
        // The group is a generation further than the commit: this member is joining it, and keeps its partitions
        // until it is told otherwise. One that was expelled meanwhile gets `UnknownMemberId`.
        Code::IllegalGeneration | Code::StaleMemberEpoch | Code::RebalanceInProgress => {
            CommitAnswer::Rebalancing
        }
        // Answers of the broker by which it says that it did nothing.
        Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::NotCoordinator
        | Code::GroupAuthorizationFailed
        | Code::TopicAuthorizationFailed
        | Code::UnknownTopicOrPartition
        | Code::OffsetMetadataTooLarge
        | Code::InvalidCommitOffsetSize => CommitAnswer::NotNow(reason),
        _ => CommitAnswer::Unanswered(reason),
    }
}
