//! The proof that `valve audit` makes, in small: what the metadata and the files' headers say explains every offset once.

use super::mutations::Mutation;
use super::store::{Object, Part};
use super::world::World;

impl World {
    /// Audits every partition; then again with the earliest file gone, which must be noticed.
    pub(super) fn audit(&mut self) {
        for partition in 0..self.names.len() {
            if let Some(fault) = self.audit_partition(partition, None) {
                return self.blame(format!("audit of partition {partition}: {fault}"));
            }
            let earliest = self.batches(partition).first().map(|object| object.range.0);
            let Some(earliest) = earliest else { continue };
            if self.audit_partition(partition, Some(earliest)).is_none() {
                return self.blame(format!("the audit of partition {partition} doesn't miss its first files"));
            }
        }
    }

    /// The first files of the batches that are the audit's business, by their covers.
    fn batches(&self, partition: usize) -> Vec<&Object> {
        let Some((committed, own)) = self.committed(partition) else { return Vec::new() };
        let objects = self.store.objects.values().map(|object| &**object);
        let mut firsts: Vec<_> = objects
            .filter(|object| object.key.partition == partition && Some(object.topic_id) == own.topic_id)
            .filter(|object| object.range.0 < committed.0 && matches!(object.part, Part::First { .. }))
            .collect();
        firsts.sort_by_key(|object| object.range);
        firsts
    }

    /// What is wrong with one partition, as if the batch that begins at `missing` weren't there.
    fn audit_partition(&self, partition: usize, missing: Option<i64>) -> Option<String> {
        let (_, own) = self.committed(partition)?;
        let batches = self.batches(partition);
        let batches: Vec<_> = batches.into_iter().filter(|object| missing != Some(object.range.0)).collect();
        let blind = self.mutation == Some(Mutation::AuditWithoutOrigin);
        let mut at = own.origin.0;
        if blind {
            at = batches.first().map_or(own.coverage.from.0, |first| first.covered_from);
        }
        for object in &batches {
            if object.covered_from != at {
                return Some(format!("covered to {at}, then from {}", object.covered_from));
            }
            if let Some(fault) = self.audit_batch(object) {
                return Some(fault);
            }
            at = object.range.1;
        }
        if at != own.coverage.from.0 {
            return Some(format!("covered to {at}, the metadata goes on from {}", own.coverage.from));
        }
        self.unlisted(partition, &batches)
    }

    /// The files are there, and their rows and what else is counted are all of the cover.
    fn audit_batch(&self, object: &Object) -> Option<String> {
        let Part::First { cover, files } = &object.part else { return None };
        let (from, end) = (cover.from.0, object.range.1);
        let mut counted = cover.dead_letters + cover.skipped + cover.empty;
        for (key, digest) in files {
            match self.store.objects.get(key) {
                Some(file) if file.digest == *digest => counted += file.rows.len() as u64,
                _ => return Some(format!("{key:?} isn't there, or another")),
            }
        }
        let lost = cover.lost.iter().map(|(first, last)| (last.0.min(end) - first.0.max(from)).max(0) as u64);
        counted += lost.sum::<u64>();
        (counted != (end - from) as u64)
            .then(|| format!("{counted} offsets of [{from}, {end}) are counted"))
    }

    /// Files that no first file of a batch lists.
    fn unlisted(&self, partition: usize, batches: &[&Object]) -> Option<String> {
        let (committed, own) = self.committed(partition)?;
        let listed: Vec<_> = batches
            .iter()
            .filter_map(|object| match &object.part {
                Part::First { files, .. } => Some(files),
                Part::Further { .. } => None,
            })
            .flatten()
            .map(|(key, _)| key)
            .collect();
        let mut objects = self.store.objects.values().filter(|object| {
            object.key.partition == partition
                && Some(object.topic_id) == own.topic_id
                && object.range.0 < committed.0
                && object.range.0 >= batches.first().map_or(i64::MAX, |first| first.range.0)
        });
        let stray = objects.find(|object| !listed.contains(&&object.key))?;
        Some(format!("{:?} is in no batch's list", stray.key))
    }
}
