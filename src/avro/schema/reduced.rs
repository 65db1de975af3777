//! What of a schema's JSON decides how its datums are encoded, and when they happened: types, names, fields,
//! symbols, sizes, and the logical types of ints and longs.
//!
//! Only this is given to apache-avro, because of what version 0.22 does with the rest: it evaluates fields' defaults,
//! which takes exponential time where defaults nest; copies a type once per alias and lets aliases be referred to;
//! refuses a known logical type on an array, a record or an enum, which the specification wants ignored; skips
//! fields that are no JSON objects; takes `{"type": "fixed"}` without a size for a type of that name. And it copies
//! a record into each record around it, hence the limit on parts.

use serde_json::{Map, Value, json};

use super::{UnusableSchema, unusable};

/// The longest name, namespace or reference, in bytes.
const MAX_NAME_BYTES: usize = 512;

/// The most fields, symbols, branches and other types in a schema, each counted once more per record around it.
const MAX_PARTS: usize = 100_000;

/// The largest size of a fixed, in bytes: what Avro's own library can hold.
const MAX_FIXED_BYTES: u64 = i32::MAX as u64;

/// Those that say what a number counts; all others change nothing that concerns valve.
const LOGICAL_TYPES: [&str; 9] = [
    "date",
    "time-millis",
    "time-micros",
    "timestamp-millis",
    "timestamp-micros",
    "timestamp-nanos",
    "local-timestamp-millis",
    "local-timestamp-micros",
    "local-timestamp-nanos",
];

/// The reduced form of the schema `json`.
///
/// # Errors
/// When it isn't built like a schema, or exceeds a limit.
pub(super) fn reduce(json: &Value) -> Result<Value, UnusableSchema> {
    Reducer { parts: 0, records_around: 0 }.schema(json)
}

struct Reducer {
    parts: usize,
    records_around: usize,
}

impl Reducer {
    fn schema(&mut self, json: &Value) -> Result<Value, UnusableSchema> {
        self.count_part()?;
        match json {
            Value::String(name) => Ok(Value::String(short(name)?)),
            Value::Array(branches) => self.list(branches, Self::schema),
            Value::Object(complex) => self.complex(complex),
            other => Err(unusable(format!("the schema has {other} where a type must be"))),
        }
    }

    fn complex(&mut self, complex: &Map<String, Value>) -> Result<Value, UnusableSchema> {
        let Some(kind) = complex.get("type") else {
            return Err(unusable(
                "the schema has an object without \"type\" where a type must be".to_owned(),
            ));
        };
        match kind.as_str() {
            Some("record") => self.record(complex),
            Some("enum") => {
                let symbols = self.list(array(complex, "symbols")?, Self::symbol)?;
                named("enum", complex, "symbols", symbols)
            }
            Some("fixed") => named("fixed", complex, "size", fixed_size(complex)?),
            Some("array") => Ok(json!({ "type": "array", "items": self.schema(member(complex, "items")?)? })),
            Some("map") => Ok(json!({ "type": "map", "values": self.schema(member(complex, "values")?)? })),
            _ => self.annotated(kind, complex.get("logicalType")),
        }
    }

    /// `{"type": kind, …}` of a primitive type or another schema: the same as `kind`, but for a logical type.
    fn annotated(&mut self, kind: &Value, logical: Option<&Value>) -> Result<Value, UnusableSchema> {
        let base = self.schema(kind)?;
        let counts = matches!(base.as_str(), Some("int" | "long"));
        match logical.and_then(Value::as_str) {
            Some(logical) if counts && LOGICAL_TYPES.contains(&logical) => {
                Ok(json!({ "type": base, "logicalType": logical }))
            }
            _ => Ok(base),
        }
    }

    fn record(&mut self, complex: &Map<String, Value>) -> Result<Value, UnusableSchema> {
        self.records_around += 1;
        let fields = self.list(array(complex, "fields")?, Self::field)?;
        self.records_around -= 1;
        named("record", complex, "fields", fields)
    }

    fn field(&mut self, field: &Value) -> Result<Value, UnusableSchema> {
        let Some(field) = field.as_object() else {
            return Err(unusable(format!("the schema has a field that is no JSON object: {field}")));
        };
        Ok(json!({ "name": text(field, "name")?, "type": self.schema(member(field, "type")?)? }))
    }

    fn symbol(&mut self, symbol: &Value) -> Result<Value, UnusableSchema> {
        self.count_part()?;
        match symbol {
            Value::String(symbol) => Ok(Value::String(short(symbol)?)),
            other => Err(unusable(format!("the schema has an enum symbol that is no string: {other}"))),
        }
    }

    fn list(
        &mut self,
        parts: &[Value],
        each: fn(&mut Self, &Value) -> Result<Value, UnusableSchema>,
    ) -> Result<Value, UnusableSchema> {
        parts.iter().map(|part| each(self, part)).collect::<Result<_, _>>().map(Value::Array)
    }

    fn count_part(&mut self) -> Result<(), UnusableSchema> {
        self.parts += 1 + self.records_around;
        if self.parts > MAX_PARTS {
            return Err(UnusableSchema(format!(
                "the schema has more than {MAX_PARTS} parts (fields, symbols, branches, each counted once more per record around it)"
            )));
        }
        Ok(())
    }
}

/// A named type: its name, and the one member that matters.
fn named(kind: &str, complex: &Map<String, Value>, key: &str, value: Value) -> Result<Value, UnusableSchema> {
    let mut reduced = Map::new();
    reduced.insert("type".to_owned(), kind.into());
    reduced.insert("name".to_owned(), text(complex, "name")?.into());
    if complex.get("namespace").is_some_and(|namespace| !namespace.is_null()) {
        reduced.insert("namespace".to_owned(), text(complex, "namespace")?.into());
    }
    reduced.insert(key.to_owned(), value);
    Ok(Value::Object(reduced))
}

fn fixed_size(complex: &Map<String, Value>) -> Result<Value, UnusableSchema> {
    let size = member(complex, "size")?;
    match size.as_u64() {
        Some(bytes) if bytes <= MAX_FIXED_BYTES => Ok(bytes.into()),
        _ => Err(unusable(format!(
            "the schema has a fixed of size {size}; sizes are whole numbers from 0 to {MAX_FIXED_BYTES}"
        ))),
    }
}

fn member<'j>(complex: &'j Map<String, Value>, key: &str) -> Result<&'j Value, UnusableSchema> {
    complex.get(key).ok_or_else(|| missing(complex, key, "it is missing"))
}

fn array<'j>(complex: &'j Map<String, Value>, key: &str) -> Result<&'j [Value], UnusableSchema> {
    match member(complex, key)? {
        Value::Array(values) => Ok(values),
        _ => Err(missing(complex, key, "it is no array")),
    }
}

fn text(complex: &Map<String, Value>, key: &str) -> Result<String, UnusableSchema> {
    match member(complex, key)? {
        Value::String(text) => short(text),
        _ => Err(missing(complex, key, "it is no string")),
    }
}

fn missing(complex: &Map<String, Value>, key: &str, problem: &str) -> UnusableSchema {
    let whose = complex.get("name").or(complex.get("type")).unwrap_or(&Value::Null);
    unusable(format!("the schema needs \"{key}\" in {whose}, but {problem}"))
}

/// `name`, unless it is too long to be one. Each use of a name is checked and copied together with its namespace,
/// so that long ones would cost their square.
fn short(name: &str) -> Result<String, UnusableSchema> {
    if name.len() > MAX_NAME_BYTES {
        return Err(unusable(format!("the schema has a name of more than {MAX_NAME_BYTES} bytes: {name}")));
    }
    Ok(name.to_owned())
}
