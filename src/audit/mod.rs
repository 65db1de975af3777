//! `valve audit`: proves from the group's committed metadata and the files' headers that every offset is covered
//! exactly once, or says which aren't (docs/protocol.md, "The audit's snapshot").
//!
//! - [`proof`]: the arithmetic, without I/O; [`scope`]: what of the store it may take for complete.
//! - [`report`]: what it comes to; `table` shows it to people.
//! - [`looking`]: where to look for files, and what is there; `rows` reads them whole for `--deep`.
//!
//! Nothing here writes anywhere but to the terminal.

mod batches;
pub mod layouts;
pub mod looking;
pub mod proof;
mod ranges;
pub mod report;
mod rows;
pub mod scope;
pub(crate) mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use looking::{Progress, Request};
pub use proof::{Committed, Question, prove};
pub use report::{Finding, Record, Report, Verdict};
pub use scope::Scope;

use crate::sink::SinkError;
use crate::source::offsets::group::GroupOffsets;
use crate::stored::Store;
use crate::types::TopicPartition;

/// So many partitions are named in one note.
const NAMED: usize = 10;

/// Compares what is stored with `group`, which was asked before. `ask` asks it once more, for some topics, where files are
/// of partitions that had no offset then: the group may have begun them since.
///
/// # Errors
/// When the sink gives up.
pub(crate) async fn audit(
    store: &Store,
    request: &Request,
    group: &GroupOffsets,
    ask: impl AsyncFnOnce(BTreeSet<String>) -> GroupOffsets,
    progress: &Progress,
) -> Result<Report, SinkError> {
    let plan = request.plan();
    let mut found = looking::look(store, request, &plan, progress).await?;
    let without_offset = found.files.keys().filter(|partition| !group.committed.contains_key(*partition));
    let topics: BTreeSet<String> = without_offset.map(|partition| partition.topic.to_string()).collect();
    let later = if topics.is_empty() { GroupOffsets::default() } else { ask(topics).await };
    let mut report = Report {
        findings: std::mem::take(&mut found.findings),
        is_partial: !plan.scope.is_all(),
        notes: plan.notes,
        ..Report::default()
    };
    let partitions: BTreeSet<_> = group.committed.keys().chain(found.files.keys()).cloned().collect();
    report.notes.extend(never_begun(group, &partitions));
    for partition in partitions {
        let question = Question {
            topic_id: group.topic_ids.get(&*partition.topic).copied(),
            committed: committed(&partition, group, &later),
            files: found.files.remove(&partition).unwrap_or_default(),
            dense: request.dense,
            partition,
        };
        report.records.extend(prove(question, &plan.scope));
    }
    report.findings.extend(nothing(&report, request));
    if report.is_partial && !report.has_files() {
        let note = "no file of this valve lies in these hours. If there should be some, see that name, sink and layout.key are \
                    those under which they were stored";
        report.notes.push(note.to_owned());
    }
    report.notes.extend(found.layouts.notes());
    if found.foreign > 0 {
        let others = format!("objects under the prefix that aren't files of this valve: {}", found.foreign);
        report.notes.push(others);
    }
    Ok(report)
}

/// What `group` has of a partition, and `later`, when the files had been listed.
fn committed(partition: &TopicPartition, group: &GroupOffsets, later: &GroupOffsets) -> Committed {
    let of = |group: &GroupOffsets| {
        let committed = group.committed.get(partition).map(|(offset, text)| (*offset, &**text));
        Committed::of(partition.partition, committed)
    };
    let topic = &*partition.topic;
    match (of(group), of(later)) {
        (Committed::Nothing, Committed::Own(own)) => Committed::Begun(own),
        (Committed::Nothing, _) if !(group.topics.contains(topic) || later.topics.contains(topic)) => {
            Committed::NoTopic
        }
        (committed, _) => committed,
    }
}

/// A note for each topic that has partitions without an offset and without a file; `met` are those with one or the other.
fn never_begun(group: &GroupOffsets, met: &BTreeSet<TopicPartition>) -> Vec<String> {
    let topics: BTreeSet<&str> = met.iter().map(|partition| &*partition.topic).collect();
    let mut missing: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in group.never_begun.difference(met) {
        if topics.contains(&*partition.topic) {
            missing.entry(&*partition.topic).or_default().push(partition.partition);
        }
    }
    let note = |(topic, partitions): (&str, Vec<i32>)| {
        let (which, them) = match &partitions[..] {
            [partition] => (format!("{topic}[{partition}]"), "it"),
            _ => (format!("{} partitions of {topic} ({})", partitions.len(), some(&partitions)), "them"),
        };
        format!(
            "the group has never begun {which}: nothing of {them} is stored, as far as this audit can tell"
        )
    };
    missing.into_iter().map(note).collect()
}

/// The first of them, and how many there are besides.
fn some(partitions: &[i32]) -> String {
    let named: Vec<_> = partitions.iter().take(NAMED).map(ToString::to_string).collect();
    let more = partitions.len() - named.len();
    let named = named.join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

/// Where nothing is, nothing is proven: a name, prefix or topic may be wrong, or the group has only just begun.
fn nothing(report: &Report, request: &Request) -> Vec<Finding> {
    let topics = |begun_since: bool| -> BTreeSet<&str> {
        let records = report.records.iter().filter(|record| record.begun_since == begun_since);
        records.map(|record| &*record.topic).collect()
    };
    let (audited, begun) = (topics(false), topics(true));
    let nothing = |what: &str, is_begun: bool| {
        let why = if is_begun {
            "the group had no committed offset when the audit began, and has one now: run it again"
        } else {
            "the group has no committed offset, and the store no file of this valve"
        };
        Finding::NotProven { reason: format!("{what}: {why}") }
    };
    let mut topics: Vec<Finding> = request
        .topics
        .iter()
        .filter(|topic| !audited.contains(&***topic))
        .map(|topic| nothing(&format!("topic {topic}"), begun.contains(&**topic)))
        .collect();
    if request.topics.is_empty() && audited.is_empty() {
        topics.push(nothing("no topic at all", !begun.is_empty()));
    }
    topics
}
