//! The two configurations in `config/`, as they are, side by side on the same events.

use std::path::Path;

use chrono::Utc;
use serde_json::json;

use crate::event::{Event, HOUR, SEVEN};
use crate::files;
use crate::scene::Scene;
use crate::stack::Stack;
use crate::valve::{Settings, Valve};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_the_shipped_configurations_then_the_archive_sorts_by_event_time_and_the_holding_tank_by_arrival,
];

const SCHEMA: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},{"name":"created_at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;

/// The settings of `config/<file>`, with what differs between tests: names, addresses, and batches that end soon.
fn shipped(scene: &Scene<'_>, file: &str) -> Settings {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(file);
    let name = format!("{}-{}", scene.name, file.trim_end_matches(".toml"));
    scene
        .settings()
        .without("VALVE_TIMESTAMP")
        .without("VALVE_LANES")
        .with("VALVE_CONFIG", path.to_str().unwrap())
        .with("VALVE_NAME", &name)
        .with("VALVE_SINK__PREFIX", &name)
}

fn given_the_shipped_configurations_then_the_archive_sorts_by_event_time_and_the_holding_tank_by_arrival(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 2);
    let topic = scene.topic.clone();
    let event = |id: i64| {
        let at = SEVEN + id % 3 * HOUR;
        Event::new(&topic, SCHEMA, json!({"id": id, "created_at": at}), at).in_partition(id % 2)
    };
    let produced = scene.produce(&(0..60).map(event).collect::<Vec<_>>());
    let begun = Utc::now();
    for file in ["archive.toml", "holding-tank.toml"] {
        let settings = shipped(&scene, file);
        let name = format!("{}-{}", scene.name, file.trim_end_matches(".toml"));
        let valve = Valve::run(&settings);
        scene.kafka.wait_committed(&name, &topic);
        valve.stop();
        let stored = files::in_bucket(stack, &stack.bucket, &name);
        if file == "archive.toml" {
            files::assert_places(&stored, &name);
            files::assert_holds_exactly(&stored, &produced, &mut scene.producer);
            continue;
        }
        let hours = [begun, Utc::now()].map(|at| at.format("/year=%Y/month=%m/day=%d/hour=%H/").to_string());
        assert!(
            stored.iter().all(|file| hours.iter().any(|hour| file.key.contains(hour))),
            "{hours:?}: {stored:?}"
        );
        let mut ids: Vec<_> =
            stored.iter().flat_map(|file| &file.records).map(|row| row["id"].as_i64().unwrap()).collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..60).collect::<Vec<_>>());
    }
}
