//! One test per check of the walk, and what stands right beside it and is accepted.

use super::*;

#[track_caller]
fn accepted(field: &str, value: &[u8]) {
    assert_eq!(walk_field(field, value).map(|_| ()), Ok(()), "{field} {value:x?}");
}

#[track_caller]
fn refused(field: &str, value: &[u8], at: usize, what: &str) {
    let error = walk_field(field, value).unwrap_err();
    assert!(error.at == at && error.what.contains(what), "{field} {value:x?}: {error}");
}

const INTS: &str = r#"{"type":"array","items":"int"}"#;
const FLOATS: &str = r#"{"type":"array","items":"float"}"#;
const MAP: &str = r#"{"type":"map","values":"boolean"}"#;
const ENUM: &str = r#"{"type":"enum","name":"E","symbols":["A","B","C"]}"#;

#[test]
fn given_booleans_then_only_0_and_1_are_accepted() {
    accepted("\"boolean\"", &[0]);
    accepted("\"boolean\"", &[1]);
    refused("\"boolean\"", &[2], 0, "neither 0 nor 1");
    refused("\"boolean\"", &[0xff], 0, "neither 0 nor 1");
}

#[test]
fn given_ints_then_those_beyond_32_bits_are_refused() {
    for value in [0, -1, 63, 64, -65, i32::MAX, i32::MIN] {
        accepted("\"int\"", &encoded(i64::from(value)));
    }
    for value in [i64::from(i32::MAX) + 1, i64::from(i32::MIN) - 1] {
        refused("\"int\"", &encoded(value), 0, "more than 32 bits");
    }
    refused("\"int\"", &encoded(i64::MAX), 0, "more than 5 bytes");
    refused("\"int\"", &[0x80, 0x80, 0x80, 0x80, 0x80, 0], 0, "more than 5 bytes");
    accepted("\"int\"", &[0x80, 0x80, 0x80, 0x80, 0]);
}

#[test]
fn given_longs_then_those_beyond_10_bytes_or_64_bits_are_refused() {
    for value in [0, -1, 63, 64, 8_191, 8_192, 1 << 34, 1 << 47, 1 << 54, 1 << 55, i64::MAX, i64::MIN] {
        accepted("\"long\"", &encoded(value));
        accepted("\"long\"", &encoded(-value.saturating_add(1)));
    }
    let nine = [0xff; 9];
    accepted("\"long\"", &[&nine[..], &[0x01]].concat());
    for last in [0x02, 0x03, 0x7f] {
        refused("\"long\"", &[&nine[..], &[last]].concat(), 0, "more than 64 bits");
    }
    refused("\"long\"", &[&nine[..], &[0x81, 0x00]].concat(), 0, "more than 10 bytes");
    accepted("\"long\"", &[0x80, 0x80, 0x80, 0]);
}

#[test]
fn given_lengths_then_negative_and_over_long_ones_are_refused() {
    for field in ["\"bytes\"", "\"string\""] {
        accepted(field, &encoded_text(""));
        accepted(field, &encoded_text(&"x".repeat(100)));
        refused(field, &encoded(-1), 0, "negative length");
        refused(field, &encoded(i64::MIN), 0, "negative length");
        // Three bytes follow.
        refused(field, &encoded(4), 0, "beyond the datum's end");
        refused(field, &encoded(i64::MAX), 0, "beyond the datum's end");
    }
}

#[test]
fn given_strings_then_those_not_in_utf_8_are_refused() {
    accepted("\"string\"", &encoded_text("Grüße, 日本 🦀"));
    accepted("\"string\"", &encoded_text("\0"));
    // A stray byte, an over-long form, a surrogate, beyond the last character, half a character.
    for text in [&b"ab\xffcd"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"abcdefghi\xe2\x82"] {
        let value = [&encoded(text.len() as i64), text].concat();
        refused("\"string\"", &value, 0, "not UTF-8");
        accepted("\"bytes\"", &value);
        let entry = [&[2], &value[..], &[1, 0]].concat();
        refused(MAP, &entry, 1, "not UTF-8");
    }
}

#[test]
fn given_one_bad_byte_anywhere_in_a_string_then_it_is_found() {
    for length in 1..40 {
        for bad in 0..length {
            let mut text = vec![b'x'; length];
            text[bad] = 0xff;
            refused("\"string\"", &[encoded(length as i64), text].concat(), 0, "not UTF-8");
        }
    }
}

#[test]
fn given_enums_then_indices_out_of_range_are_refused() {
    for index in 0..3 {
        accepted(ENUM, &encoded(index));
    }
    for index in [-1, 3, 1_000, i64::from(i32::MIN)] {
        refused(ENUM, &encoded(index), 0, "no symbol of this index");
    }
    refused(ENUM, &encoded(1 << 40), 0, "an int of more than 5 bytes");
    refused(r#"{"type":"enum","name":"E","symbols":[]}"#, &[0], 0, "no symbol of this index");
}

#[test]
fn given_unions_then_indices_out_of_range_are_refused() {
    for (union, count) in
        [(r#"["null","int"]"#, 2), (r#"["int","null"]"#, 2), (r#"["null","int","string"]"#, 3), ("[]", 0)]
    {
        for index in [-1, count, count + 1, i64::from(i32::MAX)] {
            refused(union, &encoded(index), 0, "no branch of this index");
        }
    }
    accepted(r#"["null","int"]"#, &[0]);
    accepted(r#"["null","int"]"#, &[2, 9]);
    accepted(r#"["int","null"]"#, &[2]);
    accepted(r#"["int","null"]"#, &[0, 9]);
    accepted(r#"["null","int","string"]"#, &[4, 2, b'x']);
    accepted(r#"["string"]"#, &[0, 2, b'x']);
    // Not as short as it could be.
    accepted(r#"["null","int"]"#, &[0x82, 0x00, 9]);
}

#[test]
fn given_blocks_then_counts_and_sizes_must_agree_with_the_items() {
    accepted(INTS, &[0]);
    accepted(INTS, &[4, 1, 2, 2, 3, 0]);
    // Count −2, two bytes; count −1, one byte; the end.
    accepted(INTS, &[3, 4, 1, 2, 1, 2, 3, 0]);
    accepted(INTS, &[3, 6, 1, 0x82, 0, 0]);
    refused(INTS, &[3, 2, 1, 2, 0], 4, "don't have the size");
    refused(INTS, &[3, 6, 1, 2, 0], 4, "don't have the size");
    refused(INTS, &[3, 3, 1, 2, 0], 0, "size in bytes is negative");
    refused(INTS, &[&[3], &encoded(9)[..], &[1, 2, 0]].concat(), 0, "size goes beyond the datum's end");
    refused(INTS, &[&[3], &encoded(i64::MAX)[..]].concat(), 0, "size goes beyond the datum's end");
    refused(INTS, &[&encoded(i64::MIN)[..], &[0, 0]].concat(), 0, "least of all longs");
    refused(INTS, &encoded(i64::MAX), 13, "ends within a value");
}

#[test]
fn given_blocks_of_fixed_size_items_then_the_same_holds() {
    accepted(FLOATS, &[0]);
    accepted(FLOATS, &[2, 1, 2, 3, 4, 1, 8, 1, 2, 3, 4, 0]);
    refused(FLOATS, &[1, 6, 1, 2, 3, 4, 0], 6, "don't have the size");
    refused(FLOATS, &[1, 10, 1, 2, 3, 4, 0], 6, "don't have the size");
    refused(FLOATS, &[4, 1, 2, 3, 4], 1, "ends within a value");
    for count in [i64::MAX, i64::MAX / 4 + 1, 1 << 62] {
        refused(FLOATS, &encoded(count), encoded(count).len(), "ends within a value");
    }
    refused(FLOATS, &[&encoded(i64::MIN)[..], &[0, 0]].concat(), 0, "least of all longs");
}

#[test]
fn given_maps_then_keys_and_values_are_both_checked() {
    accepted(MAP, &[0]);
    accepted(MAP, &[4, 2, b'a', 1, 0, 0, 0]);
    accepted(MAP, &[3, 10, 2, b'a', 1, 0, 0, 0]);
    refused(MAP, &[2, 2, b'a', 2, 0], 3, "neither 0 nor 1");
    refused(MAP, &[2, 1, b'a', 1, 0], 1, "negative length");
    refused(MAP, &[3, 8, 2, b'a', 1, 0, 0, 0], 7, "don't have the size");
    let of_nulls = r#"{"type":"map","values":"null"}"#;
    accepted(of_nulls, &[4, 2, b'a', 0, 0]);
    refused(of_nulls, &encoded(70_000), 6, "ends within a value");
}

#[test]
fn given_trailing_bytes_then_the_datum_is_refused_where_they_begin() {
    let error = record_of("\"int\"").walk(&[2, 0, 0]).unwrap_err();
    assert_eq!(error.to_string(), "at byte 2: the schema's value ends here, but the datum goes on");
}

#[test]
fn given_a_datum_that_ends_early_then_it_is_refused() {
    for field in
        ["\"int\"", "\"long\"", "\"boolean\"", "\"string\"", "\"float\"", "\"double\"", ENUM, INTS, MAP]
    {
        let error = record_of(field).walk(&[]).unwrap_err();
        assert_eq!((error.at, error.what), (0, "the datum ends within a value"), "{field}");
    }
    assert_eq!(record_of("\"long\"").walk(&[0x80; 9]).unwrap_err().what, "the datum ends within a value");
    assert_eq!(record_of("\"int\"").walk(&[0x80; 4]).unwrap_err().what, "the datum ends within a value");
}

#[test]
fn given_a_schema_that_encodes_to_nothing_then_only_the_empty_datum_is_valid() {
    for fields in
        ["", r#"{"name":"n","type":"null"}"#, r#"{"name":"n","type":{"type":"fixed","name":"F","size":0}}"#]
    {
        let program =
            program(&format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#), &["field:x"]);
        assert_eq!(program.walk(&[]), Ok(FieldTimes::default()));
        assert_eq!(program.walk(&[0]).unwrap_err().at, 0);
    }
}

#[test]
fn given_values_outside_a_logical_type_then_they_are_accepted_as_their_base() {
    accepted(r#"{"type":"int","logicalType":"time-millis"}"#, &encoded(-1));
    accepted(r#"{"type":"string","logicalType":"uuid"}"#, &encoded_text("no uuid"));
    accepted(
        r#"{"type":"bytes","logicalType":"decimal","precision":2,"scale":1}"#,
        &encoded_text("far too long"),
    );
    accepted(r#"{"type":"bytes","logicalType":"big-decimal"}"#, &[0]);
    accepted(r#"{"type":"fixed","name":"D","size":12,"logicalType":"duration"}"#, &[0xff; 12]);
    accepted(r#"{"type":"long","logicalType":"timestamp-nanos"}"#, &encoded(i64::MIN));
    accepted(r#"{"type":"int","logicalType":"date"}"#, &encoded(i64::from(i32::MIN)));
}
