//! What of a schema's JSON decides how its datums are encoded, and when they happened: types, names, fields,
//! symbols, sizes, and the logical types of ints and longs.
//!
//! Only this is given to apache-avro, because of what version 0.22 does with the rest: it evaluates fields' defaults,
//! which takes exponential time where defaults nest; copies a type once per alias and lets aliases be referred to;
//! refuses a known logical type on an array, a record or an enum, which the specification wants ignored; skips
//! fields that are no JSON objects; takes `{"type": "fixed"}` without a size for a type of that name. And it copies
//! a record into each record around it, and checks the whole namespace of each use of a name, slowly: hence the
//! limits on parts and names.

use serde_json::{Map, Value, json};

use super::{PRIMITIVES, UnusableSchema, unusable};

/// The longest name, namespace or reference, in bytes.
const MAX_NAME_BYTES: usize = 512;

/// The most bytes of all names of types, each counted with the namespace that it is in.
const MAX_ALL_NAMES_BYTES: usize = 2 << 20;

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
    Reducer { parts: 0, records_around: 0, name_bytes: 0, namespace_bytes: 0 }.schema(json)
}

struct Reducer {
    parts: usize,
    records_around: usize,
    name_bytes: usize,
    /// At least the length of the namespace here.
    namespace_bytes: usize,
}

impl Reducer {
    fn schema(&mut self, json: &Value) -> Result<Value, UnusableSchema> {
        self.count_part()?;
        match json {
            Value::String(name) if PRIMITIVES.contains(&name.as_str()) => Ok(json.clone()),
            Value::String(name) => {
                self.count_name(name.len())?;
                Ok(Value::String(short(name)?))
            }
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
                self.named("enum", complex, "symbols", symbols)
            }
            Some("fixed") => self.named("fixed", complex, "size", fixed_size(complex)?),
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
        let around = self.namespace_bytes;
        // A namespace is stated either way, or that around it goes on.
        let stated =
            ["name", "namespace"].map(|key| complex.get(key).and_then(Value::as_str).map_or(0, str::len));
        self.namespace_bytes = around.max(stated[0]).max(stated[1]);
        self.records_around += 1;
        let fields = self.list(array(complex, "fields")?, Self::field)?;
        self.records_around -= 1;
        self.namespace_bytes = around;
        self.named("record", complex, "fields", fields)
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

    /// A named type: its name, and the one member that matters.
    fn named(
        &mut self,
        kind: &str,
        complex: &Map<String, Value>,
        key: &str,
        value: Value,
    ) -> Result<Value, UnusableSchema> {
        let name = text(complex, "name")?;
        self.count_name(name.len())?;
        let mut reduced = Map::new();
        reduced.insert("type".to_owned(), kind.into());
        reduced.insert("name".to_owned(), name.into());
        if complex.get("namespace").is_some_and(|namespace| !namespace.is_null()) {
            let namespace = text(complex, "namespace")?;
            self.count_name(namespace.len())?;
            reduced.insert("namespace".to_owned(), namespace.into());
        }
        reduced.insert(key.to_owned(), value);
        Ok(Value::Object(reduced))
    }

    fn count_name(&mut self, bytes: usize) -> Result<(), UnusableSchema> {
        self.name_bytes += bytes + self.namespace_bytes;
        if self.name_bytes > MAX_ALL_NAMES_BYTES {
            return Err(UnusableSchema(format!(
                "the names of types in the schema, with their namespaces, have more than {MAX_ALL_NAMES_BYTES} bytes"
            )));
        }
        Ok(())
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

/// `name`, unless it is too long to be one.
fn short(name: &str) -> Result<String, UnusableSchema> {
    if name.len() > MAX_NAME_BYTES {
        return Err(unusable(format!("the schema has a name of more than {MAX_NAME_BYTES} bytes: {name}")));
    }
    Ok(name.to_owned())
}
