//! Which dead letters a replay sends again, each once.
//!
//! Each record goes out in one transaction with a *mark* in the dead-letter topic: a message without a value, whose key
//! names the letter (`producer/resender.rs`). So a letter has been replayed just when its mark can be read, however a
//! replay ended, and the marks live as long as the letters do. (Offsets of a consumer group couldn't say it: filters take
//! letters in any order, and Kafka forgets the offsets of a group without members after a week.)

use std::collections::{HashMap, HashSet};

use xxhash_rust::xxh3::xxh3_128;

use super::envelope::Envelope;
use super::list::Filter;
use crate::config::Topics;
use crate::source::topic::StoredMessage;
use crate::topics::reads;

/// What a mark's key begins with; the identity of the letter follows ([`Envelope::identity`]).
pub const MARK: &str = "valve-replayed ";

/// The identity of the letter that `message` marks as replayed, if it is a mark.
#[must_use]
pub(crate) fn marked(message: &StoredMessage) -> Option<&str> {
    let key = message.key.as_deref().filter(|_| message.value.is_none())?;
    std::str::from_utf8(key).ok()?.strip_prefix(MARK)
}

/// Which letters were replayed.
#[derive(Debug, Default)]
pub(crate) struct Marks(HashSet<u128>);

impl Marks {
    /// Takes notice of a message of the dead-letter topic.
    pub(crate) fn note(&mut self, message: &StoredMessage) {
        self.0.extend(marked(message).map(|identity| xxh3_128(identity.as_bytes())));
    }

    /// Whether `letter` was replayed.
    pub(crate) fn has(&self, letter: &Envelope) -> bool {
        self.0.contains(&xxh3_128(letter.identity().as_bytes()))
    }
}

/// Which letters a replay means.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The valve whose letters they are.
    pub valve: String,
    /// What it reads: a record of another topic would be sent for nobody.
    pub topics: Topics,
    /// What they have in common.
    pub filter: Filter,
    /// One that was dead-lettered more often is left alone.
    pub max_attempts: u32,
}

/// What is known of the letters, once the topic has been read.
#[derive(Debug, Default)]
pub struct Survey {
    /// By a hash of the letter's identity: there may be millions.
    letters: HashMap<u128, Known>,
    /// Messages that are no letters of this version.
    unreadable: u64,
}

#[derive(Debug, Default)]
struct Known {
    fate: Option<Fate>,
    marked: bool,
    picked: bool,
}

/// What is to become of a letter that the filter takes, unless it is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Send,
    /// It failed too often.
    TooOften,
    /// The valve doesn't read its topic.
    Unread,
}

impl Survey {
    /// Takes notice of a message of the dead-letter topic.
    pub(crate) fn note(&mut self, message: &StoredMessage, choice: &Choice) {
        if let Some(identity) = marked(message) {
            self.known(identity).marked = true;
            return;
        }
        let Some(value) = message.value.as_deref() else { return };
        let Ok(letter) = Envelope::from_json(value) else {
            self.unreadable += 1;
            return;
        };
        if letter.processed_by == choice.valve && choice.filter.takes(&letter) {
            let fate = if !reads(&choice.topics, &letter.topic) {
                Fate::Unread
            } else if letter.attempts > choice.max_attempts {
                Fate::TooOften
            } else {
                Fate::Send
            };
            self.known(&letter.identity()).fate = Some(fate);
        }
    }

    fn known(&mut self, identity: &str) -> &mut Known {
        self.letters.entry(xxh3_128(identity.as_bytes())).or_default()
    }

    fn count(&self, fate: Fate, marked: bool) -> usize {
        self.letters.values().filter(|known| known.fate == Some(fate) && known.marked == marked).count()
    }

    /// How many letters are to be sent.
    #[must_use]
    pub fn to_send(&self) -> usize {
        self.count(Fate::Send, false)
    }

    /// How many of those meant were sent before.
    #[must_use]
    pub fn sent_before(&self) -> usize {
        self.count(Fate::Send, true)
    }

    /// How many are left alone, for they failed too often, and weren't sent before.
    #[must_use]
    pub fn too_often(&self) -> usize {
        self.count(Fate::TooOften, false)
    }

    /// How many are left alone, for the valve doesn't read their topics.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.count(Fate::Unread, false)
    }

    /// How many messages are no letters of this version.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// The letter in `message`, if it is to be sent and wasn't picked before.
    pub(crate) fn pick(&mut self, message: &StoredMessage) -> Option<Envelope> {
        let letter = Envelope::from_json(message.value.as_deref()?).ok()?;
        let known = self.letters.get_mut(&xxh3_128(letter.identity().as_bytes()))?;
        let picks = known.fate == Some(Fate::Send) && !known.marked && !known.picked;
        known.picked |= picks;
        picks.then_some(letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::envelope::letter_at;
    use crate::types::{Offset, UnixMillis};

    fn stored(letter: &Envelope) -> StoredMessage {
        StoredMessage { partition: 0, offset: Offset(0), key: None, value: Some(letter.to_json()) }
    }

    fn mark(identity: &str) -> StoredMessage {
        let key = format!("{MARK}{identity}").into_bytes();
        StoredMessage { partition: 0, offset: Offset(0), key: Some(key), value: None }
    }

    fn letter(offset: i64, valve: &str, attempts: u32) -> Envelope {
        let mut letter = letter_at(offset);
        letter.attempts.count = attempts;
        Envelope::new(&letter, valve, UnixMillis(1_763_726_400_007))
    }

    #[test]
    fn given_letters_and_marks_in_any_order_then_just_those_without_a_mark_are_sent_each_once() {
        let choice = Choice {
            valve: "archive".to_owned(),
            topics: Topics::List(vec!["orders".to_owned()]),
            filter: Filter::default(),
            max_attempts: 2,
        };
        let elsewhere = Envelope { topic: "payments".to_owned(), ..letter(6, "archive", 1) };
        let letters = [
            letter(1, "archive", 1),
            letter(2, "archive", 2),
            letter(3, "archive", 3),
            letter(4, "tank", 1),
            letter(5, "archive", 1),
            Envelope { id: "another".to_owned(), ..elsewhere },
        ];
        let mut messages: Vec<_> = letters.iter().map(stored).collect();
        messages.insert(0, mark(&letters[4].identity()));
        messages.push(stored(&letters[0]));
        let foreign = StoredMessage { value: Some(b"{}".to_vec()), ..mark("x") };
        let empty = StoredMessage { key: None, ..mark("x") };
        messages.extend([foreign, empty, mark("of no letter")]);

        let mut survey = Survey::default();
        messages.iter().for_each(|message| survey.note(message, &choice));
        assert_eq!((survey.to_send(), survey.sent_before()), (2, 1));
        assert_eq!((survey.too_often(), survey.unread(), survey.unreadable()), (1, 1, 1));
        let sent: Vec<_> = messages.iter().filter_map(|message| survey.pick(message)).collect();
        assert_eq!(sent, letters[..2]);
    }

    #[test]
    fn given_a_topic_that_was_made_anew_then_its_letter_isnt_taken_for_one_that_was_replayed() {
        let old = letter(1, "archive", 1);
        let new = Envelope { processed_at: "2026-11-26T07:00:00.000Z".to_owned(), ..old.clone() };
        let choice = Choice {
            valve: "archive".to_owned(),
            topics: Topics::Registry,
            filter: Filter::default(),
            max_attempts: 2,
        };
        let mut survey = Survey::default();
        for message in [stored(&old), mark(&old.identity()), stored(&new)] {
            survey.note(&message, &choice);
        }
        assert_eq!((survey.to_send(), survey.sent_before()), (1, 1));
    }
}
