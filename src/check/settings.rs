//! What the settings come to on this machine. Asks nobody.

use super::{Finding, Outcome};
use crate::config::Config;
use crate::daemon::{RunError, checked_terms};
use crate::memory::container_limit;
use crate::source::offsets::describing::check_properties;
use crate::source::properties::fetch_reserve;

/// What is known of valid settings, or why they can't be used: the process would stop at its start with exit code 2.
///
/// # Errors
/// A sentence that names the setting.
pub(crate) fn check(config: &Config) -> Result<Vec<Finding>, String> {
    check_properties(config).map_err(|error| format!("kafka.properties: {error}"))?;
    checked_terms(config).map_err(|error| match error {
        RunError::Settings(reason) | RunError::Failed(reason) => reason,
    })?;
    Ok(vec![valid(config), memory(config, container_limit())])
}

fn valid(config: &Config) -> Finding {
    let said = format!("valve {}, environment {}", config.name, config.environment);
    Finding::new("settings", "validate them all", Outcome::Well).saying(said)
}

/// How the budget is used. That it is enough was validated.
fn memory(config: &Config, limit: u64) -> Finding {
    let (lanes, fetches) = (config.lanes, config.lanes * fetch_reserve(config, 0, 0));
    let limit = limit.max(1);
    let share = (config.memory_budget as u64 * 100 + limit / 2) / limit;
    let said = format!(
        "memory.budget is {} of {} ({share} %), of which {lanes} lanes reserve {} for fetching",
        size(config.memory_budget as u64),
        size(limit),
        size(fetches as u64),
    );
    let finding = Finding::new("settings", "share out the memory", Outcome::Well).saying(said);
    // What the process takes beside its buffers (ARCHITECTURE.md, invariant 6).
    let beside = 64 << 20;
    if (config.memory_budget as u64).saturating_add(beside) > limit {
        return Finding { outcome: Outcome::Warned, ..finding }.advising(
            "leave 64 MiB beside the budget, or the kernel may kill the process: lower memory.budget",
        );
    }
    finding
}

/// Bytes, for people.
fn size(bytes: u64) -> String {
    match bytes >> 20 {
        mebibytes if mebibytes >= 10 << 10 => format!("{} GiB", mebibytes >> 10),
        mebibytes => format!("{mebibytes} MiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn config(more: &[(&str, &str)]) -> Config {
        let given = [
            ("VALVE_NAME", "archive"),
            ("VALVE_TOPICS", "orders"),
            ("VALVE_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1"),
            ("VALVE_REGISTRY__URL", "http://127.0.0.1:1"),
            ("VALVE_TIMESTAMP", "kafka"),
            ("VALVE_SINK__BUCKET", "events"),
            ("VALVE_LANES", "2"),
            ("VALVE_MEMORY__BUDGET", "256 MiB"),
        ];
        let all = given.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Sources::local(None, all).and_then(Sources::validate).expect("valid settings")
    }

    #[test]
    fn given_settings_then_it_is_said_what_the_memory_comes_to() {
        let said = check(&config(&[])).unwrap().pop().unwrap();
        assert_eq!(said.outcome, Outcome::Well);
        assert!(
            said.said.starts_with("memory.budget is 256 MiB of ") && said.said.contains("2 lanes"),
            "{said:?}"
        );
        let tight = memory(&config(&[]), 300 << 20);
        assert!(
            tight.outcome == Outcome::Warned && tight.said.contains("256 MiB of 300 MiB (85 %)"),
            "{tight:?}"
        );
    }

    #[test]
    fn given_a_property_that_librdkafka_refuses_then_it_is_named_without_its_value() {
        for (name, value) in [
            ("VALVE_KAFKA__PROPERTIES__NO_SUCH_THING", "hunter2"),
            ("VALVE_KAFKA__PROPERTIES__SECURITY_PROTOCOL", "hunter2"),
        ] {
            let refused = check(&config(&[(name, value)])).unwrap_err();
            assert!(refused.starts_with("kafka.properties: ") && !refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn given_bytes_then_people_can_read_them() {
        assert_eq!([size(0), size(256 << 20), size(23 << 30)], ["0 MiB", "256 MiB", "23 GiB"]);
    }
}
