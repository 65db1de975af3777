//! Names and sentences from outside in what valve answers over HTTP: the page's data, and readiness for a terminal.

use serde_json::Value;

use super::split_at_byte;
use crate::telemetry::fuzzed::shown;

/// A valve's name, a topic's and a reason, each up to a zero byte.
pub(super) fn page(data: &[u8]) {
    let (name, rest) = split_at_byte(data, 0);
    let (topic, reason) = split_at_byte(rest, 0);
    let [name, topic, reason] = [name, topic, reason].map(String::from_utf8_lossy);
    let (json, readiness) = shown(&name, &topic, &reason);
    let unsafe_anywhere = |c: char| c.is_control() || matches!(c, '<' | '>' | '&');
    assert!(!json.contains(unsafe_anywhere), "{json}");
    let document: Value = serde_json::from_str(&json).expect("JSON");
    assert_names(&document);
    assert_eq!(document["name"], *name);
    for list in ["holds", "partitions"] {
        let entry = &document[list]["shown"][0];
        assert_eq!((&entry["topic"], &entry["reason"]), (&Value::from(&*topic), &Value::from(&*reason)));
    }
    assert_eq!(document["troubles"][0]["reason"], *reason);
    assert_eq!(document["files"][0]["key"], format!("{topic}/a.avro"));
    // One line for the trouble, one for the hold.
    let lines: Vec<_> = readiness.split_inclusive('\n').collect();
    assert!(lines.len() == 2 && lines[0].starts_with("sink: ") && lines[1].starts_with("held "), "{lines:?}");
    assert_eq!(readiness.matches(char::is_control).count(), 2, "{readiness:?}");
}

/// No field is named by anybody but valve.
fn assert_names(value: &Value) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name:?}");
            assert_names(value);
        }),
        Value::Array(values) => values.iter().for_each(assert_names),
        _ => {}
    }
}
