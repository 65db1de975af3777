//! Where a record's file goes: the hour of its timestamp, and the key made from it.
//!
//! Everything here is a pure function, so that a batch that is made again ends up in the same places.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDateTime, Timelike, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::types::UnixMillis;

#[cfg(test)]
mod tests;

const MILLIS_PER_HOUR: i64 = 3_600_000;

/// The longest key that S3 takes, in bytes.
const MAX_KEY: usize = 1_024;

/// The longest name that Kafka gives a topic, in bytes.
const LONGEST_TOPIC: usize = 249;

/// An hour in UTC, counted from 1970-01-01T00:00Z. Under [`Granularity::Day`] it is the first hour of its day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hour(pub i64);

impl Hour {
    /// The hour (or the first hour of the day) that `time` lies in; floor division, also before 1970.
    #[must_use]
    pub fn of(time: UnixMillis, granularity: Granularity) -> Self {
        let hour = time.0.div_euclid(MILLIS_PER_HOUR);
        match granularity {
            Granularity::Hour => Self(hour),
            Granularity::Day => Self(hour.div_euclid(24) * 24),
        }
    }

    /// The time at which it begins.
    #[must_use]
    pub fn start(self) -> UnixMillis {
        UnixMillis(self.0.saturating_mul(MILLIS_PER_HOUR))
    }

    fn date_time(self) -> DateTime<Utc> {
        // Timestamps are checked to lie within the years that chrono knows before an hour is made of them.
        DateTime::from_timestamp_millis(self.start().0).unwrap_or(DateTime::UNIX_EPOCH)
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.date_time().format("%Y-%m-%dT%H"))
    }
}

impl FromStr for Hour {
    type Err = String;

    /// Reads what `Display` writes: `2026-11-23T07`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = NaiveDateTime::parse_from_str(&format!("{text}:00"), "%Y-%m-%dT%H:%M");
        let hour = parsed.map(|at| Self::of(UnixMillis(at.and_utc().timestamp_millis()), Granularity::Hour));
        // chrono also takes other spellings, such as a single digit.
        let exact = hour.ok().filter(|hour| hour.to_string() == text);
        exact.ok_or_else(|| format!("{text:?} is no hour such as 2026-11-23T07 (UTC)"))
    }
}

/// `layout.granularity`: how much time shares a directory and a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Granularity {
    /// One hour.
    Hour,
    /// One day, UTC.
    Day,
}

/// `nulls`: what becomes of messages without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NullPolicy {
    /// They are counted and left out.
    Skip,
    /// They are dead letters.
    DeadLetter,
}

/// What is known of a file when its key is made.
#[derive(Clone, Copy, Debug)]
pub struct FilePlace<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The hour of its records.
    pub hour: Hour,
    /// How many records it holds.
    pub count: u64,
    /// Its identity (docs/protocol.md, "Identity of a file").
    pub uuid: Uuid,
}

/// `layout.key`: text in which `{topic}`, `{year}`, `{month}`, `{day}`, `{hour}`, `{count}` and `{uuid}` stand
/// for a file's own. The sink's prefix comes before it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyTemplate {
    pieces: Vec<Piece>,
}

/// The layout that readers of hourly partitions expect.
pub const DEFAULT_KEY: &str =
    "{topic}/year={year}/month={month}/day={day}/hour={hour}/{topic}_{count}-messages_{uuid}.avro";

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name(Name),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Topic,
    Year,
    Month,
    Day,
    Hour,
    Count,
    Uuid,
}

const NAMES: [(&str, Name); 7] = [
    ("topic", Name::Topic),
    ("year", Name::Year),
    ("month", Name::Month),
    ("day", Name::Day),
    ("hour", Name::Hour),
    ("count", Name::Count),
    ("uuid", Name::Uuid),
];

/// Why a text is no key template.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{…}` with a name that means nothing.
    #[error("{{{0}}} is none of {{topic}}, {{year}}, {{month}}, {{day}}, {{hour}}, {{count}}, {{uuid}}")]
    UnknownName(String),
    /// A brace without its partner.
    #[error("a brace has no partner")]
    Brace,
    /// A name that every key needs is not there.
    #[error("it must contain {0}, or files of different {1} would share a key")]
    Missing(&'static str, &'static str),
    /// Slashes at an end, doubled, `.` or `..` as a part, or a control character.
    #[error(
        "it must be a relative path: no leading, trailing or doubled slash, no part `.` or `..`, no control character"
    )]
    Path,
    /// A key would be longer than S3 takes.
    #[error(
        "with the prefix, the key of a topic whose name is as long as Kafka allows (249 characters) would have {0} bytes; S3 takes 1,024"
    )]
    Length(usize),
}

/// Whether `text` is a path that leads further down from wherever it begins, and to one place only.
fn leads_down(text: &str) -> bool {
    let leads_down = text.split('/').all(|part| !matches!(part, "" | "." | ".."));
    leads_down && !text.chars().any(char::is_control)
}

/// Whether all keys below `prefix` lead down from there; templates do by themselves.
///
/// # Errors
/// When they don't.
pub fn check_prefix(prefix: &str) -> Result<(), TemplateError> {
    if prefix.is_empty() || leads_down(prefix) { Ok(()) } else { Err(TemplateError::Path) }
}

impl KeyTemplate {
    /// The key of the file at `place`, below `prefix` (which may be empty).
    #[must_use]
    pub fn key(&self, prefix: &str, place: &FilePlace<'_>) -> String {
        use fmt::Write as _;
        let at = place.hour.date_time();
        let mut key = String::with_capacity(160);
        if !prefix.is_empty() {
            key.push_str(prefix);
            key.push('/');
        }
        for piece in &self.pieces {
            // Writing to a String cannot fail.
            let _infallible = match piece {
                Piece::Text(text) => key.write_str(text),
                Piece::Name(Name::Topic) => key.write_str(place.topic),
                Piece::Name(Name::Year) => write!(key, "{:04}", at.year()),
                Piece::Name(Name::Month) => write!(key, "{:02}", at.month()),
                Piece::Name(Name::Day) => write!(key, "{:02}", at.day()),
                Piece::Name(Name::Hour) => write!(key, "{:02}", at.hour()),
                Piece::Name(Name::Count) => write!(key, "{}", place.count),
                Piece::Name(Name::Uuid) => write!(key, "{}", place.uuid),
            };
        }
        key
    }

    /// What the keys of all files of `topic` and `hour` below `prefix` begin with, and no other hour's do. `None` when
    /// the hour stands behind what differs from file to file.
    #[must_use]
    pub fn hour_prefix(&self, prefix: &str, topic: &str, hour: Hour) -> Option<String> {
        let varies = |piece: &Piece| matches!(piece, Piece::Name(Name::Count | Name::Uuid));
        let leading: Vec<Piece> = self.pieces.iter().take_while(|piece| !varies(piece)).cloned().collect();
        let has = |name| leading.contains(&Piece::Name(name));
        let hours_differ = has(Name::Hour) || !self.pieces.contains(&Piece::Name(Name::Hour));
        let place = FilePlace { topic, hour, count: 0, uuid: Uuid::nil() };
        let known = has(Name::Year) && has(Name::Month) && has(Name::Day) && hours_differ;
        known.then(|| Self { pieces: leading }.key(prefix, &place))
    }

    /// The folder of all files of `topic` and `hour` below `prefix`, and of no others: what their keys have before the last
    /// slash. `None` when the topic and all parts of the hour don't stand there, or what differs from file to file does.
    #[must_use]
    pub fn hour_folder(&self, prefix: &str, topic: &str, hour: Hour) -> Option<String> {
        let slash = |piece: &Piece| matches!(piece, Piece::Text(text) if text.contains('/'));
        let (before, last) = self.pieces.split_at(self.pieces.iter().rposition(slash)?);
        let Some(Piece::Text(text)) = last.first() else { return None };
        let (text, _) = text.rsplit_once('/')?;
        let folder = [before, &[Piece::Text(text.to_owned())]].concat();
        let has = |name| folder.contains(&Piece::Name(name));
        let hour_is_there = has(Name::Hour) || !self.pieces.contains(&Piece::Name(Name::Hour));
        let is_of_one =
            has(Name::Topic) && has(Name::Year) && has(Name::Month) && has(Name::Day) && hour_is_there;
        let place = FilePlace { topic, hour, count: 0, uuid: Uuid::nil() };
        let is_of_all = !has(Name::Count) && !has(Name::Uuid);
        (is_of_one && is_of_all).then(|| Self { pieces: folder }.key(prefix, &place))
    }

    /// What the keys of all files of `topic` below `prefix` begin with; `None` when the topic stands behind what
    /// differs from file to file.
    #[must_use]
    pub fn topic_prefix(&self, prefix: &str, topic: &str) -> Option<String> {
        let same = |piece: &Piece| matches!(piece, Piece::Text(_) | Piece::Name(Name::Topic));
        let leading: Vec<Piece> = self.pieces.iter().take_while(|piece| same(piece)).cloned().collect();
        let place = FilePlace { topic, hour: Hour(0), count: 0, uuid: Uuid::nil() };
        leading.contains(&Piece::Name(Name::Topic)).then(|| Self { pieces: leading }.key(prefix, &place))
    }

    /// The folder that all files of `topic` lie in below `prefix`, however deep, and perhaps files of other topics, with a slash at
    /// its end; `None` when the topic stands behind what differs from file to file, or in no folder's name.
    #[must_use]
    pub fn topic_folder(&self, prefix: &str, topic: &str) -> Option<String> {
        let begins_with = self.topic_prefix(prefix, topic)?;
        let named = self.pieces.iter().position(|piece| *piece == Piece::Name(Name::Topic))?;
        let place = FilePlace { topic, hour: Hour(0), count: 0, uuid: Uuid::nil() };
        let before = Self { pieces: self.pieces[..named].to_vec() }.key(prefix, &place).len() + topic.len();
        let slash = begins_with.get(before..)?.find('/')?;
        Some(begins_with[..=before + slash].to_owned())
    }

    /// Whether all keys below `prefix` lead down from there and are short enough, whatever the topic.
    ///
    /// # Errors
    /// Says which of both is not so.
    pub fn check_below(&self, prefix: &str) -> Result<(), TemplateError> {
        check_prefix(prefix)?;
        let topic = "t".repeat(LONGEST_TOPIC);
        let place = FilePlace { topic: &topic, hour: Hour(0), count: u64::MAX, uuid: Uuid::nil() };
        let length = self.key(prefix, &place).len();
        if length > MAX_KEY { Err(TemplateError::Length(length)) } else { Ok(()) }
    }

    /// The longest name of a topic, in bytes, whose keys below `prefix` have no part of more than `longest` bytes, of files with at
    /// most `rows` records; `None` when no name is short enough.
    #[must_use]
    pub fn longest_topic(&self, prefix: &str, longest: usize, rows: u64) -> Option<usize> {
        let fits = |len: &usize| {
            let topic = "t".repeat(*len);
            let place = FilePlace { topic: &topic, hour: Hour(0), count: rows, uuid: Uuid::nil() };
            self.key(prefix, &place).split('/').all(|part| part.len() <= longest)
        };
        (1..=LONGEST_TOPIC).rev().find(fits)
    }

    /// Whether a file's hour (and not only its day) can be told from its key, as `granularity` needs it.
    ///
    /// # Errors
    /// Names what is missing.
    pub fn check(&self, granularity: Granularity) -> Result<(), TemplateError> {
        let has = |name| self.pieces.contains(&Piece::Name(name));
        if !has(Name::Uuid) {
            return Err(TemplateError::Missing("{uuid}", "batches"));
        }
        if !(has(Name::Year) && has(Name::Month) && has(Name::Day)) {
            return Err(TemplateError::Missing("{year}, {month} and {day}", "days"));
        }
        if granularity == Granularity::Hour && !has(Name::Hour) {
            return Err(TemplateError::Missing("{hour}", "hours"));
        }
        Ok(())
    }
}

impl FromStr for KeyTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        if !leads_down(text) {
            return Err(TemplateError::Path);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(brace);
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let inside = from.strip_prefix('{').ok_or(TemplateError::Brace)?;
            let (name, after) = inside.split_once('}').ok_or(TemplateError::Brace)?;
            let known = NAMES.iter().find(|(known, _)| *known == name);
            let (_, name) = known.ok_or_else(|| TemplateError::UnknownName(name.to_owned()))?;
            pieces.push(Piece::Name(*name));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self { pieces })
    }
}

impl fmt::Display for KeyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => f.write_str(text)?,
                Piece::Name(name) => {
                    let text = NAMES.iter().find(|(_, known)| known == name).map_or("", |(text, _)| text);
                    write!(f, "{{{text}}}")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for KeyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyTemplate({self})")
    }
}
