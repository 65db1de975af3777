//! A schema compiled once into what [`super::walk`] runs for every datum.
//!
//! A program is a flat list of small operations. A record's fields follow one another, a union jumps to the branch's
//! operations and then behind them all, an array or a map runs the operations behind it once per item, and a
//! reference to a record calls that record's operations. Neighbours of fixed size are one operation, and what
//! encodes to nothing is none: every operation that repeats consumes at least a byte, so that the walk's time is
//! linear in the datum, however a schema is nested.
//!
//! The limits here are part of the *rules* (docs/protocol.md): another value changes records' fates, so it takes another
//! number of the rules.

use std::fmt;

use super::schema::{UnusableSchema, WriterSchema};
use super::timestamp::{Candidate, TimestampRules};
use compile::Compiler;
use paths::PathTree;

mod compile;
mod paths;
#[cfg(test)]
mod tests;

/// How deep a datum may be nested.
///
/// The datum's own record is on level 1, and a record, array or map is one level below the record, array or map that
/// it stands in, as a field, an item or a map's value. Nothing else is a level: not a union, not a primitive value,
/// and not a record that encodes to nothing, which costs as little as a null. An array or map is a level even when
/// it is empty.
pub const MAX_LEVELS: u32 = 128;

/// How many array items that take no byte (nulls, records without fields, a fixed of size 0) a datum may have in all.
/// A few bytes could otherwise stand for billions of items.
pub const MAX_ZERO_SIZE_ITEMS: u64 = 65_536;

/// A compiled schema.
pub struct Program {
    pub(super) ops: Box<[Op]>,
    /// Where the branches of unions begin; see [`Op::Union`].
    pub(super) branches: Box<[u32]>,
}

impl Program {
    /// Compiles `schema`, with marks where the fields of `timestamps` are.
    ///
    /// # Errors
    /// When the schema cannot be compiled within the limits.
    pub fn compile(schema: &WriterSchema, timestamps: &TimestampRules) -> Result<Self, UnusableSchema> {
        let schema = schema.parsed()?;
        Compiler::new(&schema, PathTree::new(timestamps))?.program(&schema)
    }

    /// The fields of `timestamps`, which it was compiled for, that no record of the schema has.
    pub fn without<'a>(&self, timestamps: &'a TimestampRules) -> impl Iterator<Item = &'a Candidate> {
        let fields =
            timestamps.candidates().iter().filter(|candidate| matches!(candidate, Candidate::Field(_)));
        let marked = |index: usize| {
            self.ops
                .iter()
                .any(|op| matches!(op, Op::Mark { candidate, .. } if usize::from(*candidate) == index))
        };
        fields.enumerate().filter(move |(index, _)| !marked(*index)).map(|(_, candidate)| candidate)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("ops", &self.ops.len()).finish_non_exhaustive()
    }
}

/// One operation. Positions are indices of [`Program::ops`]; a `level` is counted from the operations' own record,
/// which may itself have been called on any level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// The end of an item or a called record.
    End,
    /// So many bytes of any content: floats, doubles, fixed ones.
    Skip(u32),
    /// One byte, 0 or 1.
    Boolean,
    /// A varint of 32 bits.
    Int,
    /// A varint of 64 bits.
    Long,
    /// A length and as many bytes.
    Bytes,
    /// A length and as many bytes of UTF-8.
    String,
    /// An index below this number of symbols.
    Enum(u32),
    /// The union of null and of what follows up to `end`.
    Nullable {
        /// Null's index: 0 or 1.
        null: u8,
        /// Where to go on after a null.
        end: u32,
    },
    /// A union: go to the position at `first + index` of [`Program::branches`].
    Union {
        /// How many branches there are.
        count: u32,
        /// The first one's index in [`Program::branches`].
        first: u32,
    },
    /// Go to this position.
    Jump(u32),
    /// A record begins on this level.
    Level(u32),
    /// An array, or a map, whose items begin with a string. What follows up to `end` is one item.
    Items {
        /// The array's own level.
        level: u32,
        /// Where to go on.
        end: u32,
    },
    /// An array of items that have this many bytes, of any content; perhaps none.
    FixedItems {
        /// The array's own level.
        level: u32,
        /// Bytes of one item.
        size: u32,
    },
    /// The record whose operations begin here.
    Call {
        /// How many levels are around it.
        level: u32,
        /// Its first operation.
        target: u32,
    },
    /// What a timestamp candidate looks for begins here.
    Mark {
        /// Which field candidate, in their order.
        candidate: u8,
        /// How to take a time from it.
        reading: Reading,
    },
}

/// How to take a time from a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// The path leads nowhere.
    Absent,
    /// It is null.
    Null,
    /// Not at all: the type is no time, or its unit isn't known or is contradicted.
    WrongType,
    /// A string in ISO 8601.
    Text,
    /// An int, or a long, of this unit since 1970.
    Count(super::timestamp::Unit),
    /// An int, or a long, of days since 1970.
    Days,
}
