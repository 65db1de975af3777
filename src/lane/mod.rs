//! The driver of one lane: an OS thread with one consumer, which binds the core to the world.
//!
//! Each turn it serves the client, takes records, places them, hands the core what happened, and does what the core
//! says. Nothing in a turn waits for the network: what does runs on the async runtime and answers through a channel. So
//! the consumer is polled many times a second, whatever else is slow.

mod actions;
mod fetching;
mod latencies;
mod longest;
mod records;
mod renewal;
mod report;
mod run;
mod seal;
mod shared;
mod takeover;
mod troubles;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::actions::Publishing;
use self::fetching::Fetching;
pub(crate) use self::fetching::Gathering;
use self::longest::Longest;
use self::records::Intake;
use self::renewal::Renewal;
use self::seal::Sealing;
pub(crate) use self::shared::Shared;
use self::takeover::TakingOver;
use self::troubles::ClientTroubles;
use crate::avro::codec::Compressor;
use crate::avro::timestamp::Candidate;
use crate::batch::Batch;
use crate::batch::schemas::Schemas;
use crate::budget::Account;
use crate::core::batch::{BatchId, Limits};
use crate::core::start::{Facts, StartPolicy};
use crate::core::{self, Commit, Event, Memory, Now, Ticket};
use crate::fault_point::{self, Point};
use crate::registry::cache::Lookup;
use crate::source::Record;
use crate::source::consumer::{Source, SourceEvent};
use crate::takeover::Remade;
use crate::telemetry::status::{LaneStatus, Membership};
use crate::topics::TopicIds;
use crate::types::{SchemaId, TopicPartition, UnixMillis};

/// How often the core is told that time passes while nothing happens: it looks at each of its partitions then.
const TICK_EVERY: Duration = Duration::from_millis(250);

/// What the runtime answers to a lane.
#[derive(Debug)]
enum Answer {
    Schema(SchemaId, Lookup),
    Facts(TopicPartition, Ticket, Facts),
    Remade(TopicPartition, BatchId, Result<Box<Remade>, String>),
    Published(TopicPartition, BatchId, Result<u64, String>),
}

/// What a lane holds of one partition.
#[derive(Debug, Default)]
struct Held<'s> {
    /// Records that were delivered and can't be placed yet.
    stash: VecDeque<Record<'s>>,
    batch: Option<Batch>,
    /// The Kafka timestamp of the record that it goes on with, while it isn't fetched.
    next: Option<UnixMillis>,
    /// What the first record of the stash waits for.
    waiting: Option<Wait>,
    /// The registry said that it doesn't know this id: to be declared in the batch of the record that has it.
    unknown: Option<SchemaId>,
}

/// What a record may have to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// The registry's answer.
    Schema(SchemaId),
    /// This time: too many records of its topic are bad.
    Until(Duration),
}

/// Runs a lane until the process is asked to stop and everything is flushed.
///
/// # Errors
/// A sentence, when the client refuses its configuration or can't go on.
pub(crate) fn run(shared: &Shared, index: usize) -> Result<(), String> {
    loop {
        let source = Source::open(&shared.config, index).map_err(|error| error.to_string())?;
        let ended = Lane::new(shared, index, &source).run();
        // The lane's records are gone by now: the client can't end before they are.
        drop(source);
        match ended? {
            Ended::Stopped => return Ok(()),
            Ended::Renewed => shared.gathering.left(),
        }
    }
}

/// What for a lane has ended well.
enum Ended {
    /// The process is to end.
    Stopped,
    /// It goes on with another client.
    Renewed,
}

struct Lane<'s> {
    shared: &'s Shared,
    source: &'s Source,
    core: core::Lane,
    held: BTreeMap<TopicPartition, Held<'s>>,
    intake: Intake<'s>,
    schemas: Schemas,
    lookups: Vec<SchemaId>,
    compressor: Compressor,
    sealing: Sealing,
    publishing: Publishing,
    taking_over: TakingOver,
    commits: Vec<Commit>,
    fetching: Fetching,
    longest: Longest,
    /// What the records put aside take, in bytes, when they were counted last.
    put_aside: usize,
    /// The questions where partitions begin that are still wanted.
    asked: BTreeMap<TopicPartition, CancellationToken>,
    answers: (mpsc::Sender<Answer>, mpsc::Receiver<Answer>),
    topics: watch::Receiver<Arc<[String]>>,
    topic_ids: watch::Receiver<TopicIds>,
    /// Whether the client says that its assignment is lost: of all partitions, or of some, which it hasn't said yet. Whoever publishes
    /// waits until that has been heard.
    lost: watch::Sender<bool>,
    rejoin_at: Option<Duration>,
    renewal: Renewal,
    leaving: bool,
    /// Something was read that isn't stored and committed although the process ends.
    left_behind: bool,
    /// Not a member of the group: not yet, or not any more.
    outside: bool,
    report_at: Duration,
    /// When the core is told the time, whatever happens, and whether something has happened since it was.
    tick_at: Duration,
    stirred: bool,
    /// When something was seen to have happened.
    stirred_at: Duration,
    troubles: ClientTroubles,
    status: LaneStatus,
    /// What librdkafka's fetches, the compressor and the records put aside take.
    reserve: Account,
}

impl<'s> Lane<'s> {
    fn new(shared: &'s Shared, index: usize, source: &'s Source) -> Self {
        let config = &shared.config;
        let compressor = Compressor::new(config.codec);
        let processing = config
            .timestamp
            .candidates()
            .contains(&Candidate::Processing)
            .then_some(config.layout.granularity);
        let settings = core::Settings {
            limits: Limits { batch: config.batch.clone(), processing },
            layout: shared.publisher.terms.layout.clone(),
            start: StartPolicy::of(config),
            grace: config.rebalance_grace,
            shutdown_deadline: config.shutdown_deadline,
            // As soon as the lane counts its memory it is less.
            share: usize::MAX,
        };
        Self {
            shared,
            source,
            core: core::Lane::new(settings),
            held: BTreeMap::new(),
            intake: Intake::default(),
            schemas: Schemas::default(),
            lookups: Vec::new(),
            compressor,
            sealing: Sealing::default(),
            publishing: Publishing::default(),
            taking_over: TakingOver::default(),
            commits: Vec::new(),
            fetching: Fetching::default(),
            longest: Longest::default(),
            put_aside: 0,
            asked: BTreeMap::new(),
            answers: mpsc::channel(),
            topics: shared.topics.clone(),
            topic_ids: shared.topic_ids.clone(),
            lost: watch::Sender::new(false),
            rejoin_at: None,
            renewal: Renewal::default(),
            leaving: false,
            left_behind: false,
            outside: true,
            report_at: Duration::ZERO,
            tick_at: Duration::ZERO,
            stirred: false,
            stirred_at: Duration::ZERO,
            troubles: ClientTroubles::new(&shared.troubles),
            status: shared.status.lane(index),
            reserve: shared.budget.account(),
        }
    }

    fn run(mut self) -> Result<Ended, String> {
        self.account();
        self.status.membership(Membership::Joining);
        let topics = self.topics.borrow_and_update().clone();
        self.subscribe(&topics)?;
        while !self.leaving {
            self.turn()?;
            if self.is_to_be_renewed() && !self.leaving {
                self.status.owns(Vec::new(), BTreeMap::new());
                return Ok(Ended::Renewed);
            }
        }
        self.status.membership(Membership::Leaving);
        self.status.owns(Vec::new(), BTreeMap::new());
        if self.left_behind || self.core.has_batches() {
            return Err(
                "not all that was read could be stored in time; its next owner reads it again".to_owned()
            );
        }
        Ok(Ended::Stopped)
    }

    fn now(&self) -> Now {
        Now { wall: self.shared.clock.now(), monotonic: self.shared.clock.monotonic() }
    }

    fn turn(&mut self) -> Result<(), String> {
        self.status.polled();
        let (events, all) = self.source.poll();
        for event in events {
            self.source_event(event)?;
        }
        if all {
            self.fetching.stopped = false;
        }
        // It stays so until what was lost is given up.
        let lost = self.source.assignment_lost();
        self.lost.send_if_modified(|known| std::mem::replace(known, lost) != lost);
        while let Ok(answer) = self.answers.1.try_recv() {
            self.answer(answer);
        }
        if self.shared.stop.is_cancelled() {
            self.handle(Event::Shutdown);
        }
        self.lift_limits();
        self.keep_subscription()?;
        self.look_at_topic_ids();
        self.begin_to_place();
        self.take();
        self.seal_a_slice();
        self.report();
        self.tick();
        self.place_stashed();
        self.fetch();
        self.send_commits();
        Ok(())
    }

    /// Lets time pass in the core.
    fn tick(&mut self) {
        let now = self.now();
        if std::mem::take(&mut self.stirred) {
            self.stirred_at = now.monotonic;
        } else if now.monotonic < self.tick_at {
            return;
        }
        self.tick_now(now);
    }

    /// Tells the core the time, and what memory is in use.
    fn tick_now(&mut self, now: Now) {
        self.tick_at = now.monotonic + TICK_EVERY;
        let budget = &self.shared.budget;
        let memory = Memory { used: budget.used(), leaving: budget.leaving(), limit: budget.limit() };
        let actions = self.core.tick(now, memory);
        self.perform(actions);
    }

    /// Hands the core an event, and does what it says.
    fn handle(&mut self, event: Event) {
        self.stirred = true;
        let actions = self.core.handle(self.now(), event);
        self.perform(actions);
    }

    fn source_event(&mut self, event: SourceEvent) -> Result<(), String> {
        match event {
            SourceEvent::Assigned(partitions) => {
                // Of a cooperative rebalance that brings nothing new.
                if !partitions.is_empty() {
                    tracing::info!(partitions = names(&partitions), "assigned");
                }
                self.regrouped("assigned");
                self.source.acknowledge().map_err(|error| error.to_string())?;
                self.outside = false;
                self.handle(Event::Assigned(partitions));
                self.show_membership();
            }
            SourceEvent::Revoked(partitions) => {
                tracing::info!(partitions = names(&partitions), "revoked");
                self.regrouped("revoked");
                self.handle(if self.is_revoked_already() {
                    Event::Lost(partitions)
                } else {
                    Event::Revoked(partitions)
                });
            }
            SourceEvent::Lost(partitions) => {
                tracing::warn!(
                    partitions = names(&partitions),
                    "lost: the group expelled this member, or their topics are gone"
                );
                self.shared.status.rebalanced("lost");
                self.outside |= self.core.partitions().all(|owned| partitions.contains(owned));
                self.handle(Event::Lost(partitions));
            }
            SourceEvent::Committed(answers) => self.commits_answered(answers),
            SourceEvent::Trouble(what) => self.kafka_trouble(what),
            SourceEvent::Fatal(what) => return Err(format!("the Kafka client can't go on: {what}")),
        }
        Ok(())
    }

    fn kafka_trouble(&mut self, what: String) {
        self.troubles.report(what, self.shared.clock.monotonic());
    }

    fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Facts(partition, ticket, facts) => {
                let (topic, id) = (Arc::clone(&partition.topic), facts.topic_id);
                self.handle(Event::Resolved { partition, ticket, facts });
                self.meet(&topic, id);
            }
            Answer::Schema(..) if fault_point::loses(Point::Schema) => {}
            Answer::Schema(id, lookup) => self.learn(id, lookup),
            Answer::Remade(partition, batch, made) => self.remade(partition, batch, made),
            Answer::Published(partition, batch, result) => self.published(partition, batch, result),
        }
    }

    /// Takes what the registry says of an id to the partitions that wait for it.
    fn learn(&mut self, id: SchemaId, lookup: Lookup) {
        self.lookups.retain(|asked| *asked != id);
        let known = self.schemas.learn(id, lookup, &self.shared.publisher.terms.timestamp);
        let waiting = self.held.iter_mut().filter(|(_, held)| held.waiting == Some(Wait::Schema(id)));
        let mut ready = Vec::new();
        for (partition, held) in waiting {
            held.waiting = None;
            held.unknown = (!known).then_some(id);
            ready.push(partition.clone());
        }
        for partition in ready {
            self.handle(Event::Waiting(partition, false));
        }
    }

    /// Subscribes to other topics when they change, and again after the group was left on purpose.
    fn keep_subscription(&mut self) -> Result<(), String> {
        let changed = self.topics.has_changed().unwrap_or(false);
        let rejoin = self
            .rejoin_at
            .is_some_and(|at| self.shared.clock.monotonic() >= at && self.core.partitions().next().is_none());
        if rejoin || changed && self.rejoin_at.is_none() {
            self.rejoin_at = None;
            let topics = self.topics.borrow_and_update().clone();
            self.subscribe(&topics)?;
        }
        Ok(())
    }

    fn look_at_topic_ids(&mut self) {
        if !self.topic_ids.has_changed().unwrap_or(false) {
            return;
        }
        let ids = Arc::clone(&self.topic_ids.borrow_and_update());
        for (topic, id) in ids.iter() {
            self.handle(Event::TopicId { topic: Arc::clone(topic), id: *id });
        }
    }

    fn subscribe(&self, topics: &[String]) -> Result<(), String> {
        // An empty subscription is an error to the client, and to us a group that nobody has sent events to yet.
        if topics.is_empty() {
            return Ok(());
        }
        self.source.subscribe(topics).map_err(|error| error.to_string())
    }
}

fn names(partitions: &[TopicPartition]) -> String {
    partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
