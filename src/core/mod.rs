//! What decides: a state machine without I/O, clock, threads or Kafka's types.
//!
//! One [`Lane`] per consumer. [`Event`]s say what happened, [`Action`]s what to do about it; a thin driver
//! (`crate::lane`) binds both to the consumer, the sink and the registry. The core hears of records in [`batch::Run`]s;
//! walking, appending and compressing is the driver's plain code.
//!
//! The way of a partition: assigned -> resolved (where does it begin?) -> started (that offset is committed) ->
//! filling. The way of a batch: open -> sealed -> closed (its outcome is known) -> promised (its intent is committed)
//! -> published -> committed. A partition that is found with an intent begins with that batch, made again.

pub mod batch;
pub mod change;
pub mod identity;
pub mod intent;
mod lane;
pub mod layout;
mod partition;
mod pressure;
#[cfg(test)]
mod simulation;
pub mod start;
#[cfg(test)]
mod tests;
mod turns;
pub mod view;

use std::sync::Arc;
use std::time::Duration;

use self::batch::{BatchId, Outcome, Run, SealReason};
use self::intent::{Coverage, Metadata};
use self::start::Facts;
use crate::types::{Offset, TopicPartition, UnixMillis};

pub use self::lane::{Lane, Settings};
pub(crate) use self::pressure::SEAL_ABOVE;

/// The time of one turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Wall-clock time.
    pub wall: UnixMillis,
    /// Time that never goes back.
    pub monotonic: Duration,
}

/// The memory budget as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Bytes in use by the whole process.
    pub used: usize,
    /// Those of them that sealed batches hold: they will be free without anything more being sealed.
    pub leaving: usize,
    /// The budget in bytes.
    pub limit: usize,
}

/// Tells one ask for [`Facts`] from later ones, so that a late answer isn't taken for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(pub u64);

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The group gave these partitions to the lane.
    Assigned(Vec<TopicPartition>),
    /// The group wants these back; they may be finished first.
    Revoked(Vec<TopicPartition>),
    /// These belong to somebody else already.
    Lost(Vec<TopicPartition>),
    /// The answer to [`Action::Resolve`].
    Resolved {
        /// Which partition.
        partition: TopicPartition,
        /// Of which ask.
        ticket: Ticket,
        /// What the broker knows of it.
        facts: Facts,
    },
    /// Records of the open batch were dealt with.
    Took {
        /// Which partition.
        partition: TopicPartition,
        /// What was done.
        run: Run,
    },
    /// Everything before `position` was delivered; it may be beyond the last record.
    Position {
        /// Which partition.
        partition: TopicPartition,
        /// The offset that would be delivered next.
        position: Offset,
    },
    /// The log of the partition ends here, as far as the client has heard.
    LogEnd {
        /// Which partition.
        partition: TopicPartition,
        /// The offset behind its last record.
        end: Offset,
    },
    /// The client doesn't fetch the partition as it should. What it says of its position is void.
    Astray {
        /// Which partition.
        partition: TopicPartition,
        /// There is nothing at the position, or something else than there was: retention passed it, or the log became shorter.
        /// Otherwise something stands in a record's place that isn't one.
        out_of_range: bool,
    },
    /// The brokers' id of a topic, looked up again.
    TopicId {
        /// The topic's name.
        topic: Arc<str>,
        /// Its id now.
        id: u128,
    },
    /// The lane cannot go on with the partition (`true`), as it waits for a schema, or its topic has too many bad records;
    /// or can again (`false`).
    Waiting(TopicPartition, bool),
    /// The answer to [`Action::Seal`] and [`Action::Remake`]: the batch's outcome is known.
    Closed {
        /// Which partition.
        partition: TopicPartition,
        /// Which batch.
        batch: BatchId,
        /// What became of its records.
        outcome: Outcome,
    },
    /// The answer to [`Action::Publish`]: everything is acknowledged.
    Published {
        /// Which partition.
        partition: TopicPartition,
        /// Which batch.
        batch: BatchId,
    },
    /// The other answer to [`Action::Publish`] and [`Action::Remake`]: it can't be done without a person.
    Refused {
        /// Which partition.
        partition: TopicPartition,
        /// Which batch.
        batch: BatchId,
        /// What is in the way.
        reason: String,
    },
    /// The answer to one [`Action::Commit`].
    Committed {
        /// Which partition.
        partition: TopicPartition,
        /// What the broker said.
        answer: CommitAnswer,
    },
    /// The process is asked to end.
    Shutdown,
}

impl Event {
    /// The partition that it is about, if it is about one.
    fn partition(&self) -> Option<&TopicPartition> {
        match self {
            Self::Resolved { partition, .. }
            | Self::Took { partition, .. }
            | Self::Position { partition, .. }
            | Self::LogEnd { partition, .. }
            | Self::Astray { partition, .. }
            | Self::Waiting(partition, _)
            | Self::Closed { partition, .. }
            | Self::Published { partition, .. }
            | Self::Refused { partition, .. }
            | Self::Committed { partition, .. } => Some(partition),
            Self::Assigned(_) | Self::Revoked(_) | Self::Lost(_) | Self::TopicId { .. } | Self::Shutdown => {
                None
            }
        }
    }
}

/// What the broker said of an offset commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitAnswer {
    /// It is durable.
    Accepted,
    /// It was not applied, and may be tried again: the coordinator moves, loads, or denies it.
    NotNow(String),
    /// It was not applied, and may be tried again once the group has settled.
    Rebalancing,
    /// It was not applied: this member's generation is over.
    Fenced(String),
    /// Nobody knows whether it was applied.
    Unanswered(String),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Find out what the broker knows of the partition.
    Resolve(TopicPartition, Ticket),
    /// Commit.
    Commit(Commit),
    /// Begin to fetch the partition at this offset.
    Consume(TopicPartition, Offset),
    /// Take the partition off the client until it is to be consumed again, and drop what was delivered of it and isn't in
    /// a batch: the client can't fetch it from where it is, or it waits for its turn.
    Stop(TopicPartition),
    /// Fetch no more of the partition for now.
    Pause(TopicPartition),
    /// Fetch again.
    Resume(TopicPartition),
    /// Close the files of the partition's open batch.
    Seal {
        /// Which partition.
        partition: TopicPartition,
        /// Which batch.
        batch: BatchId,
        /// Why.
        reason: SealReason,
    },
    /// Make a promised batch again: read its range once more, under its intent.
    Remake(Remake),
    /// Store the batch's files and produce its dead letters.
    Publish(Publish),
    /// The batch is durable: report it and forget it.
    Finish {
        /// Which partition.
        partition: TopicPartition,
        /// Which batch.
        batch: BatchId,
        /// What became of its records.
        outcome: Outcome,
        /// How many records it had.
        records: u64,
    },
    /// Drop everything in memory of the partition, and stop what is being published of it.
    Abandon(TopicPartition),
    /// Offsets `[first, end)` are gone unread; report it.
    ReportLost {
        /// Which partition.
        partition: TopicPartition,
        /// The first lost offset.
        first: Offset,
        /// The offset behind the last lost one.
        end: Offset,
    },
    /// Show that the partition is held, and why; `None` when it no longer is.
    Hold(TopicPartition, Option<String>),
    /// Say that the broker refused the partition's commit, since the member is stale: it belongs to somebody else.
    Fenced(TopicPartition, String),
    /// Hand these partitions back to the group.
    GiveUp(Vec<TopicPartition>),
    /// Leave the group and join it again.
    Rejoin(String),
    /// Everything is done: leave the group for good.
    Leave,
}

/// One offset commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Which partition.
    pub partition: TopicPartition,
    /// The offset.
    pub offset: Offset,
    /// The encoded [`intent::Metadata`].
    pub metadata: String,
}

/// A batch that was promised by an earlier owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remake {
    /// Which partition.
    pub partition: TopicPartition,
    /// What it is called from now on.
    pub batch: BatchId,
    /// What is committed: the batch is `[promise.first, promise.intent.end)`.
    pub promise: Box<Metadata>,
}

/// A batch to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Which partition.
    pub partition: TopicPartition,
    /// Which batch.
    pub batch: BatchId,
    /// Its first offset.
    pub first: Offset,
    /// The offset behind its last.
    pub end: Offset,
    /// When it was opened.
    pub instant: UnixMillis,
    /// The encoded metadata with its intent as it is committed, from which its files' identities follow.
    pub metadata: String,
    /// The cover that ends with the batch: where it begins, and what is in it beside rows, the batch's included.
    pub cover: Coverage,
    /// An earlier owner promised it, and may have stored some of it.
    pub remade: bool,
}

/// The open batch of a partition, for the lane to fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filling {
    /// Which batch.
    pub batch: BatchId,
    /// When it was opened.
    pub instant: UnixMillis,
    /// Where its next record begins: what is before it was dealt with already.
    pub next: Offset,
    /// How many more records it takes; at least one.
    pub room: u64,
}
