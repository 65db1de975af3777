//! Texts of schemas, with a datum behind them.

use super::datums::{judge, rules};
use super::{assert_sentence, split_at_byte};
use crate::avro::program::Program;
use crate::avro::schema::{MAX_SCHEMA_BYTES, WriterSchema, weightless};
use crate::types::SchemaId;

/// Where there may be more values that take no byte, the judge isn't asked: it makes each of them.
const MAX_WEIGHTLESS: u64 = 200_000;

/// A schema's text up to the first zero byte; the rest is a datum.
pub(super) fn schema(data: &[u8]) {
    let (text, datum) = split_at_byte(data, 0);
    compile_and_walk(&String::from_utf8_lossy(text), datum);
}

/// A schema is unusable for a reason, or compiles and can be walked by, or can't be compiled for a reason.
pub(super) fn compile_and_walk(text: &str, datum: &[u8]) {
    let schema = match WriterSchema::new(SchemaId(1), text) {
        Ok(schema) => schema,
        Err(why) => return assert_sentence(&why.0),
    };
    assert!(text.len() <= MAX_SCHEMA_BYTES && **schema.text() == *text);
    let program = match Program::compile(&schema, &rules()) {
        Ok(program) => program,
        Err(why) => return assert_sentence(&why.0),
    };
    let walked = program.walk(datum);
    // Of a fixed, the judge takes the whole size before it reads.
    let parsed = schema.parsed().expect("it was parsed before");
    let bounded = weightless::values(&parsed, datum.len()) <= MAX_WEIGHTLESS;
    if bounded && (walked.is_ok() || !text.contains("fixed")) {
        judge(&program, &parsed, datum, &walked);
    }
}
