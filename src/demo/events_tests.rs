use std::collections::BTreeSet;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::{AvroResult, Schema};
use chrono::Datelike as _;
use proptest::prelude::*;

use super::*;

fn ids() -> SchemaIds {
    SchemaIds([vec![SchemaId(1), SchemaId(2), SchemaId(3)], vec![SchemaId(4)]])
}

fn decode(event: &Event) -> Option<Value> {
    let Fate::Row { version, .. } = event.fate else { return None };
    let (value, left) = read(event, version).expect("a datum");
    assert_eq!(left, 0, "bytes are left over");
    Some(value)
}

/// The datum as the library reads it, and how many bytes it leaves over.
fn read(event: &Event, version: usize) -> AvroResult<(Value, usize)> {
    let schema = Schema::parse_str(event.topic.schemas()[version]).expect("a schema");
    let reader = GenericDatumReader::builder(&schema).build().expect("a schema");
    let mut datum = &event.value[5..];
    let value = reader.read_value(&mut datum)?;
    Ok((value, datum.len()))
}

fn field<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, name| {
        let Value::Record(fields) = value else { panic!("no record: {value:?}") };
        &fields.iter().find(|(field, _)| field == name).expect("a field").1
    })
}

/// The time in the row itself, as the library reads it.
fn time_inside(event: &Event, value: &Value) -> UnixMillis {
    let Value::Union(1, at) = field(value, event.topic.timestamp()) else { panic!("no timestamp") };
    UnixMillis(match &**at {
        Value::String(text) => {
            chrono::DateTime::parse_from_rfc3339(text).expect("ISO 8601").timestamp_millis()
        }
        Value::TimestampMillis(millis) => *millis,
        other => panic!("{other:?}"),
    })
}

proptest! {
    #[test]
    fn given_any_seed_and_number_then_the_library_reads_the_event_back(seed: u64, seq in 0..1u64 << 40) {
        let event = Events::new(seed, ids()).event(seq);
        prop_assert!(event.value.len() <= MAX_VALUE, "{} bytes", event.value.len());
        prop_assert!((0..event.topic.partitions()).contains(&event.partition));
        if let (Some(value), Fate::Row { hour, .. }) = (decode(&event), event.fate) {
            prop_assert_eq!(field(&value, "seq"), &Value::Long(seq.cast_signed()));
            prop_assert_eq!(Hour::of(time_inside(&event, &value), Granularity::Hour), hour);
        }
    }

    #[test]
    fn given_the_same_seed_and_number_then_it_is_the_same_event(seed: u64, seq: u64) {
        prop_assert_eq!(Events::new(seed, ids()).event(seq), Events::new(seed, ids()).event(seq));
    }
}

#[test]
fn given_another_seed_then_other_events() {
    let (one, other) = (Events::new(1, ids()), Events::new(2, ids()));
    let same = (0..1_000).filter(|seq| one.event(*seq).value == other.event(*seq).value).count();
    assert!(same < 10, "{same} of 1000 are the same");
}

#[test]
fn given_seven_thousand_events_then_each_flaw_is_there_once() {
    let events = Events::new(1, ids());
    let flaws: Vec<Flaw> = (0..7_000).filter_map(|seq| events.flaw(seq)).collect();
    assert_eq!(flaws, FLAWS);
}

#[test]
fn given_a_few_thousand_events_then_topics_versions_and_hours_are_mixed() {
    let events = Events::new(1, ids());
    let mut kinds = BTreeSet::new();
    let mut hours = BTreeSet::new();
    for seq in 0..5_000 {
        let event = events.event(seq);
        if let Fate::Row { hour, version } = event.fate {
            kinds.insert((event.topic, version));
            hours.insert(hour);
        }
    }
    assert_eq!(kinds.len(), 4);
    assert!(hours.len() >= 4, "{hours:?}");
}

#[test]
fn given_bad_events_then_the_library_agrees_where_it_can() {
    let events = Events::new(3, ids());
    for seq in (0..200_000).filter(|seq| events.flaw(*seq).is_some()) {
        let event = events.event(seq);
        let read = || {
            let id = event.value[4] as usize;
            read(&event, if event.topic == Topic::Orders { id - 1 } else { 0 })
        };
        match events.flaw(seq) {
            Some(Flaw::Truncated) => assert!(read().is_err(), "event {seq}"),
            Some(Flaw::Trailing) => assert_eq!(read().expect("a datum").1, 3, "event {seq}"),
            Some(Flaw::Null) => {
                let (value, left) = read().expect("a datum");
                let null = Value::Union(0, Box::new(Value::Null));
                assert_eq!((field(&value, event.topic.timestamp()), left), (&null, 0), "event {seq}");
            }
            Some(Flaw::Absurd) => {
                let (value, left) = read().expect("a datum");
                assert_eq!((time_inside(&event, &value), left), (ABSURD, 0), "event {seq}");
            }
            Some(Flaw::Json) => assert_eq!(event.value[0], b'{'),
            Some(Flaw::Empty) => assert!(event.value.is_empty()),
            Some(Flaw::UnknownSchema) => assert_eq!(event.value[1..5], UNKNOWN_ID.to_be_bytes()),
            None => {}
        }
    }
    // By the default of `timestamp_range`, 2099 is the last year that is usable.
    let absurd = chrono::DateTime::from_timestamp_millis(ABSURD.0).expect("a time");
    assert!(absurd.year() >= 2100, "{absurd}");
}
