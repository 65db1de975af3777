//! Nesting and items that take no byte.

use super::*;

const LIST: &str = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#;
const ARRAYS: &str =
    r#"{"type":"record","name":"A","fields":[{"name":"a","type":{"type":"array","items":"A"}}]}"#;
const MAPS: &str =
    r#"{"type":"record","name":"M","fields":[{"name":"m","type":{"type":"map","values":"M"}}]}"#;

#[track_caller]
fn too_deep(program: &Program, datum: &[u8]) {
    assert_eq!(program.walk(datum).unwrap_err().what, LEVELS);
}

#[test]
fn given_records_in_records_then_128_levels_are_accepted_and_no_more() {
    let program = program(LIST, &["kafka"]);
    let list = |records: usize| [vec![2; records - 1], vec![0]].concat();
    assert!(program.walk(&list(1)).is_ok());
    assert!(program.walk(&list(128)).is_ok());
    too_deep(&program, &list(129));
    too_deep(&program, &list(1_000_000));
}

#[test]
fn given_arrays_then_each_is_a_level_even_when_empty() {
    let program = program(ARRAYS, &["kafka"]);
    // Each record is a level, and so is its array.
    let nested = |records: usize| [vec![2; records - 1], vec![0; records]].concat();
    assert!(program.walk(&nested(64)).is_ok());
    too_deep(&program, &nested(65));
    let alone = r#"{"type":"record","name":"A","fields":[{"name":"n","type":["null","A"]},{"name":"a","type":{"type":"array","items":"double"}}]}"#;
    let program = super::program(alone, &["kafka"]);
    let nested = |records: usize| [vec![2; records - 1], vec![0], vec![0; records]].concat();
    assert!(program.walk(&nested(127)).is_ok());
    too_deep(&program, &nested(128));
}

#[test]
fn given_maps_then_each_is_a_level() {
    let program = program(MAPS, &["kafka"]);
    let nested = |records: usize| [[2, 0].repeat(records - 1), vec![0; records]].concat();
    assert!(program.walk(&nested(64)).is_ok());
    too_deep(&program, &nested(65));
}

#[test]
fn given_types_that_refer_to_one_another_then_levels_count_without_recursion() {
    let mut records =
        vec![r#"{"type":"record","name":"R0","fields":[{"name":"f","type":"boolean"}]}"#.to_owned()];
    records.extend((1..200).map(|n| {
        format!(r#"{{"type":"record","name":"R{n}","fields":[{{"name":"f","type":"R{}"}}]}}"#, n - 1)
    }));
    let program = program(&format!("[{}]", records.join(",")), &["kafka"]);
    assert!(program.walk(&[&encoded(127)[..], &[1]].concat()).is_ok());
    too_deep(&program, &[&encoded(128)[..], &[1]].concat());
}

#[test]
fn given_unions_and_what_encodes_to_nothing_then_they_are_no_levels() {
    let schema = r#"{"type":"record","name":"L","fields":[
        {"name":"empty","type":{"type":"record","name":"E","fields":[{"name":"n","type":"null"}]}},
        {"name":"again","type":"E"},
        {"name":"choice","type":["boolean","E","L"]}]}"#;
    let program = program(schema, &["field:choice.again", "field:choice.empty.n"]);
    assert!(program.walk(&[vec![4; 127], vec![2]].concat()).is_ok());
    too_deep(&program, &[vec![4; 128], vec![2]].concat());
}

#[test]
fn given_a_record_that_contains_itself_then_no_datum_is_valid_and_none_takes_long() {
    let schema = r#"{"type":"record","name":"A","fields":[{"name":"a","type":"A"},{"name":"b","type":"A"}]}"#;
    for datum in [&[][..], &[0; 1_000]] {
        too_deep(&program(schema, &["field:a.a.a"]), datum);
    }
}

#[test]
fn given_the_deepest_datum_then_a_small_stack_is_enough() {
    let program = program(ARRAYS, &["kafka"]);
    // Unoptimised, a frame is several times as large. A lane's thread has 2 MiB.
    let stack = if cfg!(debug_assertions) { 1 << 20 } else { 256 << 10 };
    let walked =
        std::thread::Builder::new().stack_size(stack).spawn(move || too_deep(&program, &[2; 100_000]));
    walked.unwrap().join().unwrap();
}

const NULLS: &str = r#"{"type":"array","items":"null"}"#;

#[test]
fn given_items_of_no_byte_then_65536_are_accepted_and_no_more() {
    for item in [
        "\"null\"",
        r#"{"type":"fixed","name":"F","size":0}"#,
        r#"{"type":"record","name":"E","fields":[{"name":"a","type":"null"},{"name":"b","type":{"type":"record","name":"D","fields":[]}}]}"#,
    ] {
        let field = format!(r#"{{"type":"array","items":{item}}}"#);
        let array = |count| [encoded(count), vec![0]].concat();
        assert!(walk_field(&field, &array(65_536)).is_ok(), "{item}");
        for count in [65_537, i64::MAX] {
            assert_eq!(walk_field(&field, &array(count)).unwrap_err().what, ZERO_SIZE_ITEMS, "{item}");
        }
    }
}

#[test]
fn given_items_of_no_byte_in_several_arrays_and_blocks_then_they_add_up() {
    let blocks =
        |counts: &[i64]| [counts.iter().flat_map(|&count| encoded(count)).collect(), vec![0]].concat();
    assert!(walk_field(NULLS, &blocks(&[65_000, 536])).is_ok());
    assert!(walk_field(NULLS, &blocks(&[65_000, 537])).is_err());
    assert!(walk_field(NULLS, &blocks(&[65_000, i64::MAX, i64::MAX])).is_err());
    let nested = format!(r#"{{"type":"array","items":{NULLS}}}"#);
    let arrays = |count| [encoded(2), encoded(count), vec![0], encoded(count), vec![0, 0]].concat();
    assert!(walk_field(&nested, &arrays(32_768)).is_ok());
    assert_eq!(walk_field(&nested, &arrays(32_769)).unwrap_err().what, ZERO_SIZE_ITEMS);
}

#[test]
fn given_items_of_no_byte_in_a_sized_block_then_the_size_is_0() {
    assert!(walk_field(NULLS, &[&encoded(-7)[..], &[0, 0]].concat()).is_ok());
    assert_eq!(walk_field(NULLS, &[&encoded(-7)[..], &[2, 0]].concat()).unwrap_err().what, BLOCK_SIZE);
    assert_eq!(
        walk_field(NULLS, &[&encoded(-65_537)[..], &[0, 0]].concat()).unwrap_err().what,
        ZERO_SIZE_ITEMS
    );
}
