//! Publishes every few seconds the gauges that nobody else does: memory, what waits for whom, and, when asked for, the lag
//! of each partition.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::lag::PartitionLag;
use super::lag_task::LagReading;
use super::metrics;
use super::status::Status;
use super::troubles::Troubles;
use crate::budget::Budget;
use crate::memory;
use crate::types::TopicPartition;

/// The dependency that a held partition waits for.
const PERSON: &str = "person";

/// Where the figures come from.
#[derive(Debug)]
pub struct Gauges {
    /// What the lanes report.
    pub status: Status,
    /// What is wrong with the world.
    pub troubles: Troubles,
    /// The lag as last measured.
    pub lag: LagReading,
    /// The memory budget.
    pub budget: Budget,
    /// Each partition has series of its own.
    pub per_partition: bool,
}

impl Gauges {
    /// Publishes at every `interval`, for ever.
    pub async fn run(self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shown = BTreeSet::new();
        loop {
            ticks.tick().await;
            self.publish(&mut shown);
        }
    }

    /// Sets every gauge; `shown` are the partitions that had series before, and those that have some now.
    pub(super) fn publish(&self, shown: &mut BTreeSet<TopicPartition>) {
        self.publish_process();
        if self.per_partition {
            self.publish_partitions(shown);
        }
    }

    fn publish_process(&self) {
        metrics::MEMORY_USED.set_count(self.budget.used() as u64);
        metrics::MEMORY_BUDGET.set_count(self.budget.limit() as u64);
        if let Some(resident) = memory::resident() {
            metrics::MEMORY_RESIDENT.set_count(resident);
        }
        let reports = self.status.lane_reports();
        let hours: BTreeSet<_> =
            reports.iter().flat_map(|report| report.open.latest.keys()).map(|(hour, _)| *hour).collect();
        metrics::OPEN_FILES.set_count(reports.iter().map(|report| report.open.all.files).sum());
        metrics::OPEN_HOURS.set_count(hours.len() as u64);
        for (dependency, number) in self.troubles.numbers() {
            metrics::HOLDS.set_count_of(&[("dependency", dependency.name())], number);
        }
        metrics::HOLDS.set_count_of(&[("dependency", PERSON)], self.status.holds().len() as u64);
    }

    /// Publishes each partition's lag. What is unknown, and partitions that were `shown` and belong to others by now, have
    /// no series.
    fn publish_partitions(&self, shown: &mut BTreeSet<TopicPartition>) {
        let lags = self.lag.latest().map(|reading| reading.lag.partitions).unwrap_or_default();
        for partition in std::mem::take(shown) {
            if lags.iter().all(|lag| lag.partition != partition) {
                let gone = PartitionLag { partition, offset_lag: None, time_lag: None, backlog: None };
                publish_partition(&gone);
            }
        }
        for lag in lags {
            publish_partition(&lag);
            shown.insert(lag.partition);
        }
    }
}

fn publish_partition(lag: &PartitionLag) {
    let number = lag.partition.partition.to_string();
    let labels = [("topic", &*lag.partition.topic), ("partition", &*number)];
    #[expect(clippy::cast_precision_loss, reason = "the facade's gauges are f64")]
    let count = |count: Option<u64>| count.map(|count| count as f64);
    let figures = [
        (metrics::PARTITION_OFFSET_LAG, count(lag.offset_lag)),
        (metrics::PARTITION_TIME_LAG, lag.time_lag),
        (metrics::PARTITION_BACKLOG, count(lag.backlog)),
    ];
    for (gauge, value) in figures {
        match value {
            Some(value) => gauge.set_of(&labels, value),
            None => gauge.forget(&labels),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::layout::Hour;
    use crate::telemetry::detail::OpenHours;
    use crate::telemetry::exporters::testing::scraped;
    use crate::telemetry::lag::Lag;
    use crate::telemetry::lag_task::Reading;
    use crate::telemetry::test_clock::TestClock;
    use crate::telemetry::troubles::Dependency;
    use crate::types::UnixMillis;

    fn gauges() -> Gauges {
        Gauges {
            status: Status::new(1, Arc::new(TestClock::new(UnixMillis(0)))),
            troubles: Troubles::default(),
            lag: LagReading::default(),
            budget: Budget::new(1_000),
            per_partition: true,
        }
    }

    fn lag(partition: i32, offset_lag: Option<u64>) -> PartitionLag {
        let partition = TopicPartition::new("orders", partition);
        PartitionLag { partition, offset_lag, time_lag: Some(2.5), backlog: Some(3) }
    }

    fn read(gauges: &Gauges, partitions: Vec<PartitionLag>) {
        let lag = Lag { partitions, ..Lag::default() };
        gauges.lag.store(Reading { lag, age: Duration::ZERO });
    }

    #[test]
    fn given_waits_and_memory_in_use_then_the_gauges_say_so_and_what_is_well_is_0() {
        let gauges = gauges();
        let mut account = gauges.budget.account();
        account.set(600);
        let mut open = OpenHours::default();
        for (hour, topic) in [(1, "orders"), (1, "clicks"), (2, "orders")] {
            open.add(Hour(hour), &topic.into(), 10, 100);
        }
        gauges.status.lane(0).open(open);
        let troubles = [(); 2].map(|()| gauges.troubles.open(Dependency::Sink));
        troubles.iter().for_each(|trouble| trouble.set("403".to_owned()));
        let text = scraped(|| gauges.publish(&mut BTreeSet::new()));
        for line in [
            "valve_memory_used_bytes{} 600",
            "valve_memory_budget_bytes{} 1000",
            "valve_open_files{} 3",
            "valve_open_hours{} 2",
            "valve_holds{dependency=\"sink\"} 2",
            "valve_holds{dependency=\"kafka\"} 0",
            "valve_holds{dependency=\"person\"} 0",
        ] {
            assert!(text.lines().any(|said| said == line), "{line} in {text}");
        }
    }

    #[test]
    fn given_partitions_that_come_and_go_then_only_those_that_are_owned_have_series() {
        let gauges = gauges();
        let mut shown = BTreeSet::new();
        let text = scraped(|| {
            read(&gauges, vec![lag(0, Some(7)), lag(1, Some(8)), lag(2, Some(9))]);
            gauges.publish_partitions(&mut shown);
            read(&gauges, vec![lag(1, Some(5)), lag(2, None)]);
            gauges.publish_partitions(&mut shown);
        });
        let offset_lags: Vec<_> =
            text.lines().filter(|line| line.starts_with("valve_partition_offset_lag")).collect();
        assert_eq!(offset_lags, ["valve_partition_offset_lag{topic=\"orders\",partition=\"1\"} 5"]);
        let time_lags = text.lines().filter(|line| line.starts_with("valve_partition_time_lag")).count();
        assert_eq!(time_lags, 2);
    }
}
