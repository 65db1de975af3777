//! Lag is *durable* lag: how far what is committed is behind the log, in records and in time.
//!
//! It is worked out from what the lanes report and from where the broker says the logs end, never from the client's
//! own statistics, which are stale after a pause and know partitions that are no longer owned. What isn't known is
//! left out of the maximum and counted, rather than guessed: a guess would scale the service.

use std::collections::HashMap;

use crate::core::view::Durable;
use crate::types::{Offset, TopicPartition, UnixMillis};

/// How far behind a process is. Without partitions it is 0 behind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lag {
    /// The largest known offset lag, in records.
    pub max_offset_lag: u64,
    /// The largest known time lag, in seconds.
    pub max_time_lag: f64,
    /// Partitions whose offset lag isn't known.
    pub offset_lag_unknown: usize,
    /// Partitions whose time lag isn't known.
    pub time_lag_unknown: usize,
    /// Records not read yet, over all partitions where the log's end is known.
    pub backlog: u64,
    /// Each partition's own lag, in the order of the partitions.
    pub partitions: Vec<PartitionLag>,
}

/// How far one partition is behind.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionLag {
    /// The partition.
    pub partition: TopicPartition,
    /// End of the log − committed offset, in offsets, never below 0; `None` while the end isn't known.
    pub offset_lag: Option<u64>,
    /// Now − the Kafka timestamp of the oldest record that isn't durable, in seconds, never below 0, and 0 when
    /// everything is durable; `None` while that record hasn't been read, or has no timestamp.
    pub time_lag: Option<f64>,
    /// End of the log − the offset up to which records have been read, never below 0; `None` while the end isn't
    /// known.
    pub backlog: Option<u64>,
}

/// The lag of the owned partitions `durables` at the time `now`, where the logs end at `ends`. Ends of partitions
/// that aren't owned don't matter.
#[must_use]
pub fn measure(durables: &[Durable], ends: &HashMap<TopicPartition, Offset>, now: UnixMillis) -> Lag {
    let mut partitions: Vec<_> = durables
        .iter()
        .map(|durable| partition_lag(durable, ends.get(&durable.partition).copied(), now))
        .collect();
    partitions.sort_by(|one, other| one.partition.cmp(&other.partition));
    Lag {
        max_offset_lag: partitions.iter().filter_map(|lag| lag.offset_lag).max().unwrap_or(0),
        max_time_lag: partitions.iter().filter_map(|lag| lag.time_lag).fold(0.0, f64::max),
        offset_lag_unknown: partitions.iter().filter(|lag| lag.offset_lag.is_none()).count(),
        time_lag_unknown: partitions.iter().filter(|lag| lag.time_lag.is_none()).count(),
        backlog: partitions.iter().filter_map(|lag| lag.backlog).fold(0, u64::saturating_add),
        partitions,
    }
}

impl Lag {
    /// With these as owned, too, and nothing known of them.
    #[must_use]
    pub fn with_unknown(mut self, partitions: Vec<TopicPartition>) -> Self {
        self.offset_lag_unknown += partitions.len();
        self.time_lag_unknown += partitions.len();
        let unknown = |partition| PartitionLag { partition, offset_lag: None, time_lag: None, backlog: None };
        self.partitions.extend(partitions.into_iter().map(unknown));
        self.partitions.sort_by(|one, other| one.partition.cmp(&other.partition));
        self
    }
}

fn partition_lag(durable: &Durable, end: Option<Offset>, now: UnixMillis) -> PartitionLag {
    // A log that has been read to its end without a record that isn't durable ends in control or aborted records.
    let nothing_left =
        end.is_some_and(|end| durable.committed >= end || (durable.read >= end && durable.oldest.is_none()));
    PartitionLag {
        partition: durable.partition.clone(),
        offset_lag: end.map(|end| durable.committed.distance_to(end)),
        time_lag: if nothing_left { Some(0.0) } else { durable.oldest.map(|oldest| seconds(oldest, now)) },
        backlog: end.map(|end| durable.read.max(durable.committed).distance_to(end)),
    }
}

/// From `from` to `to` in seconds; 0 when `to` is earlier (a producer's clock may be ahead of ours).
fn seconds(from: UnixMillis, to: UnixMillis) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of any date are below 2^53")]
    let millis = to.0.saturating_sub(from.0).max(0) as f64;
    millis / 1000.0
}

#[cfg(test)]
#[path = "scaling_tests.rs"]
pub(crate) mod scaling;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn partition(index: i32) -> TopicPartition {
        TopicPartition::new("orders", index)
    }

    fn durable(index: i32, committed: i64, read: i64, oldest_age_ms: Option<i64>) -> Durable {
        Durable {
            partition: partition(index),
            committed: Offset(committed),
            read: Offset(read),
            oldest: oldest_age_ms.map(|age| UnixMillis(NOW.0 - age)),
        }
    }

    fn ends(ends: &[(i32, i64)]) -> HashMap<TopicPartition, Offset> {
        ends.iter().map(|(index, end)| (partition(*index), Offset(*end))).collect()
    }

    #[test]
    fn given_no_partition_then_everything_is_0() {
        assert_eq!(measure(&[], &ends(&[(0, 500)]), NOW), Lag::default());
    }

    #[test]
    fn given_partitions_then_each_lag_is_the_largest_of_them() {
        let durables = [durable(1, 90, 95, Some(1_500)), durable(0, 10, 50, Some(500))];
        let lag = measure(&durables, &ends(&[(0, 50), (1, 100)]), NOW);
        assert_eq!((lag.max_offset_lag, lag.max_time_lag, lag.backlog), (40, 1.5, 5));
        assert_eq!((lag.offset_lag_unknown, lag.time_lag_unknown), (0, 0));
        assert_eq!(lag.partitions.iter().map(|lag| lag.partition.partition).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn given_a_commit_beyond_the_last_known_end_then_lag_is_0() {
        let lag = measure(&[durable(0, 60, 60, None)], &ends(&[(0, 50)]), NOW);
        assert_eq!((lag.max_offset_lag, lag.max_time_lag, lag.backlog), (0, 0.0, 0));
        assert_eq!((lag.offset_lag_unknown, lag.time_lag_unknown), (0, 0));
    }

    #[test]
    fn given_everything_committed_then_time_lag_is_0_even_of_an_old_record() {
        let lag = measure(&[durable(0, 50, 50, Some(86_400_000))], &ends(&[(0, 50)]), NOW);
        assert_eq!((lag.max_time_lag, lag.time_lag_unknown), (0.0, 0));
    }

    #[test]
    fn given_a_record_from_the_future_then_time_lag_is_0() {
        let lag = measure(&[durable(0, 10, 20, Some(-5_000))], &ends(&[(0, 50)]), NOW);
        assert_eq!((lag.max_time_lag, lag.time_lag_unknown), (0.0, 0));
    }

    #[test]
    fn given_a_backlog_of_which_no_record_was_read_then_time_lag_is_unknown() {
        let durables = [durable(0, 10, 10, None), durable(1, 49, 50, Some(2_000))];
        let lag = measure(&durables, &ends(&[(0, 5000), (1, 50)]), NOW);
        assert_eq!((lag.max_time_lag, lag.time_lag_unknown), (2.0, 1));
        assert_eq!((lag.max_offset_lag, lag.offset_lag_unknown), (4990, 0));
    }

    #[test]
    fn given_a_log_that_ends_in_control_records_when_it_is_read_to_its_end_then_time_lag_is_0() {
        let lag = measure(&[durable(0, 10, 12, None)], &ends(&[(0, 12)]), NOW);
        assert_eq!((lag.max_time_lag, lag.time_lag_unknown), (0.0, 0));
    }

    #[test]
    fn given_no_known_end_then_offset_lag_is_unknown_and_time_lag_is_what_was_read() {
        let durables = [durable(0, 10, 20, Some(3_000)), durable(1, 10, 10, None)];
        let lag = measure(&durables, &HashMap::new(), NOW);
        assert_eq!((lag.max_offset_lag, lag.offset_lag_unknown), (0, 2));
        assert_eq!((lag.max_time_lag, lag.time_lag_unknown), (3.0, 1));
    }

    proptest! {
        #[test]
        fn given_any_reports_then_every_sentence_of_the_design_holds(
            reports in prop::collection::vec(
                (any::<i64>(), any::<i64>(), prop::option::of(any::<i64>()), prop::option::of(any::<i64>())),
                0..20,
            ),
            now in any::<i64>(),
        ) {
            let durables: Vec<_> = reports.iter().zip(0..).map(|((committed, read, oldest, _), index)| Durable {
                partition: partition(index),
                committed: Offset(*committed),
                read: Offset(*read),
                oldest: oldest.map(UnixMillis),
            }).collect();
            let ends: HashMap<_, _> = reports.iter().zip(0..)
                .filter_map(|((.., end), index)| Some((partition(index), Offset((*end)?))))
                .collect();
            let lag = measure(&durables, &ends, UnixMillis(now));

            prop_assert_eq!(lag.partitions.len(), durables.len());
            for (one, durable) in lag.partitions.iter().zip(&durables) {
                prop_assert_eq!(one.offset_lag.is_some(), ends.contains_key(&durable.partition));
                prop_assert!(one.time_lag.is_none_or(|lag| lag >= 0.0));
                let behind = ends.get(&durable.partition).is_none_or(|end| durable.committed < *end);
                if !behind {
                    prop_assert_eq!((one.offset_lag, one.time_lag, one.backlog), (Some(0), Some(0.0), Some(0)));
                } else if durable.oldest.is_some() {
                    prop_assert!(one.time_lag.is_some());
                }
                prop_assert!(one.offset_lag.is_none_or(|offset_lag| offset_lag <= lag.max_offset_lag));
                prop_assert!(one.time_lag.is_none_or(|time_lag| time_lag <= lag.max_time_lag));
                prop_assert!(one.backlog <= one.offset_lag);
            }
            let unknown = lag.partitions.iter().filter(|one| one.time_lag.is_none()).count();
            prop_assert_eq!(lag.time_lag_unknown, unknown);
        }
    }
}
