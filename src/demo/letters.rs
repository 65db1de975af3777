//! The dead letters, collected while the demo runs: the embedded broker doesn't keep them for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_128;

use super::events::{TOPICS, Topic};
use crate::source::embedded::{BrokerError, TopicReader};

/// How often the topic is looked at.
const INTERVAL: Duration = Duration::from_millis(250);

/// Where a record was: topic, partition, offset.
pub(super) type Coordinates = (Topic, i32, i64);

/// What one dead letter says, in the size that it takes to compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    /// The code of its reason.
    pub(super) reason: String,
    /// The digest of the record's value.
    pub(super) value: u128,
}

/// The digest of a value.
pub(super) fn digest(value: &[u8]) -> u128 {
    xxh3_128(value)
}

/// All dead letters, by where their records were.
#[derive(Clone, Debug, Default)]
pub(crate) struct Letters {
    pub(super) found: BTreeMap<Coordinates, Letter>,
    /// How many said again what another one had said. Dead letters are produced at least once.
    pub(super) repeated: u64,
    /// Those that make no sense, or that contradict another one of the same record.
    pub(super) strange: Vec<String>,
}

/// The part of the JSON that matters here.
#[derive(Deserialize)]
struct Written {
    topic: String,
    partition: i32,
    offset: i64,
    reason: String,
    message: String,
}

impl Letters {
    /// Reads the topic while it fills, and once more to its end after `stop`. Blocks.
    pub(crate) fn collect(mut reader: TopicReader, stop: &CancellationToken) -> Result<Self, BrokerError> {
        let mut letters = Self::default();
        loop {
            let last = stop.is_cancelled();
            reader.read_to_end(|json| letters.take(json))?;
            if last {
                return Ok(letters);
            }
            std::thread::sleep(INTERVAL);
        }
    }

    /// Takes one dead letter.
    pub(super) fn take(&mut self, json: &[u8]) {
        match parse(json) {
            Ok((coordinates, letter)) => match self.found.get(&coordinates) {
                Some(earlier) if *earlier == letter => self.repeated += 1,
                Some(earlier) => {
                    self.strange.push(format!("{coordinates:?}: both {earlier:?} and {letter:?}"));
                }
                None => {
                    self.found.insert(coordinates, letter);
                }
            },
            Err(reason) => self.strange.push(format!("{reason}: {}", String::from_utf8_lossy(json))),
        }
    }
}

fn parse(json: &[u8]) -> Result<(Coordinates, Letter), String> {
    let written: Written = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let topic = TOPICS.into_iter().find(|topic| topic.name() == written.topic);
    let topic = topic.ok_or_else(|| format!("no topic is named {:?}", written.topic))?;
    let value = BASE64_STANDARD.decode(written.message).map_err(|error| error.to_string())?;
    Ok(((topic, written.partition, written.offset), Letter { reason: written.reason, value: digest(&value) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTER: &str = r#"{"topic": "orders", "partition": 2, "offset": 7, "reason": "wire_header",
        "message": "eyJhIjoxfQ==", "exception": "…", "later": 1}"#;

    #[test]
    fn given_a_letter_twice_then_it_is_there_once() {
        let mut letters = Letters::default();
        letters.take(LETTER.as_bytes());
        letters.take(LETTER.as_bytes());
        let letter = Letter { reason: "wire_header".to_owned(), value: digest(br#"{"a":1}"#) };
        assert_eq!(letters.found, BTreeMap::from([((Topic::Orders, 2, 7), letter)]));
        assert_eq!((letters.repeated, letters.strange.len()), (1, 0));
    }

    #[test]
    fn given_letters_that_contradict_each_other_or_make_no_sense_then_they_are_strange() {
        let mut letters = Letters::default();
        letters.take(LETTER.as_bytes());
        letters.take(LETTER.replace("wire_header", "no_timestamp").as_bytes());
        letters.take(LETTER.replace("orders", "unheard-of").as_bytes());
        letters.take(b"{");
        assert_eq!((letters.found.len(), letters.strange.len()), (1, 3));
    }
}
