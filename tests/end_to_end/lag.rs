//! What an autoscaler sees: lag that is about what is durable.

use std::net::UdpSocket;
use std::time::Duration;

use crate::event::orders;
use crate::patience::wait_until;
use crate::registry_proxy::{Mode, RegistryProxy};
use crate::scene::Scene;
use crate::stack::Stack;
use crate::valve::Valve;
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] =
    tests![given_records_that_cant_be_stored_yet_then_lag_counts_them_until_they_are_durable];

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
