//! When an event happened: which sources may say so, and what is accepted in them.
//!
//! A field's path leads through records, and through unions along the branch that the datum took; in a union of
//! records at the top, each branch that has the path counts. Nothing is named inside arrays and maps, so a path never
//! leads through them. At its end is accepted:
//!
//! | type | taken as |
//! |---|---|
//! | `string` | ISO 8601, whatever unit is stated; see the table below |
//! | `long` with `timestamp-millis`, `-micros`, `-nanos` | itself; a stated unit must be the same |
//! | `long` with `local-timestamp-millis`, `-micros`, `-nanos` | the same, in UTC |
//! | `int` with `date` | midnight UTC; no unit may be stated |
//! | plain `int` or `long` | a count of the stated unit since 1970; without one it is refused, not guessed |
//! | a union of these, with or without `null` | the branch that the datum took |
//!
//! Everything else is refused ([`FieldTime::WrongType`]): times of day, floating-point numbers, bytes, decimals. A
//! logical type on a base that the Avro specification doesn't allow for it (`timestamp-millis` on an `int`), an
//! unknown one, and one that stands beside a field's type instead of inside it, are as if they weren't there.
//!
//! Numbers are floored to milliseconds, also before 1970. Those beyond what 64 bits of milliseconds can say become the
//! largest or smallest of these, which is never in range. Strings are read as follows; everything else is
//! [`FieldTime::Unparsable`].
//!
//! | part | accepted |
//! |---|---|
//! | date | `YYYY-MM-DD`, of the proleptic Gregorian calendar; alone it is midnight UTC |
//! | separator | `T`, `t` or one blank |
//! | time | `HH:MM`, `HH:MM:SS`, and after seconds `.` or `,` with one or more digits, of which the first three count |
//! | zone | `Z`, `z`, `+HH`, `+HHMM`, `+HH:MM` (or `-`) up to 23:59; none is UTC |
//! | `24:00`, `24:00:00` | the next midnight; a fraction may only be zeros |
//! | second 60 (a leap second) | the second behind second 59, which is the next minute's first, as POSIX counts |
//!
//! All this is part of the *rules* (docs/protocol.md).

use std::ops::Range;

use crate::types::UnixMillis;

mod candidate;
mod iso8601;
#[cfg(test)]
mod tests;

pub use candidate::{Candidate, FieldPath, MAX_PATH_NAMES, Unit};
pub(super) use iso8601::{MILLIS_PER_DAY, parse as parse_iso8601};

/// The most fields that `timestamp` may list.
pub const MAX_FIELDS: usize = 4;

/// The settings `timestamp` and `timestamp_range`: the first candidate that is usable gives the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimestampRules {
    candidates: Vec<Candidate>,
    years: (i32, i32),
    range: Range<UnixMillis>,
}

impl TimestampRules {
    /// Rules of at least one candidate, at most [`MAX_FIELDS`] of them fields; `years` is `[first, end)`, within
    /// 1 to 9999.
    ///
    /// # Errors
    /// Says in a sentence what is wrong. That one field is listed twice with two units is: which of them a number
    /// counts would be a guess.
    pub fn new(candidates: Vec<Candidate>, years: (i32, i32)) -> Result<Self, String> {
        let (first, end) = years;
        if first < 1 || end > 9999 || first >= end {
            return Err(format!("the years {first}..{end} are no range within 1..9999"));
        }
        if candidates.is_empty() {
            return Err("there must be at least one timestamp candidate".to_owned());
        }
        let fields = candidates.iter().filter(|candidate| matches!(candidate, Candidate::Field(_))).count();
        if fields > MAX_FIELDS {
            return Err(format!("{fields} timestamp candidates are fields; at most {MAX_FIELDS} may be"));
        }
        for (index, candidate) in candidates.iter().enumerate() {
            if candidates[..index].iter().any(|before| before.same_source(candidate)) {
                return Err(format!(
                    "the timestamp candidate {candidate} looks where another one has looked already"
                ));
            }
        }
        let range = iso8601::year_start(first)..iso8601::year_start(end);
        Ok(Self { candidates, years, range })
    }

    /// The candidates, in order.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The years `[first, end)` in which a time must lie to be usable.
    #[must_use]
    pub fn years(&self) -> (i32, i32) {
        self.years
    }

    /// The time of a record: of its `fields` (as the walk found them), its Kafka timestamp and the batch's instant.
    ///
    /// # Errors
    /// Says of each candidate why it isn't usable.
    pub fn resolve(
        &self,
        fields: &FieldTimes,
        kafka: Option<UnixMillis>,
        instant: UnixMillis,
    ) -> Result<UnixMillis, String> {
        let usable = self.found(fields, kafka, instant).find_map(|(_, found)| match found {
            FieldTime::At(time) if self.range.contains(&time) => Some(time),
            _ => None,
        });
        usable.ok_or_else(|| {
            let reasons: Vec<_> = self
                .found(fields, kafka, instant)
                .map(|(candidate, found)| format!("{candidate} {}", self.complaint(found)))
                .collect();
            format!("no usable timestamp: {}", reasons.join("; "))
        })
    }

    /// What there is for each candidate, in order.
    fn found<'s>(
        &'s self,
        fields: &'s FieldTimes,
        kafka: Option<UnixMillis>,
        instant: UnixMillis,
    ) -> impl Iterator<Item = (&'s Candidate, FieldTime)> {
        let mut fields = fields.found.iter();
        self.candidates.iter().map(move |candidate| {
            let found = match candidate {
                Candidate::Field(_) => fields.next().copied().unwrap_or(FieldTime::Absent),
                Candidate::Kafka => kafka.map_or(FieldTime::Absent, FieldTime::At),
                Candidate::Processing => FieldTime::At(instant),
            };
            (candidate, found)
        })
    }

    fn complaint(&self, found: FieldTime) -> String {
        match found {
            FieldTime::Absent => "is not there".to_owned(),
            FieldTime::Null => "is null".to_owned(),
            FieldTime::Unparsable => "is no ISO 8601 time".to_owned(),
            FieldTime::WrongType => {
                "has a type that is no time, or a unit that is not stated or contradicts its logical type"
                    .to_owned()
            }
            FieldTime::At(UnixMillis(millis)) => {
                let (first, end) = self.years;
                let time = chrono::DateTime::from_timestamp_millis(millis);
                let time = time.map_or_else(|| format!("{millis} ms since 1970"), |time| time.to_rfc3339());
                format!("is {time}, which is not within {first}..{end}")
            }
        }
    }
}

/// What the walk found for each field candidate, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldTimes {
    found: [FieldTime; MAX_FIELDS],
}

impl FieldTimes {
    /// These, in the order of the field candidates; [`FieldTime::Absent`] for those that don't exist.
    #[must_use]
    pub const fn new(found: [FieldTime; MAX_FIELDS]) -> Self {
        Self { found }
    }

    /// What was found for the field candidate `index`, counted from 0 among the fields alone.
    #[must_use]
    pub fn get(&self, index: usize) -> FieldTime {
        self.found.get(index).copied().unwrap_or(FieldTime::Absent)
    }
}

impl Default for FieldTimes {
    /// Nothing anywhere.
    fn default() -> Self {
        Self::new([FieldTime::Absent; MAX_FIELDS])
    }
}

/// What the walk found at one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldTime {
    /// No such field in this schema, or in the branch that the datum took.
    Absent,
    /// The field is null.
    Null,
    /// There is a value that is no time.
    Unparsable,
    /// The field's type cannot be a time, or needs a unit that isn't given, or has one that contradicts it.
    WrongType,
    /// A time, floored to milliseconds.
    At(UnixMillis),
}
