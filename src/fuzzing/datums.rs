//! Messages' values: the wire header, and the walk with apache-avro as its judge.

use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;

use crate::avro::codec::{Codec, Compressor};
use crate::avro::container::{Header, OpenFile};
use crate::avro::program::Program;
use crate::avro::schema::WriterSchema;
use crate::avro::timestamp::{FieldTimes, TimestampRules};
use crate::avro::walk::DatumError;
use crate::avro::wire::{self, WireError};
use crate::types::{SchemaId, UnixMillis};

/// Schemas that have every type, and recursion of every kind.
pub(super) const SCHEMAS: [&str; 7] = [
    r#"{"type":"record","name":"All","fields":[{"name":"f0","type":"boolean"},{"name":"f1","type":"int"},
        {"name":"f2","type":"long"},{"name":"f3","type":"float"},{"name":"f4","type":"double"},
        {"name":"f5","type":"bytes"},{"name":"f6","type":"string"},
        {"name":"f7","type":{"type":"fixed","name":"F","size":3}},
        {"name":"f8","type":{"type":"enum","name":"E","symbols":["A","B","C"]}},
        {"name":"f9","type":["null","string"]},{"name":"a","type":["null","int",{"type":"map","values":"string"}]}]}"#,
    r#"{"type":"record","name":"Tree","namespace":"some.where","fields":[{"name":"f0","type":"string"},
        {"name":"left","type":["null","Tree"]},{"name":"others","type":{"type":"array","items":"some.where.Tree"}},
        {"name":"named","type":{"type":"map","values":"Tree"}}]}"#,
    r#"[{"type":"record","name":"A","fields":[{"name":"f0","type":{"type":"long","logicalType":"timestamp-millis"}}]},
        {"type":"record","name":"B","fields":[{"name":"a","type":"A"},{"name":"f0","type":["null","A"]}]}]"#,
    r#"{"type":"record","name":"Empty","fields":[{"name":"f0","type":{"type":"array","items":"null"}},
        {"name":"f1","type":{"type":"array","items":{"type":"record","name":"N","fields":[]}}},
        {"name":"f2","type":{"type":"array","items":{"type":"fixed","name":"Z","size":0}}}]}"#,
    r#"{"type":"record","name":"Blocks","fields":[{"name":"f0","type":{"type":"array","items":
        {"type":"array","items":"double"}}},{"name":"f1","type":{"type":"map","values":{"type":"array","items":"int"}}}]}"#,
    include_str!("../demo/schemas/order-v3.avsc"),
    include_str!("../demo/schemas/page-view.avsc"),
];

/// What the walk refuses although apache-avro, which is more lenient, may read it (`avro::walk`).
const STRICTER: [&str; 11] = [
    // At the end of the bytes, apache-avro takes a value that is missing for null.
    "the datum ends within a value",
    "a length beyond the datum's end",
    "a long of more than 10 bytes",
    "a long of more than 64 bits",
    "an int of more than 5 bytes",
    "an int of more than 32 bits",
    "this block's items don't have the size that it states",
    "this block's size in bytes is negative",
    "this block's size goes beyond the datum's end",
    "more than 128 levels of records, arrays and maps",
    "more than 65536 array items that take no byte",
];

/// A schema in both libraries' forms.
struct Case {
    program: Program,
    schema: Schema,
    text: &'static str,
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let case = |text: &'static str| {
        let (program, schema) = compiled(text).unwrap_or_else(|why| panic!("{why}: {text}"));
        Case { program, schema, text }
    };
    SCHEMAS.into_iter().map(case).collect()
});

/// The rules that everything here is compiled for.
pub(super) fn rules() -> TimestampRules {
    let candidates = ["field:f0@ms", "field:f1", "field:a.f0@us", "field:left.left.f0", "kafka"];
    let candidates = candidates.map(|text| text.parse().expect("these are candidates"));
    TimestampRules::new(candidates.to_vec(), (1970, 2100)).expect("these are rules")
}

fn compiled(text: &str) -> Result<(Program, Schema), String> {
    let schema = WriterSchema::new(SchemaId(1), text).map_err(|why| why.to_string())?;
    let program = Program::compile(&schema, &rules()).map_err(|why| why.to_string())?;
    Ok((program, schema.parsed().map_err(|why| why.to_string())?))
}

/// A message's value: whatever it is, its wire header is told from its datum or from what it lacks.
pub(super) fn wire(data: &[u8]) {
    match wire::split(data) {
        Ok((id, datum)) => {
            assert_eq!([&[0], &id.0.to_be_bytes()[..], datum].concat(), data);
        }
        Err(WireError::TooShort(len)) => assert!(len == data.len() && len < 5),
        Err(WireError::Magic(byte)) => assert!(data.first() == Some(&byte) && byte != 0),
    }
}

/// The first byte chooses the schema, the rest is a datum.
pub(super) fn datum(data: &[u8]) {
    let Some((choice, datum)) = data.split_first() else { return };
    let case = &CASES[usize::from(*choice) % CASES.len()];
    let walked = case.program.walk(datum);
    judge(&case.program, &case.schema, datum, &walked);
    if walked.is_ok() && *choice >= 128 && !case.text.contains("logicalType") {
        assert_read_back(case, datum);
    }
}

/// What the walk accepts, apache-avro reads to its last byte; what only the walk refuses, it refuses for a stated reason.
pub(super) fn judge(
    program: &Program,
    schema: &Schema,
    datum: &[u8],
    walked: &Result<FieldTimes, DatumError>,
) {
    // Recursion of the judge isn't bounded by anything but the datum.
    if walked.is_err() && datum.len() > 1_024 {
        return;
    }
    let mut rest = datum;
    let reader = GenericDatumReader::builder(schema).build().expect("a schema that was parsed");
    let read = reader.read_value(&mut rest).map(|_| rest.len());
    match walked {
        Ok(times) => {
            assert!(matches!(read, Ok(0)), "accepted, but read: {read:?}");
            assert_eq!(program.first_len(datum), Ok(datum.len()));
            let longer = [datum, &[0]].concat();
            assert_eq!(program.first_len(&longer), Ok(datum.len()));
            assert!(program.walk(&longer).is_err());
            if let Ok(at) = rules().resolve(times, None, UnixMillis(0)) {
                assert!((0..4_102_444_800_000).contains(&at.0), "a usable time lies within the years");
            }
        }
        Err(error) => {
            assert!(error.at <= datum.len());
            let stricter = STRICTER.contains(&error.what);
            assert!(stricter || !matches!(read, Ok(0)), "refused, but read to its end: {error}");
        }
    }
}

/// A file of the accepted datum, twice, is read back by apache-avro as two rows. (Not where it would have a logical type's sense of a
/// value, which the walk leaves to readers.)
fn assert_read_back(case: &Case, datum: &[u8]) {
    let mut compressor = Compressor::new(Codec::Snappy);
    let mut file = OpenFile::new(1);
    file.append(datum, &mut compressor);
    file.append(datum, &mut compressor);
    file.close(&mut compressor);
    let header = Header { schema: case.text, codec: Codec::Snappy, metadata: &[], sync: [7; 16] };
    let bytes = file.into_body(&header).pieces().concat();
    let rows = apache_avro::Reader::new(&bytes[..]).expect("a container file");
    assert_eq!(rows.filter(Result::is_ok).count(), 2);
}
