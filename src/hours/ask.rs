//! Asks the brokers which hours are complete.

use std::collections::{BTreeMap, BTreeSet};

use super::partition::Partition;
use super::search::{Goal, Search};
use super::{PartitionHours, Rules, TopicHours};
use crate::core::layout::Hour;
use crate::source::offsets::Offsets;

/// What is to be known.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) topics: BTreeSet<String>,
    pub(crate) rules: Rules,
    pub(crate) goal: Goal,
    /// The end of the last hour in question. By the clock it must have been over, with its lateness, before this is asked:
    /// what is in no log by then comes too late.
    pub(crate) last: Hour,
}

/// The answer for each of the topics, in their order.
///
/// # Errors
/// A sentence, when the brokers can't be asked or don't tell all.
pub(crate) async fn ask(offsets: &Offsets, question: Question) -> Result<Vec<TopicHours>, String> {
    let Question { topics, rules, goal, last } = question;
    let partitions = offsets.partitions(topics.clone()).await?;
    let known = if partitions.is_empty() { Vec::new() } else { offsets.facts(partitions).await? };
    let known = known.into_iter().map(|(partition, facts)| Ok(Partition::of(partition, &facts?)));
    let mut search = Search::new(rules, goal, last, known.collect::<Result<_, String>>()?);
    loop {
        let questions = search.questions();
        if questions.is_empty() {
            break;
        }
        search.learn(&offsets.firsts(questions).await?)?;
    }
    let mut by_topic: BTreeMap<String, Vec<PartitionHours>> =
        topics.into_iter().map(|topic| (topic, Vec::new())).collect();
    for (partition, hours) in search.into_found() {
        by_topic.entry(partition.topic.to_string()).or_default().push(hours);
    }
    Ok(by_topic.into_iter().map(|(topic, partitions)| TopicHours { topic, partitions }).collect())
}
