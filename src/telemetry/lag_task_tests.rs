//! The task, with a broker that can go away.

use super::*;
use crate::budget::Budget;
use crate::core::view::{Durable, WaitsFor};
use crate::telemetry::exporters::Dimensions;
use crate::telemetry::exporters::testing::scraped;
use crate::telemetry::gauges::Gauges;
use crate::telemetry::metrics::{CATALOGUE, Kind};
use crate::telemetry::statsd::{self, Series};
use crate::telemetry::test_clock::TestClock;

const START: UnixMillis = UnixMillis(1_700_000_000_000);

#[derive(Debug, Default)]
struct Broker {
    ends: Mutex<HashMap<TopicPartition, Offset>>,
    away: Mutex<Option<String>>,
}

#[async_trait]
impl EndOffsets for Broker {
    async fn end_offsets(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<HashMap<TopicPartition, Offset>, String> {
        if let Some(reason) = self.away.lock().expect("not poisoned").clone() {
            return Err(reason);
        }
        let ends = self.ends.lock().expect("not poisoned");
        Ok(partitions.iter().filter_map(|partition| ends.get_key_value(partition)).map(own).collect())
    }
}

fn own((partition, end): (&TopicPartition, &Offset)) -> (TopicPartition, Offset) {
    (partition.clone(), *end)
}

fn durable(partition: i32, committed: i64, oldest: Option<UnixMillis>) -> Durable {
    Durable {
        partition: TopicPartition::new("orders", partition),
        committed: Offset(committed),
        read: Offset(committed + i64::from(oldest.is_some())),
        oldest,
    }
}

struct Running {
    clock: Arc<TestClock>,
    status: Status,
    broker: Arc<Broker>,
    troubles: Troubles,
    reading: LagReading,
}

impl Running {
    fn start() -> (Self, CancellationToken, tokio::task::JoinHandle<()>) {
        let clock = Arc::new(TestClock::new(START));
        let running = Self {
            status: Status::new(1, clock.clone()),
            clock,
            broker: Arc::default(),
            troubles: Troubles::default(),
            reading: LagReading::default(),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(
            running.status.clone(),
            running.broker.clone(),
            running.reading.clone(),
            Duration::from_millis(2),
            running.troubles.clone(),
            stop.clone(),
        ));
        (running, stop, task)
    }

    fn log_ends_at(&self, partition: i32, end: i64) {
        let partition = TopicPartition::new("orders", partition);
        self.broker.ends.lock().expect("not poisoned").insert(partition, Offset(end));
    }

    /// Waits for a reading that is as expected.
    async fn until(&self, expected: impl Fn(&Reading) -> bool) -> Reading {
        let waiting = async {
            loop {
                match self.reading.latest() {
                    Some(reading) if expected(&reading) => return reading,
                    _ => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        waited.unwrap_or_else(|_| panic!("the reading stays {:?}", self.reading.latest()))
    }
}

#[tokio::test]
async fn given_a_broker_that_goes_away_then_lag_goes_on_with_its_age_until_it_is_back() {
    let (running, stop, task) = Running::start();
    let lane = running.status.lane(0);
    running.log_ends_at(0, 100);
    lane.owns(vec![durable(0, 40, Some(START))], [].into());
    let reading = running.until(|reading| reading.lag.max_offset_lag == 60).await;
    assert_eq!(reading.age, Duration::ZERO);
    assert!(running.troubles.lines().is_empty());

    *running.broker.away.lock().expect("not poisoned") = Some("connection refused".to_owned());
    running.until(|_| !running.troubles.lines().is_empty()).await;
    running.clock.advance(Duration::from_secs(60));
    lane.owns(vec![durable(0, 90, Some(START))], [].into());
    let reading = running.until(|reading| reading.lag.max_offset_lag == 10).await;
    assert_eq!((reading.lag.max_time_lag, reading.age), (60.0, Duration::from_secs(60)));
    assert_eq!(running.troubles.lines(), ["kafka: end offsets: connection refused"]);

    *running.broker.away.lock().expect("not poisoned") = None;
    running.until(|reading| reading.age == Duration::ZERO).await;
    assert!(running.troubles.lines().is_empty());
    stop.cancel();
    task.await.expect("the task ends when it is told to");
}

#[tokio::test]
async fn given_a_partition_that_is_revoked_then_its_lag_is_gone() {
    let (running, _stop, _task) = Running::start();
    let lane = running.status.lane(0);
    running.log_ends_at(0, 100);
    lane.owns(vec![durable(0, 0, None)], [].into());
    running.until(|reading| reading.lag.max_offset_lag == 100 && reading.lag.time_lag_unknown == 1).await;
    lane.owns(Vec::new(), [].into());
    let reading = running.until(|reading| reading.lag.partitions.is_empty()).await;
    assert_eq!(reading.lag, Lag::default());
}

#[tokio::test]
async fn given_a_partition_that_has_not_begun_then_its_lag_is_unknown_and_its_topic_has_no_watermark() {
    let (running, _stop, _task) = Running::start();
    running.log_ends_at(0, 100);
    let unbegun = [(TopicPartition::new("orders", 1), WaitsFor::Owner)];
    running.status.lane(0).owns(vec![durable(0, 100, None)], unbegun.into());
    let reading = running.until(|reading| reading.lag.partitions.len() == 2).await;
    let Lag { offset_lag_unknown, time_lag_unknown, .. } = reading.lag;
    assert_eq!((offset_lag_unknown, time_lag_unknown), (1, 1));
    assert!(watermark::by_topic(&reading.lag, reading.age, START).is_empty());
}

#[tokio::test]
async fn given_an_answer_without_one_partition_then_it_is_unknown_and_the_figure_ages() {
    let (running, _stop, _task) = Running::start();
    running.log_ends_at(0, 100);
    running.status.lane(0).owns(vec![durable(0, 99, Some(START)), durable(1, 0, None)], [].into());
    running.until(|reading| reading.lag.offset_lag_unknown == 1 && reading.lag.max_offset_lag == 1).await;
    running.clock.advance(Duration::from_secs(7));
    running.until(|reading| reading.age >= Duration::from_secs(7)).await;
    running.log_ends_at(1, 5);
    running.until(|reading| reading.age == Duration::ZERO && reading.lag.max_offset_lag == 5).await;
}

#[test]
fn given_nothing_changes_then_every_gauge_is_set_again() {
    let series = Series::default();
    let recorder = statsd::recorder(series.clone(), &Dimensions::new("archive", "test")).expect("a recorder");
    let status = Status::new(1, Arc::new(TestClock::new(START)));
    let ends = [0, 1].map(|partition| (TopicPartition::new("orders", partition), Offset(9)));
    let oldest = Some(UnixMillis(START.0 - 1_500));
    let durables = [durable(0, 9, None), Durable { oldest, ..durable(1, 4, None) }];
    let measured = Reading { lag: measure(&durables, &HashMap::from(ends), START), age: Duration::ZERO };
    let lag = LagReading::default();
    lag.store(measured.clone());
    let budget = Budget::new(1 << 20);
    let gauges =
        Gauges { status: status.clone(), troubles: Troubles::default(), lag, budget, per_partition: true };
    let (mut shown, mut topics) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..2 {
        ::metrics::with_local_recorder(&recorder, || {
            publish(&status, &measured, 1 << 30);
            publish_watermarks(&measured, START, &mut topics);
            gauges.publish(&mut shown);
        });
        let lines = series.take_lines();
        for (_, entry) in CATALOGUE.iter().filter(|(kind, _)| *kind == Kind::Gauge) {
            let prefix = format!("{}:", entry.name);
            assert!(lines.iter().any(|line| line.starts_with(&prefix)), "{} in {lines:#?}", entry.name);
        }
        assert!(lines.contains(&"max_offset_lag:5|g|#CONSUMER_GROUP:archive,ENVIRONMENT:test".to_owned()));
        let watermark = "watermark:1699999998.5|g|#CONSUMER_GROUP:archive,ENVIRONMENT:test,topic:orders";
        assert!(lines.contains(&watermark.to_owned()), "{lines:#?}");
    }
}

#[test]
fn given_a_topic_whose_watermark_is_no_longer_known_then_it_has_no_series() {
    let read = |partitions: &[i32], ends: &[(TopicPartition, Offset)]| {
        let durables: Vec<_> = partitions.iter().map(|partition| durable(*partition, 9, None)).collect();
        Reading { lag: measure(&durables, &ends.iter().cloned().collect(), START), age: Duration::ZERO }
    };
    let ends = [(TopicPartition::new("orders", 0), Offset(9))];
    let mut shown = BTreeSet::new();
    let known = scraped(|| publish_watermarks(&read(&[0], &ends), START, &mut shown));
    assert_eq!(known, "valve_watermark_seconds{topic=\"orders\"} 1700000000\n");
    let unknown = scraped(|| {
        publish_watermarks(&read(&[0], &ends), START, &mut shown);
        publish_watermarks(&read(&[0, 1], &ends), START, &mut shown);
    });
    assert_eq!(unknown, "");
}
