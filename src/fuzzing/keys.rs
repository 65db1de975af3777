//! Keys of files: made of a template, a prefix and a topic's name.

use std::path::{Component, Path, PathBuf};

use uuid::Uuid;

use crate::config::fuzzed::{key_template, prefix};
use crate::core::layout::{FilePlace, Granularity, Hour, KeyTemplate};
use crate::sink::local::{LONGEST_NAME, LocalSink};

/// Hours of the years that may be set, whatever `number` is.
pub(super) fn legal_years(number: i64) -> Hour {
    let first = Hour::of(crate::types::UnixMillis(-62_135_596_800_000), Granularity::Hour).0;
    Hour(first + number.rem_euclid(24 * 365 * 9_998))
}

/// Template, prefix and topic by line; the settings decide what of them is taken, Kafka which topics there are. The whole is a key
/// as well, such as a letter, a header or a listing may name.
pub(super) fn key(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if LocalSink::new(PathBuf::from("/data")).place_of(&text).is_some() {
        assert_lies_below(Path::new("/data"), &text);
    }
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (template, prefix_text, topic, number) = (line(), line(), line(), line());
    if let Ok(parsed) = template.parse::<KeyTemplate>() {
        assert_eq!(parsed.to_string().parse(), Ok(parsed));
    }
    let Some(key) = key_template(template) else { return };
    let Some(prefix) = prefix(prefix_text) else { return };
    if key.check_below(&prefix).is_err() || !crate::topics::is_name(topic) {
        return;
    }
    let hour =
        legal_years(number.bytes().fold(0, |sum: i64, byte| sum.wrapping_mul(31).wrapping_add(byte.into())));
    let place = FilePlace { topic, hour, count: u64::MAX, uuid: Uuid::from_u128(u128::MAX) };
    let made = key.key(&prefix, &place);
    assert_stays_below(&prefix, &made);
    assert!(made.len() <= 1_024, "{} bytes are more than S3 takes", made.len());
    let longest = key.longest_topic(&prefix, LONGEST_NAME, u64::MAX).unwrap_or(0);
    let has_names = made.split('/').all(|part| part.len() <= LONGEST_NAME);
    assert_eq!(topic.len() <= longest, has_names, "{made:?} of topics with names of up to {longest} bytes");
    let beginnings = [
        key.hour_prefix(&prefix, topic, hour),
        key.topic_prefix(&prefix, topic),
        key.hour_folder(&prefix, topic, hour),
    ];
    for beginning in beginnings.into_iter().flatten() {
        assert!(made.starts_with(&beginning), "{made:?} doesn't begin with {beginning:?}");
    }
}

/// A key is a relative path below its prefix.
pub(super) fn assert_stays_below(prefix: &str, key: &str) {
    assert!(
        prefix.is_empty() || key.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/')),
        "{key:?}"
    );
    assert!(key.split('/').all(|part| !matches!(part, "" | "." | "..")), "{key:?} leaves its place");
    assert!(!key.chars().any(char::is_control), "{key:?} has a control character");
    assert_lies_below(Path::new("/data"), key);
}

/// In a directory, a key's path has its parts behind those of `root`, and no other.
fn assert_lies_below(root: &Path, key: &str) {
    let place = LocalSink::new(PathBuf::from(root)).place_of(key);
    let place = place.unwrap_or_else(|| panic!("the local sink refuses {key:?}"));
    let below = place.strip_prefix(root).expect("it lies below the root");
    let parts: Option<Vec<_>> = below
        .components()
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    assert_eq!(parts.map(|parts| parts.join("/")).as_deref(), Some(key), "{}", place.display());
}
