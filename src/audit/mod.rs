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

use std::collections::BTreeSet;

pub use looking::{Progress, Request};
pub use proof::{Committed, Question, prove};
pub use report::{Finding, Record, Report, Verdict};
pub use scope::Scope;

use crate::sink::SinkError;
use crate::source::offsets::group::GroupOffsets;
use crate::stored::Store;

/// Compares what is stored with `group`, which was asked before.
///
/// # Errors
/// When the sink gives up.
pub(crate) async fn audit(
    store: &Store,
    request: &Request,
    group: &GroupOffsets,
    progress: &Progress,
) -> Result<Report, SinkError> {
    let plan = request.plan();
    let mut found = looking::look(store, request, &plan, progress).await?;
    let mut report = Report {
        findings: std::mem::take(&mut found.findings),
        is_partial: !plan.scope.is_all(),
        notes: plan.notes,
        ..Report::default()
    };
    let partitions: BTreeSet<_> = group.committed.keys().chain(found.files.keys()).cloned().collect();
    for partition in partitions {
        let committed = group.committed.get(&partition).map(|(offset, text)| (*offset, &**text));
        let question = Question {
            topic_id: group.topic_ids.get(&*partition.topic).copied(),
            committed: Committed::of(partition.partition, committed),
            files: found.files.remove(&partition).unwrap_or_default(),
            dense: request.dense,
            partition,
        };
        report.records.extend(prove(question, &plan.scope));
    }
    report.findings.extend(nothing(&report, request));
    report.notes.extend(found.layouts.notes());
    if found.foreign > 0 {
        let others = format!("objects under the prefix that aren't files of this valve: {}", found.foreign);
        report.notes.push(others);
    }
    Ok(report)
}

/// Where nothing is, nothing is proven: a name, prefix or topic may be wrong.
fn nothing(report: &Report, request: &Request) -> Vec<Finding> {
    let audited: BTreeSet<&str> = report.records.iter().map(|record| &*record.topic).collect();
    let nothing = |what: &str| Finding::NotProven {
        reason: format!("{what}: the group has no committed offset, and the store no file of this valve"),
    };
    let mut topics: Vec<Finding> = request
        .topics
        .iter()
        .filter(|topic| !audited.contains(&***topic))
        .map(|topic| nothing(&format!("topic {topic}")))
        .collect();
    if request.topics.is_empty() && audited.is_empty() {
        topics.push(nothing("no topic at all"));
    }
    topics
}
