//! Any schema and any value, with apache-avro as the judge.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A type, from which both a schema and values can be made.
#[derive(Clone, Debug)]
enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Date,
    Timestamp,
    Fixed(usize),
    Enum(u32),
    Array(Box<Self>),
    Map(Box<Self>),
    Union(Vec<Self>),
    Record(Vec<Self>),
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Null),
        Just(Shape::Boolean),
        Just(Shape::Int),
        Just(Shape::Long),
        Just(Shape::Float),
        Just(Shape::Double),
        Just(Shape::Bytes),
        Just(Shape::Text),
        Just(Shape::Date),
        Just(Shape::Timestamp),
        (0_usize..20).prop_map(Shape::Fixed),
        (1_u32..100).prop_map(Shape::Enum),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            inner.clone().prop_map(|item| Shape::Array(Box::new(item))),
            inner.clone().prop_map(|value| Shape::Map(Box::new(value))),
            vec(inner.clone(), 1..5).prop_map(union),
            vec(inner, 0..6).prop_map(Shape::Record),
        ]
    })
}

/// The datum's own: a record or a union of records.
fn top() -> impl Strategy<Value = Shape> {
    let record = || vec(shape(), 0..8).prop_map(Shape::Record);
    prop_oneof![3 => record(), 1 => vec(record(), 1..4).prop_map(Shape::Union)]
}

/// A union without unions and without two unnamed types of a kind.
fn union(shapes: Vec<Shape>) -> Shape {
    let mut branches: Vec<Shape> = Vec::new();
    for shape in shapes {
        let named = matches!(shape, Shape::Record(_) | Shape::Enum(_) | Shape::Fixed(_));
        let fits = named || branches.iter().all(|other| base(other) != base(&shape));
        if fits && !matches!(shape, Shape::Union(_)) {
            branches.push(shape);
        }
    }
    if branches.is_empty() { Shape::Null } else { Shape::Union(branches) }
}

fn base(shape: &Shape) -> std::mem::Discriminant<Shape> {
    std::mem::discriminant(match shape {
        Shape::Date => &Shape::Int,
        Shape::Timestamp => &Shape::Long,
        other => other,
    })
}

/// The schema's JSON; named types are numbered.
fn json(shape: &Shape, names: &mut usize) -> String {
    let mut name = || {
        *names += 1;
        format!("N{names}")
    };
    match shape {
        Shape::Null => "\"null\"".to_owned(),
        Shape::Boolean => "\"boolean\"".to_owned(),
        Shape::Int => "\"int\"".to_owned(),
        Shape::Long => "\"long\"".to_owned(),
        Shape::Float => "\"float\"".to_owned(),
        Shape::Double => "\"double\"".to_owned(),
        Shape::Bytes => "\"bytes\"".to_owned(),
        Shape::Text => "\"string\"".to_owned(),
        Shape::Date => r#"{"type":"int","logicalType":"date"}"#.to_owned(),
        Shape::Timestamp => r#"{"type":"long","logicalType":"timestamp-millis"}"#.to_owned(),
        Shape::Fixed(size) => format!(r#"{{"type":"fixed","name":"{}","size":{size}}}"#, name()),
        Shape::Enum(count) => {
            let symbols: Vec<_> = (0..*count).map(|n| format!("\"S{n}\"")).collect();
            format!(r#"{{"type":"enum","name":"{}","symbols":[{}]}}"#, name(), symbols.join(","))
        }
        Shape::Array(item) => format!(r#"{{"type":"array","items":{}}}"#, json(item, names)),
        Shape::Map(value) => format!(r#"{{"type":"map","values":{}}}"#, json(value, names)),
        Shape::Union(branches) => {
            let branches: Vec<_> = branches.iter().map(|branch| json(branch, names)).collect();
            format!("[{}]", branches.join(","))
        }
        Shape::Record(fields) => {
            let name = name();
            let fields: Vec<_> =
                fields.iter().enumerate().map(|(n, field)| field_json(n, field, names)).collect();
            format!(r#"{{"type":"record","name":"{name}","fields":[{}]}}"#, fields.join(","))
        }
    }
}

fn field_json(number: usize, field: &Shape, names: &mut usize) -> String {
    format!(r#"{{"name":"f{number}","type":{}}}"#, json(field, names))
}

fn value(shape: &Shape) -> BoxedStrategy<Value> {
    match shape {
        Shape::Null => Just(Value::Null).boxed(),
        Shape::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        Shape::Int => any::<i32>().prop_map(Value::Int).boxed(),
        Shape::Long => (any::<i64>(), 0..64).prop_map(|(long, shift)| Value::Long(long >> shift)).boxed(),
        Shape::Float => any::<f32>().prop_map(Value::Float).boxed(),
        Shape::Double => any::<f64>().prop_map(Value::Double).boxed(),
        Shape::Bytes => vec(any::<u8>(), 0..80).prop_map(Value::Bytes).boxed(),
        Shape::Text => ".{0,40}".prop_map(Value::String).boxed(),
        Shape::Date => any::<i32>().prop_map(Value::Date).boxed(),
        Shape::Timestamp => any::<i64>().prop_map(Value::TimestampMillis).boxed(),
        Shape::Fixed(size) => {
            vec(any::<u8>(), *size).prop_map(|bytes| Value::Fixed(bytes.len(), bytes)).boxed()
        }
        Shape::Enum(count) => (0..*count).prop_map(|n| Value::Enum(n, format!("S{n}"))).boxed(),
        Shape::Array(item) => vec(value(item), 0..4).prop_map(Value::Array).boxed(),
        Shape::Map(inner) => {
            let entries = proptest::collection::hash_map(".{0,9}", value(inner), 0..4);
            entries.prop_map(|entries: HashMap<_, _>| Value::Map(entries)).boxed()
        }
        Shape::Union(branches) => {
            let branches: Vec<_> = branches.iter().map(value).collect();
            (0..branches.len())
                .prop_flat_map(move |n| {
                    branches[n].clone().prop_map(move |value| Value::Union(n as u32, Box::new(value)))
                })
                .boxed()
        }
        Shape::Record(fields) => {
            let fields: Vec<_> = fields.iter().map(value).collect();
            fields
                .prop_map(|values| {
                    Value::Record(
                        values.into_iter().enumerate().map(|(n, value)| (format!("f{n}"), value)).collect(),
                    )
                })
                .boxed()
        }
    }
}

fn schema_and_value() -> impl Strategy<Value = (String, Value)> {
    top().prop_flat_map(|shape| (Just(json(&shape, &mut 0)), value(&shape)))
}

fn encode(schema: &str, value: Value) -> Vec<u8> {
    let schema = Schema::parse_str(schema).unwrap();
    GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap()
}

/// What apache-avro reads from `datum`, and how many bytes it leaves.
fn decode(schema: &str, mut datum: &[u8]) -> Result<usize, apache_avro::Error> {
    let schema = Schema::parse_str(schema).unwrap();
    GenericDatumReader::builder(&schema).build()?.read_value(&mut datum)?;
    Ok(datum.len())
}

/// Encodes `value` with every array and map in blocks of one or two items, some of them with their size.
fn encode_in_blocks(value: &Value, to: &mut Vec<u8>) {
    let blocks = |items: Vec<Vec<u8>>, to: &mut Vec<u8>| {
        for (n, block) in items.chunks(2).enumerate() {
            let bytes = block.concat();
            let count = block.len() as i64;
            if n % 2 == 0 {
                to.extend([encoded(-count), encoded(bytes.len() as i64), bytes].concat());
            } else {
                to.extend([encoded(count), bytes].concat());
            }
        }
        to.push(0);
    };
    let whole = |value: &Value, mut to: Vec<u8>| {
        encode_in_blocks(value, &mut to);
        to
    };
    match value {
        Value::Null => {}
        Value::Boolean(boolean) => to.push(u8::from(*boolean)),
        Value::Int(int) | Value::Date(int) => to.extend(encoded(i64::from(*int))),
        Value::Long(long) | Value::TimestampMillis(long) => to.extend(encoded(*long)),
        Value::Float(float) => to.extend(float.to_le_bytes()),
        Value::Double(double) => to.extend(double.to_le_bytes()),
        Value::Bytes(bytes) => to.extend([&encoded(bytes.len() as i64), &bytes[..]].concat()),
        Value::String(text) => to.extend(encoded_text(text)),
        Value::Fixed(_, bytes) => to.extend(bytes),
        Value::Enum(index, _) => to.extend(encoded(i64::from(*index))),
        Value::Array(items) => blocks(items.iter().map(|item| whole(item, Vec::new())).collect(), to),
        Value::Map(entries) => {
            blocks(entries.iter().map(|(key, value)| whole(value, encoded_text(key))).collect(), to);
        }
        Value::Union(index, value) => {
            to.extend(encoded(i64::from(*index)));
            encode_in_blocks(value, to);
        }
        Value::Record(fields) => fields.iter().for_each(|(_, value)| encode_in_blocks(value, to)),
        other => panic!("no shape makes {other:?}"),
    }
}

/// A tree whose nodes are records of any kind of recursion.
fn tree() -> impl Strategy<Value = Value> {
    let node = |left: Value, others: Vec<Value>, named: HashMap<String, Value>| {
        Value::Record(vec![
            ("label".to_owned(), Value::String("l".to_owned())),
            ("left".to_owned(), left),
            ("others".to_owned(), Value::Array(others)),
            ("named".to_owned(), Value::Map(named)),
        ])
    };
    let null = || Value::Union(0, Box::new(Value::Null));
    Just(node(null(), vec![], HashMap::new())).prop_recursive(6, 60, 5, move |inner| {
        let left = proptest::option::of(inner.clone())
            .prop_map(move |left| left.map_or_else(null, |tree| Value::Union(1, Box::new(tree))));
        let named = proptest::collection::hash_map("[a-z]{1,3}", inner.clone(), 0..2);
        (left, vec(inner, 0..3), named).prop_map(move |(left, others, named)| node(left, others, named))
    })
}

const TREE: &str = r#"{"type":"record","name":"Tree","namespace":"some.where","fields":[
    {"name":"label","type":"string"},
    {"name":"left","type":["null","Tree"]},
    {"name":"others","type":{"type":"array","items":"some.where.Tree"}},
    {"name":"named","type":{"type":"map","values":"Tree"}}]}"#;

proptest! {
    #[test]
    fn given_what_apache_avro_encodes_then_it_is_accepted_and_nothing_shorter_or_longer(
        (schema, value) in schema_and_value(), extra in any::<u8>(),
    ) {
        let program = program(&schema, &["field:f0", "field:f1.f0@ms"]);
        let mut datum = encode(&schema, value);
        prop_assert!(program.walk(&datum).is_ok());
        for end in 0..datum.len() {
            prop_assert!(program.walk(&datum[..end]).is_err(), "the first {end} bytes alone");
        }
        datum.push(extra);
        let error = program.walk(&datum).unwrap_err();
        prop_assert_eq!((error.at, error.what), (datum.len() - 1, TRAILING));
    }

    #[test]
    fn given_the_same_value_in_sized_blocks_then_it_is_accepted_too((schema, value) in schema_and_value()) {
        let program = program(&schema, &["field:f0", "field:f1.f0@ms"]);
        let mut datum = Vec::new();
        encode_in_blocks(&value, &mut datum);
        let times = program.walk(&datum);
        prop_assert!(times.is_ok(), "{times:?}");
        prop_assert_eq!(times, program.walk(&encode(&schema, value)));
    }

    #[test]
    fn given_a_recursive_value_then_it_is_accepted_and_nothing_shorter_or_longer(value in tree()) {
        let program = program(TREE, &["field:left.left.label"]);
        let datum = encode(TREE, value);
        prop_assert!(program.walk(&datum).is_ok());
        for end in 0..datum.len() {
            prop_assert!(program.walk(&datum[..end]).is_err(), "the first {end} bytes alone");
        }
        prop_assert!(program.walk(&[&datum[..], &[0]].concat()).is_err());
    }

    #[test]
    fn given_any_bytes_then_the_walk_returns(shape in top(), datum in vec(any::<u8>(), 0..200)) {
        let _outcome = program(&json(&shape, &mut 0), &["field:f0", "field:f1"]).walk(&datum);
    }

    #[test]
    fn given_a_damaged_datum_that_is_accepted_then_apache_avro_reads_all_of_it(
        (schema, value) in schema_and_value(), damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut datum = encode(&schema, value);
        prop_assume!(!datum.is_empty());
        for (index, byte) in damage {
            let index = index.index(datum.len());
            datum[index] = byte;
        }
        if program(&schema, &["field:f0"]).walk(&datum).is_ok() {
            prop_assert_eq!(decode(&schema, &datum).ok(), Some(0));
        }
    }
}
