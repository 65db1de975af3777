//! The validating walk: does a datum consist of exactly what its schema says, and when did it happen?
//!
//! It refuses whatever some reader of a container file would stumble over, so that a corrupt
//! datum cannot ruin the file that it would be spliced into. It decodes nothing, allocates nothing and takes time
//! linear in the datum. It calls itself for items and referenced records only, at most twice per level of nesting
//! (plus once per name of a candidate's path), so that [`MAX_LEVELS`] bounds its stack.

use super::program::{MAX_LEVELS, MAX_ZERO_SIZE_ITEMS, Op, Program, Reading};
use super::timestamp::{FieldTime, FieldTimes, MAX_FIELDS, MILLIS_PER_DAY, parse_iso8601};
use crate::types::UnixMillis;
use varint::{Rest, boolean, index, int, long, prefixed, skip, skip_long, string};

#[cfg(test)]
mod tests;
mod varint;

/// Why a datum doesn't match its schema: what is wrong, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: {what}")]
pub struct DatumError {
    /// The byte of the datum (behind the wire header), from 0.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// What is wrong, and how many bytes were left then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fault {
    left: usize,
    what: &'static str,
}

const TRAILING: &str = "the schema's value ends here, but the datum goes on";
const UNION_INDEX: &str = "the union has no branch of this index";
const ENUM_INDEX: &str = "the enum has no symbol of this index";
const NO_COUNT: &str = "this block's count is the least of all longs, which has no opposite";
const NEGATIVE_BLOCK: &str = "this block's size in bytes is negative";
const LONG_BLOCK: &str = "this block's size goes beyond the datum's end";
const BLOCK_SIZE: &str = "this block's items don't have the size that it states";
const LEVELS: &str = "more than 128 levels of records, arrays and maps";
const ZERO_SIZE_ITEMS: &str = "more than 65536 array items that take no byte";
const _: () =
    assert!(MAX_LEVELS == 128 && MAX_ZERO_SIZE_ITEMS == 65_536, "the sentences above name the limits");

impl Program {
    /// Checks all of `datum` and finds its timestamp fields.
    ///
    /// # Errors
    /// When `datum` isn't exactly one value of the schema, or breaks a limit.
    pub fn walk(&self, datum: &[u8]) -> Result<FieldTimes, DatumError> {
        let mut walk = Walk::new(self);
        match walk.run(0, 0, datum) {
            Ok([]) => Ok(walk.times(datum)),
            Ok(rest) => Err(DatumError { at: datum.len() - rest.len(), what: TRAILING }),
            Err(fault) => Err(DatumError { at: datum.len() - fault.left, what: fault.what }),
        }
    }

    /// The length of the datum that `datums` begin with.
    ///
    /// # Errors
    /// When they begin with no value of the schema, or with one that breaks a limit.
    pub fn first_len(&self, datums: &[u8]) -> Result<usize, DatumError> {
        match Walk::new(self).run(0, 0, datums) {
            Ok(rest) => Ok(datums.len() - rest.len()),
            Err(fault) => Err(DatumError { at: datums.len() - fault.left, what: fault.what }),
        }
    }
}

/// Where a candidate's value is, as bytes before the datum's end, and how to take a time from it.
#[derive(Clone, Copy)]
struct Mark {
    left: usize,
    reading: Reading,
}

struct Walk<'p> {
    program: &'p Program,
    zero_size_items: u64,
    marks: [Mark; MAX_FIELDS],
}

impl<'p> Walk<'p> {
    fn new(program: &'p Program) -> Self {
        let marks = [Mark { left: 0, reading: Reading::Absent }; MAX_FIELDS];
        Self { program, zero_size_items: 0, marks }
    }

    /// Runs the operations from `at` to their end on `rest`, with `levels` levels around them; gives what is left.
    fn run<'d>(&mut self, mut at: usize, levels: u32, mut rest: &'d [u8]) -> Rest<'d> {
        let program: &'p Program = self.program;
        while let Some(op) = program.ops.get(at) {
            at += 1;
            match *op {
                Op::End => break,
                Op::Skip(bytes) => rest = skip(rest, bytes as usize)?,
                Op::Boolean => rest = boolean(rest)?,
                Op::Int => (_, rest) = int(rest)?,
                Op::Long => rest = skip_long(rest)?,
                Op::Bytes => (_, rest) = prefixed(rest)?,
                Op::String => rest = string(rest)?,
                Op::Enum(count) => (_, rest) = index(rest, count, ENUM_INDEX)?,
                Op::Nullable { null, end } => {
                    let (branch, behind) = index(rest, 2, UNION_INDEX)?;
                    rest = behind;
                    if branch == u32::from(null) {
                        at = end as usize;
                    }
                }
                Op::Union { count, first } => {
                    let (branch, behind) = index(rest, count, UNION_INDEX)?;
                    rest = behind;
                    at = program.branches[(first + branch) as usize] as usize;
                }
                Op::Jump(to) => at = to as usize,
                Op::Level(level) => check_level(levels + level, rest)?,
                Op::Items { level, end } => {
                    check_level(levels + level, rest)?;
                    rest = self.items(at, levels, rest)?;
                    at = end as usize;
                }
                Op::FixedItems { level, size } => {
                    check_level(levels + level, rest)?;
                    rest = self.fixed_items(u64::from(size), rest)?;
                }
                Op::Call { level, target } => rest = self.run(target as usize, levels + level, rest)?,
                Op::Mark { candidate, reading } => {
                    self.marks[usize::from(candidate)] = Mark { left: rest.len(), reading };
                }
            }
        }
        Ok(rest)
    }

    /// The blocks of an array or a map, whose items each run the operations from `at`. Each takes at least a byte.
    fn items<'d>(&mut self, at: usize, levels: u32, mut rest: &'d [u8]) -> Rest<'d> {
        loop {
            let (block, items) = Block::read(rest)?;
            rest = items;
            if block.count == 0 {
                return Ok(rest);
            }
            for _ in 0..block.count {
                rest = self.run(at, levels, rest)?;
            }
            block.check_end(rest)?;
        }
    }

    /// The blocks of an array whose items have `size` bytes each.
    fn fixed_items<'d>(&mut self, size: u64, mut rest: &'d [u8]) -> Rest<'d> {
        loop {
            let (block, items) = Block::read(rest)?;
            rest = items;
            if block.count == 0 {
                return Ok(rest);
            }
            if size == 0 {
                self.zero_size_items = self.zero_size_items.saturating_add(block.count);
                if self.zero_size_items > MAX_ZERO_SIZE_ITEMS {
                    return Err(Fault { left: rest.len(), what: ZERO_SIZE_ITEMS });
                }
            }
            let bytes = usize::try_from(block.count.saturating_mul(size)).unwrap_or(usize::MAX);
            rest = skip(rest, bytes)?;
            block.check_end(rest)?;
        }
    }

    fn times(&self, datum: &[u8]) -> FieldTimes {
        FieldTimes::new(self.marks.map(|mark| time(mark.reading, &datum[datum.len() - mark.left..])))
    }
}

fn check_level(level: u32, rest: &[u8]) -> Result<(), Fault> {
    if level > MAX_LEVELS { Err(Fault { left: rest.len(), what: LEVELS }) } else { Ok(()) }
}

/// The head of a block of items.
struct Block {
    /// How many items it has; 0 ends the array or map.
    count: u64,
    /// How many bytes must be left behind it, when its head says so.
    left: Option<usize>,
}

impl Block {
    #[inline]
    fn read(rest: &[u8]) -> Result<(Self, &[u8]), Fault> {
        let (count, items) = long(rest)?;
        match u64::try_from(count) {
            Ok(count) => Ok((Self { count, left: None }, items)),
            Err(_) => Self::with_size(count, rest, items),
        }
    }

    /// A negative count's opposite is the count, and the items' size in bytes follows.
    #[cold]
    fn with_size<'d>(count: i64, head: &'d [u8], rest: &'d [u8]) -> Result<(Self, &'d [u8]), Fault> {
        let fault = |what| Fault { left: head.len(), what };
        let count = count.checked_neg().ok_or(fault(NO_COUNT))?;
        let (size, items) = long(rest)?;
        let size = usize::try_from(size).map_err(|_| fault(NEGATIVE_BLOCK))?;
        let left = items.len().checked_sub(size).ok_or(fault(LONG_BLOCK))?;
        Ok((Self { count: count.unsigned_abs(), left: Some(left) }, items))
    }

    #[inline]
    fn check_end(&self, rest: &[u8]) -> Result<(), Fault> {
        match self.left {
            Some(left) if left != rest.len() => Err(Fault { left: rest.len(), what: BLOCK_SIZE }),
            _ => Ok(()),
        }
    }
}

/// The time in the value at the beginning of `value`, which has been walked already.
fn time(reading: Reading, value: &[u8]) -> FieldTime {
    match reading {
        Reading::Absent => FieldTime::Absent,
        Reading::Null => FieldTime::Null,
        Reading::WrongType => FieldTime::WrongType,
        Reading::Text => match prefixed(value).map(|(text, _)| parse_iso8601(text)) {
            Ok(Some(at)) => FieldTime::At(at),
            _ => FieldTime::Unparsable,
        },
        // An int is encoded as the long of the same value.
        Reading::Count(unit) => match long(value) {
            Ok((count, _)) => FieldTime::At(unit.since_1970(count)),
            Err(_) => FieldTime::Unparsable,
        },
        Reading::Days => match long(value) {
            Ok((days, _)) => FieldTime::At(UnixMillis(days.saturating_mul(MILLIS_PER_DAY))),
            Err(_) => FieldTime::Unparsable,
        },
    }
}
