//! Answers of a registry: what anyone registered, or a program that is no registry.

use std::collections::VecDeque;
use std::sync::Mutex;

use futures_util::FutureExt as _;

use super::assert_sentence;
use super::schemas::compile_and_walk;
use crate::avro::references;
use crate::registry::fuzzed::{Answers, gathered, topics};
use crate::registry::{Answer, RawSchema};

/// Answers by line: the first byte says the status, the rest is the body. They are given in this order, whatever is asked.
pub(super) fn registry(data: &[u8]) {
    let answers = data.split(|byte| *byte == b'\n').filter_map(|line| line.split_first());
    let answers: VecDeque<(u16, Vec<u8>)> =
        answers.map(|(first, body)| (status(*first), body.to_vec())).collect();
    if let Some((status, body)) = answers.front() {
        for topic in topics(*status, body).unwrap_or_default() {
            assert!(!topic.is_empty() && !topic.starts_with(':'));
        }
    }
    let asked = Answers(Mutex::new(answers));
    match gathered(&asked).now_or_never().expect("nothing is waited for") {
        Err(why) => assert_sentence(&why.0),
        Ok(Answer::Unknown) => {}
        Ok(Answer::Unusable(why)) => assert_sentence(&why),
        Ok(Answer::Found(schema)) => found(&schema),
    }
}

fn status(byte: u8) -> u16 {
    match byte {
        b'4' => 404,
        b'5' => 500,
        b'3' => 302,
        _ => 200,
    }
}

fn found(schema: &RawSchema) {
    let (mut schemas, mut bytes) = (0, 0);
    measure(schema, 0, &mut schemas, &mut bytes);
    assert!(schemas <= 501 && bytes <= 16 << 20, "{schemas} schemas of {bytes} bytes");
    match references::inline(schema) {
        Err(why) => assert_sentence(&why.0),
        Ok(text) => compile_and_walk(&text, &[]),
    }
}

fn measure(schema: &RawSchema, depth: usize, schemas: &mut usize, bytes: &mut usize) {
    assert!(depth <= 32, "references {depth} deep");
    *schemas += 1;
    *bytes += schema.text.len();
    for reference in &schema.references {
        measure(&reference.schema, depth + 1, schemas, bytes);
    }
}
