//! What is said of each file of a batch: its key, its sync marker and its header's metadata (DESIGN.md, idea 4). A
//! function of the intent and the outcome, so that it can be made before the files are, or again.

use serde_json::json;

use super::terms::Terms;
use crate::core::Publish;
use crate::core::batch::{FileOutcome, Outcome};
use crate::core::identity::{Identity, sync_marker};
use crate::core::layout::FilePlace;
use crate::sink::DIGEST_IN_HEADER;

/// One file of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) sync: [u8; 16],
    /// Names beginning with `valve.`, and their values.
    pub(crate) metadata: Vec<(&'static str, String)>,
    /// An earlier owner may have begun to store it.
    pub(crate) was_promised_before: bool,
}

/// The entries of the files of `outcome`, in its order. The first one lists all files, the others name the first: a full
/// list in each would be quadratic.
pub(crate) fn of(
    terms: &Terms,
    valve: &str,
    cluster: &str,
    publish: &Publish,
    outcome: &Outcome,
) -> Vec<Entry> {
    let identity = Identity { valve, cluster, metadata: &publish.metadata };
    let topic = &*publish.partition.topic;
    let entry = |file: &FileOutcome| {
        let uuid = identity.uuid(file.hour, file.schema);
        let place = FilePlace { topic, hour: file.hour, count: file.rows, uuid };
        Entry {
            key: terms.key.key(&terms.layout.prefix, &place),
            sync: sync_marker(uuid),
            metadata: describe(valve, publish, file),
            was_promised_before: publish.remade,
        }
    };
    let mut entries: Vec<_> = outcome.files.iter().map(entry).collect();
    let list: Vec<_> = entries
        .iter()
        .zip(&outcome.files)
        .map(|(entry, file)| json!([entry.key, file.rows, file.digest.to_string()]))
        .collect();
    let Some((first, others)) = entries.split_first_mut() else { return entries };
    for other in others {
        other.metadata.push(("valve.first_file", first.key.clone()));
    }
    let cover = &publish.cover;
    first.metadata.extend([
        ("valve.dead_letters", cover.dead_letters.to_string()),
        ("valve.skipped", cover.skipped.to_string()),
        ("valve.empty", cover.empty.to_string()),
        ("valve.lost", json!(cover.lost).to_string()),
        ("valve.released", json!(cover.released).to_string()),
        ("valve.files", json!(list).to_string()),
    ]);
    entries
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
