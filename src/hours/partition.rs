//! One partition: whether everything that came before a time is committed.

use std::fmt;

use crate::avro::timestamp::Candidate;
use crate::core::intent::{Found, Metadata};
use crate::core::start::{Facts, is_recreated};
use crate::types::{Offset, TopicPartition, UnixMillis};

/// Why an hour isn't complete in a partition, although it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// The group has no offset there: the partition is new, or valve never ran, or the brokers forgot.
    NothingCommitted,
    /// The offset is one of an earlier topic of the same name.
    OtherTopic,
    /// Another tool has set the offset, and valve hasn't begun there yet.
    NotOurs,
    /// A later version of valve has committed it.
    Newer,
    /// The log is shorter than the committed offset.
    LogShorter { committed: Offset, end: Offset },
    /// Retention has taken records that weren't committed: nobody knows of which hours.
    Gone { committed: Offset, low: Offset },
    /// A transaction is open: its records may be of any hour before the time.
    OpenTransaction { at: Offset, until: Offset },
    /// There are records from before the time that aren't committed yet.
    Behind { committed: Offset, until: Offset },
    /// A batch of the hour by valve's clock is promised and not committed.
    Promised { instant: UnixMillis },
}

impl Held {
    /// A word for programs.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::NothingCommitted => "nothing_committed",
            Self::OtherTopic => "other_topic",
            Self::NotOurs => "not_ours",
            Self::Newer => "newer",
            Self::LogShorter { .. } => "log_shorter",
            Self::Gone { .. } => "gone",
            Self::OpenTransaction { .. } => "open_transaction",
            Self::Behind { .. } => "behind",
            Self::Promised { .. } => "promised",
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingCommitted => f.write_str("the group has committed nothing"),
            Self::OtherTopic => f.write_str("the committed offset is one of an earlier topic of this name"),
            Self::NotOurs => f.write_str("the committed offset was set by another tool"),
            Self::Newer => f.write_str("the offset was committed by a newer version of valve: ask with that"),
            Self::LogShorter { committed, end } => {
                write!(f, "the log ends at {end}, before the committed offset {committed}")
            }
            Self::Gone { committed, low } => {
                write!(f, "[{committed}, {low}) is gone from the log and wasn't committed")
            }
            Self::OpenTransaction { at, until } => {
                write!(f, "[{at}, {until}) waits for the end of a transaction")
            }
            Self::Behind { committed, until } => write!(f, "[{committed}, {until}) isn't committed yet"),
            Self::Promised { .. } => f.write_str("a batch of the hour is promised and not committed yet"),
        }
    }
}

/// What is known of a partition.
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    pub(crate) partition: TopicPartition,
    /// The offset, or why it says nothing.
    standing: Result<Committed, Held>,
    pub(crate) committed: Option<Offset>,
    /// Before it, every transaction has ended.
    stable: Offset,
    end: Offset,
}

#[derive(Clone, Copy, Debug)]
struct Committed {
    offset: Offset,
    /// When the batch was opened that is promised, if its records may go into the hour of just that.
    promised: Option<UnixMillis>,
}

impl Partition {
    /// What `facts` say of `partition`. They must be asked after the time that they are to be compared with was read from
    /// the clock, or a record might come in between.
    pub(crate) fn of(partition: TopicPartition, facts: &Facts) -> Self {
        Self {
            standing: standing(partition.partition, facts),
            committed: facts.committed.as_ref().map(|(offset, _)| *offset),
            partition,
            stable: facts.high,
            end: facts.end,
        }
    }

    /// What keeps every hour from being complete.
    pub(crate) fn obstacle(&self) -> Option<Held> {
        self.standing.err()
    }

    /// What keeps the hours before `end_of_hour` from being complete. `first` is the offset of the first record with a
    /// Kafka timestamp at which they are over or later; `None` when there is none, and that time is past.
    pub(crate) fn held(&self, end_of_hour: UnixMillis, first: Option<Offset>) -> Option<Held> {
        let Committed { offset, promised } = match self.standing {
            Ok(committed) => committed,
            Err(held) => return Some(held),
        };
        let until = first.unwrap_or(self.end);
        if offset < until {
            return Some(if offset >= self.stable && self.stable < self.end {
                Held::OpenTransaction { at: offset, until }
            } else {
                Held::Behind { committed: offset, until }
            });
        }
        promised.filter(|instant| *instant < end_of_hour).map(|instant| Held::Promised { instant })
    }
}

fn standing(index: i32, facts: &Facts) -> Result<Committed, Held> {
    let (offset, text) = facts.committed.as_ref().ok_or(Held::NothingCommitted)?;
    let offset = *offset;
    let own = match Metadata::find(text, index, offset) {
        Found::Own(own) => own,
        Found::Newer => return Err(Held::Newer),
        Found::Foreign => return Err(Held::NotOurs),
    };
    if is_recreated(&own, facts.topic_id) {
        return Err(Held::OtherTopic);
    }
    if offset > facts.end {
        return Err(Held::LogShorter { committed: offset, end: facts.end });
    }
    if offset < facts.low {
        return Err(Held::Gone { committed: offset, low: facts.low });
    }
    let by_our_clock = |entry: &String| matches!(entry.parse(), Ok(Candidate::Processing));
    let intent = own.intent.filter(|intent| intent.layout.timestamp.iter().any(by_our_clock));
    Ok(Committed { offset, promised: intent.map(|intent| intent.instant) })
}
