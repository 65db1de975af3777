//! When an event happened: which sources may say so, and what is accepted in them.

use std::fmt;
use std::str::FromStr;

use crate::types::UnixMillis;

/// One entry of the setting `timestamp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// `field:<dot.path>[@s|ms|us|ns]`
    Field(FieldPath),
    /// `kafka`: the message's own timestamp.
    Kafka,
    /// `processing`: the batch's instant.
    Processing,
}

/// Where in a record a timestamp is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath {
    /// The names on the way, outermost first.
    pub names: Vec<String>,
    /// What a plain int or long counts; only those need and may have it.
    pub unit: Option<Unit>,
}

/// What a number counts since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

impl FromStr for Candidate {
    type Err = String;
    fn from_str(_text: &str) -> Result<Self, String> {
        todo!()
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

/// The most fields that `timestamp` may list.
pub const MAX_FIELDS: usize = 4;

/// The settings `timestamp` and `timestamp_range`: the first candidate that is usable gives the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimestampRules {
    candidates: Vec<Candidate>,
    years: (i32, i32),
}

impl TimestampRules {
    /// Rules of at least one candidate, at most [`MAX_FIELDS`] of them fields; `years` is `[first, end)`.
    ///
    /// # Errors
    /// Says in a sentence what is wrong.
    pub fn new(candidates: Vec<Candidate>, years: (i32, i32)) -> Result<Self, String> {
        Ok(Self { candidates, years })
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
        _fields: &FieldTimes,
        _kafka: Option<UnixMillis>,
        _instant: UnixMillis,
    ) -> Result<UnixMillis, String> {
        todo!()
    }
}

/// What the walk found for each field candidate, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldTimes {
    found: [FieldTime; MAX_FIELDS],
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
