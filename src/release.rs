//! Letting go of a promised batch that can't be made again (docs/protocol.md, "Takeover"): records of its range are gone, or
//! other rows lie under its files' keys.
//!
//! What can still be read of it is made. Of the files that come of that, those whose identity is in the store already are
//! counted as stored, and the others are stored with the rows that there are. Then the batch's end is committed, with the
//! gone ranges and the batch's mark in the coverage, so that no audit takes it for proven.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::batch::Batch;
use crate::batch::manifest::Manifest;
use crate::batch::publish::Publisher;
use crate::batch::terms::Terms;
use crate::core::batch::{BatchId, FileOutcome, Outcome};
use crate::core::identity::Identity;
use crate::core::intent::{Intent, MAX_LOST_RANGES, MAX_RELEASED, Metadata};
use crate::core::layout::FilePlace;
use crate::core::start::{Facts, is_recreated};
use crate::core::{Commit, Publish, Remake};
use crate::sink::Sink;
use crate::stored::{FileHeader, Recognised, Store};
use crate::takeover::{Maker, Remade, Stop};
use crate::types::{Offset, TopicPartition};

/// A promised batch that nobody takes over.
pub(crate) struct Promised {
    pub(crate) partition: TopicPartition,
    /// As it is committed.
    pub(crate) metadata: Metadata,
    pub(crate) intent: Intent,
}

impl Promised {
    /// What is committed as long as nobody has done anything about the batch.
    pub(crate) fn commit(&self) -> Commit {
        let Self { partition, metadata, .. } = self;
        Commit { partition: partition.clone(), offset: metadata.first, metadata: metadata.encode() }
    }
}

/// What a release would do.
pub(crate) struct Plan {
    pub(crate) promised: Promised,
    /// Offsets that can't be read any more.
    pub(crate) gone: Vec<(Offset, Offset)>,
    /// Files of the batch that are in the store: key and rows.
    pub(crate) stored: Vec<(String, u64)>,
    /// What lies where files of the batch belong and isn't those: keys.
    pub(crate) in_the_way: Vec<String>,
    /// The rows of those files that can be read, and will be nowhere.
    rows_kept_out: u64,
    /// What can be read, and came of it.
    batch: Option<Batch>,
    outcome: Outcome,
    /// Which of its files are to be stored, by their place in the outcome.
    missing: Vec<usize>,
    sink: Arc<dyn Sink>,
}

impl Plan {
    /// Files and rows that can be stored now.
    pub(crate) fn storable(&self) -> (usize, u64) {
        let rows = self.missing.iter().map(|index| self.outcome.files[*index].rows).sum();
        (self.missing.len(), rows)
    }

    /// Dead letters and skipped records of what can be read.
    pub(crate) fn others(&self) -> (u64, u64) {
        (self.outcome.dead_letter_count(), self.outcome.skipped)
    }

    /// Whether the batch can be made as it was promised: nothing is gone, and starting a valve is the better way.
    pub(crate) fn is_as_promised(&self) -> bool {
        self.gone.is_empty() && self.outcome.digest() == self.promised.intent.outcome
    }

    /// How many records are lost at most: the batch's offsets, but for those that can be read and the rows of files stored
    /// earlier that can't be of those. (Compaction takes records out of the middle, and some offsets never had one.)
    pub(crate) fn lost_at_most(&self) -> u64 {
        if self.is_as_promised() {
            return self.rows_kept_out;
        }
        let Promised { metadata, intent, .. } = &self.promised;
        let stored: u64 = self.stored.iter().map(|(_, rows)| rows).sum();
        let rows_stored_and_there = self.outcome.rows() - self.storable().1 - self.rows_kept_out;
        let readable = self.outcome.records() - self.rows_kept_out;
        let accounted = readable + stored.saturating_sub(rows_stored_and_there);
        metadata.first.distance_to(intent.end).saturating_sub(accounted)
    }

    /// What is committed when it is done.
    fn commit(&self) -> Result<Commit, String> {
        let Promised { partition, metadata, intent } = &self.promised;
        // Never back: what was committed was stored. An intent that no valve makes may end before it begins.
        let end = intent.end.max(metadata.first);
        let mut after = Metadata { first: end, intent: None, ..metadata.clone() };
        if self.lost_at_most() > 0 {
            after.coverage.lost.extend(&self.gone);
        }
        if metadata.first < end {
            after.coverage.released.push((metadata.first, end));
        }
        if after.coverage.released.len() > MAX_RELEASED || after.coverage.lost.len() > MAX_LOST_RANGES {
            return Err(format!(
                "its coverage has no room for another mark: {MAX_RELEASED} released batches and {MAX_LOST_RANGES} lost \
                 ranges are recorded at most"
            ));
        }
        Ok(Commit { partition: partition.clone(), offset: after.first, metadata: after.encode() })
    }
}

/// What it takes to release batches.
pub(crate) struct Releaser {
    pub(crate) maker: Arc<Maker>,
    pub(crate) publisher: Publisher,
}

impl Releaser {
    /// Reads what there is of the batch and looks for its files.
    ///
    /// # Errors
    /// A sentence, when it can't be found out.
    pub(crate) async fn plan(&self, promised: Promised, facts: &Facts) -> Result<Plan, String> {
        let terms = Terms::of(&promised.intent.layout)?;
        let (readable, gone) = split(&promised, facts);
        let sink = self.publisher.sink_of(&terms).await.map_err(|error| error.to_string())?;
        let remade = match readable {
            Some((first, end)) => Some(self.remake(&promised, first, end).await?),
            None => None,
        };
        let (batch, outcome) = match remade {
            Some(Remade { batch, outcome }) if batch.is_whole() => (Some(batch), outcome),
            Some(_) => {
                return Err(
                    "what can be read of it doesn't fit into memory.budget: raise that for this command"
                        .into(),
                );
            }
            None => (None, Outcome::default()),
        };
        let mut plan = Plan {
            promised,
            gone,
            stored: Vec::new(),
            in_the_way: Vec::new(),
            rows_kept_out: 0,
            batch,
            outcome,
            missing: Vec::new(),
            sink,
        };
        self.find(&mut plan, &terms).await.map_err(|error| error.to_string())?;
        Ok(plan)
    }

    async fn remake(&self, promised: &Promised, first: Offset, end: Offset) -> Result<Remade, String> {
        let intent = Some(Intent { end, ..promised.intent.clone() });
        let promise = Box::new(Metadata { first, intent, ..promised.metadata.clone() });
        let remake = Remake { partition: promised.partition.clone(), batch: BatchId(0), promise };
        let maker = Arc::clone(&self.maker);
        let made = tokio::task::spawn_blocking(move || maker.make(&remake, &CancellationToken::new()));
        match made.await {
            Ok(Ok(remade)) => Ok(remade),
            Ok(Err(Stop::Refused(reason) | Stop::Later(_, reason))) => Err(reason),
            Ok(Err(Stop::Cancelled)) => Err("it was cancelled".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Looks which of the batch's files are in the store, by their identity: the key of one with other rows differs.
    async fn find(&self, plan: &mut Plan, terms: &Terms) -> Result<(), crate::sink::SinkError> {
        let store = Store::new(Arc::clone(&plan.sink), &*self.publisher.config.name);
        let text = plan.promised.metadata.encode();
        let identity = Identity {
            valve: &self.publisher.config.name,
            cluster: &self.publisher.cluster,
            metadata: &text,
        };
        let as_promised = plan.is_as_promised();
        // Where records are gone, an earlier owner's file has more rows than can be made now.
        let is_of_batch = |header: &FileHeader, file: &FileOutcome| {
            header.metadata == text && (!as_promised || header.file.digest == file.digest)
        };
        for (index, file) in plan.outcome.files.iter().enumerate() {
            let uuid = identity.uuid(file.hour, file.schema);
            let topic = &*plan.promised.partition.topic;
            let place = FilePlace { topic, hour: file.hour, count: file.rows, uuid };
            let own = terms.key.key(&terms.layout.prefix, &place);
            let (mut stored, mut taken) = (None, false);
            for key in find_files(&store, terms, topic, file, uuid).await? {
                match store.recognise(&key).await? {
                    Some(Recognised::Own(header)) if is_of_batch(&header, file) => {
                        stored = stored.or(Some((key, header.file.rows)));
                    }
                    _ => taken |= key == own,
                }
            }
            match stored {
                Some(found) => plan.stored.push(found),
                None if taken => {
                    plan.rows_kept_out += file.rows;
                    plan.in_the_way.push(own);
                }
                None => plan.missing.push(index),
            }
        }
        Ok(())
    }

    /// Stores and produces what the plan says; what follows is to be committed.
    ///
    /// # Errors
    /// A sentence, when the store refuses a file for good.
    pub(crate) async fn carry_out(&self, mut plan: Plan) -> Result<Commit, String> {
        let commit = plan.commit()?;
        let Some(mut batch) = plan.batch.take() else { return Ok(commit) };
        let (_lane, owned) = watch::channel(false);
        let publish = publish_of(&plan);
        let letters = batch.take_dead_letters();
        self.publisher.produce(&letters, &publish, &owned).await;
        let terms = Arc::clone(&batch.terms);
        let (name, cluster) = (&self.publisher.config.name, &self.publisher.cluster);
        let manifest = Manifest::new(&terms, name, cluster, &publish, &plan.outcome);
        let (_, files, _account) = batch.into_parts();
        let missing = files.into_iter().enumerate().filter(|(index, _)| plan.missing.contains(index));
        let stored = self.publisher.store(&*plan.sink, &terms, &manifest, missing, &owned).await;
        stored.map_err(|error| error.to_string())?;
        Ok(commit)
    }
}

/// Offsets `[first, end)`.
type Range = (Offset, Offset);

/// The part of the batch's range that can be read, and what is gone of it.
fn split(promised: &Promised, facts: &Facts) -> (Option<Range>, Vec<Range>) {
    let (first, end) = (promised.metadata.first, promised.intent.end);
    let (from, to) = (first.max(facts.low), end.min(facts.end));
    if first >= end {
        return (None, Vec::new());
    }
    if is_recreated(&promised.metadata, facts.topic_id) || from >= to {
        return (None, vec![(first, end)]);
    }
    let gone = [(first, from), (to, end)].into_iter().filter(|(first, end)| first < end);
    (Some((from, to)), gone.collect())
}

/// The keys with this UUID: the same file's may tell other counts.
async fn find_files(
    store: &Store,
    terms: &Terms,
    topic: &str,
    file: &FileOutcome,
    uuid: Uuid,
) -> Result<Vec<String>, crate::sink::SinkError> {
    let prefix = &terms.layout.prefix;
    let below = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    let narrow = terms.key.hour_prefix(prefix, topic, file.hour);
    let narrow = narrow.or_else(|| terms.key.topic_prefix(prefix, topic)).unwrap_or(below);
    let uuid = uuid.to_string();
    let mut keys = Box::pin(store.list(narrow));
    let mut found = Vec::new();
    while let Some(listed) = keys.try_next().await? {
        if listed.key.contains(&uuid) {
            found.push(listed.key);
        }
    }
    Ok(found)
}

fn publish_of(plan: &Plan) -> Publish {
    let Promised { partition, metadata, intent } = &plan.promised;
    Publish {
        partition: partition.clone(),
        batch: BatchId(0),
        first: metadata.first,
        end: intent.end,
        instant: intent.instant,
        metadata: metadata.encode(),
        cover: metadata.coverage.clone(),
        remade: true,
    }
}
