//! Where logs begin and end, and what makes a client notice that a partition has a leader again.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset as ClientOffset, TopicPartitionList};

use super::{ASK_AT_ONCE, QuietContext, TIMEOUT};
use crate::types::{Offset, TopicPartition};

/// How long a topic's metadata may take, behind a question that had no answer already.
const LOOK: Duration = Duration::from_secs(3);

/// The beginning or end (as far as the client may read it) of each partition's log. A partition of which it can't be had is
/// left out.
///
/// # Errors
/// When it can be had of none.
pub(super) fn log_offsets(
    client: &BaseConsumer<QuietContext>,
    partitions: &[TopicPartition],
    which: ClientOffset,
) -> KafkaResult<HashMap<TopicPartition, Offset>> {
    let (mut offsets, mut refused) = (HashMap::new(), None);
    for asked in partitions.chunks(ASK_AT_ONCE) {
        match ask(client, asked, which) {
            Ok(found) => {
                let missing: Vec<_> = asked.iter().filter(|&one| !found.contains_key(one)).cloned().collect();
                look_again(client, &missing);
                offsets.extend(found);
            }
            // It may be about these only: none of them has a leader.
            Err(error) => {
                look_again(client, asked);
                let reached_nobody = is_silence(&error);
                refused = Some(error);
                // Others would wait as long for nothing.
                if reached_nobody {
                    break;
                }
            }
        }
    }
    match refused {
        Some(error) if offsets.is_empty() => Err(error),
        _ => Ok(offsets),
    }
}

/// Whether no broker has answered.
fn is_silence(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let silence = [Code::OperationTimedOut, Code::AllBrokersDown, Code::BrokerTransportFailure];
    error.rdkafka_error_code().is_some_and(|code| silence.contains(&code))
}

fn ask(
    client: &BaseConsumer<QuietContext>,
    partitions: &[TopicPartition],
    which: ClientOffset,
) -> KafkaResult<HashMap<TopicPartition, Offset>> {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition_offset(&partition.topic, partition.partition, which)?;
    }
    let answered = client.offsets_for_times(list, TIMEOUT)?;
    let known =
        answered.elements().into_iter().filter_map(|element| match (element.error(), element.offset()) {
            (Ok(()), ClientOffset::Offset(offset)) => {
                Some((TopicPartition::new(element.topic(), element.partition()), Offset(offset)))
            }
            _ => None,
        });
    Ok(known.collect())
}

/// Has the client learn the leaders of these partitions anew, for the next question. One that it has met without a leader it
/// takes for one without a leader until it refreshes what it knows by itself, which is after five minutes
/// (`topic.metadata.refresh.interval.ms`).
fn look_again(client: &BaseConsumer<QuietContext>, partitions: &[TopicPartition]) {
    let topics: BTreeSet<&str> = partitions.iter().map(|partition| &*partition.topic).collect();
    for topic in topics {
        if let Err(error) = client.fetch_metadata(Some(topic), LOOK) {
            tracing::debug!(topic, %error, "no metadata either");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::client::ClientContext;
    use rdkafka::mocking::MockCluster;

    use super::*;

    /// Questions, a tenth of a second apart: much less than five minutes.
    const SOON: usize = 100;

    fn client(cluster: &MockCluster<'_, impl ClientContext>) -> BaseConsumer<QuietContext> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "archive");
        config.create_with_context(QuietContext::default()).expect("a client")
    }

    #[test]
    fn given_a_partition_without_a_leader_when_it_has_one_again_then_its_logs_end_is_known_soon() {
        let cluster = MockCluster::new(1).expect("a mock broker");
        cluster.create_topic("orders", 2, 1).expect("a topic");
        cluster.partition_leader("orders", 1, None).expect("no leader");
        let client = client(&cluster);
        let [with, without] = [0, 1].map(|index| TopicPartition::new("orders", index));
        let both = [with.clone(), without.clone()];
        let ends = || log_offsets(&client, &both, ClientOffset::End).expect("ends");
        assert_eq!(ends(), HashMap::from([(with, Offset(0))]));
        // Alone, the partition that has none is an error.
        assert!(log_offsets(&client, std::slice::from_ref(&without), ClientOffset::End).is_err());

        cluster.partition_leader("orders", 1, Some(1)).expect("a leader");
        let known = (0..SOON).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            ends().contains_key(&without)
        });
        assert!(known, "the client has learnt of the leader");
    }

    #[test]
    fn given_more_partitions_than_one_question_is_about_when_those_of_the_last_have_no_leader_then_the_others_are_known()
     {
        let cluster = MockCluster::new(1).expect("a mock broker");
        cluster.create_topic("orders", 100, 1).expect("a topic");
        cluster.create_topic("payments", 1, 1).expect("a topic");
        cluster.partition_leader("payments", 0, None).expect("no leader");
        let client = client(&cluster);
        let mut all: Vec<_> = (0..100).map(|index| TopicPartition::new("orders", index)).collect();
        all.push(TopicPartition::new("payments", 0));
        let ends = log_offsets(&client, &all, ClientOffset::End).expect("those of orders");
        assert!(all.iter().take(100).all(|partition| ends.contains_key(partition)));
        assert_eq!(ends.len(), 100);
    }
}
