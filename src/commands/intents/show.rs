//! `valve intents show`

use std::collections::BTreeSet;

use serde_json::json;

use super::{Failure, promised, settings};
use crate::cli::IntentsShowArgs;
use crate::columns::{escaped, plain};
use crate::core::intent::{Found, Intent, Metadata, Place};
use crate::source::offsets::Offsets;
use crate::types::{Offset, TopicPartition};

/// The promised batches of the group, as text or JSON.
pub(super) async fn show(args: IntentsShowArgs) -> Result<String, Failure> {
    let config = settings(args.config.as_deref()).await?;
    let offsets = Offsets::open(&config).map_err(Failure::usage)?;
    let topics: BTreeSet<String> = args.topics.into_iter().collect();
    let group = offsets.group(topics).await.map_err(Failure::Unasked)?;
    let mut found = Vec::new();
    let mut newer = Vec::new();
    for (partition, (offset, text)) in &group.committed {
        if Metadata::find(text, partition.partition, *offset) == Found::Newer {
            newer.push((partition, *offset));
        } else if let Some((metadata, intent)) = promised(partition, *offset, text) {
            found.push((partition, metadata, intent));
        }
    }
    Ok(if args.json { as_json(&found, &newer) } else { as_text(&found, &newer) })
}

/// A partition with the batch that is promised of it.
pub(crate) type Found1<'a> = (&'a TopicPartition, Metadata, Intent);

fn as_json(found: &[Found1<'_>], newer: &[(&TopicPartition, Offset)]) -> String {
    let intents = found.iter().map(|(partition, metadata, intent)| {
        json!({
            "topic": &*partition.topic,
            "partition": partition.partition,
            "first": metadata.first,
            "end": intent.end,
            "instant": intent.instant.0,
            "rules": intent.rules,
            "layout": intent.layout,
            "unknown_ids": intent.unknown_ids,
            "outcome": format!("{:032x}", intent.outcome),
            "origin": metadata.origin,
            "coverage": metadata.coverage,
        })
    });
    let newer = newer.iter().map(|(partition, offset)| {
        json!({"topic": &*partition.topic, "partition": partition.partition, "offset": offset})
    });
    let all = json!({"intents": intents.collect::<Vec<_>>(), "newer": newer.collect::<Vec<_>>()});
    escaped(&format!("{all:#}\n"))
}

pub(crate) fn as_text(found: &[Found1<'_>], newer: &[(&TopicPartition, Offset)]) -> String {
    let mut text = String::new();
    for (partition, metadata, intent) in found {
        let coverage = &metadata.coverage;
        let lines = [
            ("offsets", format!("[{}, {})", metadata.first, intent.end)),
            ("opened", intent.instant.to_text()),
            ("goes to", plain(&place(intent))),
            ("key", plain(&intent.layout.key)),
            ("timestamp", plain(&intent.layout.timestamp.join(", "))),
            ("unknown schema ids", list(&intent.unknown_ids)),
            ("lost before", ranges(&coverage.lost)),
            ("released before", ranges(&coverage.released)),
        ];
        text.push_str(&format!("{partition}\n"));
        for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
            text.push_str(&format!("  {name:<19} {value}\n"));
        }
    }
    for (partition, offset) in newer {
        text.push_str(&format!(
            "{partition}\n  committed at {offset} by a newer version of valve, which alone can read it\n"
        ));
    }
    let total = match found.len() {
        0 => "No batch is promised.".to_owned(),
        1 => "1 batch is promised: a running valve that owns its partition makes and commits it.".to_owned(),
        count => format!(
            "{count} batches are promised: a running valve that owns a partition makes and commits its batch."
        ),
    };
    text.push_str(&format!("{total}\n"));
    text
}

fn place(intent: &Intent) -> String {
    let prefix = &intent.layout.prefix;
    match &intent.layout.place {
        Place::S3 { bucket, endpoint: Some(endpoint) } => {
            let host = endpoint.rsplit('@').next().unwrap_or_default();
            format!("bucket {bucket} at {host}, below {prefix:?}")
        }
        Place::S3 { bucket, endpoint: None } => format!("bucket {bucket}, below {prefix:?}"),
        Place::Local { path } => format!("directory {path}, below {prefix:?}"),
    }
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn ranges(ranges: &[(Offset, Offset)]) -> String {
    ranges.iter().map(|(first, end)| format!("[{first}, {end})")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::tests::promise;

    #[test]
    fn given_a_promise_with_control_characters_then_what_is_shown_moves_no_terminals_cursor() {
        let mut metadata = promise();
        let mut intent = metadata.intent.take().unwrap();
        let hostile = "a\u{1b}[2J\u{9b}\n";
        intent.layout.key = hostile.to_owned();
        intent.layout.prefix = hostile.to_owned();
        intent.layout.timestamp = vec![hostile.to_owned()];
        intent.layout.place = Place::S3 { bucket: hostile.to_owned(), endpoint: Some(hostile.to_owned()) };
        let place = TopicPartition::new("orders", 2);
        let found = [(&place, metadata, intent)];
        for shown in [as_text(&found, &[]), as_json(&found, &[])] {
            assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
            assert!(shown.contains("orders"), "{shown}");
        }
    }
}
