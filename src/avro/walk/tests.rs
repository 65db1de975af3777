use super::*;
use crate::avro::schema::WriterSchema;
use crate::avro::timestamp::TimestampRules;
use crate::types::SchemaId;

mod limits;
mod properties;
mod refusals;
mod times;

fn program(schema: &str, candidates: &[&str]) -> Program {
    let schema = WriterSchema::new(SchemaId(1), schema).unwrap();
    let candidates = candidates.iter().map(|text| text.parse().unwrap()).collect();
    Program::compile(&schema, &TimestampRules::new(candidates, (1970, 2100)).unwrap()).unwrap()
}

/// A record with the fields `f` of this type and `g`, a string, so that the value isn't the datum's last.
fn record_of(field: &str) -> Program {
    let schema = format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{field}}},{{"name":"g","type":"string"}}]}}"#
    );
    program(&schema, &["processing"])
}

/// Walks a record of the value `value`, with a string behind it.
fn walk_field(field: &str, value: &[u8]) -> Result<FieldTimes, DatumError> {
    record_of(field).walk(&[value, b"\x04ab"].concat())
}

/// A long as Avro encodes it.
fn encoded(value: i64) -> Vec<u8> {
    let mut left = (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned();
    let mut bytes = Vec::new();
    while left >= 0x80 {
        bytes.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes
}

/// A string as Avro encodes it.
fn encoded_text(text: &str) -> Vec<u8> {
    [encoded(text.len() as i64), text.as_bytes().to_vec()].concat()
}
