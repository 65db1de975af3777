//! The core's behaviour, told as schedules of events. [`Rig`] keeps a lane and its time, and answers when asked to.

use std::time::Duration;

use super::batch::{BatchId, FileOutcome, Limits, Outcome, Run, SealReason};
use super::intent::{Coverage, Found, Layout, Metadata, Place};
use super::layout::{Granularity, Hour, NullPolicy};
use super::start::{Facts, StartPolicy, Stored};
use super::{Action, Commit, CommitAnswer, Event, Lane, Memory, Now, Publish, Settings, Ticket};
use crate::avro::codec::Codec;
use crate::config::{BatchLimits, OutOfRange, Start};
use crate::core::view::Durable;
use crate::sink::Digest;
use crate::types::{Offset, SchemaId, TopicPartition, UnixMillis};

mod committing;
mod parting;
mod pressure;
mod sealing;
mod starting;
mod taking_over;
mod turns;
mod waits;

const FULL: u64 = 10;
const GRACE: Duration = Duration::from_secs(20);
const DEADLINE: Duration = Duration::from_secs(90);
const MAX_AGE: Duration = Duration::from_secs(600);
const MAX_IDLE: Duration = Duration::from_secs(120);
const NO_PRESSURE: Memory = Memory { used: 0, leaving: 0, limit: 100 };

fn astray(out_of_range: bool) -> Event {
    Event::Astray { partition: p(0), out_of_range }
}

fn p(index: i32) -> TopicPartition {
    TopicPartition::new("orders", index)
}

fn settings() -> Settings {
    let batch = BatchLimits {
        max_records: FULL,
        max_bytes: 1_000,
        max_age: MAX_AGE,
        max_idle: MAX_IDLE,
        max_files: 4,
        max_record_bytes: 1 << 20,
    };
    let layout = Layout {
        timestamp: vec!["kafka".into()],
        years: (1970, 2100),
        key: super::layout::DEFAULT_KEY.into(),
        granularity: Granularity::Hour,
        prefix: String::new(),
        nulls: NullPolicy::Skip,
        read_committed: true,
        place: Place::Local { path: "/events".into() },
        max_record_bytes: 1 << 20,
        codec: Codec::Snappy,
    };
    Settings {
        limits: Limits { batch, processing: None },
        layout,
        start: StartPolicy {
            start: Start::Earliest,
            out_of_range: OutOfRange::Earliest,
            longest_topic: "orders".len(),
        },
        grace: GRACE,
        shutdown_deadline: DEADLINE,
        share: usize::MAX,
    }
}

/// A log `[low, high)` without a committed offset.
fn log(low: i64, high: i64) -> Facts {
    Facts {
        committed: None,
        low: Offset(low),
        high: Offset(high),
        end: Offset(high),
        topic_id: Some(1),
        partitions: 4,
        partitions_at_start: None,
        stored: Stored::NotAsked,
    }
}

/// What became of a batch with one file of `rows` rows; without rows it has no file.
fn outcome(rows: u64) -> Outcome {
    let file =
        FileOutcome { hour: Hour(1), schema: SchemaId(1), fingerprint: 1, rows, digest: Digest(rows.into()) };
    Outcome { files: (rows > 0).then_some(file).into_iter().collect(), ..Outcome::default() }
}

struct Rig {
    lane: Lane,
    now: Now,
    memory: Memory,
}

impl Rig {
    fn new() -> Self {
        Self::with(settings())
    }

    fn with(settings: Settings) -> Self {
        Self { lane: Lane::new(settings), now: Now::default(), memory: NO_PRESSURE }
    }

    /// A rig with these partitions, which fill from offset 0.
    fn filling(partitions: &[TopicPartition]) -> Self {
        let mut rig = Self::new();
        partitions.iter().for_each(|partition| rig.begin(partition));
        rig
    }

    fn event(&mut self, event: Event) -> Vec<Action> {
        self.lane.handle(self.now, event)
    }

    fn tick(&mut self) -> Vec<Action> {
        self.lane.tick(self.now, self.memory)
    }

    /// Lets time go by, then ticks.
    fn pass(&mut self, time: Duration) -> Vec<Action> {
        self.now.monotonic += time;
        self.now.wall.0 += i64::try_from(time.as_millis()).unwrap();
        self.tick()
    }

    fn assign(&mut self, partition: &TopicPartition) -> Ticket {
        ticket(&self.event(Event::Assigned(vec![partition.clone()])))
    }

    fn resolve(&mut self, partition: &TopicPartition, ticket: Ticket, facts: Facts) -> Vec<Action> {
        self.event(Event::Resolved { partition: partition.clone(), ticket, facts })
    }

    fn begin(&mut self, partition: &TopicPartition) {
        let ticket = self.assign(partition);
        self.resolve(partition, ticket, log(0, 1_000));
        self.accept(partition);
    }

    fn answer(&mut self, partition: &TopicPartition, answer: CommitAnswer) -> Vec<Action> {
        self.event(Event::Committed { partition: partition.clone(), answer })
    }

    fn accept(&mut self, partition: &TopicPartition) -> Vec<Action> {
        self.answer(partition, CommitAnswer::Accepted)
    }

    /// Takes `records` consecutive records, which must have room in the open batch.
    fn take(&mut self, partition: &TopicPartition, records: u64) -> Vec<Action> {
        self.take_run(partition, Run { records, ..Run::default() })
    }

    /// Takes a run whose end follows from where the partition stands.
    fn take_run(&mut self, partition: &TopicPartition, run: Run) -> Vec<Action> {
        let filling = self.lane.fill(partition, self.now).expect("it takes records");
        assert!(run.records <= filling.room);
        let end = Offset(self.durable(partition).read.0 + i64::try_from(run.records).unwrap());
        self.event(Event::Took { partition: partition.clone(), run: Run { end, ..run } })
    }

    /// Fills a batch to the brim.
    fn fill_up(&mut self, partition: &TopicPartition) -> BatchId {
        sealed(&self.take(partition, FULL)).expect("a full batch is sealed").0
    }

    fn close(&mut self, partition: &TopicPartition, batch: BatchId, outcome: Outcome) -> Vec<Action> {
        self.event(Event::Closed { partition: partition.clone(), batch, outcome })
    }

    fn published(&mut self, partition: &TopicPartition, batch: BatchId) -> Vec<Action> {
        self.event(Event::Published { partition: partition.clone(), batch })
    }

    fn refused(&mut self, partition: &TopicPartition, batch: BatchId) -> Vec<Action> {
        let reason = "other rows".to_owned();
        self.event(Event::Refused { partition: partition.clone(), batch, reason })
    }

    /// Closes a batch, and has its promise committed; what follows has its publishing.
    fn promise(&mut self, partition: &TopicPartition, batch: BatchId, outcome: Outcome) -> Vec<Action> {
        self.close(partition, batch, outcome);
        self.accept(partition)
    }

    /// Closes, promises and publishes a batch with `rows` rows; what follows has its commit.
    fn publish(&mut self, partition: &TopicPartition, batch: BatchId, rows: u64) -> Vec<Action> {
        self.promise(partition, batch, outcome(rows));
        self.published(partition, batch)
    }

    fn revoke(&mut self, partitions: &[TopicPartition]) -> Vec<Action> {
        self.event(Event::Revoked(partitions.to_vec()))
    }

    fn durable(&self, partition: &TopicPartition) -> Durable {
        self.known(partition).expect("its committed offset is known")
    }

    fn known(&self, partition: &TopicPartition) -> Option<Durable> {
        self.lane.durables().find(|durable| durable.partition == *partition)
    }
}

fn ticket(actions: &[Action]) -> Ticket {
    let asked = actions.iter().find_map(|action| match action {
        Action::Resolve(_, ticket) => Some(*ticket),
        _ => None,
    });
    asked.expect("it asks where the partition begins")
}

fn sealed(actions: &[Action]) -> Option<(BatchId, SealReason)> {
    actions.iter().find_map(|action| match action {
        Action::Seal { batch, reason, .. } => Some((*batch, *reason)),
        _ => None,
    })
}

fn commit(actions: &[Action]) -> Option<Commit> {
    actions.iter().find_map(|action| match action {
        Action::Commit(commit) => Some(commit.clone()),
        _ => None,
    })
}

fn publish(actions: &[Action]) -> Option<Publish> {
    actions.iter().find_map(|action| match action {
        Action::Publish(publish) => Some(publish.clone()),
        _ => None,
    })
}

/// What a commit says beside its offset.
fn metadata(commit: &Commit) -> Metadata {
    match Metadata::find(&commit.metadata, commit.partition.partition, commit.offset) {
        Found::Own(own) => *own,
        other => panic!("not valve's own: {other:?}"),
    }
}

fn is_held(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::Hold(_, Some(_))))
}

fn given_up(actions: &[Action]) -> Option<Vec<TopicPartition>> {
    actions.iter().find_map(|action| match action {
        Action::GiveUp(partitions) => Some(partitions.clone()),
        _ => None,
    })
}
