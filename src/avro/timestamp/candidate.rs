//! One entry of the setting `timestamp`, and its text form.

use std::fmt;
use std::str::FromStr;

use crate::types::UnixMillis;

/// The most names in a path.
pub const MAX_PATH_NAMES: usize = 32;

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
    /// The names on the way, outermost first; at least one, at most [`MAX_PATH_NAMES`].
    pub names: Vec<String>,
    /// What a plain int or long counts: those need it. A logical type may only repeat its own; a string needs none.
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

const UNITS: [(&str, Unit); 4] =
    [("s", Unit::Seconds), ("ms", Unit::Millis), ("us", Unit::Micros), ("ns", Unit::Nanos)];

impl Unit {
    /// The time `count` of these after 1970-01-01T00:00Z, floored; the last or first there is when that is beyond.
    #[must_use]
    pub fn since_1970(self, count: i64) -> UnixMillis {
        UnixMillis(match self {
            Self::Seconds => count.saturating_mul(1_000),
            Self::Millis => count,
            Self::Micros => count.div_euclid(1_000),
            Self::Nanos => count.div_euclid(1_000_000),
        })
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(UNITS.iter().find(|(_, unit)| unit == self).map_or("", |(text, _)| text))
    }
}

impl Candidate {
    /// Whether both look at the same place, whatever unit they expect there.
    pub(super) fn same_source(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Field(one), Self::Field(other)) => one.names == other.names,
            _ => self == other,
        }
    }
}

impl FromStr for Candidate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "kafka" => return Ok(Self::Kafka),
            "processing" => return Ok(Self::Processing),
            _ => {}
        }
        let Some(field) = text.strip_prefix("field:") else {
            let hint = if text.split(['.', '@']).all(is_avro_name) {
                format!("; a field of the event is written field:{text}")
            } else {
                String::new()
            };
            return Err(format!(
                "{text:?} is no timestamp candidate; allowed are field:<dot.path>[@s|ms|us|ns], kafka and processing{hint}"
            ));
        };
        let (path, unit) = match field.split_once('@') {
            None => (field, None),
            Some((path, unit)) => (path, Some(parse_unit(text, unit)?)),
        };
        let names: Vec<_> = path.split('.').map(str::to_owned).collect();
        if let Some(name) = names.iter().find(|name| !is_avro_name(name)) {
            return Err(format!(
                "{text:?} has {name:?} on its path; names are letters, digits and underscores, and no digit comes first"
            ));
        }
        if names.len() > MAX_PATH_NAMES {
            return Err(format!("{text:?} has more than {MAX_PATH_NAMES} names on its path"));
        }
        Ok(Self::Field(FieldPath { names, unit }))
    }
}

fn parse_unit(text: &str, unit: &str) -> Result<Unit, String> {
    let known = UNITS.iter().find(|(known, _)| *known == unit).map(|(_, unit)| *unit);
    known.ok_or_else(|| format!("{text:?} has the unit {unit:?}; allowed are s, ms, us and ns"))
}

/// As the Avro specification wants it ("Names").
fn is_avro_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka => f.write_str("kafka"),
            Self::Processing => f.write_str("processing"),
            Self::Field(FieldPath { names, unit: None }) => write!(f, "field:{}", names.join(".")),
            Self::Field(FieldPath { names, unit: Some(unit) }) => {
                write!(f, "field:{}@{unit}", names.join("."))
            }
        }
    }
}
