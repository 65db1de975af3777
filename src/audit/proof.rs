//! The proof itself, without I/O: from what the group has committed and what the files' headers say to what is
//! covered once, not at all, or twice.
//!
//! The *origin* is where the record of a partition begins. From there the *covers* of the batches with files follow one
//! another, each `[covered_from, end)`: ranges that produced no file belong to the cover of the next batch that did. The
//! coverage in the committed metadata explains what is left, `[coverage.from, committed)`. In each of them, rows, dead
//! letters, skipped, empty, lost and released offsets must add up to its length.

use std::collections::BTreeMap;

use super::batches::{Batch, assemble};
use super::ranges::{Range, distinct, taken};
use super::report::{Finding, Record, Released};
use super::scope::Scope;
use crate::core::intent::{Coverage, Found, Metadata};
use crate::stored::StoredFile;
use crate::types::{Offset, TopicPartition};

/// What the group has committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// No offset.
    Nothing,
    /// No offset, and Kafka has no such topic, or doesn't show it to this client.
    NoTopic,
    /// No offset when the audit began, and valve's own when the files had been listed.
    Begun(Box<Metadata>),
    /// An offset without valve's metadata.
    Foreign(Offset),
    /// An offset with metadata of a later version of valve.
    Newer(Offset),
    /// Valve's own.
    Own(Box<Metadata>),
}

impl Committed {
    /// What `committed` is: the offset and the metadata with it.
    #[must_use]
    pub fn of(partition: i32, committed: Option<(Offset, &str)>) -> Self {
        let Some((offset, text)) = committed else { return Self::Nothing };
        match Metadata::find(text, partition, offset) {
            Found::Own(own) => Self::Own(own),
            Found::Newer => Self::Newer(offset),
            Found::Foreign => Self::Foreign(offset),
        }
    }

    fn offset(&self) -> Option<Offset> {
        match self {
            Self::Nothing | Self::NoTopic | Self::Begun(_) => None,
            Self::Foreign(offset) | Self::Newer(offset) => Some(*offset),
            Self::Own(own) => Some(own.first),
        }
    }
}

/// One partition's part of an audit. What is committed must have been read before the files were listed.
#[derive(Clone, Debug)]
pub struct Question {
    /// Which partition.
    pub partition: TopicPartition,
    /// The topic's id as the brokers have it now.
    pub topic_id: Option<u128>,
    /// What the group has committed.
    pub committed: Committed,
    /// All files of the partition that were looked at.
    pub files: Vec<StoredFile>,
    /// Whether each offset is to have had a record, so that one without is a finding.
    pub dense: bool,
}

/// A record for the topic as it is now, and one for each that had its name before.
#[must_use]
pub fn prove(question: Question, scope: &Scope) -> Vec<Record> {
    let Question { partition, topic_id, committed, files, dense } = question;
    let id = match &committed {
        Committed::Own(own) | Committed::Begun(own) => own.topic_id,
        _ => topic_id,
    };
    let mut present = Vec::new();
    let mut former: BTreeMap<u128, Vec<StoredFile>> = BTreeMap::new();
    for file in files {
        match (file.topic_id, id) {
            (Some(then), Some(now)) if then != now => former.entry(then).or_default().push(file),
            _ => present.push(file),
        }
    }
    let mut records = Vec::new();
    for (id, files) in former {
        let mut proof = Proof::new(&partition, Some(id), scope, dense);
        proof.record.notes.push(
            "the topic was deleted and created again: where this one ended can't be compared with anything"
                .into(),
        );
        proof.without_end(files, None);
        records.push(proof.record);
    }
    if !present.is_empty() || committed.offset().is_some() {
        let mut proof = Proof::new(&partition, id, scope, dense);
        proof.present(present, &committed, topic_id);
        records.push(proof.record);
    }
    records
}

/// A record that is being made.
struct Proof<'a> {
    scope: &'a Scope,
    dense: bool,
    record: Record,
}

impl<'a> Proof<'a> {
    fn new(partition: &TopicPartition, topic_id: Option<u128>, scope: &'a Scope, dense: bool) -> Self {
        let record = Record {
            topic: partition.topic.to_string(),
            topic_id: topic_id.map(|id| format!("{id:032x}")),
            partition: partition.partition,
            ..Record::default()
        };
        Self { scope, dense, record }
    }

    fn present(&mut self, mut files: Vec<StoredFile>, committed: &Committed, topic_id: Option<u128>) {
        self.record.committed = committed.offset();
        let reason = match committed {
            Committed::Own(own) => {
                if matches!((own.topic_id, topic_id), (Some(then), Some(now)) if then != now) {
                    let note = "the topic was deleted and created again since the last commit";
                    self.record.notes.push(note.to_owned());
                }
                return self.whole(files, own);
            }
            Committed::Begun(own) => {
                files = self.leave_out(files, own.origin);
                if files.is_empty() {
                    return;
                }
                format!(
                    "the group had no committed offset when the audit began, and now its record begins at {}: what \
                     should be here from before isn't known",
                    own.origin
                )
            }
            Committed::Nothing => {
                "the group has no committed offset (Kafka forgets them when a group is stopped for \
                 long): what should be here isn't known"
                    .to_owned()
            }
            Committed::NoTopic => format!(
                "Kafka has no topic {}, or doesn't show it to this client: where its record ended can't be known",
                self.record.topic
            ),
            Committed::Foreign(_) => {
                "the committed offset isn't valve's, or another tool set it: what came before it isn't known"
                    .to_owned()
            }
            Committed::Newer(_) => {
                "the committed metadata is of a newer version of valve: use that version's audit".to_owned()
            }
        };
        self.record.findings.push(Finding::NotProven { reason });
        self.without_end(files, committed.offset());
    }

    /// Leaves out what the group has made since it began at `origin`, while the audit ran; gives the files from before.
    fn leave_out(&mut self, files: Vec<StoredFile>, origin: Offset) -> Vec<StoredFile> {
        let (since, before): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.first >= origin);
        self.record.begun_since = true;
        self.record.pending_files += since.len() as u64;
        let note = "the group has begun it since the audit began: it is left to the next audit";
        self.record.notes.push(note.to_owned());
        before
    }

    /// Everything from the origin to the committed offset.
    fn whole(&mut self, files: Vec<StoredFile>, own: &Metadata) {
        self.record.origin = Some(own.origin);
        self.record.promised = own.intent.as_ref().map(|intent| (own.first, intent.end));
        let batches = assemble(files);
        let coverage = &own.coverage;
        self.marks(&batches, own.origin, &coverage.lost, &coverage.released);
        let counted = self.count(batches, own.origin, Some(own.first));
        let covered = self.tile(&counted, own.origin);
        if self.scope.is_all() {
            self.tail(covered, coverage, own.first);
        }
    }

    /// From the origin that the last batch states to its end; where it should end isn't known.
    fn without_end(&mut self, files: Vec<StoredFile>, committed: Option<Offset>) {
        let last = files.iter().max_by_key(|file| (file.end, file.origin));
        let Some(origin) = last.map(|file| file.origin) else { return };
        self.record.origin = Some(origin);
        let batches = assemble(files);
        self.marks(&batches, origin, &[], &[]);
        let counted = self.count(batches, origin, committed);
        self.tile(&counted, origin);
    }

    /// What is on record as lost or released since the origin, by the committed metadata or any header of the same record.
    /// What an earlier one lost or released is written anew in this one.
    fn marks(&mut self, batches: &[Batch], origin: Offset, lost: &[Range], released: &[Range]) {
        let own = || batches.iter().filter(move |batch| batch.origin == origin);
        let totals = || own().filter_map(Batch::totals).map(|(totals, _)| totals);
        let since = |(_, end): &Range| *end > origin;
        let lost = totals().flat_map(|totals| &totals.lost).chain(lost).copied();
        let released = totals().flat_map(|totals| &totals.released).chain(released).copied();
        self.record.lost = distinct(lost.filter(since));
        let released = distinct(released.filter(since));
        let empty = |(first, end)| Released { first, end, files: 0, rows: 0 };
        self.record.released = released.into_iter().map(empty).collect();
    }

    /// Counts and checks each batch; gives those whose covers count.
    fn count(&mut self, batches: Vec<Batch>, origin: Offset, committed: Option<Offset>) -> Vec<Batch> {
        let mut counted = Vec::new();
        for batch in batches {
            let (first, end) = batch.range;
            let files = batch.files().count() as u64;
            let mut released = self.record.released.iter_mut();
            if committed.is_some_and(|committed| first >= committed) {
                self.record.pending_files += files;
            } else if end <= origin {
                self.record.earlier_files += files;
            } else if let Some(mark) = released.find(|mark| (mark.first, mark.end) == batch.range) {
                mark.files += files;
                mark.rows = batch.files().fold(mark.rows, |sum, file| sum.saturating_add(file.rows));
            } else {
                self.count_batch(&batch, files);
                counted.push(batch);
            }
        }
        counted
    }

    fn count_batch(&mut self, batch: &Batch, files: u64) {
        self.record.batches += 1;
        self.record.files += files;
        batch.check(self.scope, &mut self.record.findings);
        let Some((totals, rows)) = batch.totals() else { return };
        self.add_up(
            batch.cover(),
            &batch.key,
            [rows, totals.dead_letters, totals.skipped, totals.empty],
            [&totals.lost, &totals.released],
        );
    }

    /// Whether the counts (rows, dead letters, skipped, empty) account for a cover, with what is lost or released by the same
    /// word. Released batches aren't in the counts: nobody knows what became of all their records.
    fn add_up(&mut self, cover: Range, by: &str, counts: [u64; 4], exempt: [&[Range]; 2]) {
        let [rows, dead_letters, skipped, empty] = counts;
        for (sum, count) in [
            (&mut self.record.rows, rows),
            (&mut self.record.dead_letters, dead_letters),
            (&mut self.record.skipped, skipped),
            (&mut self.record.empty, empty),
        ] {
            *sum = sum.saturating_add(count);
        }
        let exempt = taken(cover, exempt.into_iter().flatten().copied());
        let accounted = counts.into_iter().fold(exempt, u64::saturating_add);
        let (first, end) = cover;
        let offsets = first.distance_to(end);
        if accounted != offsets {
            self.record.findings.push(Finding::Counts { first, end, offsets, accounted, by: by.to_owned() });
        }
        if self.dense && empty > 0 {
            self.record.findings.push(Finding::Empty { first, end, offsets: empty, by: by.to_owned() });
        }
    }

    /// Whether the covers follow one another from the origin on; gives the offset behind the last and whose it is. Of
    /// some hours only, what lies between two covers isn't known.
    fn tile<'b>(&mut self, batches: &'b [Batch], origin: Offset) -> (Offset, &'b str) {
        let mut covers: Vec<(Range, &str)> =
            batches.iter().map(|batch| (batch.cover(), &*batch.key)).collect();
        covers.sort_unstable();
        let (mut behind, mut whose) = (origin, "what was before the origin");
        for ((first, end), key) in covers {
            if first > behind && self.scope.is_all() {
                self.record.findings.push(Finding::Gap { first: behind, end: first });
            }
            if first < behind {
                let (by, and_by) = (whose.to_owned(), key.to_owned());
                self.record.findings.push(Finding::Overlap { first, end: behind.min(end), by, and_by });
            }
            if end > behind {
                (behind, whose) = (end, key);
            }
        }
        (behind, whose)
    }

    /// What is behind the last cover: the committed coverage must begin there, and account for the rest.
    fn tail(&mut self, (behind, whose): (Offset, &str), coverage: &Coverage, committed: Offset) {
        const BY: &str = "the committed metadata";
        let from = coverage.from;
        if from > behind {
            self.record.findings.push(Finding::Gap { first: behind, end: from });
        }
        if from < behind.min(committed) {
            let (by, and_by) = (whose.to_owned(), BY.to_owned());
            self.record.findings.push(Finding::Overlap {
                first: from,
                end: behind.min(committed),
                by,
                and_by,
            });
        }
        if committed < behind {
            let (by, and_by) = (whose.to_owned(), "what the group reads next".to_owned());
            self.record.findings.push(Finding::Overlap { first: committed, end: behind, by, and_by });
        }
        let counts = [0, coverage.dead_letters, coverage.skipped, coverage.empty];
        self.add_up((from, committed), BY, counts, [&coverage.lost, &coverage.released]);
    }
}
