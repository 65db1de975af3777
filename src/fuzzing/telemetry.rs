//! Names and sentences from outside in everything that valve says of itself: metrics in three formats, and the log.

use super::split_at_byte;
use crate::telemetry::fuzzed::{emf, is_harmful, logged, prometheus, statsd};

/// A topic's name up to the first zero byte; the rest is a reason.
pub(super) fn telemetry(data: &[u8]) {
    let (topic, reason) = split_at_byte(data, 0);
    let (topic, reason) = (String::from_utf8_lossy(topic), String::from_utf8_lossy(reason));
    assert_prometheus(&prometheus(&topic, &reason));
    // What a topic may be called, the format has no use for; an environment may come from a file.
    if crate::topics::is_name(&topic) {
        let lines = statsd(&topic, &reason);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_statsd(&lines[0]);
    }
    let documents = emf(&topic, &reason);
    for line in documents.lines() {
        let document: serde_json::Value = serde_json::from_str(line).expect("a document a line");
        assert!(document["_aws"].is_object());
    }
    for json in [true, false] {
        let log = logged(&topic, &reason, json);
        assert_eq!(log.matches('\n').count(), 1, "one event is one line: {log:?}");
        // JSON may have what is beyond ASCII as it is: its readers are no terminals.
        let harmful = |c: char| is_harmful(c) && c != '\n' && (!json || c < ' ');
        assert!(!log.contains(harmful), "{log:?}");
    }
}

/// Each line is a comment or a sample whose labels' values end where they say.
fn assert_prometheus(text: &str) {
    for line in text.split('\n').filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, rest) = line.split_once('{').expect("labels");
        assert!(name.starts_with("valve_"), "{line:?}");
        let mut rest = rest;
        while let Some((label, behind)) = rest.split_once("=\"") {
            assert!(
                label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b','),
                "{line:?}"
            );
            rest = &behind[end_of_value(behind)..];
        }
        let value = rest.strip_prefix("} ").expect("a value behind the labels");
        assert!(value.parse::<f64>().is_ok(), "{line:?}");
    }
}

/// The position behind the quote that ends a label's value.
fn end_of_value(text: &str) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices() {
        match char {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    panic!("a label's value has no end: {text:?}")
}

fn assert_statsd(line: &str) {
    assert!(!line.chars().any(char::is_control), "{line:?}");
    let (_, tags) = line.split_once("|#").expect("tags");
    assert!(!tags.contains(['|', '#']), "{line:?}");
    assert_eq!(tags.split(',').count(), 3, "{line:?}");
}
