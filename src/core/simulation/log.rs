//! The partitions' logs, and what becomes of each record.

use super::draw::Draw;
use crate::core::intent::Layout;
use crate::core::layout::{Hour, NullPolicy};
use crate::dead_letter::Reason;
use crate::types::{SchemaId, UnixMillis};

pub(super) const HOUR: i64 = 3_600_000;

/// A schema that the registry comes to know late, and one that it never knows.
pub(super) const LATE: SchemaId = SchemaId(7);
pub(super) const NEVER: SchemaId = SchemaId(8);

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Row { hour: i64, schema: SchemaId },
    Null,
    Bad,
}

/// A record, and what the world has of it.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) kind: Kind,
    pub(super) offset: i64,
    /// The id of the topic that it was written to.
    pub(super) topic_id: u128,
    /// Stored objects that hold it.
    pub(super) stored: u8,
    /// Acknowledged dead letters.
    pub(super) letters: u8,
    /// It isn't in the log any more, other than by retention.
    pub(super) gone: bool,
    /// It was written where the log had been longer: nobody can tell it from the one that was there.
    pub(super) hidden: bool,
}

/// The log of one partition of one topic id. A record's number is its index among all records.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) topic_id: u128,
    /// By offset. `None`: a control record, an aborted one, or one that was compacted away.
    pub(super) entries: Vec<Option<u32>>,
    pub(super) low: i64,
    /// How long the log has been.
    pub(super) longest: i64,
    /// Something other than retention took records away.
    pub(super) mutilated: bool,
    /// Its end was lost.
    pub(super) shortened: bool,
}

impl Log {
    pub(super) fn new(topic_id: u128, low: i64) -> Self {
        let entries = vec![None; low as usize];
        Self { topic_id, entries, low, longest: low, mutilated: false, shortened: false }
    }

    pub(super) fn high(&self) -> i64 {
        self.entries.len() as i64
    }

    /// The record at `offset`, if there is one to be read.
    pub(super) fn at(&self, offset: i64) -> Option<u32> {
        if offset < self.low { None } else { self.ever_at(offset) }
    }

    /// Likewise, whatever retention took.
    pub(super) fn ever_at(&self, offset: i64) -> Option<u32> {
        self.entries.get(usize::try_from(offset).ok()?).copied().flatten()
    }
}

/// What becomes of a record.
pub(super) enum Fate {
    Row(Hour, SchemaId),
    Letter(Reason),
    Skipped,
    /// The registry is to be asked first.
    Asks(SchemaId),
}

/// A function of the record and the intent, and of what is known of its schema.
pub(super) fn fate(
    kind: Kind,
    layout: &Layout,
    instant: UnixMillis,
    unknown: &[SchemaId],
    knows_late: bool,
) -> Fate {
    match kind {
        Kind::Null if layout.nulls == NullPolicy::Skip => Fate::Skipped,
        Kind::Null => Fate::Letter(Reason::NullValue),
        Kind::Bad => Fate::Letter(Reason::InvalidDatum),
        Kind::Row { schema, .. } if unknown.contains(&schema) => Fate::Letter(Reason::UnknownSchema),
        Kind::Row { schema, .. } if schema == NEVER || schema == LATE && !knows_late => Fate::Asks(schema),
        Kind::Row { hour, schema } => {
            let processing = layout.timestamp.first().is_some_and(|first| first == "processing");
            let time = if processing { instant } else { UnixMillis(hour * HOUR) };
            Fate::Row(Hour::of(time, layout.granularity), schema)
        }
    }
}

/// Some record.
pub(super) fn any_kind(draw: &mut Draw) -> Kind {
    match draw.below(16) {
        0 => Kind::Null,
        1 => Kind::Bad,
        2 => Kind::Row { hour: 30, schema: LATE },
        3 if draw.one_in(2) => Kind::Row { hour: 30, schema: NEVER },
        other => {
            Kind::Row { hour: [30, 31, 49, 30][other % 4], schema: SchemaId(1 + u32::from(draw.one_in(3))) }
        }
    }
}
