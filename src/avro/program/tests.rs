use super::*;
use crate::types::SchemaId;

fn compile(schema: &str, candidates: &[&str]) -> Program {
    let schema = WriterSchema::new(SchemaId(1), schema).unwrap();
    let candidates = candidates.iter().map(|text| text.parse().unwrap()).collect();
    Program::compile(&schema, &TimestampRules::new(candidates, (1970, 2100)).unwrap()).unwrap()
}

/// A record of fields of these types.
fn record(name: &str, types: &[&str]) -> String {
    let fields: Vec<_> =
        types.iter().enumerate().map(|(n, kind)| format!(r#"{{"name":"f{n}","type":{kind}}}"#)).collect();
    format!(r#"{{"type":"record","name":"{name}","fields":[{}]}}"#, fields.join(","))
}

fn ops(schema: &str) -> Vec<Op> {
    compile(schema, &["processing"]).ops.to_vec()
}

#[test]
fn given_fields_that_a_schema_lacks_then_they_are_told() {
    let schema =
        WriterSchema::new(SchemaId(1), &record("R", &["\"long\"", &record("S", &["\"long\""])])).unwrap();
    let candidates = ["kafka", "field:nope", "field:f0", "field:f1.nope@ms", "field:f1.f0"];
    let candidates = candidates.iter().map(|text| text.parse().unwrap()).collect();
    let timestamps = TimestampRules::new(candidates, (1970, 2100)).unwrap();
    let program = Program::compile(&schema, &timestamps).unwrap();
    let lacking: Vec<_> = program.without(&timestamps).map(ToString::to_string).collect();
    assert_eq!(lacking, ["field:nope", "field:f1.nope@ms"]);
}

#[test]
fn given_neighbours_of_fixed_size_then_they_are_one_operation() {
    let fixed = r#"{"type":"fixed","name":"F","size":3}"#;
    let nested = record("S", &["\"float\"", "\"F\""]);
    let schema = record("R", &["\"double\"", fixed, "\"null\"", &nested, "\"int\"", "\"float\""]);
    assert_eq!(ops(&schema), [Op::Skip(18), Op::Int, Op::Skip(4), Op::End]);
}

#[test]
fn given_a_union_between_neighbours_then_they_stay_apart() {
    let schema = record("R", &[r#"["null","double"]"#, "\"float\""]);
    assert_eq!(ops(&schema), [Op::Nullable { null: 0, end: 2 }, Op::Skip(8), Op::Skip(4), Op::End]);
    let schema = record("R", &[r#"["float","double",{"type":"fixed","name":"F","size":0}]"#, "\"float\""]);
    let union = [
        Op::Union { count: 3, first: 0 },
        Op::Skip(4),
        Op::Jump(6),
        Op::Skip(8),
        Op::Jump(6),
        Op::Jump(6),
        Op::Skip(4),
        Op::End,
    ];
    assert_eq!(ops(&schema), union);
    assert_eq!(*compile(&schema, &["kafka"]).branches, [1, 3, 5]);
}

#[test]
fn given_items_of_fixed_size_then_there_is_no_loop() {
    let item = record("S", &["\"double\"", "\"float\""]);
    let schema = record("R", &[&format!(r#"{{"type":"array","items":{item}}}"#)]);
    assert_eq!(ops(&schema), [Op::FixedItems { level: 2, size: 12 }, Op::End]);
}

#[test]
fn given_what_encodes_to_nothing_then_there_is_no_operation() {
    let empty = record("E", &["\"null\"", r#"{"type":"fixed","name":"F","size":0}"#]);
    assert_eq!(ops(&record("R", &[&empty, "\"E\"", "\"null\""])), [Op::End]);
}

#[test]
fn given_a_million_ways_through_empty_records_then_they_are_no_calls() {
    let mut records = vec![record("R0", &["\"null\""])];
    records.extend((1..1_000).map(|n| record(&format!("R{n}"), &[&*format!("\"R{}\"", n - 1); 2])));
    let schema = format!("[{}]", records.join(","));
    let program = compile(&schema, &["kafka"]);
    assert_eq!(program.ops.len(), 1 + 1_000 + 1);
    assert!(program.walk(&[0]).is_ok());
}

#[test]
fn given_recursion_then_it_is_a_call_and_the_path_goes_only_its_own_length() {
    let tree = r#"{"type":"record","name":"T","fields":[
        {"name":"at","type":"long"},{"name":"left","type":["null","T"]},{"name":"right","type":["null","T"]}]}"#;
    let marks = |program: &Program| program.ops.iter().filter(|op| matches!(op, Op::Mark { .. })).count();
    let program = compile(tree, &["field:left.left.at@ms"]);
    // Three steps of the path, each with the calls that leave it, and the record off the path.
    assert_eq!((marks(&program), program.ops.iter().filter(|op| matches!(op, Op::End)).count()), (1, 4));
}

#[test]
fn given_a_path_through_wide_recursive_unions_then_the_program_stays_small() {
    let branches: Vec<_> = (0..30).map(|n| format!("\"B{n}\"")).collect();
    let branches = branches.join(",");
    let mut records: Vec<_> = (0..30).map(|n| record(&format!("B{n}"), &["\"long\""])).collect();
    records.push(record("Last", &[&format!("[{branches}]")]));
    let text = format!("[{}]", records.join(","));
    let path = format!("field:{}@ms", vec!["f0"; 32].join("."));
    assert!(compile(&text, &[&path]).ops.len() < 300);
    let cyclic = r#"{"type":"record","name":"A","fields":[{"name":"f0","type":["null","A",
        {"type":"record","name":"B","fields":[{"name":"f0","type":["null","A","B"]}]}]}]}"#;
    assert!(compile(cyclic, &[&path]).ops.len() < 2_000);
}

#[test]
fn given_a_schema_at_the_limits_then_it_compiles() {
    let fields: Vec<_> = (0..30_000).map(|n| format!(r#"{{"name":"a{n}","type":"int"}}"#)).collect();
    let schema = format!(r#"{{"type":"record","name":"R","fields":[{}]}}"#, fields.join(","));
    assert_eq!(ops(&schema).len(), 30_001);
}

#[test]
fn given_a_program_too_large_then_the_schema_is_unusable() {
    // Each of these records is met at nearly each step of the path.
    let mut schema = "\"int\"".to_owned();
    for n in (0..28).rev() {
        let padding: String = (0..200).map(|p| format!(r#"{{"name":"p{p}","type":"int"}},"#)).collect();
        let around: String = (0..=n).map(|other| format!("\"R{other}\",")).collect();
        let path = format!(r#"{{"name":"f0","type":[{around}{schema}]}}"#);
        schema = format!(r#"{{"type":"record","name":"R{n}","fields":[{padding}{path}]}}"#);
    }
    let schema = WriterSchema::new(SchemaId(1), &schema).unwrap();
    let path = format!("field:{}@ms", vec!["f0"; 32].join("."));
    let rules = TimestampRules::new(vec![path.parse().unwrap()], (1970, 2100)).unwrap();
    let UnusableSchema(reason) = Program::compile(&schema, &rules).unwrap_err();
    assert_eq!(reason, "the schema compiles to more than 1000000 operations");
}
