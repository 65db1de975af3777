//! What the verification found.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use super::events::Topic;
use crate::core::layout::Hour;

/// How many examples of each kind of fault are kept.
const EXAMPLES: usize = 5;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// An event is neither a row nor a dead letter.
    Missing,
    /// An event is more than one row.
    Doubled,
    /// A row is in a file of another hour, topic or schema.
    Misplaced,
    /// A row or dead letter isn't what was generated.
    Altered,
    /// There is something that nothing generated has led to.
    Unexpected,
    /// A file that the Avro library can't read.
    Unreadable,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Doubled => "doubled",
            Self::Misplaced => "misplaced",
            Self::Altered => "altered",
            Self::Unexpected => "unexpected",
            Self::Unreadable => "unreadable",
        })
    }
}

/// What is stored of one topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The hours that have files.
    pub(crate) hours: BTreeSet<Hour>,
    /// Files.
    pub(crate) files: u64,
    /// Rows in them.
    pub(crate) rows: u64,
    /// Their size together, in bytes.
    pub(crate) bytes: u64,
}

/// What is on disk and in the dead-letter topic, and whether it is what it should be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// How many events there were.
    pub(crate) generated: u64,
    /// What is stored, by topic.
    pub(crate) topics: BTreeMap<Topic, Stored>,
    /// Records with a dead letter, by the code of its reason.
    pub(crate) dead_letters: BTreeMap<String, u64>,
    /// Dead letters beyond the first of a record.
    pub(crate) repeated: u64,
    /// One of the files, to look at.
    pub(crate) example: Option<PathBuf>,
    faults: BTreeMap<Fault, (u64, Vec<String>)>,
}

impl Report {
    /// Nothing found yet, of so many events.
    pub(crate) fn new(generated: u64) -> Self {
        Self { generated, ..Self::default() }
    }

    /// Every event is exactly one row or one expected dead letter.
    pub(crate) fn is_right(&self) -> bool {
        self.faults.is_empty()
    }

    /// What is wrong: of each kind how often, and a few examples.
    pub(crate) fn faults(&self) -> impl Iterator<Item = (Fault, u64, &[String])> {
        self.faults.iter().map(|(fault, (count, examples))| (*fault, *count, examples.as_slice()))
    }

    /// Takes note of a fault.
    pub(crate) fn add(&mut self, fault: Fault, example: impl FnOnce() -> String) {
        let (count, examples) = self.faults.entry(fault).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(example());
        }
    }
}
