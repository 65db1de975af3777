//! What lanes report is what readers see.

use proptest::prelude::*;

use super::*;
use crate::telemetry::exporters::Dimensions;
use crate::telemetry::statsd::{self, Series};
use crate::telemetry::test_clock::TestClock;
use crate::types::{Offset, UnixMillis};

fn status(lanes: usize) -> (Status, Arc<TestClock>) {
    let clock = Arc::new(TestClock::new(UnixMillis(1_700_000_000_000)));
    (Status::new(lanes, clock.clone()), clock)
}

fn durable(partition: i32) -> Durable {
    Durable {
        partition: TopicPartition::new("orders", partition),
        committed: Offset(0),
        read: Offset(0),
        oldest: None,
    }
}

#[test]
fn given_two_lanes_when_one_reports_then_the_other_stays_as_it_was() {
    let (status, clock) = status(2);
    let (first, second) = (status.lane(0), status.lane(1));
    first.owns(vec![durable(0), durable(1)], BTreeMap::new());
    second.owns(vec![durable(2)], BTreeMap::new());
    clock.advance(Duration::from_secs(3));
    second.polled();
    second.membership(Membership::Member(1));
    first.owns(vec![durable(1)], BTreeMap::new());

    assert_eq!(status.durables(), [durable(1), durable(2)]);
    assert_eq!(status.memberships(), [Membership::Joining, Membership::Member(1)]);
    assert_eq!(status.last_polled(), [None, Some(Duration::from_secs(3))]);
}

#[test]
fn given_a_held_partition_when_it_is_no_longer_owned_then_the_hold_is_over() {
    let (status, _) = status(1);
    let lane = status.lane(0);
    let held = |partitions: &[i32]| -> BTreeMap<_, _> {
        partitions.iter().map(|partition| (durable(*partition).partition, WaitsFor::Owner)).collect()
    };
    lane.owns(vec![durable(0)], held(&[0, 1]));
    lane.hold(&durable(0).partition, Some("other rows are stored".to_owned()));
    lane.hold(&durable(1).partition, Some("intent of a newer version".to_owned()));
    lane.owns(vec![durable(0)], held(&[0, 1]));
    assert_eq!(status.holds().len(), 2, "also of one whose committed offset isn't known");
    assert_eq!(status.unbegun(), [durable(1).partition]);

    lane.owns(vec![durable(0), durable(1)], held(&[1]));
    assert_eq!(status.holds().into_keys().collect::<Vec<_>>(), [durable(1).partition]);
    lane.hold(&durable(1).partition, None);
    assert!(status.holds().is_empty());
}

#[test]
fn given_consumed_and_committed_then_the_metrics_say_the_same() {
    let series = Series::default();
    let recorder = statsd::recorder(series.clone(), &Dimensions::new("archive", "test")).expect("a recorder");
    let (status, _) = status(1);
    ::metrics::with_local_recorder(&recorder, || {
        status.consumed("orders", 10, 2700);
        status.consume_failed("orders", 1);
        status.sealed("max_age");
        status.lost("orders", 5);
        status.committed(
            "orders",
            &Committed {
                rows: 7,
                files: 2,
                bytes: 900,
                dead_letters: BTreeMap::from([(Reason::InvalidDatum, 2)]),
                skipped: 1,
            },
        );
    });
    let lines = series.take_lines();
    let dimensions = "CONSUMER_GROUP:archive,ENVIRONMENT:test";
    for (name, value) in [
        ("consume_attempting", 11),
        ("consume_succeeded", 10),
        ("consume_failed", 1),
        ("consumed_bytes", 2700),
        ("process_attempting", 10),
        ("process_succeeded", 8),
        ("process_failed", 2),
        ("rows", 7),
        ("files", 2),
        ("stored_bytes", 900),
        ("skipped", 1),
        ("lost_offsets", 5),
    ] {
        let line = format!("{name}:{value}|c|#{dimensions},topic:orders");
        assert!(lines.contains(&line), "{line} in {lines:#?}");
    }
    assert!(lines.contains(&format!("dead_letters:2|c|#{dimensions},exception:invalid_datum")), "{lines:#?}");
    assert!(lines.contains(&format!("batches:1|c|#{dimensions},reason:max_age")), "{lines:#?}");
}

#[test]
fn given_two_topics_then_the_sums_of_each_add_up_to_all() {
    let (status, _) = status(1);
    status.consumed("orders", 10, 2_700);
    status.consumed("orders", 5, 100);
    status.consumed("clicks", 4, 80);
    let dead_letters = BTreeMap::from([(Reason::InvalidDatum, 2), (Reason::WireHeader, 1)]);
    status.committed("orders", &Committed { rows: 11, files: 2, bytes: 900, dead_letters, skipped: 1 });
    status.lost("clicks", 3);
    let orders = TopicTotals {
        consumed: 15,
        rows: 11,
        files: 2,
        stored_bytes: 900,
        dead_lettered: 3,
        skipped: 1,
        lost: 0,
    };
    let clicks = TopicTotals { consumed: 4, lost: 3, ..TopicTotals::default() };
    assert_eq!(status.topics(), BTreeMap::from([("orders".into(), orders), ("clicks".into(), clicks)]));
    let totals = status.totals();
    assert_eq!((totals.consumed, totals.rows, totals.dead_lettered(), totals.lost), (19, 11, 3, 3));
}

proptest! {
    /// Invariant 5: once every batch is committed, nothing consumed is left over.
    #[test]
    fn given_every_batch_committed_then_all_that_was_consumed_is_settled(
        batches in prop::collection::vec((0_u64..1000, 0_u64..10, 0_u64..10, 0_u64..5), 0..20),
    ) {
        let (status, _) = status(1);
        for (rows, wire, datum, skipped) in &batches {
            status.consumed("orders", rows + wire + datum + skipped, 1);
        }
        let consumed = status.totals().consumed;
        prop_assert_eq!(status.totals().unsettled(), consumed);
        for (rows, wire, datum, skipped) in batches {
            let dead_letters = BTreeMap::from([(Reason::WireHeader, wire), (Reason::InvalidDatum, datum)]);
            status.committed("orders", &Committed { rows, dead_letters, skipped, ..Committed::default() });
        }
        let totals = status.totals();
        prop_assert_eq!(totals.consumed, totals.rows + totals.dead_lettered() + totals.skipped);
        prop_assert_eq!(totals.unsettled(), 0);
    }
}
