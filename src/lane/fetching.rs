//! What the client is told about fetching: beginning, stopping, pausing, at moments when it takes it as it is meant.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::Lane;
use crate::types::{Offset, TopicPartition};

/// How long the lane waits when the client refuses something.
const RETRY: Duration = Duration::from_secs(1);

/// How long the first lane that is given partitions waits for the others to join: they will be given some of them.
const GATHER: Duration = Duration::from_secs(3);
/// And how long the group is to be calm then.
const CALM: Duration = Duration::from_millis(200);

/// The lanes of a process join at the same time, but the first may be given everything for a moment. What it read of what it
/// has to give back would become small files.
#[derive(Debug)]
pub(crate) struct Gathering {
    absent: AtomicUsize,
}

impl Gathering {
    /// Of so many lanes, none of which has joined.
    pub(crate) fn of(lanes: usize) -> Self {
        Self { absent: AtomicUsize::new(lanes) }
    }

    /// A lane that had joined has left, to join anew.
    pub(crate) fn left(&self) {
        self.absent.fetch_add(1, Ordering::Relaxed);
    }

    fn is_complete(&self) -> bool {
        self.absent.load(Ordering::Relaxed) == 0
    }
}

/// A lane's part in it.
#[derive(Debug, Default)]
struct Joined {
    first_at: Option<Duration>,
    last_at: Duration,
    /// It has begun to fetch: nothing is waited for any more.
    begun: bool,
}

impl Joined {
    fn regrouped(&mut self, all: &Gathering, now: Duration) {
        self.last_at = now;
        if self.first_at.replace(self.first_at.unwrap_or(now)).is_none() {
            all.absent.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether to begin: from then on for ever.
    fn begins(&mut self, all: &Gathering, now: Duration) -> bool {
        let waited = self.first_at.is_some_and(|first| now.saturating_sub(first) >= GATHER);
        let calm = now.saturating_sub(self.last_at) >= CALM;
        self.begun |= waited || all.is_complete() && calm;
        self.begun
    }
}

/// What the client is still to be told.
#[derive(Debug, Default)]
pub(super) struct Fetching {
    /// What is to be fetched from the end of this turn on.
    to_begin: Vec<(TopicPartition, Offset)>,
    /// What is to be taken off the client.
    pub(super) to_stop: Vec<TopicPartition>,
    /// What the core wants paused, whether it has begun or not.
    paused: BTreeSet<TopicPartition>,
    /// Something was stopped since all that the client had to say was heard.
    pub(super) stopped: bool,
    /// When the client, which refused something, is asked again.
    retry_at: Duration,
    joined: Joined,
}

impl Fetching {
    /// The partition is to be fetched from here; the core doesn't want it paused any more, or yet.
    pub(super) fn consume(&mut self, partition: TopicPartition, offset: Offset) {
        self.paused.remove(&partition);
        self.to_begin.push((partition, offset));
    }

    /// What has just begun is to be stopped, and begun once more from the same offsets.
    fn anew(&mut self, partitions: Vec<(TopicPartition, Offset)>) {
        self.to_stop.extend(partitions.iter().map(|(partition, _)| partition.clone()));
        self.to_begin.extend(partitions);
    }

    /// What was to be fetched of the partition isn't wanted any more. What is to be stopped still is.
    pub(super) fn dont_begin(&mut self, partition: &TopicPartition) {
        self.to_begin.retain(|(of, _)| of != partition);
    }

    /// The partition is given up: the client loses it, stopped or not.
    pub(super) fn forget(&mut self, partition: &TopicPartition) {
        self.dont_begin(partition);
        self.to_stop.retain(|of| of != partition);
        self.paused.remove(partition);
    }

    /// What the client delivers of the partition, or says of its position, is of before.
    pub(super) fn is_stale(&self, partition: &TopicPartition) -> bool {
        self.to_stop.contains(partition) || self.is_to_begin(partition)
    }

    /// Takes what may be stopped now: nothing while the group waits for partitions to be given up, since the client would
    /// take any unassignment for that, and let the next owner have all of them, batches and commits under way or not.
    fn take_stops(&mut self, revoking: bool) -> Vec<TopicPartition> {
        if revoking { Vec::new() } else { std::mem::take(&mut self.to_stop) }
    }

    /// Takes what may begin now: nothing that is still to be stopped.
    fn take_begins(&mut self) -> Vec<(TopicPartition, Offset)> {
        let begins = std::mem::take(&mut self.to_begin);
        let (later, now) = begins.into_iter().partition(|(partition, _)| self.to_stop.contains(partition));
        self.to_begin = later;
        now
    }

    fn is_to_begin(&self, partition: &TopicPartition) -> bool {
        self.to_begin.iter().any(|(of, _)| of == partition)
    }
}

impl Lane<'_> {
    pub(super) fn pause(&mut self, partition: TopicPartition) {
        if !self.fetching.is_to_begin(&partition) {
            self.try_kafka("pause", |lane| lane.source.pause(&partition));
        }
        self.fetching.paused.insert(partition);
    }

    pub(super) fn resume(&mut self, partition: &TopicPartition) {
        self.fetching.paused.remove(partition);
        if !self.fetching.is_to_begin(partition) {
            self.try_kafka("resume", |lane| lane.source.resume(partition));
        }
    }

    /// Tells the client what is to be stopped and begun; what it refuses is tried again. A client whose assignment is lost
    /// would forget that by being given another.
    pub(super) fn fetch(&mut self) {
        let waiting = self.shared.clock.monotonic() < self.fetching.retry_at;
        if !waiting && !*self.lost.borrow() {
            self.stop_fetching();
            self.begin_fetching();
        }
    }

    fn stop_fetching(&mut self) {
        let partitions = self.fetching.take_stops(self.core.is_revoking());
        if partitions.is_empty() {
            return;
        }
        self.fetching.stopped = true;
        if let Err(error) = self.source.stop(&partitions) {
            self.refused(format!("stop fetching: {error}"));
            self.fetching.to_stop.extend(partitions);
        }
    }

    /// The group gave the lane partitions, or wants some back.
    pub(super) fn regrouped(&mut self, change: &'static str) {
        self.shared.status.rebalanced(change);
        self.fetching.joined.regrouped(&self.shared.gathering, self.shared.clock.monotonic());
    }

    fn refused(&mut self, what: String) {
        self.kafka_trouble(what);
        self.fetching.retry_at = self.shared.clock.monotonic() + RETRY;
    }

    /// The client takes any unassignment for the answer to a revocation that waits. So until all is heard that it had to say when
    /// something was stopped, a revocation counts as lost: the stop may have answered it, and the partitions be somebody else's.
    pub(super) fn is_revoked_already(&self) -> bool {
        self.fetching.stopped
    }

    fn begin_fetching(&mut self) {
        if self.fetching.to_begin.is_empty() || self.core.has_unbegun() && !self.source.adds_partitions() {
            return;
        }
        let now = self.shared.clock.monotonic();
        if !self.fetching.joined.begins(&self.shared.gathering, now) {
            return;
        }
        let partitions = self.fetching.take_begins();
        if partitions.is_empty() {
            return;
        }
        match self.source.begin(&partitions) {
            Ok(again) => self.fetching.anew(again),
            Err(error) => {
                self.refused(format!("begin to consume: {error}"));
                self.fetching.to_begin.extend(partitions);
                return;
            }
        }
        for (partition, offset) in partitions {
            tracing::info!(%partition, %offset, "consuming");
            // Beginning resumes what the client remembers as paused.
            if self.fetching.paused.contains(&partition) {
                self.try_kafka("pause", |lane| lane.source.pause(&partition));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_lanes_that_join_one_after_the_other_then_nobody_begins_before_all_have_and_the_group_is_calm() {
        let at = Duration::from_millis;
        let all = Gathering::of(2);
        let (mut one, mut other) = (Joined::default(), Joined::default());
        one.regrouped(&all, at(0));
        assert!(!one.begins(&all, at(500)));
        other.regrouped(&all, at(600));
        one.regrouped(&all, at(700));
        assert!(!other.begins(&all, at(700)) && !one.begins(&all, at(850)));
        assert!(other.begins(&all, at(800)) && one.begins(&all, at(900)));
        // Later rebalances are no reason to wait.
        one.regrouped(&all, at(1_000));
        assert!(one.begins(&all, at(1_000)));
    }

    #[test]
    fn given_a_lane_that_does_not_join_then_the_others_do_not_wait_for_ever() {
        let all = Gathering::of(2);
        let mut one = Joined::default();
        one.regrouped(&all, Duration::ZERO);
        assert!(!one.begins(&all, Duration::from_millis(2_999)));
        assert!(one.begins(&all, GATHER));
    }

    #[test]
    fn given_a_partition_that_is_to_begin_once_more_then_it_is_stale_until_it_was_stopped_and_has_begun() {
        let partition = TopicPartition::new("orders", 0);
        let mut fetching = Fetching::default();
        fetching.anew(vec![(partition.clone(), Offset(5))]);
        assert_eq!(fetching.take_begins(), []);
        assert_eq!(fetching.take_stops(false), std::slice::from_ref(&partition));
        assert!(fetching.is_stale(&partition));
        assert_eq!(fetching.take_begins(), [(partition.clone(), Offset(5))]);
        assert!(!fetching.is_stale(&partition));
    }

    #[test]
    fn given_a_partition_to_be_stopped_when_it_is_abandoned_then_it_is_still_stopped_and_when_given_up_it_is_not()
     {
        let partition = TopicPartition::new("orders", 0);
        let mut fetching = Fetching::default();
        fetching.consume(partition.clone(), Offset(5));
        fetching.to_stop.push(partition.clone());
        fetching.dont_begin(&partition);
        assert!(fetching.to_begin.is_empty() && fetching.is_stale(&partition));
        fetching.forget(&partition);
        assert!(!fetching.is_stale(&partition));
    }

    #[test]
    fn given_a_revocation_that_waits_then_nothing_is_stopped_and_what_is_to_be_stopped_does_not_begin() {
        let (one, two) = (TopicPartition::new("orders", 0), TopicPartition::new("orders", 1));
        let mut fetching = Fetching::default();
        fetching.to_stop.push(one.clone());
        fetching.consume(one.clone(), Offset(5));
        fetching.consume(two.clone(), Offset(7));
        assert_eq!(fetching.take_stops(true), []);
        assert_eq!(fetching.take_begins(), [(two, Offset(7))]);
        assert!(fetching.is_stale(&one));
        assert_eq!(fetching.take_stops(false), std::slice::from_ref(&one));
        assert_eq!(fetching.take_begins(), [(one, Offset(5))]);
    }
}
