//! What is written: schemas of every shape, and the values that the judges should find.

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use libtest_mimic::Failed;
use serde_json::{Value, json};

/// Rows of a case: some 300 KiB, so several blocks.
const ROWS: i64 = 800;

/// A schema and what is written under it.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) schema: &'static str,
    value: fn(i64) -> Avro,
}

pub(crate) fn all() -> [Case; 4] {
    [
        Case { name: "flat_records", schema: FLAT_SCHEMA, value: flat },
        Case { name: "nested_records", schema: NESTED_SCHEMA, value: nested },
        Case { name: "a_union_of_records", schema: UNION_SCHEMA, value: union },
        Case { name: "logical_types", schema: LOGICAL_SCHEMA, value: logical },
    ]
}

impl Case {
    /// The values, encoded by Avro's library for Rust. Logical types are taken out of the schema before: they are
    /// encoded as their base types.
    pub(crate) fn datums(&self) -> Result<Vec<Vec<u8>>, Failed> {
        let mut schema: Value = serde_json::from_str(self.schema)?;
        without_logical_types(&mut schema);
        let schema = Schema::parse(&schema)?;
        let writer = GenericDatumWriter::builder(&schema).build()?;
        (0..ROWS).map(|row| writer.write_value_to_vec((self.value)(row)).map_err(Failed::from)).collect()
    }

    /// The values, as the judges print them.
    pub(crate) fn records(&self) -> Vec<Value> {
        (0..ROWS).map(|row| printed(&(self.value)(row))).collect()
    }
}

fn without_logical_types(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.remove("logicalType");
            object.values_mut().for_each(without_logical_types);
        }
        Value::Array(items) => items.iter_mut().for_each(without_logical_types),
        _ => {}
    }
}

fn printed(value: &Avro) -> Value {
    let float = |number: f64| match number {
        number if number.is_nan() => json!({"float": "nan"}),
        f64::INFINITY => json!({"float": "inf"}),
        f64::NEG_INFINITY => json!({"float": "-inf"}),
        number => json!(number),
    };
    match value {
        Avro::Boolean(truth) => json!(truth),
        Avro::Int(number) => json!(number),
        Avro::Long(number) => json!(number),
        Avro::Float(number) => float((*number).into()),
        Avro::Double(number) => float(*number),
        Avro::String(text) | Avro::Enum(_, text) => json!(text),
        Avro::Bytes(bytes) | Avro::Fixed(_, bytes) => json!({"bytes": BASE64_STANDARD.encode(bytes)}),
        Avro::Union(_, value) => printed(value),
        Avro::Array(items) => items.iter().map(printed).collect(),
        Avro::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), printed(value))).collect(),
        Avro::Record(fields) => fields.iter().map(|(name, value)| (name.clone(), printed(value))).collect(),
        _ => Value::Null,
    }
}

fn record(fields: impl IntoIterator<Item = (&'static str, Avro)>) -> Avro {
    Avro::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn branch(index: u32, value: Avro) -> Avro {
    Avro::Union(index, Box::new(value))
}

/// A text that differs from row to row and doesn't compress to nothing.
fn text(row: i64) -> Avro {
    let words = (0..30)
        .map(|word| format!("{:x}", (row * 31 + word + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64)));
    Avro::String(words.collect::<Vec<_>>().join(if row % 2 == 0 { "ß" } else { "\u{1f600}\u{0}" }))
}

const FLAT_SCHEMA: &str = r#"{
  "type": "record", "name": "Flat", "namespace": "judges", "doc": "All primitive types – ünïcode, and \"quotes\".",
  "fields": [
    {"name": "nothing", "type": "null"},
    {"name": "truth", "type": "boolean", "default": false},
    {"name": "int", "type": "int"},
    {"name": "long", "type": "long", "order": "descending"},
    {"name": "float", "type": "float"},
    {"name": "double", "type": "double"},
    {"name": "bytes", "type": "bytes"},
    {"name": "text", "type": {"type": "string", "avro.java.string": "String"}}
  ]
}"#;

fn flat(row: i64) -> Avro {
    let extremes = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.5];
    let double = extremes.get(row as usize).copied().unwrap_or(row as f64 / -8.0);
    record([
        ("nothing", Avro::Null),
        ("truth", Avro::Boolean(row % 3 == 0)),
        ("int", Avro::Int([i32::MIN, i32::MAX, 0, row as i32][row as usize % 4])),
        ("long", Avro::Long([i64::MIN, i64::MAX, -1, row << 33][row as usize % 4])),
        ("float", Avro::Float(double as f32)),
        ("double", Avro::Double(double)),
        ("bytes", Avro::Bytes((0..row % 300).map(|byte| byte as u8).collect())),
        ("text", text(row)),
    ])
}

/// Also what the Java judge makes random records of.
pub(crate) const NESTED_SCHEMA: &str = r#"{
  "type": "record", "name": "Nested", "namespace": "judges.outer",
  "fields": [
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "namespace": "judges.other", "symbols": ["A", "B", "C"], "default": "A"}},
    {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 16}},
    {"name": "items", "type": {"type": "array", "items": {"type": "record", "name": "Item", "fields": [
      {"name": "hash", "type": ["null", "Hash"], "default": null},
      {"name": "kind", "type": "judges.other.Kind"},
      {"name": "count", "type": "long"}
    ]}}},
    {"name": "maps", "type": {"type": "map", "values": {"type": "array", "items": ["null", "string", "long", "bytes"]}}},
    {"name": "empty", "type": {"type": "record", "name": "Empty", "fields": []}},
    {"name": "list", "type": ["null", {"type": "record", "name": "List", "fields": [
      {"name": "value", "type": "string"},
      {"name": "next", "type": ["null", "List"]}
    ]}]},
    {"name": "text", "type": "string"}
  ]
}"#;

fn nested(row: i64) -> Avro {
    let kind = |n: i64| Avro::Enum((n % 3) as u32, ["A", "B", "C"][n as usize % 3].to_owned());
    let hash =
        |n: i64| Avro::Fixed(16, (n as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().to_vec());
    let item = |n: i64| {
        let hash = if n % 2 == 0 { branch(0, Avro::Null) } else { branch(1, hash(n)) };
        record([("hash", hash), ("kind", kind(n)), ("count", Avro::Long(n * n))])
    };
    let values = |n: i64| {
        Avro::Array(vec![
            branch(0, Avro::Null),
            branch(1, Avro::String(format!("value {n}"))),
            branch(2, Avro::Long(-n)),
            branch(3, Avro::Bytes(vec![0xff; n as usize])),
        ])
    };
    let mut list = branch(0, Avro::Null);
    for depth in 0..row % 40 {
        list = branch(1, record([("value", Avro::String(depth.to_string())), ("next", list)]));
    }
    record([
        ("kind", kind(row)),
        ("hash", hash(row)),
        ("items", Avro::Array((0..row % 7).map(item).collect())),
        ("maps", Avro::Map((0..row % 5).map(|n| (format!("k{n}"), values(n))).collect())),
        ("empty", record([])),
        ("list", list),
        ("text", text(row)),
    ])
}

const UNION_SCHEMA: &str = r#"[
  {"type": "record", "name": "judges.Created", "fields": [{"name": "id", "type": "long"}, {"name": "text", "type": "string"}]},
  {"type": "record", "name": "judges.Deleted", "fields": [{"name": "id", "type": "long"}, {"name": "why", "type": ["string", "null"]}]}
]"#;

fn union(row: i64) -> Avro {
    match row % 3 {
        0 => branch(1, record([("id", Avro::Long(row)), ("why", branch(1, Avro::Null))])),
        1 => branch(1, record([("id", Avro::Long(row)), ("why", branch(0, text(row)))])),
        _ => branch(0, record([("id", Avro::Long(row)), ("text", text(row))])),
    }
}

const LOGICAL_SCHEMA: &str = r#"{
  "type": "record", "name": "Logical", "namespace": "judges",
  "fields": [
    {"name": "millis", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "micros", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}], "default": null},
    {"name": "nanos", "type": {"type": "long", "logicalType": "timestamp-nanos"}},
    {"name": "local", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
    {"name": "date", "type": {"type": "int", "logicalType": "date"}},
    {"name": "time", "type": {"type": "int", "logicalType": "time-millis"}},
    {"name": "decimal", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    {"name": "duration", "type": {"type": "fixed", "name": "Duration", "size": 12, "logicalType": "duration"}},
    {"name": "uuid", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "unheard", "type": {"type": "string", "logicalType": "of-nobody"}}
  ]
}"#;

/// Values inside and outside of what the logical types mean: both are stored as they are.
fn logical(row: i64) -> Avro {
    let millis = if row % 50 == 0 { i64::MAX - row } else { 1_767_225_600_000 + row * 1000 };
    let micros = if row % 2 == 0 { branch(0, Avro::Null) } else { branch(1, Avro::Long(millis / 2)) };
    record([
        ("millis", Avro::Long(millis)),
        ("micros", micros),
        ("nanos", Avro::Long(-millis)),
        ("local", Avro::Long(millis)),
        ("date", Avro::Int(row as i32 - 400)),
        ("time", Avro::Int(i32::MAX - row as i32)),
        ("decimal", Avro::Bytes(row.to_be_bytes()[(row % 8) as usize..].to_vec())),
        ("duration", Avro::Fixed(12, vec![row as u8; 12])),
        ("uuid", Avro::String(if row % 3 == 0 { "no uuid".to_owned() } else { format!("{row:032x}") })),
        ("unheard", text(row)),
    ])
}
