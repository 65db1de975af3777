//! Whatever is done with a batch, it is accounted with what its buffers really hold.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::avro::codec::{Codec, Compressor};
use crate::avro::container::MARKER_LEN;
use crate::avro::schema::WriterSchema;
use crate::batch::terms::Terms;
use crate::budget::Budget;
use crate::core::batch::{BatchId, FileOutcome};
use crate::core::intent::{Layout, Place};
use crate::core::layout::{DEFAULT_KEY, Granularity, Hour, NullPolicy};
use crate::dead_letter::Reason;
use crate::dead_letter::replayed::Attempts;
use crate::types::{Offset, TopicPartition, UnixMillis};

fn batch(budget: &Budget, codec: Codec) -> Batch {
    let layout = Layout {
        timestamp: vec!["kafka".to_owned()],
        years: (1970, 2100),
        key: DEFAULT_KEY.to_owned(),
        granularity: Granularity::Hour,
        prefix: String::new(),
        nulls: NullPolicy::Skip,
        read_committed: true,
        place: Place::Local { path: String::new() },
        max_record_bytes: 1 << 20,
        codec,
    };
    let terms = Arc::new(Terms::of(&layout).expect("a layout"));
    Batch::new(BatchId(1), terms, UnixMillis(0), budget.account())
}

fn schema(id: u32) -> Arc<WriterSchema> {
    Arc::new(
        WriterSchema::new(SchemaId(id), r#"{"type":"record","name":"Nothing","fields":[]}"#)
            .expect("a schema"),
    )
}

fn letter(len: usize, headers: usize) -> DeadLetter {
    DeadLetter {
        source: TopicPartition::new("orders", 0),
        offset: Offset(0),
        timestamp: None,
        key: None,
        headers: (0..headers).map(|nth| (format!("header {nth}"), None)).collect(),
        value: Some(Bytes::copy_from_slice(&vec![1; len])),
        schema_id: None,
        reason: Reason::ALL[len % Reason::ALL.len()],
        exception: "it is bad".to_owned(),
        attempts: Attempts::FIRST,
    }
}

/// Everything that the batch holds, counted anew, buffer by buffer.
fn recount(batch: &Batch) -> usize {
    let files: usize = batch.files.iter().map(|file| file.file.recount()).sum();
    let letters: usize =
        batch.dead_letters.iter().map(|letter| letter.size() - size_of::<DeadLetter>()).sum();
    let kept = match &batch.keep {
        Keep::Files(files) => places(files.capacity()) * (size_of::<(Hour, SchemaId)>() + 1) + 16,
        _ => 0,
    };
    let index = places(batch.index.capacity()) * (size_of::<((Hour, SchemaId), usize)>() + 1);
    let index = if index == 0 { 0 } else { index + 16 };
    files
        + batch.files.capacity() * size_of::<HourFile>()
        + index
        + letters
        + batch.dead_letters.capacity() * size_of::<DeadLetter>()
        + batch.unknown_ids.capacity() * size_of::<SchemaId>()
        + kept
}

/// What is to be stored of it, counted anew.
fn stored(batch: &Batch) -> u64 {
    let files = batch.files.iter().map(|file| file.file.compressed() + file.file.pending() as u64);
    let letters = batch.dead_letters.iter().map(|letter| letter.size() as u64);
    files.sum::<u64>() + letters.sum::<u64>()
}

/// How many places a table has that takes so many entries before it grows.
fn places(capacity: usize) -> usize {
    let takes = |places: &usize| if *places <= 8 { places - 1 } else { places / 8 * 7 };
    if capacity == 0 {
        0
    } else {
        (2..).map(|power| 1 << power).find(|n| takes(n) == capacity).expect("a power")
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// A row of so many bytes for each of so many hours.
    Append {
        hour: i64,
        schema: u32,
        len: usize,
        hours: i64,
    },
    Letters {
        len: usize,
        headers: usize,
        count: usize,
    },
    Unknown(u32),
    TakeLetters,
    Keep(Vec<i64>),
    KeepNothing,
    TakeBlocks(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let len = prop_oneof![5 => 0..3_000_usize, 2 => 20_000..70_000_usize, 1 => 100_000..300_000_usize];
    let hours = prop_oneof![4 => Just(1_i64), 1 => 1..40_i64];
    let append = (0..30_i64, 0..2_u32, len, hours).prop_map(|(hour, schema, len, hours)| Step::Append {
        hour,
        schema,
        len,
        hours,
    });
    let letters = (0..5_000_usize, 0..4_usize, 1..9_usize);
    let step = prop_oneof![
        20 => append,
        6 => letters.prop_map(|(len, headers, count)| Step::Letters { len, headers, count }),
        1 => any::<u32>().prop_map(Step::Unknown),
        1 => Just(Step::TakeLetters),
        1 => prop::collection::vec(0..30_i64, 1..30).prop_map(Step::Keep),
        1 => Just(Step::KeepNothing),
        1 => (0..30_usize).prop_map(Step::TakeBlocks),
    ];
    prop::collection::vec(step, 0..60)
}

fn take(step: Step, batch: &mut Batch, schemas: &[Arc<WriterSchema>], compressor: &mut Compressor) {
    match step {
        Step::Append { hour, schema, len, hours } => {
            for hour in hour..hour + hours {
                let file = batch.file(Hour(hour), &schemas[schema as usize], usize::MAX).expect("a file");
                batch.append(file, &vec![hour as u8; len], compressor);
            }
        }
        Step::Letters { len, headers, count } => {
            (0..count).for_each(|_| batch.add_dead_letter(letter(len, headers)));
        }
        Step::Unknown(id) => batch.declare_unknown(SchemaId(id)),
        Step::TakeLetters => drop(batch.take_dead_letters()),
        Step::Keep(hours) => {
            batch.keep(Keep::Files(hours.into_iter().map(|hour| (Hour(hour), SchemaId(0))).collect()));
        }
        Step::KeepNothing => batch.keep(Keep::Nothing),
        Step::TakeBlocks(index) => {
            if index < batch.files.len() {
                drop(batch.take_blocks(index, &[7; MARKER_LEN]));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn given_whatever_happens_to_a_batch_then_it_is_accounted_with_the_capacity_of_its_buffers(
        steps in steps(),
        codec in prop::sample::select(vec![Codec::Null, Codec::Snappy, Codec::Zstd(1)]),
    ) {
        let budget = Budget::new(1 << 30);
        let mut compressor = Compressor::new(codec);
        let schemas = [schema(0), schema(1)];
        let mut batch = batch(&budget, codec);
        prop_assert_eq!((batch.account(), recount(&batch)), (0, 0));
        for step in steps {
            take(step, &mut batch, &schemas, &mut compressor);
            prop_assert_eq!(batch.account(), recount(&batch));
            prop_assert_eq!(budget.used(), recount(&batch));
            prop_assert_eq!(batch.bytes(), stored(&batch));
        }
        let mut more = true;
        while more {
            more = batch.close_next(&mut compressor);
            prop_assert_eq!(batch.account(), recount(&batch));
            prop_assert_eq!(batch.bytes(), stored(&batch));
        }
        for index in 0..batch.files.len() {
            drop(batch.take_blocks(index, &[7; MARKER_LEN]));
            prop_assert_eq!(batch.account(), recount(&batch));
        }
        prop_assert_eq!(batch.bytes(), batch.dead_letter_memory() as u64);
        let outcome = batch.outcome();
        let outcome = outcome.files.capacity() * size_of::<FileOutcome>();
        prop_assert_eq!(budget.used(), recount(&batch) + outcome);
        let (_, _, account) = batch.into_parts();
        drop(account);
        prop_assert_eq!(budget.used(), 0);
    }
}

#[test]
fn given_a_table_then_its_memory_is_that_of_its_places_whatever_their_number() {
    let mut table = std::collections::HashMap::new();
    assert_eq!(of_map(&table), 0);
    for entry in 0..100_000_u64 {
        table.insert(entry, entry);
        let places = places(table.capacity());
        assert!(table.capacity() >= table.len() && places > table.len(), "{places}");
        assert_eq!(of_map(&table), places * 17 + 16);
    }
}
