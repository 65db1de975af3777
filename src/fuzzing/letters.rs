//! Messages of the dead-letter topic, and the originals that they name: written by whoever may write there.

use super::{assert_plain_lines, assert_sentence};
use crate::commands::deadletters::show::{Original as Shown, as_text};
use crate::config::Topics;
use crate::dead_letter::envelope::Envelope;
use crate::dead_letter::list::{Filter, Groups, Seen, count};
use crate::dead_letter::original::{Original, is_original};
use crate::dead_letter::replay::{Choice, MARK, Survey};
use crate::dead_letter::replayed::{Attempts, Headers};
use crate::source::topic::StoredMessage;
use crate::types::Offset;

/// A message's value.
pub(super) fn letter(data: &[u8]) {
    let message = StoredMessage { partition: 0, offset: Offset(0), key: None, value: Some(data.to_vec()) };
    let choice = Choice {
        valve: "archive".to_owned(),
        topics: Topics::Registry,
        filter: Filter::default(),
        max_attempts: 5,
    };
    let mut survey = Survey::default();
    survey.note(&message, &choice);
    let picked = survey.pick(&message);
    assert_eq!(survey.to_send(), usize::from(picked.is_some()));
    assert!(survey.pick(&message).is_none(), "a letter is picked once");
    let letter = match Envelope::from_json(data) {
        Ok(letter) => letter,
        Err(why) => {
            assert_eq!((picked, survey.unreadable()), (None, 1));
            return assert_sentence(&why.to_string());
        }
    };
    assert!(Envelope::from_json(&letter.to_json()).is_ok_and(|again| again == letter));
    assert_plain_lines(&as_text(&letter, &Shown::InTheLetter, Some(Err(letter.exception.clone()))));
    assert_listed_once(&letter);
    assert_replayable(&letter, picked.is_some());
    assert_marked(&letter, &message, &choice);
}

/// What would be sent goes to a topic that Kafka can have, with headers off which the same attempts are read again.
fn assert_replayable(letter: &Envelope, picked: bool) {
    assert!(!picked || crate::topics::reads(&Topics::Registry, &letter.topic));
    assert!(!picked || (letter.processed_by == "archive" && letter.attempts <= 5));
    let own =
        letter.headers.iter().map(|header| (header.name.clone(), header.value.clone().map(|value| value.0)));
    let mut headers: Headers = own.collect();
    let before = headers.clone();
    Attempts { count: letter.attempts, first_failed: None }.write_on(&mut headers, "archive", &letter.id);
    let attempts = Attempts::take_off(&mut headers, "archive");
    assert_eq!(attempts.count, letter.attempts.max(1).saturating_add(1));
    assert_eq!(headers, before);
    if let Some(place) = &letter.original
        && is_original(&place.key, &letter.topic)
    {
        let parts: Vec<_> = place.key.rsplit('/').collect();
        assert!(parts.len() >= 3 && parts[1] == letter.topic && parts[2] == "_dead_letters", "{place}");
        assert!(parts.iter().all(|part| !matches!(*part, "" | "." | "..")), "{place}");
    }
}

fn assert_listed_once(letter: &Envelope) {
    let (mut seen, mut groups) = (Seen::default(), Groups::new());
    assert!(seen.is_new(letter) && !seen.is_new(letter));
    count(&mut groups, letter, (0, Offset(0)), true);
    assert_eq!(groups.values().map(|group| group.letters).sum::<u64>(), 1);
}

/// A letter whose mark is there isn't sent.
fn assert_marked(letter: &Envelope, message: &StoredMessage, choice: &Choice) {
    let key = format!("{MARK}{}", letter.identity()).into_bytes();
    let mark = StoredMessage { partition: 0, offset: Offset(1), key: Some(key), value: None };
    let mut survey = Survey::default();
    survey.note(&mark, choice);
    survey.note(message, choice);
    assert_eq!((survey.to_send(), survey.pick(message)), (0, None));
}

/// An object that a letter says is its original.
pub(super) fn original(data: &[u8]) {
    match Original::from_file(data) {
        Ok(read) => {
            let bytes = |part: Option<&bytes::Bytes>| part.map_or(0, bytes::Bytes::len);
            let headers = read
                .headers
                .iter()
                .map(|header| header.name.len() + bytes(header.value.as_ref().map(|value| &value.0)));
            let all = bytes(read.key.as_ref()) + bytes(read.value.as_ref()) + headers.sum::<usize>();
            // Without a codec, which originals never have, nothing is larger than its file.
            assert!(all <= data.len(), "{all} bytes were read from {}", data.len());
        }
        Err(why) => assert_sentence(&why),
    }
}
