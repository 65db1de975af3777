//! What the demo generates: event number `seq` is a function of the seed and `seq`, whatever the clock says.
//!
//! So the generator keeps nothing of what it has produced, and the verification knows of every event where it must
//! have ended up. Event time advances by an hour every [`PER_HOUR`] events; some events are up to three hours late;
//! one in a thousand can never be stored.

use super::draws::Draws;
use super::{orders, page_views};
use crate::core::layout::{Granularity, Hour};
use crate::dead_letter::Reason;
use crate::types::{SchemaId, UnixMillis};

/// How many events make an hour of event time: four seconds at the default rate.
pub(super) const PER_HOUR: u64 = 20_000;

/// The most bytes that a value has.
pub(super) const MAX_VALUE: usize = 300;

const MILLIS_PER_HOUR: i64 = 3_600_000;
/// One bad event in this many.
const BAD_IN: u64 = 1_000;
/// 2024-06-03T06:00:00Z: the first event's time.
const BASE: UnixMillis = UnixMillis(1_717_394_400_000);
/// 2855-05-17, a time beyond the years that valve accepts.
const ABSURD: UnixMillis = UnixMillis(27_939_000_000_000);
/// An id that nobody registers.
const UNKNOWN_ID: u32 = 999_999;

/// One of the demo's topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Topic {
    /// `orders`
    Orders,
    /// `page-views`
    PageViews,
}

/// The topics.
pub(crate) const TOPICS: [Topic; 2] = [Topic::Orders, Topic::PageViews];

impl Topic {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Orders => orders::TOPIC,
            Self::PageViews => page_views::TOPIC,
        }
    }

    /// How many partitions it has; a partition of each topic gets about the same number of events.
    pub(crate) fn partitions(self) -> i32 {
        match self {
            Self::Orders => 4,
            Self::PageViews => 2,
        }
    }

    /// The versions of its schema, oldest first, exactly as they are registered.
    pub(crate) fn schemas(self) -> &'static [&'static str] {
        match self {
            Self::Orders => &orders::SCHEMAS,
            Self::PageViews => &[page_views::SCHEMA],
        }
    }

    /// The path of the field that says when an event happened.
    pub(crate) fn timestamp(self) -> &'static str {
        match self {
            Self::Orders => orders::TIMESTAMP,
            Self::PageViews => page_views::TIMESTAMP,
        }
    }
}

/// What the registry calls the schemas: for each of [`TOPICS`] an id for each version.
#[derive(Clone, Debug)]
pub(crate) struct SchemaIds(pub(crate) [Vec<SchemaId>; 2]);

impl SchemaIds {
    fn get(&self, topic: Topic, version: usize) -> u32 {
        self.0[topic as usize].get(version).map_or(UNKNOWN_ID, |id| id.0)
    }
}

/// Where an event must end up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// As a row of a file of this hour, under this version of its topic's schema.
    Row {
        /// The hour.
        hour: Hour,
        /// The index in [`Topic::schemas`].
        version: usize,
    },
    /// As a dead letter.
    DeadLetter(Reason),
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its topic.
    pub(crate) topic: Topic,
    /// Its partition.
    pub(crate) partition: i32,
    /// What is produced.
    pub(crate) value: Vec<u8>,
    /// What becomes of it.
    pub(crate) fate: Fate,
}

/// What is wrong with a bad event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// JSON instead of Avro.
    Json,
    /// A datum of which the second half is missing.
    Truncated,
    /// Bytes behind the datum.
    Trailing,
    /// No timestamp.
    Null,
    /// A timestamp in the year 2855.
    Absurd,
    /// The id of a schema that the registry doesn't know.
    UnknownSchema,
    /// A value of no bytes.
    Empty,
}

const FLAWS: [Flaw; 7] =
    [Flaw::Json, Flaw::Truncated, Flaw::Trailing, Flaw::Null, Flaw::Absurd, Flaw::UnknownSchema, Flaw::Empty];

impl Flaw {
    /// The reason under which valve must refuse it.
    fn reason(self) -> Reason {
        match self {
            Self::Json | Self::Empty => Reason::WireHeader,
            Self::Truncated | Self::Trailing => Reason::InvalidDatum,
            Self::Null | Self::Absurd => Reason::NoTimestamp,
            Self::UnknownSchema => Reason::UnknownSchema,
        }
    }
}

/// All events of one seed.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    seed: u64,
    ids: SchemaIds,
}

impl Events {
    /// The events of `seed`, under the registry's `ids`.
    pub(crate) fn new(seed: u64, ids: SchemaIds) -> Self {
        Self { seed, ids }
    }

    /// The event number `seq`.
    pub(crate) fn event(&self, seq: u64) -> Event {
        let mut draws = Draws::new(self.seed, seq);
        let topic = draws.of([Topic::Orders, Topic::Orders, Topic::PageViews]);
        let partition = draws.below(topic.partitions().unsigned_abs()).cast_signed();
        let version = draws.below(topic.schemas().len() as u32) as usize;
        let at = time(seq, &mut draws);
        let flaw = self.flaw(seq);
        let written = match flaw {
            Some(Flaw::Null) => None,
            Some(Flaw::Absurd) => Some(ABSURD),
            _ => Some(at),
        };
        let id = match flaw {
            Some(Flaw::UnknownSchema) => UNKNOWN_ID,
            _ => self.ids.get(topic, version),
        };
        let mut value = match topic {
            Topic::Orders => orders::order(seq, version, id, written, &mut draws),
            Topic::PageViews => page_views::page_view(seq, id, written, &mut draws),
        };
        match flaw {
            Some(Flaw::Json) => value = format!("{{\"seq\":{seq}}}").into_bytes(),
            Some(Flaw::Truncated) => value.truncate(value.len() / 2),
            Some(Flaw::Trailing) => value.extend_from_slice(&[0; 3]),
            Some(Flaw::Empty) => value.clear(),
            Some(Flaw::Null | Flaw::Absurd | Flaw::UnknownSchema) | None => {}
        }
        let fate = match flaw {
            Some(flaw) => Fate::DeadLetter(flaw.reason()),
            None => Fate::Row { hour: Hour::of(at, Granularity::Hour), version },
        };
        Event { topic, partition, value, fate }
    }

    /// One event of each thousand is bad, in turn in each of the ways.
    fn flaw(&self, seq: u64) -> Option<Flaw> {
        let thousand = seq / BAD_IN;
        let mut draws = Draws::new(self.seed, !thousand);
        let bad = draws.below(BAD_IN as u32);
        (u64::from(bad) == seq % BAD_IN).then(|| FLAWS[(thousand % FLAWS.len() as u64) as usize])
    }
}

/// When the event number `seq` happened: 2 in 100 are one to three hours late.
fn time(seq: u64, draws: &mut Draws) -> UnixMillis {
    let position = i64::try_from(seq % (1 << 40)).unwrap_or(0);
    let on_time = BASE.0 + position * (MILLIS_PER_HOUR / PER_HOUR as i64);
    let late = if draws.percent(2) { i64::from(1 + draws.below(3)) * MILLIS_PER_HOUR } else { 0 };
    UnixMillis(on_time - late - i64::from(draws.below(5_000)))
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
