//! Texts of schemas, with a datum behind them.

use super::datums::{judge, rules};
use super::{assert_sentence, split_at_byte};
use crate::avro::program::Program;
use crate::avro::schema::{MAX_SCHEMA_BYTES, WriterSchema};
use crate::types::SchemaId;

/// Beyond this many bytes of schema the judge isn't asked: records without fields make values of exponential size.
const MAX_JUDGED: usize = 500;

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
    let judged = text.len() <= MAX_JUDGED && (walked.is_ok() || !text.contains("fixed"));
    if judged {
        let parsed = schema.parsed().expect("it was parsed before");
        judge(&program, &parsed, datum, &walked);
    }
}
