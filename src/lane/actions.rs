//! Doing what the core says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::latencies::Latencies;
use super::{Answer, Lane};
use crate::core::batch::{BatchId, Outcome};
use crate::core::start::Facts;
use crate::core::{Action, Commit, CommitAnswer, Event, Publish, Ticket};
use crate::dead_letter::replayed::rfc3339;
use crate::fault_point::{self, Point};
use crate::retry::Backoff;
use crate::source::offsets::PartitionFacts;
use crate::source::{Record, SourceError};
use crate::telemetry::status::{Committed, Membership};
use crate::telemetry::troubles::Dependency;
use crate::types::{Offset, TopicPartition, UnixMillis};

/// How long the lane stays out of the group when it starts over.
const STAY_OUT: Duration = Duration::from_secs(1);

/// What is being published, and what was and isn't committed yet.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    under_way: BTreeMap<TopicPartition, (Publish, AbortHandle)>,
    /// Each partition's batch that was promised last.
    promised: BTreeMap<TopicPartition, PromisedBatch>,
    latencies: Latencies,
}

/// What the log says of a batch once it is committed.
#[derive(Debug)]
struct PromisedBatch {
    batch: BatchId,
    first: Offset,
    end: Offset,
    opened: UnixMillis,
    /// Bytes stored, and how long that took.
    stored: Option<(u64, Duration)>,
}

impl Lane<'_> {
    pub(super) fn perform(&mut self, actions: Vec<Action>) {
        let mut resolve = Vec::new();
        for action in actions {
            match action {
                Action::Resolve(partition, ticket) => resolve.push((partition, ticket)),
                Action::Commit(commit) => self.commits.push(commit),
                Action::Consume(partition, offset) => {
                    self.drop_records(&partition);
                    self.fetching.consume(partition, offset);
                }
                Action::Stop(partition) => {
                    if let Some(held) = self.held.get_mut(&partition) {
                        held.next = held.stash.front().and_then(Record::timestamp);
                    }
                    self.drop_records(&partition);
                    self.fetching.to_stop.push(partition);
                }
                Action::Pause(partition) => self.pause(partition),
                Action::Resume(partition) => self.resume(&partition),
                Action::Seal { partition, batch, reason } => self.seal(partition, batch, reason),
                Action::Remake(remake) => self.remake(remake),
                Action::Publish(publish) => self.publish(publish),
                Action::Finish { partition, batch, outcome, records } => {
                    self.finish(&partition, batch, outcome, records);
                }
                Action::Abandon(partition) => self.abandon(&partition),
                Action::ReportLost { partition, first, end } => self.report_lost(&partition, first, end),
                Action::Hold(partition, reason) => self.show_hold(&partition, reason),
                Action::Fenced(partition, reason) => {
                    tracing::warn!(%partition, reason, "its offset commit was refused: it has another owner by now");
                }
                Action::GiveUp(partitions) => self.give_up(&partitions),
                Action::Rejoin(reason) => self.rejoin(&reason),
                Action::Leave => self.leaving = true,
            }
        }
        if !resolve.is_empty() {
            self.resolve(resolve);
        }
    }

    pub(super) fn try_kafka(&mut self, what: &str, call: impl FnOnce(&Self) -> Result<(), SourceError>) {
        if let Err(error) = call(self) {
            self.kafka_trouble(format!("{what}: {error}"));
        }
    }

    /// Asks where these partitions begin, for as long as it takes. One that can't be answered for doesn't hold up the
    /// others.
    fn resolve(&mut self, asked: Vec<(TopicPartition, Ticket)>) {
        let (offsets, trouble) = (self.shared.offsets.clone(), self.shared.troubles.open(Dependency::Kafka));
        let survey = self.shared.survey.clone();
        let answers = self.answers.0.clone();
        let mut open = BTreeMap::new();
        for (partition, ticket) in asked {
            let wanted = CancellationToken::new();
            self.asked.insert(partition.clone(), wanted.clone());
            open.insert(partition, (ticket, wanted));
        }
        self.shared.runtime.spawn(async move {
            let mut backoff = Backoff::default();
            loop {
                open.retain(|_, (_, wanted)| !wanted.is_cancelled());
                if open.is_empty() {
                    return trouble.clear();
                }
                let known = offsets.facts(open.keys().cloned().collect()).await.unwrap_or_else(|reason| {
                    trouble.set(format!("where partitions begin: {reason}"));
                    Vec::new()
                });
                // What the store has of a partition can take long to find out: the others don't wait for that.
                let (mut unrecorded, recorded): (Vec<_>, Vec<_>) =
                    known.into_iter().partition(|(_, facts)| is_unrecorded(facts));
                let mut answer = |known: Vec<PartitionFacts>| {
                    for (partition, facts) in known {
                        match facts {
                            Err(reason) => trouble.set(format!("where a partition begins: {reason}")),
                            Ok(facts) => {
                                if let Some((ticket, _)) = open.remove(&partition) {
                                    drop(answers.send(Answer::Facts(partition, ticket, facts)));
                                }
                            }
                        }
                    }
                };
                answer(recorded);
                match survey.complete(&mut unrecorded).await {
                    Ok(()) => answer(unrecorded),
                    Err(reason) => trouble.set(reason),
                }
                if !open.is_empty() {
                    tokio::time::sleep(backoff.next_wait()).await;
                }
            }
        });
    }

    /// Hands the client the commits of this turn: a request for each topic, since the client takes the broker's answer about one
    /// partition for its answer about all others of the request, and what a broker refuses, it refuses of a whole topic.
    pub(super) fn send_commits(&mut self) {
        let mut topics: BTreeMap<Arc<str>, Vec<Commit>> = BTreeMap::new();
        for commit in std::mem::take(&mut self.commits) {
            topics.entry(Arc::clone(&commit.partition.topic)).or_default().push(commit);
        }
        for commits in topics.into_values() {
            self.send_commits_of_topic(commits);
        }
    }

    fn send_commits_of_topic(&mut self, commits: Vec<Commit>) {
        // Which partitions are lost comes as an event, perhaps in the next turn: the others go on after that.
        let answer = if self.source.assignment_lost() {
            CommitAnswer::Rebalancing
        } else {
            let Err(error) = self.source.commit(&commits) else {
                let now = self.shared.clock.monotonic();
                commits
                    .iter()
                    .for_each(|commit| self.publishing.latencies.committing(&commit.partition, now));
                return;
            };
            // The client refused to take them, so the broker will not hear of them.
            CommitAnswer::NotNow(error.to_string())
        };
        for commit in commits {
            let answer = answer.clone();
            self.handle(Event::Committed { partition: commit.partition, answer });
        }
    }

    /// The broker's answers to commits.
    pub(super) fn commits_answered(&mut self, answers: Vec<(TopicPartition, CommitAnswer)>) {
        let now = self.shared.clock.monotonic();
        for (partition, answer) in answers {
            self.publishing.latencies.committed(&partition, now);
            match &answer {
                // Fenced, the broker is well; it is this member that the group goes on without.
                CommitAnswer::Accepted | CommitAnswer::Fenced(_) => self.troubles.is_well(&partition),
                CommitAnswer::Rebalancing => tracing::debug!(%partition, "commit put off"),
                CommitAnswer::NotNow(reason) | CommitAnswer::Unanswered(reason) => {
                    self.troubles.refused(&partition, reason);
                }
            }
            self.handle(Event::Committed { partition, answer });
        }
    }

    fn publish(&mut self, publish: Publish) {
        let Some(mut batch) = self.sealing.take(publish.batch) else { return };
        let now = self.shared.clock.monotonic();
        self.publishing.latencies.publishing(&publish.partition, publish.batch, now);
        let Publish { batch: id, first, end, instant: opened, .. } = publish;
        let promised = PromisedBatch { batch: id, first, end, opened, stored: None };
        self.publishing.promised.insert(publish.partition.clone(), promised);
        if !batch.is_whole() {
            return self.publish_in_passes(publish, batch.outcome());
        }
        let (publisher, lost) = (self.shared.publisher.clone(), self.lost.subscribe());
        let (answers, task) = (self.answers.0.clone(), publish.clone());
        let (partition, id) = (publish.partition.clone(), publish.batch);
        let job = self.shared.runtime.spawn(async move { publisher.publish(batch, &task, &lost).await });
        self.publishing.under_way.insert(partition.clone(), (publish, job.abort_handle()));
        self.shared.runtime.spawn(async move {
            let result = match job.await {
                Ok(result) => result,
                Err(ended) if ended.is_cancelled() => return,
                Err(_) => {
                    Err("publishing it panicked, which is a bug in valve; the log says where".to_owned())
                }
            };
            drop(answers.send(Answer::Published(partition, id, result)));
        });
    }

    pub(super) fn published(
        &mut self,
        partition: TopicPartition,
        batch: BatchId,
        result: Result<u64, String>,
    ) {
        if self.publishing.under_way.get(&partition).is_some_and(|(publish, _)| publish.batch == batch) {
            self.publishing.under_way.remove(&partition);
        }
        match result {
            Ok(bytes) => {
                let now = self.shared.clock.monotonic();
                let took = self.publishing.latencies.published(&partition, batch, now);
                let promised = self.publishing.promised.get_mut(&partition);
                if let Some(promised) = promised.filter(|promised| promised.batch == batch) {
                    promised.stored = Some((bytes, took.unwrap_or_default()));
                }
                self.handle(Event::Published { partition, batch });
            }
            Err(reason) => self.handle(Event::Refused { partition, batch, reason }),
        }
    }

    fn finish(&mut self, partition: &TopicPartition, batch: BatchId, outcome: Outcome, records: u64) {
        fault_point::reach(Point::Committed);
        self.taking_over.forget(partition);
        let promised = self.publishing.promised.remove(partition).filter(|promised| promised.batch == batch);
        let promised = promised.as_ref();
        let (bytes, took) = promised.and_then(|promised| promised.stored).unwrap_or_default();
        let rows = outcome.rows();
        let files = outcome.files.len() as u64;
        let age = promised.map(|promised| self.shared.clock.now().0.saturating_sub(promised.opened.0).max(0));
        tracing::info!(
            %partition, first = promised.map(|promised| promised.first.0), end = promised.map(|promised| promised.end.0),
            opened = promised.map(|promised| rfc3339(promised.opened)), age_ms = age, publish_ms = took.as_millis() as u64,
            records, rows, files, bytes,
            dead_letters = outcome.dead_letter_count(), skipped = outcome.skipped,
            "batch committed"
        );
        let committed =
            Committed { rows, files, bytes, dead_letters: outcome.dead_letters, skipped: outcome.skipped };
        self.shared.status.committed(&partition.topic, &committed);
    }

    fn abandon(&mut self, partition: &TopicPartition) {
        self.left_behind |= self.shared.stop.is_cancelled() && self.has_unstored(partition);
        if let Some((publish, job)) = self.publishing.under_way.remove(partition) {
            tracing::warn!(%partition, first = %publish.first, end = %publish.end, "batch abandoned");
            job.abort();
        }
        self.publishing.promised.remove(partition);
        self.publishing.latencies.abandoned(partition);
        self.taking_over.forget(partition);
        self.forget(partition);
        self.sealing.abandon(partition);
    }

    fn has_unstored(&self, partition: &TopicPartition) -> bool {
        let filling = self.held.get(partition).is_some_and(|held| held.batch.is_some());
        filling || self.publishing.under_way.contains_key(partition) || self.sealing.holds(partition)
    }

    fn report_lost(&self, partition: &TopicPartition, first: Offset, end: Offset) {
        tracing::error!(%partition, %first, %end, "records were gone before they were read");
        self.shared.status.lost(&partition.topic, first.distance_to(end));
    }

    fn show_hold(&mut self, partition: &TopicPartition, reason: Option<String>) {
        if let Some(reason) = &reason {
            self.troubles.is_well(partition);
            tracing::error!(%partition, reason, "held");
        }
        self.status.hold(partition, reason);
    }

    fn give_up(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.forget(partition);
            self.fetching.forget(partition);
            self.troubles.is_well(partition);
        }
        self.try_kafka("give up", |lane| lane.source.give_up(partitions));
        self.lost.send_replace(false);
        self.show_membership();
    }

    /// Drops the records of a partition that aren't placed yet: they will be delivered again. What is placed stays.
    fn drop_records(&mut self, partition: &TopicPartition) {
        if let Some(held) = self.held.get_mut(partition) {
            held.stash.clear();
            (held.waiting, held.unknown) = (None, None);
        }
    }

    /// Drops what is held of a partition, and what was to be done with it.
    fn forget(&mut self, partition: &TopicPartition) {
        self.held.remove(partition);
        self.fetching.dont_begin(partition);
        if let Some(wanted) = self.asked.remove(partition) {
            wanted.cancel();
        }
    }

    /// Shows how many partitions the lane has, or that it isn't in the group.
    pub(super) fn show_membership(&self) {
        self.status.membership(if self.outside {
            Membership::Joining
        } else {
            Membership::Member(self.core.partitions().count())
        });
    }

    /// Leaves the group; the revocation that follows gives everything up, and then it is joined again.
    pub(super) fn rejoin(&mut self, reason: &str) {
        if self.rejoin_at.is_some() {
            return;
        }
        tracing::warn!(reason, "leaving the group to join it anew");
        self.rejoin_at = Some(self.shared.clock.monotonic() + STAY_OUT);
        self.outside = true;
        self.show_membership();
        self.source.unsubscribe();
    }
}

/// Whether the group has no offset of the partition.
fn is_unrecorded(facts: &Result<Facts, String>) -> bool {
    facts.as_ref().is_ok_and(|facts| facts.committed.is_none())
}
