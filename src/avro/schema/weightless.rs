//! How many values a datum may hold that take no byte of it: nulls, empty records, fixeds of size 0, and what consists of them.
//!
//! The walk steps over them. Who makes a value of each needs this bound first: a record that holds an empty one twice, in one
//! that holds that twice, and so on, comes to more of them than there is memory, in a schema of a kilobyte and a datum of no byte.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{Name, RecordField};

use crate::avro::program::MAX_ZERO_SIZE_ITEMS;

/// The most of them in a datum of `bytes` that the walk has accepted, beside one for each byte of it and each item of an array; no
/// number bounds those of a record that has itself as a field.
pub(crate) fn values(schema: &Schema, bytes: usize) -> u64 {
    let mut counter = Counter::default();
    counter.add(schema);
    if counter.has_endless() {
        return u64::MAX;
    }
    // What isn't in a record is a branch, an item or a value that took a byte, or an item that the walk has counted.
    let entered = (bytes as u64).saturating_add(MAX_ZERO_SIZE_ITEMS + 1);
    counter.most.saturating_mul(entered)
}

#[derive(Default)]
struct Counter<'s> {
    /// The named types met: whether they take no byte, and how many values in them don't, wherever they are met.
    known: HashMap<&'s Name, (bool, u64)>,
    /// The most in any of them.
    most: u64,
    /// The records with those that are their fields: not branches of a union, nor items.
    fields: HashMap<&'s Name, Vec<&'s Name>>,
}

impl<'s> Counter<'s> {
    /// Whether a record is a field of itself, or of one that is its field, and so on: no value of it would ever end.
    fn has_endless(&self) -> bool {
        let mut holders: HashMap<&Name, Vec<&Name>> = HashMap::new();
        let mut open = HashMap::new();
        for (record, fields) in &self.fields {
            let records = fields.iter().filter(|field| self.fields.contains_key(*field));
            let count = records.inspect(|field| holders.entry(field).or_default().push(record)).count();
            open.insert(*record, count);
        }
        let mut ending: Vec<&Name> =
            open.iter().filter(|(_, count)| **count == 0).map(|(record, _)| *record).collect();
        let mut ended = 0;
        while let Some(record) = ending.pop() {
            ended += 1;
            for holder in holders.get(record).into_iter().flatten() {
                let count = open.get_mut(holder).expect("each record has a count");
                *count -= 1;
                if *count == 0 {
                    ending.push(holder);
                }
            }
        }
        ended < self.fields.len()
    }

    /// Whether a value of it takes no byte, and how many values in it don't. A type is defined before it is referred to, except
    /// inside itself.
    fn add(&mut self, schema: &'s Schema) -> (bool, u64) {
        match schema {
            Schema::Null => (true, 0),
            Schema::Fixed(fixed) => {
                self.known.insert(&fixed.name, (fixed.size == 0, 0));
                (fixed.size == 0, 0)
            }
            Schema::Record(record) => {
                let mut all = (true, 0_u64);
                self.fields.insert(&record.name, record.fields.iter().filter_map(named).collect());
                for field in &record.fields {
                    let (weightless, inside) = self.add(&field.schema);
                    let made = inside.saturating_add(u64::from(weightless));
                    all = (all.0 && weightless, all.1.saturating_add(made));
                }
                self.known.insert(&record.name, all);
                self.most = self.most.max(all.1);
                all
            }
            Schema::Ref { name } => self.known.get(name).copied().unwrap_or_default(),
            Schema::Union(union) => self.behind_a_byte(union.variants()),
            Schema::Array(array) => self.behind_a_byte([&*array.items]),
            Schema::Map(map) => self.behind_a_byte([&*map.types]),
            _ => (false, 0),
        }
    }

    fn behind_a_byte(&mut self, parts: impl IntoIterator<Item = &'s Schema>) -> (bool, u64) {
        for part in parts {
            self.add(part);
        }
        (false, 0)
    }
}

/// The name of a field's own type, if it has one.
fn named(field: &RecordField) -> Option<&Name> {
    match &field.schema {
        Schema::Record(record) => Some(&record.name),
        Schema::Ref { name } => Some(name),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::avro::schema::parse;

    fn record(name: &str, fields: &[&str]) -> String {
        let fields = fields.iter().enumerate().map(|(at, of)| format!(r#"{{"name":"f{at}","type":{of}}}"#));
        let fields: Vec<_> = fields.collect();
        format!(r#"{{"type":"record","name":"{name}","fields":[{}]}}"#, fields.join(","))
    }

    /// A record of an empty one, of one that holds that twice, of one that holds that one twice, and so on.
    pub(crate) fn doubled(times: usize) -> String {
        let pair = |at: usize| {
            let inner = format!("\"R{}\"", at - 1);
            record(&format!("R{at}"), &[&inner, &inner])
        };
        let all: Vec<_> = std::iter::once(record("R0", &[])).chain((1..=times).map(pair)).collect();
        record("All", &all.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn of(text: &str, bytes: usize) -> u64 {
        values(&parse(text).unwrap(), bytes)
    }

    #[test]
    fn given_a_schema_whose_fields_all_take_bytes_then_there_are_none() {
        let item = record("I", &["\"int\"", r#"["null","I"]"#]);
        let text = record("R", &["\"string\"", &format!(r#"{{"type":"array","items":{item}}}"#)]);
        assert_eq!(of(&text, 1 << 24), 0);
    }

    #[test]
    fn given_fields_that_take_no_byte_then_they_are_counted_wherever_their_record_is_entered() {
        let inner = record("I", &["\"null\"", r#"{"type":"fixed","name":"F","size":0}"#, "\"F\""]);
        let text = record("R", &["\"int\"", &format!(r#"["null",{inner}]"#)]);
        assert_eq!(of(&text, 0), 3 * 65_537);
        assert_eq!(of(&text, 10), 3 * 65_547);
    }

    #[test]
    fn given_empty_records_in_pairs_of_pairs_then_the_bound_is_exponential_and_does_not_overflow() {
        assert_eq!(of(&doubled(3), 0), (1 + 3 + 7 + 15) * 65_537);
        assert_eq!(of(&doubled(100), 0), u64::MAX);
    }

    #[test]
    fn given_a_record_that_has_itself_as_a_field_then_there_is_no_bound() {
        assert_eq!(of(&record("R", &["\"R\""]), 0), u64::MAX);
        assert_eq!(of(&record("R", &["\"int\"", &record("I", &["\"int\"", "\"R\""])]), 0), u64::MAX);
        // Defined behind a branch, and met again without one.
        let inner = record("I", &["\"R\""]);
        assert_eq!(of(&record("R", &[&format!(r#"["null",{inner}]"#), "\"I\""]), 0), u64::MAX);
    }

    #[test]
    fn given_a_record_that_has_itself_behind_a_branch_then_there_is_a_bound() {
        let inner = record("I", &[r#"["null","R"]"#]);
        assert_eq!(of(&record("R", &[&format!(r#"["null",{inner}]"#), "\"I\""]), 0), 0);
    }
}
