use std::collections::BTreeMap;

use super::*;
use crate::demo::datum::Datum;
use crate::demo::events::SchemaIds;
use crate::demo::letters::Letter;
use crate::types::SchemaId;

const GENERATED: u64 = 4_000;

fn events() -> Events {
    Events::new(5, SchemaIds([vec![SchemaId(1), SchemaId(2), SchemaId(3)], vec![SchemaId(4)]]))
}

/// What a correct run leaves behind: the datums of each file, and the dead letters.
struct Outcome {
    files: BTreeMap<(Topic, Hour, usize), Vec<Vec<u8>>>,
    letters: Letters,
}

fn outcome() -> Outcome {
    let (events, mut offsets) = (events(), Offsets::default());
    let mut outcome = Outcome { files: BTreeMap::new(), letters: Letters::default() };
    for event in (0..GENERATED).map(|seq| events.event(seq)) {
        let offset = offsets.next(&event);
        match event.fate {
            Fate::Row { hour, version } => {
                outcome
                    .files
                    .entry((event.topic, hour, version))
                    .or_default()
                    .push(event.value[5..].to_vec());
            }
            Fate::DeadLetter(reason) => {
                let letter = Letter { reason: reason.code().to_owned(), value: digest(&event.value) };
                outcome.letters.found.insert((event.topic, event.partition, offset), letter);
            }
        }
    }
    outcome
}

/// A container file of one block, with the schema's own text in its header.
fn container(schema: &str, rows: &[Vec<u8>]) -> Vec<u8> {
    let sync = [7; 16];
    let mut file = Datum::new(0);
    file.long(2)
        .string("avro.schema")
        .string(schema)
        .string("avro.codec")
        .string("null")
        .long(0)
        .fixed(&sync);
    let block = rows.concat();
    file.long(rows.len() as i64).string(block).fixed(&sync);
    let file = file.into_value();
    [b"Obj\x01", &file[5..]].concat()
}

fn path(topic: Topic, hour: Hour, rows: usize, uuid: usize) -> String {
    let at = chrono::DateTime::from_timestamp_millis(hour.start().0).unwrap();
    let name = topic.name();
    format!("{name}/{}/{name}_{rows}-messages_{uuid}.avro", at.format("year=%Y/month=%m/day=%d/hour=%H"))
}

impl Outcome {
    fn verify(&self) -> Report {
        self.verify_with(&[])
    }

    /// Writes it all down, with `others` beside it, and has it verified.
    fn verify_with(&self, others: &[(String, Vec<u8>)]) -> Report {
        let root = tempfile::tempdir().unwrap();
        let files = self.files.iter().map(|((topic, hour, version), rows)| {
            (path(*topic, *hour, rows.len(), *version), container(topic.schemas()[*version], rows))
        });
        for (path, bytes) in files.chain(others.iter().cloned()) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        verify(&events(), GENERATED, root.path(), &self.letters).unwrap()
    }

    /// The rows of some file of orders that has a few.
    fn rows(&mut self) -> &mut Vec<Vec<u8>> {
        self.files.values_mut().find(|rows| rows.len() > 5).unwrap()
    }
}

/// The faults and how often they are.
fn faults(report: &Report) -> Vec<(Fault, u64)> {
    report.faults().map(|(fault, count, _)| (fault, count)).collect()
}

#[test]
fn given_all_that_was_generated_then_it_is_right() {
    let outcome = outcome();
    let report = outcome.verify();
    assert!(report.is_right(), "{report:?}");
    let rows: u64 = report.topics.values().map(|stored| stored.rows).sum();
    let dead: u64 = report.dead_letters.values().sum();
    assert_eq!((rows + dead, dead), (GENERATED, GENERATED / 1_000));
    let files: u64 = report.topics.values().map(|stored| stored.files).sum();
    assert_eq!(files, outcome.files.len() as u64);
}

#[test]
fn given_a_row_less_then_it_is_missing() {
    let mut outcome = outcome();
    outcome.rows().pop();
    assert_eq!(faults(&outcome.verify()), [(Fault::Missing, 1)]);
}

#[test]
fn given_a_row_twice_then_it_is_doubled() {
    let mut outcome = outcome();
    let rows = outcome.rows();
    rows.push(rows[0].clone());
    assert_eq!(faults(&outcome.verify()), [(Fault::Doubled, 1)]);
}

#[test]
fn given_rows_in_another_hour_then_they_are_misplaced() {
    let mut outcome = outcome();
    let (topic, hour, version) = *outcome.files.keys().next().unwrap();
    let rows = outcome.files.remove(&(topic, hour, version)).unwrap();
    let count = rows.len() as u64;
    outcome.files.insert((topic, Hour(hour.0 - 100), version), rows);
    assert_eq!(faults(&outcome.verify()), [(Fault::Misplaced, count)]);
}

#[test]
fn given_another_value_in_a_row_then_it_is_altered() {
    let mut outcome = outcome();
    let rows = outcome.files.iter_mut().find(|((topic, ..), _)| *topic == Topic::PageViews).unwrap().1;
    // Behind at most three bytes of `seq` there are eight of `session`.
    rows[0][4] ^= 1;
    assert_eq!(faults(&outcome.verify()), [(Fault::Altered, 1)]);
}

#[test]
fn given_dead_letters_missing_wrong_or_of_good_events_then_each_is_found() {
    let mut outcome = outcome();
    let letters = &mut outcome.letters.found;
    let keys: Vec<_> = letters.keys().copied().collect();
    let letter = letters.remove(&keys[0]).unwrap();
    letters.get_mut(&keys[1]).unwrap().reason = "too_large".to_owned();
    letters.get_mut(&keys[2]).unwrap().value = 0;
    letters.insert((Topic::Orders, 0, i64::MAX), letter);
    let expected = [(Fault::Missing, 1), (Fault::Altered, 2), (Fault::Unexpected, 1)];
    assert_eq!(faults(&outcome.verify()), expected);
}

#[test]
fn given_what_is_no_file_of_ours_then_it_is_unexpected_or_unreadable() {
    let outcome = outcome();
    let (topic, hour, version) = *outcome.files.keys().next().unwrap();
    let mut cut = container(topic.schemas()[version], &[vec![1, 2, 3]]);
    cut.truncate(cut.len() - 18);
    let others = [
        ("orders/.put-123".to_owned(), Vec::new()),
        (path(topic, hour, 1, 90), cut),
        (path(topic, hour, 0, 91), container(&topic.schemas()[version].replace('\n', " "), &[])),
        (path(topic, hour, 3, 92), container(topic.schemas()[version], &[])),
    ];
    let expected = [(Fault::Altered, 2), (Fault::Unexpected, 1), (Fault::Unreadable, 1)];
    assert_eq!(faults(&outcome.verify_with(&others)), expected);
}
