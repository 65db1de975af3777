//! What an autoscaler sees: lag that is about what is durable.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::event::orders;
use crate::patience::wait_until;
use crate::producer::Producer;
use crate::registry_proxy::{Mode, RegistryProxy};
use crate::scene::Scene;
use crate::stack::{Stack, unique};
use crate::valve::{Settings, Valve};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_records_that_cant_be_stored_yet_then_lag_counts_them_until_they_are_durable,
    given_a_store_that_is_away_and_comes_back_then_the_lag_is_what_another_client_works_out,
    given_valves_that_join_and_leave_then_the_largest_of_their_lags_is_what_another_client_works_out,
    given_transactions_then_the_lag_counts_aborted_records_until_they_are_passed_and_ends_at_0,
    given_more_valves_than_partitions_then_the_one_without_any_publishes_0,
];

/// A StatsD agent, as far as a test needs one.
struct Agent(UdpSocket);

impl Agent {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        Self(socket)
    }

    fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    /// The gauges `name` that have arrived since, as (value, the rest of the line).
    fn gauges(&self, name: &str) -> Vec<(f64, String)> {
        let mut packet = vec![0; 65_536];
        let Ok(size) = self.0.recv(&mut packet) else { return Vec::new() };
        let text = String::from_utf8(packet[..size].to_vec()).unwrap();
        let gauge = |line: &str| {
            let (value, rest) = line.strip_prefix(name)?.strip_prefix(':')?.split_once("|g")?;
            Some((value.parse().ok()?, rest.to_owned()))
        };
        text.lines().filter_map(gauge).collect()
    }

    /// The last value of the gauge `name` that has arrived by now, or `last` when none has.
    fn latest(&self, name: &str, last: Option<f64>) -> Option<f64> {
        let mut latest = last;
        loop {
            let mut packet = [0; 1];
            if self.0.peek_from(&mut packet).is_err() {
                return latest;
            }
            latest = self.gauges(name).last().map(|(value, _)| *value).or(latest);
        }
    }

    fn wait_for(&self, name: &str, is_it: impl Fn(f64, &str) -> bool) {
        wait_until(name, || self.gauges(name).iter().any(|(value, tags)| is_it(*value, tags)));
    }
}

fn given_records_that_cant_be_stored_yet_then_lag_counts_them_until_they_are_durable(stack: &Stack) {
    let agent = Agent::new();
    let mut scene = Scene::new(stack, 2);
    scene.produce(&orders(&scene.topic.clone(), 0..30, 2));
    let registry = RegistryProxy::new(&stack.registry, Mode::Fail);
    let settings = scene.settings().with("VALVE_METRICS__STATSD", &agent.address());
    let settings = settings.with("VALVE_ENVIRONMENT", "staging");
    let valve = Valve::run(&settings.with("VALVE_REGISTRY__URL", &registry.url()));

    let group = format!("CONSUMER_GROUP:{}", scene.name);
    let ours = |tags: &str| tags.contains(&group) && tags.contains("ENVIRONMENT:staging");
    agent.wait_for("max_offset_lag", |value, tags| value == 15.0 && ours(tags));
    agent.wait_for("max_time_lag", |value, tags| value > 1.0 && ours(tags));

    registry.set(Mode::Forward);
    agent.wait_for("max_offset_lag", |value, tags| value == 0.0 && ours(tags));
    agent.wait_for("max_time_lag", |value, tags| value == 0.0 && ours(tags));
    scene.wait_committed();
    valve.stop();
}

/// The largest lag of the topic's partitions by the brokers: where each log ends, and what the group has committed.
fn lag_by_the_brokers(scene: &Scene<'_>) -> i64 {
    let committed = scene.kafka.committed(&scene.name, &scene.topic);
    let ends = scene.kafka.ends(&scene.topic);
    ends.iter().zip(committed).map(|(end, committed)| end - committed).max().unwrap()
}

/// Waits until the largest of what the agents were told last is what the brokers say, and that is `lag`.
fn wait_until_they_agree(scene: &Scene<'_>, agents: &[&Agent], lag: i64) {
    let mut told = vec![None; agents.len()];
    wait_until(&format!("a lag of {lag}, by the brokers and by valve"), || {
        for (told, agent) in told.iter_mut().zip(agents) {
            *told = agent.latest("max_offset_lag", *told);
        }
        let largest =
            told.iter().copied().collect::<Option<Vec<f64>>>().map(|all| all.into_iter().fold(0.0, f64::max));
        lag_by_the_brokers(scene) == lag && largest == Some(lag as f64)
    });
}

/// A valve that tells `agent`, with batches that end by their number of records alone.
fn lagging(scene: &Scene<'_>, agent: &Agent) -> Settings {
    scene
        .settings()
        .with("VALVE_METRICS__STATSD", &agent.address())
        .with("VALVE_BATCH__MAX_RECORDS", "50")
        .with("VALVE_BATCH__MAX_AGE", "1h")
        .with("VALVE_BATCH__MAX_IDLE", "1h")
}

fn given_a_store_that_is_away_and_comes_back_then_the_lag_is_what_another_client_works_out(stack: &Stack) {
    let agent = Agent::new();
    let mut scene = Scene::new(stack, 2);
    let topic = scene.topic.clone();
    let valve = Valve::run(&lagging(&scene, &agent));
    scene.produce(&orders(&topic, 0..100, 2));
    wait_until_they_agree(&scene, &[&agent], 0);
    valve.stop();

    let bucket = unique("bucket");
    let settings = lagging(&scene, &agent).with("VALVE_SINK__BUCKET", &bucket);
    let valve = Valve::run(&settings);
    let began = Instant::now();
    scene.produce(&orders(&topic, 100..240, 2));
    // Sealed batches and records behind them: none is durable.
    wait_until_they_agree(&scene, &[&agent], 70);
    let longest = began.elapsed().as_secs_f64();
    agent.wait_for("max_time_lag", |value, _| value > 1.0 && value <= longest + 30.0);
    scene.produce(&orders(&topic, 240..300, 2));
    wait_until_they_agree(&scene, &[&agent], 100);

    stack.create_bucket(&bucket);
    wait_until_they_agree(&scene, &[&agent], 0);
    agent.wait_for("max_time_lag", |value, _| value == 0.0);
    // What waits in an open batch counts too.
    scene.produce(&orders(&topic, 300..340, 2));
    wait_until_they_agree(&scene, &[&agent], 20);
    valve.crash();
    let valve = Valve::run(&settings);
    wait_until_they_agree(&scene, &[&agent], 20);
    scene.produce(&orders(&topic, 340..400, 2));
    wait_until_they_agree(&scene, &[&agent], 0);
    valve.stop();
}

fn given_valves_that_join_and_leave_then_the_largest_of_their_lags_is_what_another_client_works_out(
    stack: &Stack,
) {
    let agents = [Agent::new(), Agent::new()];
    let mut scene = Scene::new(stack, 4);
    let topic = scene.topic.clone();
    let first = Valve::run(&lagging(&scene, &agents[0]));
    scene.produce(&orders(&topic, 0..120, 4));
    wait_until_they_agree(&scene, &[&agents[0]], 30);

    // What is handed over is finished: it counts for neither.
    let second = Valve::run(&lagging(&scene, &agents[1]));
    agents[1].wait_for("assigned_partitions", |value, _| value == 2.0);
    agents[0].wait_for("assigned_partitions", |value, _| value == 2.0);
    wait_until_they_agree(&scene, &[&agents[0], &agents[1]], 30);
    scene.produce(&orders(&topic, 120..160, 4));
    wait_until_they_agree(&scene, &[&agents[0], &agents[1]], 40);

    // The first flushes when it leaves.
    first.stop();
    agents[1].wait_for("assigned_partitions", |value, _| value == 4.0);
    wait_until_they_agree(&scene, &[&agents[1]], lag_by_the_brokers(&scene));
    second.stop();
    assert_eq!(lag_by_the_brokers(&scene), 0);
}

fn given_transactions_then_the_lag_counts_aborted_records_until_they_are_passed_and_ends_at_0(stack: &Stack) {
    let agent = Agent::new();
    let scene = Scene::new(stack, 1);
    let mut transactions = Producer::transactional(stack, &scene.name);
    // Where the partition begins is known without the store.
    scene.kafka.commit(&scene.name, &scene.topic, &[0]);
    let bucket = unique("bucket");
    let settings = lagging(&scene, &agent).with("VALVE_BATCH__MAX_IDLE", "5s");
    let valve = Valve::run(&settings.with("VALVE_SINK__BUCKET", &bucket));
    for (range, ends) in [(0..10, "commit"), (10..15, "abort")] {
        transactions.obey(&[json!({"op": "begin"})]);
        transactions.produce(&orders(&scene.topic, range, 1));
        transactions.obey(&[json!({"op": ends})]);
    }
    // Ten records, five aborted ones, and the marker at the end of each transaction.
    wait_until_they_agree(&scene, &[&agent], 17);

    stack.create_bucket(&bucket);
    wait_until_they_agree(&scene, &[&agent], 0);
    agent.wait_for("max_time_lag", |value, _| value == 0.0);
    valve.stop();
}

fn given_more_valves_than_partitions_then_the_one_without_any_publishes_0(stack: &Stack) {
    let agents = [Agent::new(), Agent::new()];
    let mut scene = Scene::new(stack, 1);
    let one_lane = |agent| lagging(&scene, agent).with("VALVE_LANES", "1");
    let valves = [Valve::run(&one_lane(&agents[0])), Valve::run(&one_lane(&agents[1]))];
    valves.iter().for_each(Valve::wait_ready);
    scene.produce(&orders(&scene.topic.clone(), 0..20, 1));
    wait_until_they_agree(&scene, &[&agents[0], &agents[1]], 20);
    let mut told = [None, None];
    wait_until("one to have the lag and the other none", || {
        for (told, agent) in told.iter_mut().zip(&agents) {
            *told = agent.latest("max_offset_lag", *told);
        }
        told == [Some(20.0), Some(0.0)] || told == [Some(0.0), Some(20.0)]
    });
    valves.into_iter().for_each(Valve::stop);
}
