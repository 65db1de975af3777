//! At the end of a schedule, `valve audit`'s own proof over what the model stored and committed: it must find nothing,
//! and must miss the earliest files when they are gone.

use super::mutations::Mutation;
use super::store::{Key, Object, Part};
use super::world::World;
use crate::audit::{Committed, Question, Scope, Verdict, prove};
use crate::core::intent::Metadata;
use crate::sink::Digest;
use crate::stored::{ListedFile, Part as StoredPart, StoredFile, Totals};
use crate::types::Offset;
use xxhash_rust::xxh3::xxh3_128;

impl World {
    /// Audits every partition; of some schedules once more, with the earliest batch gone.
    pub(super) fn audit(&mut self) {
        for partition in 0..self.names.len() {
            // Offsets that were stored and written anew overlap: that is so, and the audit says it.
            if self.went_back[partition] || self.spoiled[partition] {
                continue;
            }
            let files = self.stored_files(partition);
            if let Some(findings) = self.prove(partition, files.clone()) {
                return self.blame(format!("audit of partition {partition}: {findings}"));
            }
            let searched = self.mutation == Some(Mutation::AuditWithoutOrigin) || self.draw.one_in(8);
            if searched && !self.misses_the_first(partition, files) {
                return self
                    .blame(format!("the audit of partition {partition} doesn't miss its first files"));
            }
        }
    }

    /// Whether it is noticed that the first files of the record are gone.
    fn misses_the_first(&self, partition: usize, files: Vec<StoredFile>) -> bool {
        let Some((committed, own)) = self.committed(partition) else { return true };
        let counts = |file: &&StoredFile| {
            file.topic_id == own.topic_id && file.end > own.origin && file.first < committed
        };
        let Some(first) = files.iter().filter(counts).map(|file| file.first).min() else { return true };
        self.seen_without_first(partition, files.into_iter().filter(|file| file.first != first).collect())
    }

    fn seen_without_first(&self, partition: usize, files: Vec<StoredFile>) -> bool {
        self.prove(partition, files).is_some()
    }

    /// What is found wrong.
    fn prove(&self, partition: usize, files: Vec<StoredFile>) -> Option<String> {
        let committed = self.offsets[partition].as_ref();
        let text = committed.map(|committed| (Offset(committed.offset), &*committed.text));
        let mut committed = Committed::of(partition as i32, text);
        if let (Some(Mutation::AuditWithoutOrigin), Committed::Own(own)) = (self.mutation, &mut committed) {
            let covers = files.iter().filter(|file| file.topic_id == own.topic_id && file.first < own.first);
            own.origin = covers.map(|file| file.covered_from).min().unwrap_or(own.coverage.from);
        }
        // Without an offset nothing can be proven: so the audit says.
        if matches!(committed, Committed::Nothing) {
            return None;
        }
        let id = self.log(partition).topic_id;
        let current = |record: &&crate::audit::Record| match &committed {
            Committed::Own(own) => record.topic_id == own.topic_id.map(|id| format!("{id:032x}")),
            _ => false,
        };
        let question = Question {
            partition: self.names[partition].clone(),
            topic_id: Some(id),
            committed: committed.clone(),
            files,
            dense: false,
        };
        let records = prove(question, &Scope::All);
        let wrong = records.iter().filter(current).find(|record| record.verdict() == Verdict::Wrong)?;
        Some(format!("{:?} of {:?}", wrong.findings, self.committed(partition)))
    }

    fn stored_files(&self, partition: usize) -> Vec<StoredFile> {
        let objects = self.store.objects.values().filter(|object| object.key.partition == partition);
        objects.map(|object| self.stored_file(object)).collect()
    }

    fn stored_file(&self, object: &Object) -> StoredFile {
        let promise = Metadata::decode(&object.metadata);
        StoredFile {
            key: text_of(&object.key),
            partition: self.names[object.key.partition].clone(),
            topic_id: Some(object.topic_id),
            origin: promise.map_or(Offset(0), |promise| promise.origin),
            first: Offset(object.range.0),
            end: Offset(object.range.1),
            covered_from: Offset(object.covered_from),
            promise: xxh3_128(object.metadata.as_bytes()),
            hour: object.key.hour,
            schema: object.schema,
            rows: object.rows.len() as u64,
            digest: object.digest,
            part: part_of(&object.part),
        }
    }
}

fn part_of(part: &Part) -> StoredPart {
    match part {
        Part::First { cover, files } => StoredPart::First(Box::new(Totals {
            dead_letters: cover.dead_letters,
            skipped: cover.skipped,
            empty: cover.empty,
            lost: cover.lost.clone(),
            released: cover.released.clone(),
            files: files.iter().map(listed).collect(),
        })),
        Part::Further { first } => StoredPart::Further { first_file: text_of(first) },
    }
}

fn listed((key, digest): &(Key, Digest)) -> ListedFile {
    ListedFile { key: text_of(key), rows: key.count as u64, digest: *digest }
}

fn text_of(key: &Key) -> String {
    format!("{}/{}/{}-{:x}", key.prefix, key.hour.0, key.count, key.uuid)
}
