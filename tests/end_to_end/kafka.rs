//! Topics, their records and a group's offsets, as any Kafka client sees them.

use std::fmt::{self, Debug};
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::patience::{wait_for, wait_until};
use crate::stack::Stack;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A client of the stack's Kafka that belongs to no valve.
pub(crate) struct Kafka<'a> {
    stack: &'a Stack,
}

impl<'a> Kafka<'a> {
    pub(crate) fn of(stack: &'a Stack) -> Self {
        Self { stack }
    }

    fn config(&self) -> ClientConfig {
        ClientConfig::new().set("bootstrap.servers", &self.stack.kafka).to_owned()
    }

    /// Creates a topic.
    pub(crate) fn create_topic(&self, topic: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let created = runtime.block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap();
        created.into_iter().for_each(|result| drop(result.unwrap()));
    }

    /// Gives a topic more partitions, so many in all.
    pub(crate) fn add_partitions(&self, topic: &str, partitions: usize) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let more = NewPartitions::new(topic, partitions);
        let added = runtime.block_on(admin.create_partitions([&more], &AdminOptions::new())).unwrap();
        added.into_iter().for_each(|result| drop(result.unwrap()));
    }

    /// Deletes a topic, and waits until it is gone.
    pub(crate) fn delete_topic(&self, topic: &str) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let deleted = runtime.block_on(admin.delete_topics(&[topic], &AdminOptions::new())).unwrap();
        deleted.into_iter().for_each(|result| drop(result.unwrap()));
        wait_until(&format!("{topic} to be gone"), || {
            let metadata = self.consumer("a-test").fetch_metadata(Some(topic), TIMEOUT).unwrap();
            metadata.topics().first().is_none_or(|topic| topic.partitions().is_empty())
        });
    }

    /// Deletes a group with its offsets, as the brokers do when it was stopped for long. Its last member may just be
    /// leaving.
    pub(crate) fn delete_group(&self, group: &str) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        wait_until(&format!("the group {group} to be deleted"), || {
            let deleted = runtime.block_on(admin.delete_groups(&[group], &AdminOptions::new())).unwrap();
            deleted.iter().all(Result::is_ok)
        });
    }

    /// Deletes the records before `offset`, as retention does.
    pub(crate) fn delete_before(&self, topic: &str, partition: i32, offset: i64) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let deleted = runtime.block_on(admin.delete_records(&offsets, &AdminOptions::new())).unwrap();
        deleted.elements().iter().for_each(|element| element.error().unwrap());
    }

    /// Sets a topic's largest record batch, in bytes.
    pub(crate) fn limit_messages(&self, topic: &str, bytes: u32) {
        self.configure(topic, &[("max.message.bytes", &bytes.to_string())]);
    }

    /// Sets configurations of a topic; those that aren't named get their defaults.
    pub(crate) fn configure(&self, topic: &str, configurations: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let alter = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let alter = configurations.iter().fold(alter, |alter, (name, value)| alter.set(name, value));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let altered = runtime.block_on(admin.alter_configs([&alter], &AdminOptions::new())).unwrap();
        altered.into_iter().for_each(|result| drop(result.unwrap()));
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        self.config().set("group.id", group).set("isolation.level", "read_uncommitted").create().unwrap()
    }

    /// The offset behind the last one of each partition's log, control records included.
    pub(crate) fn ends(&self, topic: &str) -> Vec<i64> {
        let consumer = self.consumer("a-test");
        let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).unwrap();
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        let end = |partition| consumer.fetch_watermarks(topic, partition, TIMEOUT).unwrap().1;
        (0..i32::try_from(partitions).unwrap()).map(end).collect()
    }

    /// The offset that the group has committed in each partition; 0 where there is none, as if nothing was consumed.
    pub(crate) fn committed(&self, group: &str, topic: &str) -> Vec<i64> {
        let mut asked = TopicPartitionList::new();
        for partition in 0..self.ends(topic).len() {
            asked.add_partition(topic, i32::try_from(partition).unwrap());
        }
        // A young cluster has no coordinator for a while.
        let answered = wait_for(&format!("the offsets of {group}"), || {
            self.consumer(group).committed_offsets(asked.clone(), TIMEOUT).ok()
        });
        let offset = |offset| if let Offset::Offset(offset) = offset { offset } else { 0 };
        answered.elements().iter().map(|element| offset(element.offset())).collect()
    }

    /// Sets a group's offsets, as another tool would, one for each partition of the topic.
    pub(crate) fn commit(&self, group: &str, topic: &str, offsets: &[i64]) {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in (0..).zip(offsets) {
            list.add_partition_offset(topic, partition, Offset::Offset(*offset)).unwrap();
        }
        self.consumer(group).commit(&list, CommitMode::Sync).unwrap();
    }

    /// Waits until the group has committed every record of the topic.
    pub(crate) fn wait_committed(&self, group: &str, topic: &str) {
        wait_until(&format!("{group} to commit all of {topic}"), || {
            self.committed(group, topic) == self.ends(topic)
        });
    }

    /// All values in a topic of one partition, as JSON.
    pub(crate) fn values(&self, topic: &str) -> Vec<Value> {
        self.records(topic, |message| serde_json::from_slice(message.payload().unwrap()).unwrap())
    }

    /// The offsets of all records in a topic of one partition.
    pub(crate) fn offsets(&self, topic: &str) -> Vec<i64> {
        self.records(topic, |message| message.offset())
    }

    fn records<T>(&self, topic: &str, of: impl Fn(&BorrowedMessage<'_>) -> T) -> Vec<T> {
        let end = self.ends(topic)[0];
        let consumer = self.consumer("a-test");
        let mut assigned = TopicPartitionList::new();
        assigned.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
        consumer.assign(&assigned).unwrap();
        let mut records = Vec::new();
        let mut next = 0;
        wait_until(&format!("the records of {topic}"), || {
            while next < end {
                let Some(message) = consumer.poll(Duration::from_millis(100)) else { return false };
                let message = message.unwrap();
                next = message.offset() + 1;
                records.push(of(&message));
            }
            true
        });
        records
    }
}

impl Debug for Kafka<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kafka")
    }
}
