//! Produces the events at a steady rate, and never more than the embedded broker keeps until they are committed.
//!
//! Held back by *committed* offsets, not by what has been read: whoever takes a partition over reads again what
//! wasn't committed.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::events::{Events, MAX_VALUE};
use super::positions::Positions;
use crate::clock::Clock;
use crate::source::embedded::{BrokerError, EmbeddedBroker, KEPT_BYTES, Message};

/// What a record takes in the broker's log beside its value: key, lengths, timestamp and its share of the batch's header.
const OVERHEAD: usize = 64;

/// How many events of one partition may wait for their commit.
const WINDOW: u64 = (KEPT_BYTES / (MAX_VALUE + OVERHEAD)) as u64;

/// The wait when there is nothing to do.
const PAUSE: Duration = Duration::from_millis(5);

/// Produces events.
#[derive(Debug)]
pub(crate) struct Generator<'a> {
    /// Where to.
    pub(crate) broker: &'a EmbeddedBroker,
    /// What.
    pub(crate) events: &'a Events,
    /// Where it takes note of what it produced, and learns what is committed.
    pub(crate) positions: &'a Positions,
    /// What paces it.
    pub(crate) clock: &'a dyn Clock,
    /// Events a second; 0 is as many as the broker can keep.
    pub(crate) rate: u64,
    /// How many events; `None` is until it is stopped.
    pub(crate) records: Option<u64>,
}

impl Generator<'_> {
    /// Produces until all events are out, or until `stop`; returns how many there are, all acknowledged. Blocks.
    pub(crate) fn run(&self, stop: &CancellationToken) -> Result<u64, BrokerError> {
        let mut pace = Pace::new(self.rate, self.clock.monotonic());
        let mut seq = 0;
        while !stop.is_cancelled() && self.records.is_none_or(|records| seq < records) {
            let due = pace.due(self.clock.monotonic());
            let end = seq.saturating_add(due).min(self.records.unwrap_or(u64::MAX));
            let before = seq;
            while seq < end && self.produce(seq)? {
                seq += 1;
            }
            pace.done(seq - before);
            if seq < end || seq == before {
                self.broker.serve()?;
                std::thread::sleep(PAUSE);
            }
        }
        self.broker.flush()?;
        Ok(seq)
    }

    /// Produces the event number `seq`; `false` when its partition takes no more for now.
    fn produce(&self, seq: u64) -> Result<bool, BrokerError> {
        let event = self.events.event(seq);
        if self.positions.uncommitted(event.topic, event.partition) >= WINDOW {
            return Ok(false);
        }
        let key = seq.to_string();
        self.broker.produce(&Message {
            topic: event.topic.name(),
            partition: event.partition,
            key: Some(key.as_bytes()),
            value: &event.value,
        })?;
        self.positions.add(event.topic, event.partition);
        Ok(true)
    }
}

/// How many events are due.
#[derive(Debug)]
struct Pace {
    rate: u64,
    /// Events done since `since`, on the monotonic clock.
    done: u64,
    since: Duration,
}

impl Pace {
    /// The most that is due at once, so that what was held back isn't made up for in one burst.
    const BURST: u64 = 1_000;

    fn new(rate: u64, now: Duration) -> Self {
        Self { rate, done: 0, since: now }
    }

    /// How many events are due at `now`.
    fn due(&mut self, now: Duration) -> u64 {
        if self.rate == 0 {
            return Self::BURST;
        }
        let elapsed = now.saturating_sub(self.since);
        let total =
            u64::try_from(elapsed.as_micros() * u128::from(self.rate) / 1_000_000).unwrap_or(u64::MAX);
        let behind = total.saturating_sub(self.done);
        if behind > self.rate.max(Self::BURST) {
            // More than a second behind: forget it.
            (self.done, self.since) = (0, now);
            return Self::BURST.min(self.rate);
        }
        behind
    }

    fn done(&mut self, events: u64) {
        self.done += events;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::demo::events::{SchemaIds, TOPICS, Topic};
    use crate::types::SchemaId;

    fn ids() -> SchemaIds {
        SchemaIds([vec![SchemaId(1), SchemaId(2), SchemaId(3)], vec![SchemaId(4)]])
    }

    #[test]
    fn given_a_rate_then_that_many_are_due_each_second() {
        let mut pace = Pace::new(5_000, Duration::from_secs(7));
        let mut total = 0;
        for millis in (0..=2_000).step_by(10) {
            let due = pace.due(Duration::from_millis(7_000 + millis));
            pace.done(due);
            total += due;
        }
        assert_eq!(total, 10_000);
    }

    #[test]
    fn given_a_long_wait_then_it_is_not_made_up_for() {
        let mut pace = Pace::new(5_000, Duration::ZERO);
        assert!(pace.due(Duration::from_secs(60)) <= 1_000);
        assert_eq!(pace.due(Duration::from_secs(60)), 0);
    }

    #[test]
    fn given_a_number_of_events_then_each_is_in_its_partition_at_the_offset_of_its_turn() {
        let topics = TOPICS.map(|topic| (topic.name(), topic.partitions()));
        let broker = EmbeddedBroker::start(&topics).unwrap();
        let (events, positions) = (Events::new(1, ids()), Positions::new());
        let clock = SystemClock::new();
        let (rate, records) = (0, Some(3_000));
        let generator = Generator {
            broker: &broker,
            events: &events,
            positions: &positions,
            clock: &clock,
            rate,
            records,
        };
        assert_eq!(generator.run(&CancellationToken::new()).unwrap(), 3_000);
        let mut read = Vec::new();
        broker.read(Topic::PageViews.name()).unwrap().read_to_end(|value| read.push(value.to_vec())).unwrap();
        let mut expected: Vec<_> = (0..3_000).map(|seq| events.event(seq)).collect();
        expected.retain(|event| event.topic == Topic::PageViews);
        let mut expected: Vec<_> = expected.into_iter().map(|event| event.value).collect();
        read.sort();
        expected.sort();
        assert_eq!(read, expected);
    }

    #[test]
    fn given_nothing_is_committed_then_it_stops_before_the_broker_forgets() {
        let topics = TOPICS.map(|topic| (topic.name(), topic.partitions()));
        let broker = EmbeddedBroker::start(&topics).unwrap();
        let (events, positions) = (Events::new(1, ids()), Positions::new());
        let clock = SystemClock::new();
        let generator = Generator {
            broker: &broker,
            events: &events,
            positions: &positions,
            clock: &clock,
            rate: 0,
            records: None,
        };
        let stop = CancellationToken::new();
        std::thread::scope(|scope| {
            let running = scope.spawn(|| generator.run(&stop));
            while positions.uncommitted(Topic::Orders, 0) < WINDOW - WINDOW / 10 {
                assert!(!running.is_finished());
                std::thread::yield_now();
            }
            stop.cancel();
            let produced = running.join().unwrap().unwrap();
            let mut kept = 0;
            for topic in TOPICS {
                broker.read(topic.name()).unwrap().read_to_end(|_| kept += 1).unwrap();
            }
            assert_eq!(kept, produced);
        });
    }
}
