//! Which hours are complete: those of which no file will come any more.
//!
//! An hour of a topic is complete when its end and the lateness are over, and every partition has committed all that came
//! before the first record with a Kafka timestamp at or after that time. That is what can be asked of the brokers, who know
//! nothing of the times inside events. It is right for an event's own time when no record of the hour, nor one before it in
//! its partition, has a Kafka timestamp at or after that time. It is right for the time of processing, too: a batch is sealed
//! when its hour by valve's clock is over, so its first record came before that (README.md, "Which hours are complete?").
//!
//! - [`partition`]: what is known of one partition, and whether it is past a time. No I/O.
//! - [`search`]: up to which hour each partition is complete, in few questions. No I/O.
//! - [`watermark`]: the time up to which a process's own partitions are durable, for the gauge. No I/O.
//! - [`ask`]: asks the brokers.
//! - [`mark`]: leaves `_SUCCESS` in the folders of finished hours.

pub(crate) mod ask;
pub(crate) mod mark;
pub(crate) mod partition;
pub(crate) mod search;
#[cfg(test)]
mod tests;
pub(crate) mod watermark;

use std::time::Duration;

use crate::core::layout::{Granularity, Hour};
use crate::types::{Offset, UnixMillis};

use partition::Held;

/// What an hour is here, and how long after its end its records may still come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// `layout.granularity`: under `day`, all of this is about days.
    pub(crate) granularity: Granularity,
    /// `hours.lateness`
    pub(crate) lateness: Duration,
}

impl Rules {
    /// From one hour (or day) to the next, in hours.
    fn step(self) -> i64 {
        match self.granularity {
            Granularity::Hour => 1,
            Granularity::Day => 24,
        }
    }

    /// The end of the hour (or of the day) that `hour` lies in: the first hour behind it.
    pub(crate) fn end_of(self, hour: Hour) -> Hour {
        Hour(Hour::of(hour.start(), self.granularity).0.saturating_add(self.step()))
    }

    /// The time at which no record of the hours before `end` comes any more. Kafka knows no times before 1970.
    pub(crate) fn over_at(self, end: Hour) -> UnixMillis {
        UnixMillis(end.start().0.saturating_add(self.lateness_millis()).max(0))
    }

    /// The end of the last hour that is over, with its lateness, at `now`.
    pub(crate) fn last_over(self, now: UnixMillis) -> Hour {
        Hour::of(UnixMillis(now.0.saturating_sub(self.lateness_millis())), self.granularity)
    }

    fn lateness_millis(self) -> i64 {
        i64::try_from(self.lateness.as_millis()).unwrap_or(i64::MAX)
    }
}

/// What came of it for one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicHours {
    pub(crate) topic: String,
    /// None when there is no such topic.
    pub(crate) partitions: Vec<PartitionHours>,
}

/// What came of it for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionHours {
    pub(crate) partition: i32,
    pub(crate) committed: Option<Offset>,
    /// All hours before this one are complete in it; `None` when no hour is.
    pub(crate) complete_before: Option<Hour>,
    /// Why the next hour isn't, if that is over.
    pub(crate) held: Option<Held>,
}

impl TopicHours {
    /// All hours before this one are complete; `None` when no hour is, or there is no such topic.
    pub(crate) fn complete_before(&self) -> Option<Hour> {
        // `None` is less than any hour.
        self.partitions.iter().map(|partition| partition.complete_before).min().flatten()
    }

    /// The partitions that keep the topic's next hour from being complete.
    pub(crate) fn held(&self) -> impl Iterator<Item = (i32, &Held)> {
        let least = self.complete_before();
        let last = self.partitions.iter().filter(move |partition| partition.complete_before == least);
        last.filter_map(|partition| Some((partition.partition, partition.held.as_ref()?)))
    }
}
