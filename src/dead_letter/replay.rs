//! Which dead letters a replay sends again, each once.
//!
//! Each record goes out in one transaction with a *mark* in the dead-letter topic: a message without a value, whose header
//! names the letter (`producer/resender.rs`). So a letter has been replayed just when its mark can be read, however a
//! replay ended, and the marks live as long as the letters do. (Offsets of a consumer group couldn't say it: filters take
//! letters in any order, and Kafka forgets the offsets of a group without members after a week.)

use std::collections::HashSet;

use super::envelope::Envelope;
use super::list::{Filter, Seen};
use crate::source::topic::StoredMessage;

/// The header of a mark: its value says which letter was replayed ([`Envelope::identity`]).
pub const MARK: &str = "valve-replayed";

/// The identity of the letter that `message` marks as replayed, if it is a mark.
#[must_use]
pub(crate) fn marked(message: &StoredMessage) -> Option<&str> {
    if message.value.is_some() {
        return None;
    }
    let (_, value) = message.headers.iter().find(|(name, _)| name == MARK)?;
    value.as_deref().and_then(|value| std::str::from_utf8(value).ok())
}

/// Which letters a replay means.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The valve whose letters they are.
    pub valve: String,
    /// What they have in common.
    pub filter: Filter,
    /// One that was dead-lettered more often is left alone.
    pub max_attempts: u32,
}

/// What is known of the letters, once the topic has been read.
#[derive(Debug, Default)]
pub struct Survey {
    marks: HashSet<String>,
    meant: HashSet<String>,
    too_often: HashSet<String>,
}

impl Survey {
    /// Takes notice of a message of the dead-letter topic.
    pub(crate) fn note(&mut self, message: &StoredMessage, choice: &Choice) {
        if let Some(identity) = marked(message) {
            self.marks.insert(identity.to_owned());
        } else if let Some(letter) = letter(message)
            && letter.processed_by == choice.valve
            && choice.filter.takes(&letter)
        {
            let which =
                if letter.attempts > choice.max_attempts { &mut self.too_often } else { &mut self.meant };
            which.insert(letter.identity());
        }
    }

    /// How many letters are to be sent.
    #[must_use]
    pub fn to_send(&self) -> usize {
        self.meant.difference(&self.marks).count()
    }

    /// How many of those meant were sent before.
    #[must_use]
    pub fn sent_before(&self) -> usize {
        self.meant.intersection(&self.marks).count()
    }

    /// How many are left alone, for they failed too often, and weren't sent before.
    #[must_use]
    pub fn left_alone(&self) -> usize {
        self.too_often.difference(&self.marks).count()
    }

    /// The letter in `message`, if it is to be sent and wasn't among `seen`.
    pub(crate) fn pick(&self, message: &StoredMessage, seen: &mut Seen) -> Option<Envelope> {
        let letter = letter(message)?;
        let identity = letter.identity();
        let is_meant = self.meant.contains(&identity) && !self.marks.contains(&identity);
        (is_meant && seen.is_new(&letter)).then_some(letter)
    }
}

fn letter(message: &StoredMessage) -> Option<Envelope> {
    Envelope::from_json(message.value.as_deref()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::envelope::letter_at;
    use crate::types::{Offset, UnixMillis};

    fn stored(letter: &Envelope) -> StoredMessage {
        StoredMessage { partition: 0, offset: Offset(0), headers: Vec::new(), value: Some(letter.to_json()) }
    }

    fn mark(identity: &str) -> StoredMessage {
        let headers = vec![(MARK.to_owned(), Some(identity.into()))];
        StoredMessage { partition: 0, offset: Offset(0), headers, value: None }
    }

    fn letter(offset: i64, valve: &str, attempts: u32) -> Envelope {
        let mut letter = letter_at(offset);
        letter.attempts.count = attempts;
        Envelope::new(&letter, valve, UnixMillis(1_763_726_400_007))
    }

    #[test]
    fn given_letters_and_marks_in_any_order_then_just_those_without_a_mark_are_sent_each_once() {
        let choice = Choice { valve: "archive".to_owned(), filter: Filter::default(), max_attempts: 2 };
        let letters = [
            letter(1, "archive", 1),
            letter(2, "archive", 2),
            letter(3, "archive", 3),
            letter(4, "tank", 1),
            letter(5, "archive", 1),
        ];
        let mut messages: Vec<_> = letters.iter().map(stored).collect();
        messages.insert(0, mark(&letters[4].identity()));
        messages.push(stored(&letters[0]));
        let foreign = StoredMessage { value: Some(b"{}".to_vec()), ..mark("x") };
        messages.extend([foreign, mark("of no letter")]);

        let (mut survey, mut seen) = (Survey::default(), Seen::default());
        messages.iter().for_each(|message| survey.note(message, &choice));
        assert_eq!((survey.to_send(), survey.sent_before(), survey.left_alone()), (2, 1, 1));
        let sent: Vec<_> = messages.iter().filter_map(|message| survey.pick(message, &mut seen)).collect();
        assert_eq!(sent, letters[..2]);
    }
}
