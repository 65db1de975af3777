//! Finds up to which hour each of many partitions is complete.
//!
//! Who is complete before a time is so before all earlier ones. So each partition is asked about the last hour that is over,
//! then farther and farther back until an hour is found that is complete, and then the interval is halved. All partitions
//! are asked at once, each about its own time: those that are nearly up to date need one or two rounds, and a record of ten
//! years no more than thirty.

use std::collections::HashMap;

use super::partition::{Held, Partition};
use super::{PartitionHours, Rules};
use crate::core::layout::Hour;
use crate::types::{Offset, TopicPartition, UnixMillis};

/// For each partition that was asked about, the offset of the first record at the time or later; `None` when there is none.
pub(crate) type Firsts = HashMap<TopicPartition, Option<Offset>>;

/// What is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Up to which hour each partition is complete, up to the last one.
    Last,
    /// Whether all hours before the last one are complete.
    Whether,
}

/// A search under way: ask [`Search::questions`], tell the answers by [`Search::learn`], until there are no more.
#[derive(Debug)]
pub(crate) struct Search {
    rules: Rules,
    goal: Goal,
    /// In steps of an hour or a day since 1970, as all numbers here.
    last: i64,
    found: Vec<Found>,
}

/// What is known of one partition so far.
#[derive(Debug)]
struct Found {
    partition: Partition,
    /// The latest end that it is known to be complete before.
    complete: Option<i64>,
    /// The earliest end that it is known not to be complete before, and why not.
    held: Option<(i64, Held)>,
}

impl Search {
    /// Begins to search among the ends of hours up to `last`.
    pub(crate) fn new(rules: Rules, goal: Goal, last: Hour, partitions: Vec<Partition>) -> Self {
        let found = partitions.into_iter().map(|partition| Found { partition, complete: None, held: None });
        Self { rules, goal, last: last.0.div_euclid(rules.step()), found: found.collect() }
    }

    /// What must be known next: where the first record at a time or later lies. None when all is found.
    pub(crate) fn questions(&self) -> Vec<(TopicPartition, UnixMillis)> {
        let asked = self.found.iter().filter_map(|found| Some((found, self.next(found)?)));
        asked.map(|(found, end)| (found.partition.partition.clone(), self.over_at(end))).collect()
    }

    /// Takes the answers to all questions.
    ///
    /// # Errors
    /// A sentence, when one is missing.
    pub(crate) fn learn(&mut self, firsts: &Firsts) -> Result<(), String> {
        let ends: Vec<Option<i64>> = self.found.iter().map(|found| self.next(found)).collect();
        for (found, end) in self.found.iter_mut().zip(ends) {
            let Some(end) = end else { continue };
            let partition = &found.partition.partition;
            let first = *firsts
                .get(partition)
                .ok_or_else(|| format!("{partition}: where its records of a time begin can't be had"))?;
            match found.partition.held(hour(self.rules, end).start(), first) {
                None => found.complete = Some(end),
                Some(held) => found.held = Some((end, held)),
            }
        }
        Ok(())
    }

    /// What was found, in the order of the partitions.
    pub(crate) fn into_found(self) -> Vec<(TopicPartition, PartitionHours)> {
        let rules = self.rules;
        let hours = |found: Found| {
            let held = found.partition.obstacle().or(found.held.map(|(_, held)| held));
            let hours = PartitionHours {
                partition: found.partition.partition.partition,
                committed: found.partition.committed,
                complete_before: found.complete.map(|end| hour(rules, end)),
                held,
            };
            (found.partition.partition, hours)
        };
        self.found.into_iter().map(hours).collect()
    }

    /// The end that a partition is asked about next.
    fn next(&self, found: &Found) -> Option<i64> {
        if found.partition.obstacle().is_some() {
            return None;
        }
        match (found.complete, &found.held) {
            (None, None) => Some(self.last),
            (Some(_), None) => None,
            _ if self.goal == Goal::Whether => None,
            // Kafka knows no times before 1970.
            (None, Some((held, _))) => {
                (*held > 0).then(|| (self.last - (2 * (self.last - held)).max(1)).max(0))
            }
            (Some(complete), Some((held, _))) => {
                (held - complete > 1).then(|| i64::midpoint(complete, *held))
            }
        }
    }

    fn over_at(&self, end: i64) -> UnixMillis {
        self.rules.over_at(hour(self.rules, end))
    }
}

fn hour(rules: Rules, end: i64) -> Hour {
    Hour(end.saturating_mul(rules.step()))
}
