//! What is said of each file of a batch: its key, its sync marker and its header's metadata. A
//! function of the intent and the outcome, so that it can be made before the files are, or again.

use serde_json::json;

use super::terms::Terms;
use crate::core::Publish;
use crate::core::batch::{FileOutcome, Outcome};
use crate::core::identity::{Identity, sync_marker};
use crate::core::layout::FilePlace;
use crate::sink::DIGEST_IN_HEADER;

/// What is said of the files of one batch. Each file's own is made when it is stored: of thousands of files, a few are
/// at once.
#[derive(Debug)]
pub(crate) struct Manifest<'a> {
    valve: &'a str,
    publish: &'a Publish,
    outcome: &'a Outcome,
    /// In the outcome's order.
    names: Vec<Name>,
}

/// How a file is known.
#[derive(Debug)]
struct Name {
    key: String,
    sync: [u8; 16],
}

/// What is said of one file.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) sync: [u8; 16],
    /// Names beginning with `valve.`, and their values.
    pub(crate) metadata: Vec<(&'static str, String)>,
    /// An earlier owner may have begun to store it.
    pub(crate) was_promised_before: bool,
}

impl<'a> Manifest<'a> {
    /// The manifest of a batch with this outcome.
    pub(crate) fn new(
        terms: &Terms,
        valve: &'a str,
        cluster: &str,
        publish: &'a Publish,
        outcome: &'a Outcome,
    ) -> Self {
        let identity = Identity { valve, cluster, metadata: &publish.metadata };
        let topic = &*publish.partition.topic;
        let name = |file: &FileOutcome| {
            let uuid = identity.uuid(file.hour, file.schema);
            let place = FilePlace { topic, hour: file.hour, count: file.rows, uuid };
            Name { key: terms.key.key(&terms.layout.prefix, &place), sync: sync_marker(uuid) }
        };
        Self { valve, publish, outcome, names: outcome.files.iter().map(name).collect() }
    }

    /// The memory that it and its outcome hold, and that the list of all files in the first one's header will take, in
    /// bytes.
    pub(crate) fn memory(&self) -> usize {
        let names: usize = self.names.iter().map(|name| name.key.capacity() + size_of::<Name>()).sum();
        let outcome = self.outcome.files.capacity() * size_of::<FileOutcome>();
        2 * names + self.list_bytes() + outcome
    }

    fn list_bytes(&self) -> usize {
        const DIGEST_AND_COUNT: usize = 64;
        self.names.iter().map(|name| name.key.len() + DIGEST_AND_COUNT).sum()
    }

    /// What is said of the file at `index` of the outcome. The first one lists all files, the others name the first: a full
    /// list in each would be quadratic.
    pub(crate) fn entry(&self, index: usize) -> Option<Entry> {
        let (name, file) = (self.names.get(index)?, self.outcome.files.get(index)?);
        let mut metadata = describe(self.valve, self.publish, file);
        match self.names.first() {
            Some(first) if index > 0 => metadata.push(("valve.first_file", first.key.clone())),
            _ => metadata.extend(self.totals()),
        }
        let was_promised_before = self.publish.remade;
        Some(Entry { key: name.key.clone(), sync: name.sync, metadata, was_promised_before })
    }

    fn totals(&self) -> [(&'static str, String); 6] {
        let cover = &self.publish.cover;
        let files = self.names.iter().zip(&self.outcome.files);
        let list: Vec<_> =
            files.map(|(name, file)| (&name.key, file.rows, file.digest.to_string())).collect();
        [
            ("valve.dead_letters", cover.dead_letters.to_string()),
            ("valve.skipped", cover.skipped.to_string()),
            ("valve.empty", cover.empty.to_string()),
            ("valve.lost", json!(cover.lost).to_string()),
            ("valve.released", json!(cover.released).to_string()),
            // Numbers and text: there is nothing that could fail to serialise.
            ("valve.files", serde_json::to_string(&list).unwrap_or_default()),
        ]
    }
}

/// What a file's header says of it and of its batch.
fn describe(valve: &str, publish: &Publish, file: &FileOutcome) -> Vec<(&'static str, String)> {
    vec![
        ("valve.name", valve.to_owned()),
        ("valve.topic", publish.partition.topic.to_string()),
        ("valve.partition", publish.partition.partition.to_string()),
        ("valve.first", publish.first.to_string()),
        ("valve.end", publish.end.to_string()),
        ("valve.covered_from", publish.cover.from.to_string()),
        ("valve.intent", publish.metadata.clone()),
        ("valve.hour", file.hour.to_string()),
        ("valve.schema_id", file.schema.to_string()),
        ("valve.rows", file.rows.to_string()),
        (DIGEST_IN_HEADER, file.digest.to_string()),
    ]
}
