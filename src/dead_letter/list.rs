//! Which dead letters there are: those that a filter lets through, each once, and what they have in common.

use std::collections::{BTreeMap, HashSet};

use chrono::DateTime;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use super::envelope::Envelope;
use crate::types::{Offset, SchemaId, UnixMillis};

/// Which letters are meant: those for which all that is said is true.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Codes of reasons; empty: any.
    pub reasons: Vec<String>,
    /// Topics that the records came from; empty: any.
    pub topics: Vec<String>,
    /// Schema ids; empty: any, or none.
    pub schema_ids: Vec<SchemaId>,
    /// Dead-lettered at this time or later.
    pub since: Option<UnixMillis>,
    /// Dead-lettered before this time.
    pub until: Option<UnixMillis>,
    /// Dead-lettered so often at least.
    pub min_attempts: u32,
}

impl Filter {
    /// Whether `letter` is meant. One whose time can't be read is in no span of time.
    #[must_use]
    pub fn takes(&self, letter: &Envelope) -> bool {
        let any = |list: &[String], text: &str| list.is_empty() || list.iter().any(|each| each == text);
        let at = DateTime::parse_from_rfc3339(&letter.processed_at).ok();
        let at = at.map(|at| UnixMillis(at.timestamp_millis()));
        let within = |bound: Option<UnixMillis>, is_within: fn(UnixMillis, UnixMillis) -> bool| {
            bound.is_none_or(|bound| at.is_some_and(|at| is_within(at, bound)))
        };
        any(&self.reasons, &letter.reason)
            && any(&self.topics, &letter.topic)
            && (self.schema_ids.is_empty()
                || letter.schema_id.is_some_and(|id| self.schema_ids.contains(&id)))
            && within(self.since, |at, since| at >= since)
            && within(self.until, |at, until| at < until)
            && letter.attempts >= self.min_attempts
    }
}

/// Tells letters from repetitions of them: each is sent at least once. By a hash of the identity: there may be millions.
#[derive(Debug, Default)]
pub struct Seen(HashSet<u128>);

impl Seen {
    /// Whether `letter` wasn't seen before.
    pub fn is_new(&mut self, letter: &Envelope) -> bool {
        self.0.insert(xxh3_128(letter.identity().as_bytes()))
    }
}

/// What letters of one reason, topic and schema have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// How many there are.
    pub letters: u64,
    /// How many of them weren't replayed.
    pub open: u64,
    /// When the first was dead-lettered.
    pub first: String,
    /// When the last was.
    pub last: String,
    /// How often the one was that was so most often.
    pub most_attempts: u32,
    /// The partition and offset, in the dead-letter topic, of the last one.
    pub example: (i32, Offset),
}

/// By reason, topic and schema id.
pub type Groups = BTreeMap<(String, String, Option<SchemaId>), Group>;

/// Counts `letter`, which lies at `place` in its topic, and is `open` until it is replayed.
pub fn count(groups: &mut Groups, letter: &Envelope, place: (i32, Offset), open: bool) {
    let at = &letter.processed_at;
    let key = (letter.reason.clone(), letter.topic.clone(), letter.schema_id);
    let group = groups.entry(key).or_insert_with(|| Group {
        letters: 0,
        open: 0,
        first: at.clone(),
        last: at.clone(),
        most_attempts: 0,
        example: place,
    });
    group.letters += 1;
    group.open += u64::from(open);
    group.most_attempts = group.most_attempts.max(letter.attempts);
    // All are written by valve, in one form, which sorts like what it means.
    if *at < group.first {
        group.first.clone_from(at);
    }
    if *at >= group.last {
        group.last.clone_from(at);
        group.example = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::envelope::letter_at;

    const NOON: UnixMillis = UnixMillis(1_763_726_400_000);

    fn letter() -> Envelope {
        Envelope { schema_id: Some(SchemaId(7)), ..Envelope::new(&letter_at(17), "archive", NOON) }
    }

    #[test]
    fn given_no_filter_then_every_letter_is_taken() {
        assert!(Filter::default().takes(&letter()));
        let timeless = Envelope { processed_at: "soon".to_owned(), ..letter() };
        assert!(Filter::default().takes(&timeless));
        assert!(!Filter { since: Some(UnixMillis(0)), ..Filter::default() }.takes(&timeless));
    }

    #[test]
    fn given_each_filter_then_it_takes_what_is_so_and_nothing_else() {
        let later = UnixMillis(NOON.0 + 1);
        let texts = |text: &str| vec!["x".to_owned(), text.to_owned()];
        let any = Filter::default;
        for (filter, takes) in [
            (Filter { reasons: texts("wire_header"), ..any() }, true),
            (Filter { reasons: texts("invalid_datum"), ..any() }, false),
            (Filter { topics: texts("orders"), ..any() }, true),
            (Filter { topics: texts("order"), ..any() }, false),
            (Filter { schema_ids: vec![SchemaId(7)], ..any() }, true),
            (Filter { schema_ids: vec![SchemaId(8)], ..any() }, false),
            (Filter { since: Some(NOON), ..any() }, true),
            (Filter { since: Some(later), ..any() }, false),
            (Filter { until: Some(later), ..any() }, true),
            (Filter { until: Some(NOON), ..any() }, false),
            (Filter { min_attempts: 1, ..any() }, true),
            (Filter { min_attempts: 2, ..any() }, false),
            (Filter { topics: texts("orders"), reasons: texts("no"), ..any() }, false),
        ] {
            assert_eq!(filter.takes(&letter()), takes, "{filter:?}");
        }
        let without = Envelope { schema_id: None, ..letter() };
        assert!(!Filter { schema_ids: vec![SchemaId(7)], ..any() }.takes(&without));
    }

    #[test]
    fn given_a_letter_twice_then_it_is_new_once() {
        let mut seen = Seen::default();
        assert!(seen.is_new(&letter()) && !seen.is_new(&letter()));
        // The topic was made anew, and has a bad record at the same offset.
        let other = Envelope { processed_at: "2026-11-26T07:00:00.000Z".to_owned(), ..letter() };
        assert!(seen.is_new(&other));
    }

    #[test]
    fn given_letters_in_any_order_then_a_group_knows_the_first_and_the_last() {
        let mut groups = Groups::new();
        for (offset, (after, attempts)) in [(1, 1), (2, 3), (0, 1)].into_iter().enumerate() {
            let at = Envelope::new(&letter_at(0), "archive", UnixMillis(NOON.0 + after)).processed_at;
            let place = (0, Offset(offset.try_into().unwrap()));
            count(&mut groups, &Envelope { processed_at: at, attempts, ..letter() }, place, attempts > 1);
        }
        let key = ("wire_header".to_owned(), "orders".to_owned(), Some(SchemaId(7)));
        let group = &groups[&key];
        assert_eq!((group.letters, group.open, group.most_attempts), (3, 1, 3));
        assert_eq!(group.example, (0, Offset(1)));
        assert_eq!((&*group.first, &*group.last), ("2025-11-21T12:00:00.000Z", "2025-11-21T12:00:00.002Z"));
    }
}
