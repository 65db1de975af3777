//! Which silence is a stall, and which stall a restart mends.

use super::*;
use crate::core::view::Durable;
use crate::telemetry::exporters::testing::scraped;

const PERIOD: Duration = Duration::from_secs(300);

/// One lane with two partitions, before the watchdog.
struct Scene {
    watchdog: Watchdog,
    lane: LaneReport,
    backlogs: BTreeMap<TopicPartition, u64>,
    troubles: Vec<String>,
    is_leaving: bool,
    now: Duration,
}

fn partition(index: i32) -> TopicPartition {
    TopicPartition::new("orders", index)
}

impl Scene {
    fn new() -> Self {
        let durable = |index| Durable {
            partition: partition(index),
            committed: Offset(0),
            read: Offset(0),
            oldest: None,
        };
        let lane = LaneReport {
            membership: Membership::Member(2),
            partitions: vec![durable(0), durable(1)],
            ..LaneReport::default()
        };
        let backlogs = BTreeMap::from([(partition(0), 700), (partition(1), 40)]);
        let mut scene = Self {
            watchdog: Watchdog::new(PERIOD),
            lane,
            backlogs,
            troubles: Vec::new(),
            is_leaving: false,
            now: Duration::ZERO,
        };
        assert_eq!(scene.look(), None);
        scene
    }

    fn look(&mut self) -> Option<Stall> {
        let Self { watchdog, lane, backlogs, troubles, is_leaving, now } = self;
        let lanes = std::slice::from_ref(lane);
        let seen = Seen { lanes, backlogs, troubles, is_leaving: *is_leaving };
        watchdog.look(&seen, *now).pop()
    }

    /// Looks every second for so many of them; what is seen at the end.
    fn wait(&mut self, seconds: u64) -> Option<Stall> {
        let mut seen = None;
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            seen = self.look();
        }
        seen
    }

    fn waits(&mut self, index: i32, waits: WaitsFor) {
        self.lane.waits.insert(partition(index), waits);
    }

    fn is_lost_after(&mut self, seconds: u64) -> bool {
        self.wait(seconds).is_some_and(|stall| stall.is_lost)
    }
}

#[test]
fn given_a_backlog_and_offsets_that_stand_still_then_after_one_period_it_is_a_stall_and_after_two_it_is_lost()
{
    let mut scene = Scene::new();
    scene.waits(0, WaitsFor::Memory);
    assert_eq!(scene.wait(299), None);
    let stall = scene.wait(1).expect("a stall");
    assert!(!stall.is_lost);
    assert_eq!(
        stall.to_string(),
        "lane 0: no progress for 300 s with 740 records to read: orders[0] (700) is paused for memory; \
         orders[1] (40) is read, and nothing comes"
    );
    assert!(!scene.is_lost_after(299));
    assert!(scene.is_lost_after(1));
}

#[test]
fn given_an_offset_that_moves_then_all_is_well_for_another_period() {
    for moves in [
        (|durable| durable.committed = Offset(5)) as fn(&mut Durable),
        |durable| durable.read = Offset(5),
        |durable| durable.partition = partition(9),
    ] {
        let mut scene = Scene::new();
        assert!(scene.wait(599).is_some());
        moves(&mut scene.lane.partitions[1]);
        assert_eq!(scene.wait(300), None);
        assert!(scene.wait(1).is_some_and(|stall| !stall.is_lost));
    }
}

#[test]
fn given_no_backlog_or_none_that_is_known_then_silence_is_no_stall() {
    let mut scene = Scene::new();
    scene.backlogs = BTreeMap::from([(partition(0), 0)]);
    assert_eq!(scene.wait(1_000), None);
    // From now on there is something to do.
    scene.backlogs.insert(partition(0), 1);
    assert_eq!(scene.wait(299), None);
    assert!(scene.wait(1).is_some());
}

#[test]
fn given_a_lane_that_leaves_then_it_is_no_stall() {
    let mut scene = Scene::new();
    scene.lane.membership = Membership::Leaving;
    assert_eq!(scene.wait(1_000), None);
}

#[test]
fn given_an_outage_then_it_is_a_stall_that_is_never_lost_and_has_two_periods_after_it() {
    let mut scene = Scene::new();
    scene.waits(0, WaitsFor::Schema);
    scene.troubles = vec!["sink: put a.avro: 503".to_owned()];
    let stall = scene.wait(3_000).expect("a stall");
    assert!(!stall.is_lost && stall.to_string().ends_with("; sink: put a.avro: 503"), "{stall}");
    scene.troubles.clear();
    assert!(!scene.is_lost_after(599));
    assert!(scene.is_lost_after(1));
}

#[test]
fn given_partitions_that_are_held_then_a_restart_is_no_cure_unless_another_one_stands_still_too() {
    let mut scene = Scene::new();
    scene.lane.holds.insert(partition(0), "other rows are stored".to_owned());
    scene.waits(0, WaitsFor::Owner);
    scene.backlogs.remove(&partition(1));
    let stall = scene.wait(3_000).expect("a stall");
    assert!(
        !stall.is_lost && stall.to_string().contains("orders[0] (700) is held: other rows are stored"),
        "{stall}"
    );
    scene.backlogs.insert(partition(1), 40);
    assert!(!scene.is_lost_after(599));
    assert!(scene.is_lost_after(1));
}

#[test]
fn given_what_has_limits_of_its_own_then_it_is_not_lost() {
    for waits in [WaitsFor::Store, WaitsFor::Takeover, WaitsFor::Parting, WaitsFor::DeadLetterLimit] {
        let mut scene = Scene::new();
        scene.waits(0, waits);
        scene.waits(1, waits);
        assert!(!scene.is_lost_after(3_000), "{waits:?}");
    }
    let mut scene = Scene::new();
    scene.waits(0, WaitsFor::Memory);
    scene.waits(1, WaitsFor::Memory);
    scene.is_leaving = true;
    assert!(!scene.is_lost_after(3_000), "the store is slow");
    scene.is_leaving = false;
    assert!(scene.is_lost_after(600), "nothing will free memory");
    for waits in [WaitsFor::Memory, WaitsFor::Turn, WaitsFor::Schema, WaitsFor::Log, WaitsFor::Start] {
        let mut scene = Scene::new();
        scene.waits(0, waits);
        assert!(scene.is_lost_after(600), "{waits:?}");
    }
}

#[test]
fn given_many_partitions_then_a_line_names_those_with_the_most_to_read() {
    let mut scene = Scene::new();
    let durable =
        |index| Durable { partition: partition(index), committed: Offset(0), read: Offset(0), oldest: None };
    scene.lane.partitions = (0..10).map(durable).collect();
    scene.backlogs = (0..10_u8).map(|index| (partition(index.into()), 100 + u64::from(index))).collect();
    let stall = scene.wait(301).expect("a stall");
    assert_eq!(stall.reasons.len(), 4);
    assert!(
        stall.reasons[0].starts_with("orders[9] (109)") && stall.reasons[3] == "7 more partitions",
        "{stall}"
    );
}

#[test]
fn given_stalls_then_each_is_counted_once() {
    let mut scene = Scene::new();
    let text = scraped(|| {
        assert!(scene.wait(1_000).is_some());
        scene.lane.partitions[0].read = Offset(1);
        assert_eq!(scene.wait(1), None);
        assert!(scene.wait(400).is_some());
    });
    assert_eq!(text, "valve_stalls_total{} 2\n");
}
