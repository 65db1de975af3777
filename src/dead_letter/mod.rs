//! What can never be stored, kept so that it can be looked at and replayed.
//!
//! Only what is bad about a *record* leads here, never an outage. A batch commits after all its dead letters are
//! acknowledged, so each is sent at least once; its id tells repetitions.

use bytes::Bytes;

use self::replayed::Attempts;
use crate::types::{Offset, SchemaId, TopicPartition, UnixMillis};

pub mod envelope;
pub mod limit;
pub mod list;
pub mod original;
pub mod producer;
pub mod replay;
pub mod replayed;

/// What a dead-letter topic's name begins with; the valve's name follows.
pub const TOPIC_PREFIX: &str = "_dead_letter_queue_";

/// Why a record can never be stored: one stable code each, the same in metrics, messages and docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Shorter than five bytes, or its first byte isn't 0.
    WireHeader,
    /// Its schema is named by a GUID, in a header or behind a first byte of 1, as newer serializers can be told to.
    SchemaGuid,
    /// The registry insists that it doesn't know the schema id.
    UnknownSchema,
    /// The registry's schema is none that valve can store records of.
    UnusableSchema,
    /// The datum doesn't match its schema.
    InvalidDatum,
    /// No timestamp of the configured list is usable.
    NoTimestamp,
    /// The value is larger than `batch.max_record_bytes`.
    TooLarge,
    /// The message has no value, and `nulls` is `deadletter`.
    NullValue,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::WireHeader,
        Self::SchemaGuid,
        Self::UnknownSchema,
        Self::UnusableSchema,
        Self::InvalidDatum,
        Self::NoTimestamp,
        Self::TooLarge,
        Self::NullValue,
    ];

    /// The reason with this code, if there is one.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::WireHeader => "wire_header",
            Self::SchemaGuid => "schema_guid",
            Self::UnknownSchema => "unknown_schema",
            Self::UnusableSchema => "unusable_schema",
            Self::InvalidDatum => "invalid_datum",
            Self::NoTimestamp => "no_timestamp",
            Self::TooLarge => "too_large",
            Self::NullValue => "null_value",
        }
    }
}

/// The most bytes of dead letters that are on their way at once.
pub(crate) const MAX_IN_FLIGHT: usize = 8 << 20;

/// The longest `exception`, in bytes: what it quotes may come from anyone.
const MAX_EXCEPTION: usize = 1_000;

/// `letters` in runs that weigh at most 8 MiB, each of at least one letter.
pub(crate) fn groups(letters: &[DeadLetter]) -> impl Iterator<Item = &[DeadLetter]> {
    let mut rest = letters;
    std::iter::from_fn(move || {
        let mut bytes = 0_usize;
        let fitting = rest.iter().take_while(|letter| {
            bytes = bytes.saturating_add(letter.weight());
            bytes <= MAX_IN_FLIGHT
        });
        let count = fitting.count().max(1);
        let (group, remaining) = rest.split_at_checked(count)?;
        rest = remaining;
        Some(group)
    })
}

/// `exception`, cut to what a dead letter may carry.
pub(crate) fn bounded(mut exception: String) -> String {
    if exception.len() > MAX_EXCEPTION {
        exception.truncate(exception.floor_char_boundary(MAX_EXCEPTION));
        exception.push('…');
        exception.shrink_to_fit();
    }
    exception
}

/// One record that can never be stored, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The partition it came from.
    pub source: TopicPartition,
    /// Its offset there.
    pub offset: Offset,
    /// Its Kafka timestamp, if it has one.
    pub timestamp: Option<UnixMillis>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its own headers, in order, without those that a replay for this valve wrote.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// Its value; `None` for a message without one.
    pub value: Option<Bytes>,
    /// The schema id of its wire header, if it has one.
    pub schema_id: Option<SchemaId>,
    /// What is wrong.
    pub reason: Reason,
    /// What is wrong, in a sentence with its details.
    pub exception: String,
    /// How often it was dead-lettered, with this time.
    pub attempts: Attempts,
}

impl DeadLetter {
    /// The memory that it takes, by capacity, in bytes. Its topic is shared with others, and doesn't count.
    #[must_use]
    pub fn size(&self) -> usize {
        let len = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.capacity() + len(value)).sum();
        size_of::<Self>()
            + len(&self.key)
            + len(&self.value)
            + self.exception.capacity()
            + self.headers.capacity() * size_of::<(String, Option<Bytes>)>()
            + headers
    }

    /// What it counts for on its way, in bytes: its size, and what JSON adds to the names of its headers. (Base64 makes all else a
    /// third longer.)
    pub(crate) fn weight(&self) -> usize {
        let added = |byte: u8| match byte {
            b'"' | b'\\' => 1,
            byte if byte.is_ascii_control() => 5,
            _ => 0,
        };
        let names = self.headers.iter().flat_map(|(name, _)| name.bytes());
        self.size() + names.map(added).sum::<usize>()
    }
}

/// The dead-letter topic doesn't take letters: unreachable, denied, missing, or too small for one of them. Wait and
/// try again; nothing may be skipped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DeadLettersUnavailable(pub String);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;
    use regex::Regex;

    use super::envelope::{Envelope, letter_at};
    use super::*;

    /// A text whose buffer is longer than it is.
    fn roomy(text: &str, room: usize) -> String {
        let mut roomy = String::with_capacity(text.len() + room);
        roomy.push_str(text);
        roomy
    }

    proptest! {
        #[test]
        fn given_any_letter_then_its_size_is_that_of_its_buffers(
            key in prop::option::of(0..300_usize),
            value in prop::option::of(0..3_000_usize),
            headers in prop::collection::vec((any::<String>(), 0..50_usize, prop::option::of(0..99_usize)), 0..6),
            room in (0..20_usize, 0..200_usize),
            exception in any::<String>(),
        ) {
            // As long as what was asked for, and no longer: each is copied out of the record.
            let bytes = |len: usize| Bytes::copy_from_slice(&vec![7; len]);
            let exception = roomy(&exception, room.1);
            let mut expected = size_of::<DeadLetter>() + key.unwrap_or(0) + value.unwrap_or(0) + exception.capacity();
            let mut list = Vec::with_capacity(headers.len() + room.0);
            for (name, room, value) in headers {
                let name = roomy(&name, room);
                expected += name.capacity() + value.unwrap_or(0);
                list.push((name, value.map(bytes)));
            }
            expected += list.capacity() * (size_of::<String>() + size_of::<Option<Bytes>>());
            let letter = DeadLetter {
                source: crate::types::TopicPartition::new("orders", 3),
                offset: Offset(7),
                timestamp: None,
                key: key.map(bytes),
                headers: list,
                value: value.map(bytes),
                schema_id: None,
                reason: Reason::TooLarge,
                exception,
                attempts: Attempts::FIRST,
            };
            prop_assert_eq!(letter.size(), expected);
        }
    }

    proptest! {
        #[test]
        fn given_any_letter_then_its_message_is_no_more_than_a_third_longer_than_it_weighs(
            value in prop::option::of(prop::collection::vec(any::<u8>(), 0..3_000)),
            names in prop::collection::vec("[\\x01-\\x1f]{0,300}|[\"\\\\]{0,300}|[a-zä]{0,300}", 0..20),
        ) {
            let headers = names.into_iter().map(|name| (name, None)).collect();
            let letter = DeadLetter { value: value.map(Bytes::from), headers, ..letter_at(7) };
            let message = Envelope::new(&letter, "archive", UnixMillis(0)).to_json();
            let (fields, weight) = (1_000, letter.weight());
            prop_assert!(message.len() <= weight * 4 / 3 + fields, "{} of {weight}", message.len());
        }
    }

    #[test]
    fn given_letters_whose_messages_are_far_longer_than_they_are_then_each_goes_by_itself() {
        let long = || ("\u{1}".repeat(MAX_IN_FLIGHT / 8), None);
        let letter = DeadLetter { headers: vec![long()], ..letter_at(7) };
        assert_eq!(groups(&[letter.clone(), letter]).map(<[_]>::len).collect::<Vec<_>>(), [1, 1]);
    }

    /// The codes of a table in `file`, each in a row of `shape`.
    fn documented(file: &str, shape: &str) -> BTreeSet<String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = fs::read_to_string(path).unwrap();
        let rows = Regex::new(shape).unwrap();
        rows.captures_iter(&text).map(|row| row[1].to_owned()).collect()
    }

    #[test]
    fn given_the_docs_then_their_tables_have_just_the_codes_that_there_are() {
        let codes: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code().to_owned()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        assert_eq!(documented("docs/dead-letters.md", r"(?m)^\| `([a-z_]+)` \|"), codes);
        assert_eq!(documented("README.md", r"(?m)^\|.*dead letter, `([a-z_]+)` \|$"), codes);
    }

    #[test]
    fn given_a_long_exception_then_what_is_kept_of_it_holds_no_more_than_that() {
        let kept = bounded("ä".repeat(100_000));
        assert!(
            kept.len() <= MAX_EXCEPTION + 3 && kept.capacity() <= 2 * MAX_EXCEPTION,
            "{}",
            kept.capacity()
        );
    }
}
