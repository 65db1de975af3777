//! What a test begins with: a valve's name, a topic, a dead-letter topic, a producer.

use crate::event::Event;
use crate::files::{self, StoredFile};
use crate::kafka::Kafka;
use crate::producer::{Produced, Producer};
use crate::stack::{Stack, unique};
use crate::valve::Settings;

/// A valve's surroundings, which no other test shares.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) kafka: Kafka<'a>,
    pub(crate) producer: Producer,
    /// The valve's name: its group, and its prefix in the bucket.
    pub(crate) name: String,
    pub(crate) topic: String,
    pub(crate) dead_letter_topic: String,
}

impl<'a> Scene<'a> {
    /// With a topic of so many partitions, and a dead-letter topic.
    pub(crate) fn new(stack: &'a Stack, partitions: i32) -> Self {
        let scene = Self::without_dead_letter_topic(stack, partitions);
        scene.kafka.create_topic(&scene.dead_letter_topic, 1);
        scene
    }

    /// With a topic, but without a dead-letter topic.
    pub(crate) fn without_dead_letter_topic(stack: &'a Stack, partitions: i32) -> Self {
        let name = unique("valve");
        let topic = format!("{name}.orders");
        let kafka = Kafka::of(stack);
        kafka.create_topic(&topic, partitions);
        let dead_letter_topic = format!("_dead_letter_queue_{name}");
        Self { stack, kafka, producer: Producer::new(stack), name, topic, dead_letter_topic }
    }

    /// The settings of a valve that reads the topic.
    pub(crate) fn settings(&self) -> Settings {
        Settings::new(self.stack, &self.name, &self.topic)
    }

    pub(crate) fn produce(&mut self, events: &[Event]) -> Vec<Produced> {
        self.producer.produce(events)
    }

    /// Waits until the group has committed every record of the topic.
    pub(crate) fn wait_committed(&self) {
        self.kafka.wait_committed(&self.name, &self.topic);
    }

    /// What the valve has stored in the stack's bucket.
    pub(crate) fn files(&self) -> Vec<StoredFile> {
        self.objects().1
    }

    /// The originals of large dead letters there.
    pub(crate) fn originals(&self) -> Vec<StoredFile> {
        self.objects().0
    }

    fn objects(&self) -> (Vec<StoredFile>, Vec<StoredFile>) {
        let originals = format!("{}/_dead_letters/", self.name);
        let all = files::in_bucket(self.stack, &self.stack.bucket, &self.name);
        all.into_iter().partition(|file| file.key.starts_with(&originals))
    }

    /// Deletes an object of the stack's bucket.
    pub(crate) fn delete(&self, key: &str) {
        self.stack.delete_object(&self.stack.bucket, key);
    }

    /// The stored files must hold just these events, each once, in the right places.
    pub(crate) fn assert_stored(&mut self, produced: &[Produced]) {
        let files = self.files();
        files::assert_places(&files, &self.name);
        files::assert_holds_exactly(&files, produced, &mut self.producer);
    }

    /// Nothing must have become a dead letter.
    pub(crate) fn assert_no_dead_letters(&self) {
        assert_eq!(self.kafka.ends(&self.dead_letter_topic), [0], "dead letters");
    }
}
