//! The message of a dead letter: JSON that keeps the original record byte for byte. (Names of headers are text; what isn't UTF-8 in
//! them is replaced.)
//!
//! Its first eight fields, in their order, are a contract with those who read the topic; the others follow them.

use std::fmt;

use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::original::Elsewhere;
use super::replayed::rfc3339;
use super::{DeadLetter, Reason};
use crate::types::{Offset, SchemaId, TopicPartition, UnixMillis};

/// The namespace of dead letters' ids: a random UUID, fixed for ever.
const ID_NAMESPACE: Uuid = Uuid::from_u128(0x6d1d_9c0a_55c7_4b0e_9d0c_3f6b_2b8e_71a4);

/// A dead letter as it stands in its topic. Fields are written in the order of their declaration; fields that a
/// newer version adds are ignored when reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// When it was dead-lettered: RFC 3339 with milliseconds, in UTC.
    pub processed_at: String,
    /// The valve's name.
    pub processed_by: String,
    /// What is wrong, in a sentence with its details.
    pub exception: String,
    /// The topic that the record came from.
    pub topic: String,
    /// Its value, in base64; null for a message without one.
    pub message: Option<Base64>,
    /// Its Kafka timestamp, in milliseconds since 1970; null when it had none.
    pub timestamp: Option<UnixMillis>,
    /// The partition that it came from.
    pub partition: i32,
    /// Its offset there.
    pub offset: Offset,
    /// Its key, in base64; null when it had none.
    pub key: Option<Base64>,
    /// Its headers, in order; names may repeat.
    pub headers: Vec<Header>,
    /// The code of what is wrong ([`Reason::code`], or one of a newer version).
    pub reason: String,
    /// The schema id of its wire header; null when it had none.
    pub schema_id: Option<SchemaId>,
    /// The version of valve that wrote this.
    pub valve: String,
    /// What tells a repetition from another letter: see [`id`].
    pub id: String,
    /// How often valve has dead-lettered the record, with this time: 1 unless it was replayed.
    pub attempts: u32,
    /// When it did for the first time, as `processed_at`.
    pub first_failed_at: String,
    /// Where `key`, `headers` and `message` are, when they are too large to be here: these are empty then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Elsewhere>,
}

/// One header of the original record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value, in base64; null when it had none.
    pub value: Option<Base64>,
}

/// Not a dead letter's message.
#[derive(Debug, thiserror::Error)]
#[error("not a dead letter: {0}")]
pub struct NotAnEnvelope(#[from] serde_json::Error);

impl Envelope {
    /// The message of `letter`, dead-lettered by the valve `processed_by` at `processed_at`. Its bytes are shared
    /// with the letter's.
    #[must_use]
    pub fn new(letter: &DeadLetter, processed_by: &str, processed_at: UnixMillis) -> Self {
        let headers = letter
            .headers
            .iter()
            .map(|(name, value)| Header { name: name.clone(), value: value.clone().map(Base64) });
        Self {
            processed_at: rfc3339(processed_at),
            processed_by: processed_by.to_owned(),
            exception: letter.exception.clone(),
            topic: letter.source.topic.to_string(),
            message: letter.value.clone().map(Base64),
            timestamp: letter.timestamp,
            partition: letter.source.partition,
            offset: letter.offset,
            key: letter.key.clone().map(Base64),
            headers: headers.collect(),
            reason: letter.reason.code().to_owned(),
            schema_id: letter.schema_id,
            valve: env!("CARGO_PKG_VERSION").to_owned(),
            id: id(processed_by, &letter.source, letter.offset, letter.attempts.count).to_string(),
            attempts: letter.attempts.count,
            first_failed_at: rfc3339(letter.attempts.first_failed.unwrap_or(processed_at)),
            original: None,
        }
    }

    /// As [`Envelope::new`], without what is in `original`.
    #[must_use]
    pub fn pointing(
        letter: &DeadLetter,
        processed_by: &str,
        processed_at: UnixMillis,
        original: Elsewhere,
    ) -> Self {
        let small = DeadLetter {
            source: letter.source.clone(),
            offset: letter.offset,
            timestamp: letter.timestamp,
            key: None,
            headers: Vec::new(),
            value: None,
            schema_id: letter.schema_id,
            reason: letter.reason,
            exception: letter.exception.clone(),
            attempts: letter.attempts,
        };
        Self { original: Some(original), ..Self::new(&small, processed_by, processed_at) }
    }

    /// As JSON, on one line.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text, numbers and lists of them are always JSON")
    }

    /// Reads what [`Envelope::to_json`] wrote.
    ///
    /// # Errors
    /// When `json` is something else.
    pub fn from_json(json: &[u8]) -> Result<Self, NotAnEnvelope> {
        Ok(serde_json::from_slice(json)?)
    }

    /// What tells it from all other letters, and not from a repetition: its id, and when it was made. In a topic that was
    /// deleted and made again, other records are at the same offsets.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{} {}", self.id, self.processed_at)
    }

    /// The reason, when this version knows its code.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        Reason::from_code(&self.reason)
    }
}

/// The id of the letter that the valve `processed_by` makes of the record at `offset` of `source`, at this attempt: a UUID
/// version 5 of nothing else, so a batch that is made again sends the same id.
#[must_use]
pub fn id(processed_by: &str, source: &TopicPartition, offset: Offset, attempt: u32) -> Uuid {
    // Neither names of topics nor of consumer groups hold line breaks.
    let name = format!("{processed_by}\n{}\n{}\n{offset}\n{attempt}", source.topic, source.partition);
    Uuid::new_v5(&ID_NAMESPACE, name.as_bytes())
}

/// Bytes that are written as text in base64 (RFC 4648, section 4, with padding).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base64(pub Bytes);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(&self.0, &STANDARD))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Base64Visitor)
    }
}

struct Base64Visitor;

impl Visitor<'_> for Base64Visitor {
    type Value = Base64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text in base64")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Base64, E> {
        STANDARD.decode(text).map(|bytes| Base64(bytes.into())).map_err(E::custom)
    }
}

/// A letter for tests, from the partition `orders[3]`.
#[cfg(test)]
pub(crate) fn letter_at(offset: i64) -> DeadLetter {
    use super::replayed::Attempts;

    DeadLetter {
        source: TopicPartition::new("orders", 3),
        offset: Offset(offset),
        timestamp: Some(UnixMillis(1_700_000_000_123)),
        key: Some(Bytes::from_static(b"customer-7")),
        headers: vec![("trace".to_owned(), Some(Bytes::from_static(b"\xff\x00"))), ("flag".to_owned(), None)],
        value: Some(Bytes::from_static(b"\x01not avro")),
        schema_id: None,
        reason: Reason::WireHeader,
        exception: "the first byte is 1, not 0".to_owned(),
        attempts: Attempts::FIRST,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_763_726_400_007);

    #[test]
    fn given_a_letter_then_its_json_is_as_documented() {
        let json = String::from_utf8(Envelope::new(&letter_at(17), "archive", NOW).to_json()).expect("text");
        let id = id("archive", &TopicPartition::new("orders", 3), Offset(17), 1);
        let version = env!("CARGO_PKG_VERSION");
        let expected = [
            r#"{"processed_at":"2025-11-21T12:00:00.007Z","processed_by":"archive","#,
            r#""exception":"the first byte is 1, not 0","topic":"orders","message":"AW5vdCBhdnJv","#,
            r#""timestamp":1700000000123,"partition":3,"offset":17,"key":"Y3VzdG9tZXItNw==","#,
            r#""headers":[{"name":"trace","value":"/wA="},{"name":"flag","value":null}],"#,
            r#""reason":"wire_header","schema_id":null,"#,
            &format!(r#""valve":"{version}","id":"{id}","attempts":1,"#),
            r#""first_failed_at":"2025-11-21T12:00:00.007Z"}"#,
        ];
        assert_eq!(json, expected.concat());
    }

    #[test]
    fn given_neither_key_nor_value_nor_timestamp_then_they_are_null() {
        let letter = DeadLetter { key: None, value: None, timestamp: None, ..letter_at(0) };
        let json = serde_json::to_value(Envelope::new(&letter, "archive", NOW)).expect("JSON");
        assert!(["key", "message", "timestamp"].iter().all(|field| json[field].is_null()), "{json}");
    }

    #[test]
    fn given_every_reason_then_its_code_leads_back_to_it() {
        for reason in Reason::ALL {
            let envelope = Envelope::new(&DeadLetter { reason, ..letter_at(0) }, "archive", NOW);
            assert_eq!(envelope.reason(), Some(reason));
        }
    }

    #[test]
    fn given_fields_and_a_reason_of_a_newer_version_then_the_letter_can_be_read() {
        let mut json = serde_json::to_value(Envelope::new(&letter_at(0), "archive", NOW)).expect("JSON");
        json["colour"] = 3.into();
        json["reason"] = "solar_flare".into();
        let read = Envelope::from_json(json.to_string().as_bytes()).expect("reads");
        assert_eq!((read.reason(), read.reason.as_str()), (None, "solar_flare"));
    }

    #[test]
    fn given_something_else_then_reading_it_is_an_error() {
        for json in ["", "{}", "null", r#"{"message":"%"}"#, "\u{0}"] {
            assert!(Envelope::from_json(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn given_other_coordinates_then_the_id_is_another_and_for_the_same_it_is_the_same() {
        let of = |valve, topic, partition, offset, attempt| {
            id(valve, &TopicPartition::new(topic, partition), Offset(offset), attempt)
        };
        let one = of("archive", "orders", 1, 12, 1);
        assert_eq!(one, of("archive", "orders", 1, 12, 1));
        assert_eq!(one.get_version_num(), 5);
        for other in [
            of("tank", "orders", 1, 12, 1),
            of("archive", "orders1", 1, 12, 1),
            of("archive", "orders", 11, 2, 1),
            of("archive", "orders", 1, 13, 1),
            of("archive", "orders", 1, 12, 2),
        ] {
            assert_ne!(one, other);
        }
    }

    fn bytes() -> impl Strategy<Value = Option<Bytes>> {
        prop::option::of(prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn given_any_record_then_its_original_bytes_come_back(
            key in bytes(),
            value in bytes(),
            headers in prop::collection::vec((any::<String>(), bytes()), 0..5),
            timestamp in prop::option::of(any::<i64>().prop_map(UnixMillis)),
            exception in any::<String>(),
            processed_at in any::<i64>(),
        ) {
            let letter = DeadLetter { key, value, headers, timestamp, exception, ..letter_at(17) };
            let envelope = Envelope::new(&letter, "archive", UnixMillis(processed_at));
            let read = Envelope::from_json(&envelope.to_json()).expect("reads");
            prop_assert_eq!(&read, &envelope);
            prop_assert_eq!(read.key.map(|key| key.0), letter.key);
            prop_assert_eq!(read.message.map(|message| message.0), letter.value);
            let headers: Vec<_> =
                read.headers.into_iter().map(|header| (header.name, header.value.map(|value| value.0))).collect();
            prop_assert_eq!(headers, letter.headers);
            prop_assert_eq!(read.timestamp, letter.timestamp);
            prop_assert_eq!(read.exception, letter.exception);
        }
    }
}
