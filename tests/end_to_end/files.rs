//! Stored files as fastavro reads them, compared with what was produced.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use crate::producer::{Produced, Producer};
use crate::stack::Stack;

/// One file (tools/read_files.py).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StoredFile {
    /// Its key, or its path under the sink's directory.
    pub(crate) key: String,
    /// The object's metadata.
    pub(crate) metadata: BTreeMap<String, String>,
    /// The container's header.
    pub(crate) header: BTreeMap<String, String>,
    /// Its records.
    pub(crate) records: Vec<Value>,
}

/// The files under a prefix of a bucket.
pub(crate) fn in_bucket(stack: &Stack, bucket: &str, prefix: &str) -> Vec<StoredFile> {
    stack.lines_of("read_files.py", &["s3", bucket, &format!("{prefix}/")])
}

/// The files under a directory.
pub(crate) fn in_directory(stack: &Stack, directory: &Path) -> Vec<StoredFile> {
    stack.lines_of("read_files.py", &["local", directory.to_str().unwrap()])
}

impl StoredFile {
    /// The writer schema in its header.
    pub(crate) fn schema(&self) -> &str {
        &self.header["avro.schema"]
    }

    /// Its topic, the directories of its hour, and the number of records that its name states.
    pub(crate) fn place(&self, prefix: &str) -> (String, String, usize) {
        let form = r"^/?([^/]+)/(year=\d{4}/month=\d\d/day=\d\d/hour=\d\d)/([^/]+)_(\d+)-messages_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.avro$";
        let rest =
            self.key.strip_prefix(prefix).unwrap_or_else(|| panic!("{} isn't under {prefix}", self.key));
        let place = Regex::new(form).unwrap().captures(rest);
        let place = place.unwrap_or_else(|| panic!("{} doesn't have the documented form", self.key));
        assert_eq!(&place[1], &place[3], "the topic, twice, in {}", self.key);
        (place[1].to_owned(), place[2].to_owned(), place[4].parse().unwrap())
    }
}

/// Every key has the documented form, and states how many records are in the file.
pub(crate) fn assert_places(files: &[StoredFile], prefix: &str) {
    for file in files {
        assert_eq!(file.place(prefix).2, file.records.len(), "records in {}", file.key);
    }
}

/// Topic, hour, schema text, record: what an event is stored as and where.
type Row = (String, String, String, String);

fn rows(files: &[StoredFile]) -> BTreeMap<Row, usize> {
    let mut rows = BTreeMap::new();
    let hour = Regex::new(r"([^/]+)/(year=\d{4}/month=\d\d/day=\d\d/hour=\d\d)/").unwrap();
    for file in files {
        let place = hour.captures(&file.key).unwrap();
        for record in &file.records {
            let row =
                (place[1].to_owned(), place[2].to_owned(), file.schema().to_owned(), record.to_string());
            *rows.entry(row).or_default() += 1;
        }
    }
    rows
}

fn expected(produced: &[Produced], producer: &mut Producer) -> BTreeMap<Row, usize> {
    let mut texts = BTreeMap::new();
    let mut rows = BTreeMap::new();
    for Produced { event, schema } in produced {
        let text = texts.entry(*schema).or_insert_with(|| producer.schema_text(*schema));
        *rows
            .entry((event.topic.clone(), event.hour(), text.clone(), event.value.to_string()))
            .or_default() += 1;
    }
    rows
}

/// The files hold just these events, each as often as it was produced: every one in the hour of its timestamp, under
/// its schema's text as the registry has it.
pub(crate) fn assert_holds_exactly(files: &[StoredFile], produced: &[Produced], producer: &mut Producer) {
    let (stored, expected) = (rows(files), expected(produced, producer));
    let differ: Vec<String> = stored
        .keys()
        .chain(expected.keys())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(|row| (row, stored.get(row).unwrap_or(&0), expected.get(row).unwrap_or(&0)))
        .filter(|(_, stored, expected)| stored != expected)
        .map(|(row, stored, expected)| format!("stored {stored} times instead of {expected}: {row:?}"))
        .collect();
    let shown = differ.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
    assert!(differ.is_empty(), "{} of {} rows differ:\n{shown}", differ.len(), expected.len());
}

/// The files hold each of these events at least as often as it was produced.
pub(crate) fn assert_holds_all(files: &[StoredFile], produced: &[Produced], producer: &mut Producer) {
    let stored = rows(files);
    let expected = expected(produced, producer);
    let lost = expected.iter().filter(|(row, count)| stored.get(*row).unwrap_or(&0) < count);
    let lost: Vec<_> = lost.map(|(row, _)| row).collect();
    assert!(lost.is_empty(), "{} of {} rows are lost, the first: {:?}", lost.len(), expected.len(), lost[0]);
}
