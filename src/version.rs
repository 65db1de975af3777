//! What `valve --version` says: all that decides how this program behaves.

use std::sync::LazyLock;

use crate::source::client;

/// The commit, in short; empty where the build didn't know it (`build.rs`).
const COMMIT: &str = env!("VALVE_COMMIT");

static TEXT: LazyLock<String> =
    LazyLock::new(|| told(env!("CARGO_PKG_VERSION"), COMMIT, &client::library_version()));

/// The version, with the commit where that is known, and with the Kafka client's.
pub(crate) fn text() -> &'static str {
    &TEXT
}

fn told(version: &str, commit: &str, librdkafka: &str) -> String {
    if commit.is_empty() {
        format!("{version} (librdkafka {librdkafka})")
    } else {
        format!("{version} (commit {commit}, librdkafka {librdkafka})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_build_then_its_version_tells_the_commit_if_it_knows_it() {
        assert_eq!(told("0.1.0", "9d4c5f4", "2.12.1"), "0.1.0 (commit 9d4c5f4, librdkafka 2.12.1)");
        assert_eq!(told("0.1.0", "", "2.12.1"), "0.1.0 (librdkafka 2.12.1)");
    }

    #[test]
    fn given_this_program_then_its_version_tells_the_kafka_client_that_cargo_lock_has() {
        let lock = include_str!("../Cargo.lock");
        let (_, package) = lock.split_once("name = \"rdkafka-sys\"\nversion = \"").expect("the client");
        let (_, librdkafka) =
            package.lines().next().expect("a line").split_once('+').expect("librdkafka's own");
        let librdkafka = librdkafka.trim_end_matches('"');
        assert!(text().contains(env!("CARGO_PKG_VERSION")));
        assert!(text().ends_with(&format!("librdkafka {librdkafka})")), "{}, not {librdkafka}", text());
    }
}
