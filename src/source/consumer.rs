//! One lane's consumer: its membership in the group, its records, its commits.
//!
//! Everything here is called by the lane's thread alone and returns at once, but for [`Source::take`], which waits no
//! longer than it is told, and what ends it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset as ClientOffset, TopicPartitionList};

use super::SourceError;
use super::client::sign_in;
use super::context::GroupContext;
use super::news::hear_out;
use super::properties::consumer_config;
use super::raw;
use super::raw::take::{Record, RecordQueue};
use crate::config::Config;
use crate::core::Commit;
use crate::types::{Offset, TopicPartition};

pub(crate) use super::context::SourceEvent;

/// One member of the consumer group.
pub(crate) struct Source {
    /// Before the consumer, so that it is dropped first.
    queue: RecordQueue<GroupContext>,
    consumer: Arc<BaseConsumer<GroupContext>>,
    /// What was handed to the client, and the offset that it last began or will begin at.
    assigned: RefCell<BTreeMap<TopicPartition, Offset>>,
    /// Partitions of which an error came when they were stopped already. To the client that is a record, and behind it is its position,
    /// which it goes on from after a pause. Only to stop the partition takes that away.
    spoilt: RefCell<BTreeSet<TopicPartition>>,
}

impl Source {
    /// A consumer of the group that isn't a member yet. `lane` tells the process's consumers apart.
    ///
    /// # Errors
    /// When librdkafka refuses a property; the reason names it.
    pub(crate) fn open(config: &Config, lane: usize) -> Result<Self, SourceError> {
        let consumer: BaseConsumer<_> =
            consumer_config(config, &format!("valve-{lane}")).create_with_context(GroupContext::default())?;
        sign_in(consumer.client(), &config.kafka);
        let consumer = Arc::new(consumer);
        let queue = RecordQueue::new(Arc::clone(&consumer))
            .ok_or_else(|| KafkaError::ClientCreation("no queue for records".to_owned()))?;
        Ok(Self { queue, consumer, assigned: RefCell::default(), spoilt: RefCell::default() })
    }

    /// Joins the group, or tells it of other topics than before.
    ///
    /// # Errors
    /// When the client refuses.
    pub(crate) fn subscribe(&self, topics: &[String]) -> Result<(), SourceError> {
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        Ok(self.consumer.subscribe(&topics)?)
    }

    /// Gives all partitions back; the revocation comes as an event.
    pub(crate) fn unsubscribe(&self) {
        self.consumer.unsubscribe();
    }

    /// Serves the client, and returns what happened since the last call, and whether that is all. Keeps the membership alive.
    pub(crate) fn poll(&self) -> (Vec<SourceEvent>, bool) {
        let context = self.consumer.context();
        let all = hear_out(context.heard(), || {
            let Some(polled) = self.consumer.poll(Duration::ZERO) else { return false };
            match polled {
                // Records come through the lane's own queue.
                Ok(stray) => context.push(SourceEvent::Fatal(format!(
                    "a record of {}[{}] came past the lane's queue",
                    rdkafka::Message::topic(&stray),
                    rdkafka::Message::partition(&stray)
                ))),
                Err(error @ KafkaError::MessageConsumptionFatal(_)) => {
                    context.push(SourceEvent::Fatal(error.to_string()));
                }
                // The context was told the same, with the client's words for it.
                Err(error) => tracing::trace!(%error, "returned by the client"),
            }
            true
        });
        (context.drain(), all)
    }

    /// Appends up to `most` records (or errors about partitions) to `records`, waiting up to `wait` for the first.
    pub(crate) fn take<'s>(&'s self, records: &mut Vec<Record<'s>>, most: usize, wait: Duration) {
        let known = records.len();
        self.queue.take(records, most, wait);
        for error in records[known..].iter().filter(|record| record.error().is_some()) {
            let partition = TopicPartition::new(error.topic(), error.partition());
            if !self.assigned.borrow().contains_key(&partition) {
                self.spoilt.borrow_mut().insert(partition);
            }
        }
    }

    fn is_cooperative(&self) -> bool {
        matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative)
    }

    /// Tells the group that its assignment was received. What was assigned is fetched from [`Source::begin`] on,
    /// partition by partition, so that one that can't be resolved doesn't hold up the others.
    pub(crate) fn acknowledge(&self) -> Result<(), SourceError> {
        if self.is_cooperative() {
            self.consumer.incremental_assign(&TopicPartitionList::new())?;
        } else {
            self.assigned.borrow_mut().clear();
            self.consumer.assign(&TopicPartitionList::new())?;
        }
        Ok(())
    }

    /// Whether partitions can be added to what is fetched. Under the eager protocol they can't: all that is assigned
    /// begins together.
    pub(crate) fn adds_partitions(&self) -> bool {
        self.is_cooperative()
    }

    /// Fetches `partitions` from these offsets on. A pause of an earlier time, which the client remembers, ends.
    /// Returns those of which the client has a wrong position all the same: they are to be stopped, and begun once more.
    pub(crate) fn begin(
        &self,
        partitions: &[(TopicPartition, Offset)],
    ) -> Result<Vec<(TopicPartition, Offset)>, SourceError> {
        let mut fresh = TopicPartitionList::new();
        for (partition, offset) in partitions {
            fresh.add_partition_offset(
                &partition.topic,
                partition.partition,
                ClientOffset::Offset(offset.0),
            )?;
            self.queue.forward(&partition.topic, partition.partition);
        }
        if self.is_cooperative() {
            self.consumer.incremental_assign(&fresh)?;
        } else {
            self.assign_everything_with(partitions)?;
        }
        self.assigned.borrow_mut().extend(partitions.iter().cloned());
        self.consumer.resume(&fresh)?;
        let mut spoilt = self.spoilt.borrow_mut();
        Ok(partitions.iter().filter(|(partition, _)| spoilt.remove(partition)).cloned().collect())
    }

    /// Fetches `partitions` no more, until they are begun again. (A seek wouldn't do: the client refuses it silently for a
    /// partition whose offset is out of range.)
    pub(crate) fn stop(&self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        self.assigned.borrow_mut().retain(|partition, _| !partitions.contains(partition));
        if self.is_cooperative() {
            self.consumer.incremental_unassign(&self.owned(partitions)?)?;
        } else {
            self.assign_everything_with(&[])?;
        }
        Ok(())
    }

    /// When fetching stops, the client forgets in its own time where the partition's records go: perhaps only when it was begun
    /// again, as at once under the eager protocol, where a new assignment restarts everything. They would come nowhere then.
    pub(crate) fn keep_forwarding(&self) {
        for partition in self.assigned.borrow().keys() {
            self.queue.forward(&partition.topic, partition.partition);
        }
    }

    /// Those of `partitions` that the client was given: it refuses a whole list for one that it wasn't.
    fn owned<'a>(
        &self,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<TopicPartitionList, SourceError> {
        let owned = self.consumer.assignment()?;
        let is_owned = |partition: &&TopicPartition| {
            owned.find_partition(&partition.topic, partition.partition).is_some()
        };
        Ok(list_of(partitions.into_iter().filter(is_owned)))
    }

    /// The eager protocol knows whole assignments only, and each begins everything anew: what is fetched already goes on where it is. The
    /// client knows no position of what nothing comes of from then on, so where each begins is remembered.
    fn assign_everything_with(&self, fresh: &[(TopicPartition, Offset)]) -> Result<(), SourceError> {
        let all = self.everything_with(fresh)?;
        self.consumer.assign(&all)?;
        let mut assigned = self.assigned.borrow_mut();
        for element in all.elements() {
            let partition = TopicPartition::new(element.topic(), element.partition());
            if let (ClientOffset::Offset(offset), Some(begun)) =
                (element.offset(), assigned.get_mut(&partition))
            {
                *begun = Offset(offset);
            }
        }
        Ok(())
    }

    fn everything_with(&self, fresh: &[(TopicPartition, Offset)]) -> Result<TopicPartitionList, SourceError> {
        let positions = self.positions();
        let assigned = self.assigned.borrow();
        let going_on = assigned.iter().map(|(partition, begun)| {
            let offset = positions.get(partition).copied().unwrap_or(*begun).max(*begun);
            (partition, offset)
        });
        let fresh = fresh.iter().map(|(partition, offset)| (partition, *offset));
        let mut all = TopicPartitionList::new();
        for (partition, offset) in going_on.chain(fresh) {
            all.add_partition_offset(&partition.topic, partition.partition, ClientOffset::Offset(offset.0))?;
        }
        Ok(all)
    }

    pub(crate) fn pause(&self, partition: &TopicPartition) -> Result<(), SourceError> {
        Ok(self.consumer.pause(&list_of([partition]))?)
    }

    pub(crate) fn resume(&self, partition: &TopicPartition) -> Result<(), SourceError> {
        Ok(self.consumer.resume(&list_of([partition]))?)
    }

    /// The offset behind the last thing delivered of each partition, control and aborted records included.
    pub(crate) fn positions(&self) -> BTreeMap<TopicPartition, Offset> {
        let Ok(list) = self.consumer.position() else { return BTreeMap::new() };
        let elements = list.elements();
        let known = elements.iter().filter_map(|element| match element.offset() {
            ClientOffset::Offset(offset) => {
                Some((TopicPartition::new(element.topic(), element.partition()), Offset(offset)))
            }
            _ => None,
        });
        known.collect()
    }

    /// Where the partition's log ended when something was last fetched of it.
    pub(crate) fn log_end(&self, partition: &TopicPartition) -> Option<Offset> {
        raw::log_end::log_end(&self.consumer, partition)
    }

    /// Whether somebody else owns this member's partitions already.
    pub(crate) fn assignment_lost(&self) -> bool {
        self.consumer.assignment_lost()
    }

    /// Hands the commits to the client in one request; each partition's answer comes as an event.
    pub(crate) fn commit(&self, commits: &[Commit]) -> Result<(), SourceError> {
        let mut list = TopicPartitionList::new();
        for commit in commits {
            let mut element = list.add_partition(&commit.partition.topic, commit.partition.partition);
            element.set_offset(ClientOffset::Offset(commit.offset.0))?;
            element.set_metadata(&commit.metadata);
        }
        Ok(raw::commit::commit(&self.consumer, &list)?)
    }

    /// Hands partitions back to the group. Nothing of them may be in memory any more.
    pub(crate) fn give_up(&self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        self.assigned.borrow_mut().retain(|partition, _| !partitions.contains(partition));
        if self.is_cooperative() {
            self.consumer.incremental_unassign(&self.owned(partitions)?)?;
        } else {
            self.consumer.unassign()?;
        }
        Ok(())
    }
}

impl Drop for Source {
    /// Leaves the group. From now on the client's callback answers rebalances itself, and one that hasn't been answered
    /// is answered here: the client would wait for that for ever. Blocks until the coordinator knows, a few seconds at
    /// most while it can be reached.
    fn drop(&mut self) {
        self.consumer.context().close();
        let answered = self.acknowledge().and_then(|()| {
            let all: Vec<_> = self.assigned.borrow().keys().cloned().collect();
            self.give_up(&all)
        });
        if let Err(error) = answered {
            tracing::debug!(%error, "leaving the group");
        }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("assigned", &self.assigned).finish_non_exhaustive()
    }
}

fn list_of<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rdkafka::config::ClientConfig;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

    use super::*;
    use crate::config::Sources;

    /// Looks, a hundredth of a second apart.
    const SOON: usize = 3_000;

    /// A member of the group at `brokers`, with one partition of the topic "orders" that is fetched from its beginning.
    fn member(brokers: &str, assignment: &str) -> (Source, TopicPartition) {
        let given = [
            ("VALVE_NAME", "archive"),
            ("VALVE_TOPICS", "orders"),
            ("VALVE_KAFKA__BOOTSTRAP_SERVERS", brokers),
            ("VALVE_GROUP__ASSIGNMENT", assignment),
            ("VALVE_REGISTRY__URL", "http://127.0.0.1:1"),
            ("VALVE_TIMESTAMP", "kafka"),
            ("VALVE_SINK__BUCKET", "events"),
            ("VALVE_LANES", "1"),
            ("VALVE_MEMORY__BUDGET", "256 MiB"),
        ];
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Sources::local(None, given).and_then(Sources::validate).expect("valid settings");
        let source = Source::open(&config, 0).expect("a client");
        source.subscribe(&["orders".to_owned()]).expect("a subscription");
        let partition = TopicPartition::new("orders", 0);
        let assigned = (0..SOON).any(|_| {
            thread::sleep(Duration::from_millis(10));
            let (events, _) = source.poll();
            events.iter().any(|event| matches!(event, SourceEvent::Assigned(of) if of.contains(&partition)))
        });
        assert!(assigned, "the partition is assigned");
        source.acknowledge().expect("acknowledged");
        source.begin(&[(partition.clone(), Offset(0))]).expect("begun");
        (source, partition)
    }

    /// Looks once, as a lane would that reports each time; the offsets of what came.
    fn look(source: &Source) -> Vec<Offset> {
        let mut records = Vec::new();
        source.take(&mut records, 10, Duration::from_millis(10));
        source.poll();
        source.keep_forwarding();
        records.iter().filter(|record| record.error().is_none()).map(Record::offset).collect()
    }

    fn gets_a_record(source: &Source) -> bool {
        (0..SOON).any(|_| !look(source).is_empty())
    }

    /// Sends a record to the first partition.
    fn send(brokers: &str) {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", brokers).create().expect("a producer");
        let record = BaseRecord::<(), _>::to("orders").payload("a").partition(0);
        producer.send(record).map_err(|(error, _)| error).expect("sent");
        producer.flush(Duration::from_secs(30)).expect("stored");
    }

    #[test]
    fn given_a_partition_that_is_stopped_and_begun_again_at_once_then_its_records_come() {
        for assignment in ["cooperative-sticky", "range"] {
            let cluster = MockCluster::new(1).expect("a mock broker");
            cluster.create_topic("orders", 1, 1).expect("a topic");
            let brokers = cluster.bootstrap_servers();
            send(&brokers);
            let (source, partition) = member(&brokers, assignment);
            for round in 0..5 {
                assert!(gets_a_record(&source), "{assignment}, round {round}");
                for _ in 0..50 {
                    source.stop(std::slice::from_ref(&partition)).expect("stopped");
                    source.begin(&[(partition.clone(), Offset(0))]).expect("begun again");
                }
            }
        }
    }

    #[test]
    fn given_an_error_that_comes_after_its_partition_was_stopped_then_it_is_to_be_begun_once_more() {
        let cluster = MockCluster::new(1).expect("a mock broker");
        cluster.create_topic("orders", 1, 1).expect("a topic");
        let brokers = cluster.bootstrap_servers();
        send(&brokers);
        let (source, partition) = member(&brokers, "cooperative-sticky");
        assert!(gets_a_record(&source));
        let stop = || source.stop(std::slice::from_ref(&partition)).expect("stopped");
        let begin = |offset| source.begin(&[(partition.clone(), Offset(offset))]).expect("begun");
        // Whether the error is there already when the partition is stopped can't be seen before it is taken.
        let spoilt = (0..100).any(|_| {
            stop();
            begin(100);
            thread::sleep(Duration::from_millis(300));
            stop();
            (0..30).for_each(|_| drop(look(&source)));
            !begin(1).is_empty()
        });
        assert!(spoilt);
        stop();
        assert_eq!(begin(1), [], "once is enough");
    }

    #[test]
    fn given_the_eager_protocol_when_a_partition_is_stopped_and_begun_then_an_idle_one_is_not_read_again() {
        let cluster = MockCluster::new(1).expect("a mock broker");
        cluster.create_topic("orders", 2, 1).expect("a topic");
        let brokers = cluster.bootstrap_servers();
        send(&brokers);
        let (source, _idle) = member(&brokers, "range");
        assert!(gets_a_record(&source));
        let other = [TopicPartition::new("orders", 1)];
        for round in 0..3 {
            source.begin(&[(other[0].clone(), Offset(0))]).expect("begun");
            assert_eq!((0..30).flat_map(|_| look(&source)).collect::<Vec<_>>(), [], "round {round}");
            source.stop(&other).expect("stopped");
        }
        send(&brokers);
        let next = (0..SOON).map(|_| look(&source)).find(|offsets| !offsets.is_empty());
        assert_eq!(next, Some(vec![Offset(1)]));
    }
}
