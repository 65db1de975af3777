use super::*;
use crate::avro::program::Program;
use crate::avro::timestamp::TimestampRules;

fn schema(text: &str) -> Result<WriterSchema, UnusableSchema> {
    WriterSchema::new(SchemaId(7), text)
}

fn refusal(text: &str) -> String {
    let UnusableSchema(reason) = schema(text).expect_err(text);
    assert!(reason.chars().count() <= MAX_REASON_CHARS + 1, "{reason}");
    reason
}

/// A record with one field of this type.
fn record(field: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{field}}}]}}"#)
}

#[test]
fn given_a_schema_then_its_text_is_kept_to_the_byte() {
    let text = " {\"type\":\"record\", \"doc\":\"ö\",\n \"name\":\"R\",\"fields\":[ ] , \"x\":{\"y\":1}} ";
    let schema = schema(text).unwrap();
    assert_eq!(&**schema.text(), text);
    assert_eq!(schema.id(), SchemaId(7));
    assert_eq!(schema.fingerprint(), xxh3_128(text.as_bytes()));
}

#[test]
fn given_a_change_of_a_doc_then_the_fingerprint_differs() {
    let with = |doc: &str| schema(&format!(r#"{{"type":"record","name":"R","doc":"{doc}","fields":[]}}"#));
    assert_ne!(with("a").unwrap().fingerprint(), with("b").unwrap().fingerprint());
}

#[test]
fn given_neither_a_record_nor_a_union_of_records_then_the_reason_says_what_it_is() {
    for (text, what) in [
        (r#""string""#, "of type string"),
        (r#"{"type":"long","logicalType":"timestamp-millis"}"#, "of type long"),
        (r#"{"type":"enum","name":"E","symbols":["A"]}"#, "of type enum"),
        (r#"{"type":"fixed","name":"F","size":3}"#, "of type fixed"),
        (r#"{"type":"array","items":"int"}"#, "of type array"),
        (r#"{"type":"map","values":"int"}"#, "of type map"),
        ("[]", "an empty union"),
        (r#"["null",{"type":"record","name":"R","fields":[]}]"#, "the branch null"),
        (r#"[{"type":"record","name":"R","fields":[]},"string"]"#, "the branch string"),
    ] {
        let reason = refusal(text);
        assert!(
            reason.contains("must be a record or a union of records") && reason.contains(what),
            "{reason}"
        );
    }
}

#[test]
fn given_a_union_of_records_then_it_is_usable() {
    let one = r#"{"type":"record","name":"A","fields":[]}"#;
    let other = r#"{"type":"record","name":"B","fields":[{"name":"a","type":"A"}]}"#;
    assert!(schema(&format!("[{one},{other}]")).is_ok());
    assert!(schema(&format!(r#"{{"type":[{one},{other}]}}"#)).is_ok());
}

#[test]
fn given_a_union_whose_branch_names_a_record_of_an_earlier_one_then_its_records_are_walked() {
    let text = r#"[{"type":"record","name":"A","namespace":"e","fields":[
        {"name":"b","type":{"type":"record","name":"B","fields":[{"name":"x","type":"int"}]}}]},"e.B"]"#;
    let schema = schema(text).unwrap();
    let rules = TimestampRules::new(vec!["kafka".parse().unwrap()], (1970, 2100)).unwrap();
    let program = Program::compile(&schema, &rules).unwrap();
    assert!(program.walk(&[0, 2]).is_ok() && program.walk(&[2, 2]).is_ok());
    assert!(program.walk(&[4, 2]).is_err());
}

#[test]
fn given_a_union_whose_branch_names_another_type_of_an_earlier_one_then_it_is_refused() {
    let text = r#"[{"type":"record","name":"A","fields":[
        {"name":"e","type":{"type":"enum","name":"E","symbols":["X"]}}]},"E"]"#;
    assert!(refusal(text).contains("the branch enum"));
}

#[test]
fn given_no_json_or_no_schema_then_it_is_refused_with_the_reason() {
    for (text, what) in [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("{\"type\":\"record\"} x", "not JSON"),
        ("null", "where a type must be"),
        ("7", "where a type must be"),
        ("{}", "without \"type\""),
        (r#"{"type":"record","fields":[]}"#, "needs \"name\""),
        (r#"{"type":"record","name":"R"}"#, "needs \"fields\" in \"R\""),
        (r#"{"type":"record","name":"R","fields":{}}"#, "no array"),
        (r#"{"type":"record","name":"R","fields":["a"]}"#, "no JSON object"),
        (r#"{"type":"record","name":"R","fields":[{"name":"a"}]}"#, "needs \"type\""),
        (r#"{"type":"record","name":"R","fields":[{"type":"int"}]}"#, "needs \"name\""),
        (r#"{"type":"record","name":7,"fields":[]}"#, "no string"),
        (r#"{"type":"record","name":"R","namespace":7,"fields":[]}"#, "no string"),
        (r#"{"type":"record","name":"","fields":[]}"#, "not valid Avro"),
        (r#"{"type":"record","name":"a b","fields":[]}"#, "not valid Avro"),
        (r#"{"type":"record","name":"R","fields":[{"name":"","type":"int"}]}"#, "not valid Avro"),
        (&record(r#""nowhere""#), "not valid Avro"),
        (&record(r#"["int","int"]"#), "not valid Avro"),
        (&record(r#"["int",["null","string"]]"#), "not valid Avro"),
        (&record(r#"{"type":"array"}"#), "needs \"items\""),
        (&record(r#"{"type":"map"}"#), "needs \"values\""),
        (&record(r#"{"type":"fixed","name":"F"}"#), "needs \"size\""),
        (&record(r#"{"type":"enum","name":"E"}"#), "needs \"symbols\""),
        (&record(r#"{"type":"enum","name":"E","symbols":[1]}"#), "no string"),
        (&record(r#"{"type":"enum","name":"E","symbols":["A","A"]}"#), "not valid Avro"),
        (&record(r#"{"type":"fixed","name":"F","size":-1}"#), "size -1"),
        (&record(r#"{"type":"fixed","name":"F","size":1.5}"#), "size 1.5"),
        (&record(r#"{"type":"fixed","name":"F","size":1152921504606846976}"#), "size 1152921504606846976"),
    ] {
        let reason = refusal(text);
        assert!(reason.contains(what), "{text}: {reason}");
    }
}

#[test]
fn given_a_field_twice_then_it_is_refused() {
    let text =
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}"#;
    assert!(refusal(text).contains("not valid Avro"));
}

#[test]
fn given_a_name_twice_then_it_is_refused_whatever_apache_avro_makes_of_it() {
    let enum_e = r#"{"type":"enum","name":"E","symbols":["A"]}"#;
    let fixed_e = r#"{"type":"fixed","name":"E","size":1}"#;
    let text = format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"a","type":{enum_e}}},{{"name":"b","type":{fixed_e}}}]}}"#
    );
    assert_eq!(refusal(&text), "the schema defines E twice");
    assert_eq!(refusal(&record(r#"{"type":"fixed","name":"R","size":1}"#)), "the schema defines R twice");
}

#[test]
fn given_a_type_named_like_a_primitive_then_it_is_refused() {
    assert!(refusal(&record(r#"{"type":"fixed","name":"string","size":1}"#)).contains("primitive"));
    assert!(schema(&record(r#"{"type":"fixed","name":"a.string","size":1}"#)).is_ok());
}

#[test]
fn given_the_same_name_in_another_namespace_then_it_is_another_type() {
    for namespace in [r#""""#, r#""other""#] {
        let inner = format!(r#"{{"type":"fixed","name":"R","namespace":{namespace},"size":1}}"#);
        let text = format!(
            r#"{{"type":"record","name":"R","namespace":"space","fields":[{{"name":"f","type":{inner}}},{{"name":"g","type":["null","R"]}}]}}"#
        );
        let schema = schema(&text).unwrap().parsed().unwrap();
        let definitions = definitions(&schema).unwrap();
        assert!(definitions.contains_key(&Name::new("space.R").unwrap()));
        assert_eq!(definitions.len(), 2);
    }
}

#[test]
fn given_a_reference_by_an_alias_then_it_is_refused() {
    let text = r#"{"type":"record","name":"R","aliases":["S"],"fields":[{"name":"f","type":["null","S"]}]}"#;
    assert!(refusal(text).contains("not valid Avro"));
}

#[test]
fn given_what_only_readers_look_at_then_it_does_not_matter() {
    for field in [
        r#"{"type":"long","logicalType":"seconds-since-breakfast"}"#,
        r#"{"type":"long","logicalType":17}"#,
        r#"{"type":"array","items":"int","logicalType":"date"}"#,
        r#"{"type":"enum","name":"E","symbols":["A"],"logicalType":"uuid","default":"B"}"#,
        r#"{"type":"record","name":"S","fields":[],"logicalType":"decimal"}"#,
        r#"{"type":["null","long"],"logicalType":"timestamp-millis"}"#,
        r#"{"type":"bytes","logicalType":"decimal","precision":-4}"#,
        r#"{"type":"fixed","name":"D","size":5,"logicalType":"duration"}"#,
        r#"{"type":{"type":{"type":"string"}}}"#,
        r#"{"type":"fixed","name":"F","size":1,"aliases":["not a name",5],"doc":[]}"#,
        r#"{"type":"fixed","name":"F","namespace":null,"size":0}"#,
    ] {
        assert!(schema(&record(field)).is_ok(), "{field}");
    }
    let default =
        r#"{"type":"record","name":"R","fields":[{"name":"f","type":"int","default":"x","order":"none"}]}"#;
    assert!(schema(default).is_ok());
}

#[test]
fn given_a_text_too_long_then_it_is_refused() {
    let padded = |length: usize| {
        let text = record("\"int\"");
        format!("{text}{}", " ".repeat(length - text.len()))
    };
    assert!(schema(&padded(MAX_SCHEMA_BYTES)).is_ok());
    assert!(refusal(&padded(MAX_SCHEMA_BYTES + 1)).contains("bytes; at most 1048576"));
}

#[test]
fn given_a_name_too_long_then_it_is_refused() {
    let named = |length| format!(r#"{{"type":"record","name":"{}","fields":[]}}"#, "n".repeat(length));
    assert!(schema(&named(512)).is_ok());
    assert!(refusal(&named(513)).contains("more than 512 bytes"));
}

#[test]
fn given_many_uses_of_long_names_then_the_schema_is_refused() {
    let space = "n".repeat(500);
    let fields: Vec<_> = (0..5_000).map(|n| format!(r#"{{"name":"a{n}","type":["null","S"]}}"#)).collect();
    let text =
        format!(r#"{{"type":"record","name":"S","namespace":"{space}","fields":[{}]}}"#, fields.join(","));
    assert!(refusal(&text).contains("more than 2097152 bytes"));
}

#[test]
fn given_deep_nesting_then_it_is_refused_and_the_stack_holds() {
    for (open, close) in [
        (r#"{"type":"array","items":"#, "}"),
        (r#"{"type":"map","values":"#, "}"),
        (r#"{"type":"#, "}"),
        ("[", "]"),
    ] {
        let nested = |depth: usize| record(&format!("{}\"int\"{}", open.repeat(depth), close.repeat(depth)));
        assert!(refusal(&nested(20_000)).contains("recursion limit"));
        // The record, its list of fields and the field are three.
        assert_eq!(schema(&nested(124)).is_ok(), open != "[");
        assert!(schema(&nested(125)).is_err());
    }
}

#[test]
fn given_many_parts_then_each_counts_once_more_per_record_around_it() {
    let symbols = |count: usize| (0..count).map(|n| format!("\"S{n}\"")).collect::<Vec<_>>().join(",");
    let with = |count| record(&format!(r#"{{"type":"enum","name":"E","symbols":[{}]}}"#, symbols(count)));
    assert!(schema(&with(40_000)).is_ok());
    assert!(refusal(&with(50_000)).contains("more than 100000 parts"));
}

#[test]
fn given_defaults_that_nest_exponentially_then_parsing_is_quick() {
    let fields = |n: usize| {
        let inner = if n == 0 { "\"int\"".to_owned() } else { format!("\"R{}\"", n - 1) };
        let default = if n == 0 { "0" } else { "{}" };
        format!(
            r#"{{"type":"record","name":"R{n}","fields":[{{"name":"a","type":{inner},"default":{default}}},{{"name":"b","type":{inner},"default":{default}}}]}}"#
        )
    };
    let all = (0..60).map(fields).collect::<Vec<_>>().join(",");
    assert!(schema(&format!("[{all}]")).is_ok());
}
