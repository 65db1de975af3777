//! Files put together to batches, and each batch compared with what its first file says of it.

use std::collections::{BTreeMap, BTreeSet};

use super::ranges::Range;
use super::report::Finding;
use super::scope::Scope;
use crate::stored::{ListedFile, Part, StoredFile, Totals};
use crate::types::Offset;

/// The files that name one file as their batch's first.
#[derive(Debug)]
pub(super) struct Batch {
    /// The first file's key.
    pub(super) key: String,
    /// The batch's range.
    pub(super) range: Range,
    /// Where the record that it belongs to begins.
    pub(super) origin: Offset,
    /// Where its cover begins.
    pub(super) covered_from: Offset,
    /// The first file, if it is there.
    first: Option<StoredFile>,
    further: Vec<StoredFile>,
}

/// Puts files together. A file that is there twice under two keys makes two batches, or a file that no list has.
pub(super) fn assemble(files: Vec<StoredFile>) -> Vec<Batch> {
    let mut batches: BTreeMap<String, (Option<StoredFile>, Vec<StoredFile>)> = BTreeMap::new();
    for file in files {
        let (first, further) = batches.entry(file.first_file().to_owned()).or_default();
        match file.part {
            Part::First(_) => *first = Some(file),
            Part::Further { .. } => further.push(file),
        }
    }
    batches.into_iter().filter_map(|(key, (first, further))| Batch::new(key, first, further)).collect()
}

impl Batch {
    fn new(key: String, first: Option<StoredFile>, further: Vec<StoredFile>) -> Option<Self> {
        let speaker = first.as_ref().or(further.first())?;
        let (range, origin, covered_from) =
            ((speaker.first, speaker.end), speaker.origin, speaker.covered_from);
        Some(Self { key, range, origin, covered_from, first, further })
    }

    /// The cover that ends with it.
    pub(super) fn cover(&self) -> Range {
        (self.covered_from, self.range.1)
    }

    /// What its first file says of the cover, and how many rows it lists.
    pub(super) fn totals(&self) -> Option<(&Totals, u64)> {
        let Part::First(totals) = &self.first.as_ref()?.part else { return None };
        Some((totals, totals.files.iter().fold(0, |sum, file| sum.saturating_add(file.rows))))
    }

    /// Its files that are there.
    pub(super) fn files(&self) -> impl Iterator<Item = &StoredFile> {
        self.first.iter().chain(&self.further)
    }

    /// Compares the files that are there with those that the first one lists.
    pub(super) fn check(&self, scope: &Scope, findings: &mut Vec<Finding>) {
        let (first, end) = self.range;
        match (&self.first, self.totals()) {
            (Some(speaker), Some((totals, _))) => {
                self.check_listed(&totals.files, scope, findings);
                self.check_present(speaker, &totals.files, findings);
            }
            _ => findings.push(Finding::MissingFirstFile {
                key: self.key.clone(),
                first,
                end,
                files: self.further.len() as u64,
            }),
        }
    }

    /// Each listed file is there, if it is in what was looked at, and has the rows that are listed.
    fn check_listed(&self, listed: &[ListedFile], scope: &Scope, findings: &mut Vec<Finding>) {
        let present: BTreeMap<&str, &StoredFile> = self.files().map(|file| (&*file.key, file)).collect();
        let mut met = BTreeSet::new();
        for entry in listed {
            if !met.insert(&*entry.key) {
                findings.push(different(&entry.key, format!("{} lists it twice", self.key)));
            }
            match present.get(&*entry.key) {
                Some(file) => findings.extend(compare(entry, file, &self.key)),
                None if scope.has(&entry.key) => findings.push(Finding::MissingFile {
                    key: entry.key.clone(),
                    first: self.range.0,
                    end: self.range.1,
                    rows: entry.rows,
                }),
                None => {}
            }
        }
    }

    /// Each file that is there is listed, and of the same batch as the first.
    fn check_present(&self, speaker: &StoredFile, listed: &[ListedFile], findings: &mut Vec<Finding>) {
        let listed: BTreeSet<&str> = listed.iter().map(|entry| &*entry.key).collect();
        for file in self.files() {
            if !listed.contains(&*file.key) {
                findings.push(Finding::UnlistedFile { key: file.key.clone(), first_file: self.key.clone() });
            }
            if batch_of(file) != batch_of(speaker) {
                let what = format!("it states another batch than {}, which it names as its first", self.key);
                findings.push(different(&file.key, what));
            }
        }
    }
}

/// What all files of a batch have in common.
fn batch_of(file: &StoredFile) -> (Offset, Offset, Offset, u128) {
    (file.first, file.end, file.covered_from, file.promise)
}

fn compare(listed: &ListedFile, file: &StoredFile, by: &str) -> Option<Finding> {
    if listed.rows != file.rows {
        let what = format!("its header states {} rows, {by} lists it with {}", file.rows, listed.rows);
        Some(different(&file.key, what))
    } else if listed.digest != file.digest {
        let what = format!("its header states the digest {}, {by} lists {}", file.digest, listed.digest);
        Some(different(&file.key, what))
    } else {
        None
    }
}

fn different(key: &str, what: String) -> Finding {
    Finding::DifferentFile { key: key.to_owned(), what }
}
