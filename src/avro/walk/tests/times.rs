//! What is found at a candidate's path.

use super::*;

/// Walks a record of the value `value` and finds the first candidate's time.
fn time_of(candidate: &str, field: &str, value: &[u8]) -> FieldTime {
    let schema = format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{field}}},{{"name":"g","type":"string"}}]}}"#
    );
    let times = program(&schema, &[candidate]).walk(&[value, b"\x04ab"].concat()).unwrap();
    assert_eq!((1..MAX_FIELDS).map(|other| times.get(other)).find(|other| *other != FieldTime::Absent), None);
    times.get(0)
}

fn at(millis: i64) -> FieldTime {
    FieldTime::At(UnixMillis(millis))
}

fn logical(base: &str, logical: &str) -> String {
    format!(r#"{{"type":"{base}","logicalType":"{logical}"}}"#)
}

#[test]
fn given_timestamps_of_a_logical_type_then_they_need_no_unit_and_none_but_their_own_is_taken() {
    for (unit, suffix, count, millis) in
        [("millis", "ms", 1_234_567, 1_234_567), ("micros", "us", 1_234_567, 1_234), ("nanos", "ns", -1, -1)]
    {
        for kind in ["timestamp", "local-timestamp"] {
            let field = logical("long", &format!("{kind}-{unit}"));
            assert_eq!(time_of("field:f", &field, &encoded(count)), at(millis), "{field}");
            for stated in ["s", "ms", "us", "ns"] {
                let expected = if stated == suffix { at(millis) } else { FieldTime::WrongType };
                assert_eq!(
                    time_of(&format!("field:f@{stated}"), &field, &encoded(count)),
                    expected,
                    "{field} {stated}"
                );
            }
        }
    }
}

#[test]
fn given_dates_then_they_are_midnight_and_no_unit_may_be_stated() {
    let date = logical("int", "date");
    assert_eq!(time_of("field:f", &date, &encoded(19_782)), at(19_782 * 86_400_000));
    assert_eq!(time_of("field:f", &date, &encoded(-1)), at(-86_400_000));
    assert_eq!(
        time_of("field:f", &date, &encoded(i64::from(i32::MIN))),
        at(i64::from(i32::MIN) * 86_400_000)
    );
    assert_eq!(time_of("field:f@s", &date, &encoded(19_782)), FieldTime::WrongType);
}

#[test]
fn given_plain_numbers_then_they_count_the_stated_unit_and_are_refused_without() {
    for base in ["\"int\"", "\"long\"", r#"{"type":"long","logicalType":"unheard-of"}"#] {
        assert_eq!(time_of("field:f", base, &encoded(1_500)), FieldTime::WrongType, "{base}");
        assert_eq!(time_of("field:f@s", base, &encoded(1_500)), at(1_500_000), "{base}");
        assert_eq!(time_of("field:f@ms", base, &encoded(-1_500)), at(-1_500), "{base}");
        assert_eq!(time_of("field:f@us", base, &encoded(-1_500)), at(-2), "{base}");
        assert_eq!(time_of("field:f@ns", base, &encoded(1_500)), at(0), "{base}");
    }
    for count in [i64::MIN, i64::MAX] {
        assert_eq!(time_of("field:f@ms", "\"long\"", &encoded(count)), at(count));
        assert_eq!(time_of("field:f@s", "\"long\"", &encoded(count)), at(count));
    }
}

#[test]
fn given_a_logical_type_on_the_wrong_base_then_it_is_as_if_it_were_not_there() {
    for field in [logical("int", "timestamp-millis"), logical("long", "date"), logical("long", "time-millis")]
    {
        assert_eq!(time_of("field:f", &field, &encoded(5)), FieldTime::WrongType, "{field}");
        assert_eq!(time_of("field:f@s", &field, &encoded(5)), at(5_000), "{field}");
    }
    let beside = r#""long","logicalType":"timestamp-millis""#;
    assert_eq!(time_of("field:f", beside, &encoded(5)), FieldTime::WrongType);
    let text = logical("string", "timestamp-millis");
    assert_eq!(time_of("field:f", &text, &encoded_text("1970-01-01")), at(0));
}

#[test]
fn given_strings_then_they_are_iso_8601_whatever_unit_is_stated() {
    for candidate in ["field:f", "field:f@ms"] {
        assert_eq!(time_of(candidate, "\"string\"", &encoded_text("1970-01-01T00:00:01.5Z")), at(1_500));
        assert_eq!(time_of(candidate, "\"string\"", &encoded_text("1500")), FieldTime::Unparsable);
        assert_eq!(time_of(candidate, "\"string\"", &encoded_text("")), FieldTime::Unparsable);
    }
}

#[test]
fn given_types_that_are_no_time_then_they_are_refused_with_and_without_unit() {
    for (field, value) in [
        ("\"boolean\"", vec![1]),
        ("\"float\"", vec![0; 4]),
        ("\"double\"", vec![0; 8]),
        ("\"bytes\"", encoded_text("1970-01-01")),
        (r#"{"type":"int","logicalType":"time-millis"}"#, encoded(5)),
        (r#"{"type":"long","logicalType":"time-micros"}"#, encoded(5)),
        (r#"{"type":"bytes","logicalType":"decimal","precision":9}"#, vec![2, 5]),
        (r#"{"type":"fixed","name":"F","size":8}"#, vec![0; 8]),
        (r#"{"type":"fixed","name":"F","size":0}"#, vec![]),
        (r#"{"type":"enum","name":"E","symbols":["A"]}"#, vec![0]),
        (r#"{"type":"array","items":"string"}"#, vec![0]),
        (r#"{"type":"map","values":"long"}"#, vec![0]),
        (r#"{"type":"record","name":"S","fields":[]}"#, vec![]),
        (r#"["null","R"]"#, vec![2, 0, 0]),
    ] {
        for candidate in ["field:f", "field:f@ms"] {
            assert_eq!(time_of(candidate, field, &value), FieldTime::WrongType, "{candidate} {field}");
        }
    }
}

#[test]
fn given_nulls_then_the_field_is_null() {
    assert_eq!(time_of("field:f", "\"null\"", &[]), FieldTime::Null);
    assert_eq!(time_of("field:f@s", r#"["null","long"]"#, &[0]), FieldTime::Null);
    assert_eq!(time_of("field:f@s", r#"["long","null"]"#, &[2]), FieldTime::Null);
    assert_eq!(time_of("field:f", r#"["string","null","boolean"]"#, &[2]), FieldTime::Null);
}

#[test]
fn given_unions_then_the_branch_that_was_taken_counts() {
    let mixed = r#"["null","string","long",{"type":"record","name":"S","fields":[]},"double"]"#;
    let text = encoded_text("1970-01-01T00:00:02");
    assert_eq!(time_of("field:f@ms", mixed, &[0]), FieldTime::Null);
    assert_eq!(time_of("field:f@ms", mixed, &[&[2], &text[..]].concat()), at(2_000));
    assert_eq!(time_of("field:f@ms", mixed, &[&[4], &encoded(77)[..]].concat()), at(77));
    assert_eq!(time_of("field:f@ms", mixed, &[6]), FieldTime::WrongType);
    assert_eq!(time_of("field:f@ms", mixed, &[8, 0, 0, 0, 0, 0, 0, 0, 0]), FieldTime::WrongType);
    for (nullable, branch) in [(r#"["null","long"]"#, 2), (r#"["long","null"]"#, 0), (r#"["long"]"#, 0)] {
        assert_eq!(
            time_of("field:f@ms", nullable, &[&[branch], &encoded(77)[..]].concat()),
            at(77),
            "{nullable}"
        );
    }
}

const NESTED: &str = r#"["null",{"type":"record","name":"S","fields":[
    {"name":"x","type":"string"},
    {"name":"t","type":["null",{"type":"record","name":"T","fields":[
        {"name":"y","type":"double"},{"name":"at","type":"long"}]}]}]}]"#;

#[test]
fn given_records_and_nullable_unions_on_the_way_then_the_path_goes_through_them() {
    let value = [&[2][..], &encoded_text("x"), &[2], &[0; 8], &encoded(99)].concat();
    assert_eq!(time_of("field:f.t.at@ms", NESTED, &value), at(99));
    assert_eq!(time_of("field:f.t.at", NESTED, &value), FieldTime::WrongType);
    assert_eq!(time_of("field:f.t", NESTED, &value), FieldTime::WrongType);
    assert_eq!(time_of("field:f.x", NESTED, &value), FieldTime::Unparsable);
    for absent in [
        "field:at@ms",
        "field:t.at@ms",
        "field:f.at@ms",
        "field:f.t.at.x@ms",
        "field:F.t.at@ms",
        "field:f.x.at",
    ] {
        assert_eq!(time_of(absent, NESTED, &value), FieldTime::Absent, "{absent}");
    }
}

#[test]
fn given_a_null_on_the_way_then_the_field_is_absent() {
    assert_eq!(time_of("field:f.t.at@ms", NESTED, &[0]), FieldTime::Absent);
    assert_eq!(
        time_of("field:f.t.at@ms", NESTED, &[&[2], &encoded_text("x")[..], &[0]].concat()),
        FieldTime::Absent
    );
}

#[test]
fn given_a_reference_to_a_record_of_nulls_then_the_path_goes_through_it() {
    let schema = r#"{"type":"record","name":"R","fields":[
        {"name":"one","type":{"type":"record","name":"E","fields":[{"name":"n","type":"null"}]}},
        {"name":"other","type":"E"}]}"#;
    let times = program(schema, &["field:one.n", "field:other.n", "field:other"]).walk(&[]).unwrap();
    assert_eq!(
        [0, 1, 2].map(|index| times.get(index)),
        [FieldTime::Null, FieldTime::Null, FieldTime::WrongType]
    );
}

#[test]
fn given_an_array_or_a_map_on_the_way_then_the_field_is_absent() {
    let record = r#"{"type":"record","name":"S","fields":[{"name":"at","type":"long"}]}"#;
    assert_eq!(
        time_of("field:f.at@ms", &format!(r#"{{"type":"array","items":{record}}}"#), &[2, 8, 0]),
        FieldTime::Absent
    );
    let entry = [2, 4, b'a', b't', 8, 0];
    assert_eq!(
        time_of("field:f.at@ms", &format!(r#"{{"type":"map","values":{record}}}"#), &entry),
        FieldTime::Absent
    );
    assert_eq!(time_of("field:f.at@ms", r#"{"type":"map","values":"long"}"#, &entry), FieldTime::Absent);
}

#[test]
fn given_a_union_of_records_at_the_top_then_each_branch_with_the_path_counts() {
    let schema = r#"[{"type":"record","name":"A","fields":[{"name":"at","type":"long"},{"name":"x","type":"boolean"}]},
        {"type":"record","name":"B","fields":[{"name":"x","type":"boolean"}]},
        {"type":"record","name":"C","fields":[{"name":"a","type":"A"},{"name":"at","type":"string"}]},
        {"type":"record","name":"D","fields":[{"name":"at","type":["null","A"]}]}]"#;
    let program = program(schema, &["field:at@ms", "field:a.at@s"]);
    let times = |datum: &[u8]| {
        let times = program.walk(datum).unwrap();
        (times.get(0), times.get(1))
    };
    assert_eq!(times(&[0, 14, 1]), (at(7), FieldTime::Absent));
    assert_eq!(times(&[2, 1]), (FieldTime::Absent, FieldTime::Absent));
    let datum = [&[4, 14, 1], &encoded_text("1970-01-02")[..]].concat();
    assert_eq!(times(&datum), (at(86_400_000), at(7_000)));
    assert_eq!(times(&[6, 0]), (FieldTime::Null, FieldTime::Absent));
    assert_eq!(times(&[6, 2, 14, 1]), (FieldTime::WrongType, FieldTime::Absent));
}

#[test]
fn given_a_recursive_record_then_the_path_stands_for_one_of_its_values() {
    let schema = r#"{"type":"record","name":"L","namespace":"n","fields":[
        {"name":"at","type":"long"},{"name":"next","type":["null","n.L"]}]}"#;
    let program = program(schema, &["field:at@ms", "field:next.at@ms", "field:next.next.next.at@ms"]);
    let times = |datum: &[u8]| {
        let times = program.walk(datum).unwrap();
        [times.get(0), times.get(1), times.get(2)]
    };
    assert_eq!(times(&[2, 0]), [at(1), FieldTime::Absent, FieldTime::Absent]);
    assert_eq!(times(&[2, 2, 4, 2, 6, 0]), [at(1), at(2), FieldTime::Absent]);
    assert_eq!(times(&[2, 2, 4, 2, 6, 2, 8, 2, 10, 2, 12, 0]), [at(1), at(2), at(4)]);
}

#[test]
fn given_namespaces_then_a_name_means_the_type_of_its_own() {
    // Inside b.S a bare "T" is b.T, which is a boolean's width; a.T is a double's.
    let schema = r#"{"type":"record","name":"R","namespace":"a","fields":[
        {"name":"t","type":{"type":"fixed","name":"T","size":8}},
        {"name":"s","type":{"type":"record","name":"b.S","fields":[
            {"name":"t","type":{"type":"fixed","name":"T","size":1}},{"name":"u","type":"T"},{"name":"v","type":"a.T"},
            {"name":"w","type":{"type":"record","name":"S","namespace":"","fields":[
                {"name":"t","type":{"type":"fixed","name":"T","size":3}},{"name":"u","type":"T"}]}}]}},
        {"name":"again","type":"T"},
        {"name":"at","type":"long"}]}"#;
    let program = program(schema, &["field:at@ms"]);
    let datum = [&[0; 8 + 1 + 1 + 8 + 3 + 3 + 8][..], &encoded(5)].concat();
    assert_eq!(program.walk(&datum).map(|times| times.get(0)), Ok(at(5)));
    assert!(program.walk(&datum[1..]).is_err());
}
