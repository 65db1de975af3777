//! The daemon's settings in the demo: those that it would have by default, but for what makes files appear while one
//! watches.

use std::net::SocketAddr;
use std::path::Path;

use super::events::{TOPICS, Topic};
use crate::config::{Config, ConfigErrors, SinkConfig, Sources};

/// The valve's name.
pub(super) const NAME: &str = "valve-demo";

/// The settings of a valve between the embedded broker and registry, and files under `directory`.
///
/// # Errors
/// When a setting is wrong; for example when this machine has too little memory.
pub(super) fn settings(
    bootstrap_servers: &str,
    registry: &str,
    directory: &Path,
    http: SocketAddr,
) -> Result<Config, ConfigErrors> {
    let topics = TOPICS.map(Topic::name).join(",");
    let timestamp = TOPICS.map(|topic| format!("field:{}", topic.timestamp())).join(",");
    let http = http.to_string();
    let settings = [
        ("NAME", NAME),
        ("TOPICS", &topics),
        ("TIMESTAMP", &timestamp),
        ("KAFKA__BOOTSTRAP_SERVERS", bootstrap_servers),
        ("REGISTRY__URL", registry),
        ("SINK__TYPE", "local"),
        ("SINK__PATH", "."),
        ("HTTP__LISTEN", &http),
        ("GROUP__PROTOCOL", "consumer"),
        ("LANES", "2"),
        // A batch of a partition is a third of what the broker keeps of it, so that it never waits for room.
        ("BATCH__MAX_RECORDS", "5000"),
        ("BATCH__MAX_AGE", "5 s"),
        ("BATCH__MAX_IDLE", "2 s"),
        ("BATCH__MAX_RECORD_BYTES", "1 MiB"),
        ("REGISTRY__UNKNOWN_AFTER", "2 s"),
        ("MEMORY__BUDGET", "256 MiB"),
    ];
    let environment = settings.into_iter().map(|(name, value)| (format!("VALVE_{name}"), value.to_owned()));
    let mut config = Sources::local(None, environment)?.validate()?;
    // Not as text: a path may be anything.
    config.sink = SinkConfig::Local { path: directory.to_owned(), prefix: String::new() };
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_the_parts_of_the_demo_then_its_settings_are_valid() {
        let http = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = settings("127.0.0.1:9092", "http://127.0.0.1:8081", Path::new("/a/b c"), http).unwrap();
        assert_eq!(config.timestamp.candidates().len(), 2);
        assert!(matches!(config.sink, SinkConfig::Local { path, .. } if path == Path::new("/a/b c")));
    }
}
