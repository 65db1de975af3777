//! The time up to which everything of a topic is durable, as far as one process sees it: its gauge `watermark`.
//!
//! `valve hours` asks the brokers about the whole group; this is made of what the lag task knows anyway, which is nothing of
//! records that an open transaction holds back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::telemetry::lag::Lag;
use crate::types::UnixMillis;

/// For each topic the Kafka timestamp of the oldest record of its owned partitions that isn't durable, or where there is
/// none, the time at which that was known: `age` before `now`, when the brokers told the ends of the logs. Topics of which
/// that isn't known for every partition have none.
pub(crate) fn by_topic(lag: &Lag, age: Duration, now: UnixMillis) -> BTreeMap<Arc<str>, UnixMillis> {
    let mut behind: BTreeMap<Arc<str>, Option<f64>> = BTreeMap::new();
    for partition in &lag.partitions {
        let most = behind.entry(Arc::clone(&partition.partition.topic)).or_insert(Some(age.as_secs_f64()));
        *most = most.zip(partition.time_lag).map(|(most, lag)| most.max(lag));
    }
    let known = behind.into_iter().filter_map(|(topic, behind)| Some((topic, before(now, behind?))));
    known.collect()
}

#[expect(clippy::cast_possible_truncation, reason = "seconds since 1970 in milliseconds; a cast saturates")]
fn before(now: UnixMillis, seconds: f64) -> UnixMillis {
    UnixMillis(now.0.saturating_sub((seconds * 1000.0).ceil() as i64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::telemetry::lag::PartitionLag;
    use crate::types::TopicPartition;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn lag(partitions: &[(&str, Option<f64>)]) -> Lag {
        let partition = |((topic, time_lag), index): (&(&str, Option<f64>), i32)| PartitionLag {
            partition: TopicPartition::new(*topic, index),
            offset_lag: None,
            time_lag: *time_lag,
            backlog: None,
        };
        Lag { partitions: partitions.iter().zip(0..).map(partition).collect(), ..Lag::default() }
    }

    #[test]
    fn given_partitions_then_each_topics_watermark_is_that_of_the_one_farthest_behind() {
        let lag = lag(&[("a", Some(0.0)), ("a", Some(1.5)), ("b", Some(0.0)), ("c", Some(0.0)), ("c", None)]);
        let marks = by_topic(&lag, Duration::from_millis(200), NOW);
        let behind: Vec<_> = marks.iter().map(|(topic, at)| (&**topic, NOW.0 - at.0)).collect();
        assert_eq!(behind, [("a", 1_500), ("b", 200)], "of c it isn't known");
    }

    proptest! {
        #[test]
        fn given_any_lag_then_a_watermark_is_never_later_than_now_or_what_is_not_durable(
            lags in prop::collection::vec((0..3_usize, prop::option::of(0.0..1e9_f64)), 0..20),
            age in 0..1_000_000_u64,
        ) {
            let partitions: Vec<_> = lags.iter().map(|(topic, lag)| (["a", "b", "c"][*topic], *lag)).collect();
            let marks = by_topic(&lag(&partitions), Duration::from_millis(age), NOW);
            for (topic, lag) in partitions {
                match (marks.get(topic), lag) {
                    (Some(at), Some(lag)) => {
                        let behind = std::time::Duration::from_millis(u64::try_from(NOW.0 - at.0).unwrap());
                        prop_assert!(behind.as_secs_f64() >= lag && behind.as_millis() >= u128::from(age));
                    }
                    (at, _) => prop_assert!(at.is_none(), "{topic} has a watermark, and nobody knows it"),
                }
            }
        }
    }
}
