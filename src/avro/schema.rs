//! A writer's schema.
//!
//! It owns the text, which goes unchanged into files' headers, and decides whether records of it can be stored at
//! all. Texts come from a registry that anyone may have written to: whatever they are, parsing them takes bounded
//! time and memory and never panics. apache-avro does the parsing, of a reduced form that holds only what decides
//! how datums are encoded; it is too trusting with the rest.

use std::collections::HashMap;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::schema::Name;
use xxhash_rust::xxh3::xxh3_128;

use crate::types::SchemaId;

mod reduced;
#[cfg(test)]
mod tests;
pub(crate) mod weightless;

/// The longest text of a schema, in bytes.
pub const MAX_SCHEMA_BYTES: usize = 1 << 20;

/// The longest reason kept of an [`UnusableSchema`] whose text may quote the schema, in characters.
const MAX_REASON_CHARS: usize = 300;

/// A schema that valve can never store records of, and why: not Avro, or neither a record nor a union of records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnusableSchema(pub String);

/// The schema that records were written with, as it goes into their files' headers.
#[derive(Debug)]
pub struct WriterSchema {
    id: SchemaId,
    text: Arc<str>,
    fingerprint: u128,
}

impl WriterSchema {
    /// Parses `text`: exactly as registered, or, if it refers to others, with those inlined.
    ///
    /// # Errors
    /// When it is not a valid schema, no record and no union of records, or beyond the limits: [`MAX_SCHEMA_BYTES`],
    /// 127 nested JSON values, names of 512 bytes and 2 MiB of them with their namespaces, 100,000 fields, symbols
    /// and branches.
    pub fn new(id: SchemaId, text: &str) -> Result<Self, UnusableSchema> {
        let schema = parse(text)?;
        definitions(&schema)?;
        Ok(Self { id, text: text.into(), fingerprint: xxh3_128(text.as_bytes()) })
    }

    /// The registry's id.
    #[must_use]
    pub fn id(&self) -> SchemaId {
        self.id
    }

    /// The text for `avro.schema`.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// XXH3-128 of the text.
    #[must_use]
    pub fn fingerprint(&self) -> u128 {
        self.fingerprint
    }

    /// The schema as apache-avro has it, for the compiler. Made anew each time: it takes many times the memory of
    /// the text, and nobody needs it once the program is there.
    pub(crate) fn parsed(&self) -> Result<Schema, UnusableSchema> {
        parse(&self.text)
    }
}

pub(super) fn parse(text: &str) -> Result<Schema, UnusableSchema> {
    if text.len() > MAX_SCHEMA_BYTES {
        let length = text.len();
        return Err(UnusableSchema(format!(
            "the schema has {length} bytes; at most {MAX_SCHEMA_BYTES} are accepted"
        )));
    }
    // serde_json itself refuses more than 127 nested values, which bounds every recursion over a schema.
    let json =
        serde_json::from_str(text).map_err(|error| unusable(format!("the schema is not JSON: {error}")))?;
    let schema = Schema::parse(&reduced::reduce(&json)?)
        .map_err(|error| unusable(format!("the schema is not valid Avro: {error}")))?;
    check_top_level(&schema)?;
    Ok(schema)
}

fn check_top_level(schema: &Schema) -> Result<(), UnusableSchema> {
    let refused = |what: String| {
        Err(UnusableSchema(format!("a schema must be a record or a union of records; {what}")))
    };
    match schema {
        Schema::Record(_) => Ok(()),
        Schema::Union(union) if union.variants().is_empty() => refused("this is an empty union".to_owned()),
        Schema::Union(union) => {
            // A branch may name a record that an earlier one defines.
            let definitions = definitions(schema)?;
            let mut branches = union.variants().iter().map(|branch| match branch {
                Schema::Ref { name } => definitions.get(name).copied().unwrap_or(branch),
                branch => branch,
            });
            match branches.find(|branch| !matches!(branch, Schema::Record(_))) {
                None => Ok(()),
                Some(branch) => refused(format!("this is a union with the branch {}", kind(branch))),
            }
        }
        other => refused(format!("this is of type {}", kind(other))),
    }
}

/// A type's name in the words of the Avro specification.
fn kind(schema: &Schema) -> &'static str {
    match schema {
        Schema::Null => "null",
        Schema::Boolean => "boolean",
        Schema::Int => "int",
        Schema::Long => "long",
        Schema::Float => "float",
        Schema::Double => "double",
        Schema::Bytes => "bytes",
        Schema::String => "string",
        Schema::Array(_) => "array",
        Schema::Map(_) => "map",
        Schema::Union(_) => "union",
        Schema::Record(_) => "record",
        Schema::Enum(_) => "enum",
        Schema::Fixed(_) => "fixed",
        Schema::Ref { .. } => "that names a type defined nowhere",
        Schema::Date | Schema::TimeMillis => "int (with a logical type)",
        _ => "long (with a logical type)",
    }
}

/// The named types of a schema by their full names.
pub(super) type Definitions<'s> = HashMap<&'s Name, &'s Schema>;

/// What `schema` defines. (apache-avro's own table puts a type of `"namespace": ""` into the namespace around it.)
///
/// # Errors
/// When a name is defined twice, or is that of a primitive type: apache-avro takes the last, others something else.
pub(super) fn definitions(schema: &Schema) -> Result<Definitions<'_>, UnusableSchema> {
    let mut found = Definitions::new();
    define(schema, &mut found)?;
    Ok(found)
}

const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

fn define<'s>(schema: &'s Schema, found: &mut Definitions<'s>) -> Result<(), UnusableSchema> {
    if let Schema::Record(_) | Schema::Enum(_) | Schema::Fixed(_) = schema
        && let Some(name) = schema.name()
    {
        if PRIMITIVES.contains(&name.as_ref()) {
            return Err(unusable(format!(
                "the schema defines a type named {name}, which is a primitive type"
            )));
        }
        if found.insert(name, schema).is_some() {
            return Err(unusable(format!("the schema defines {name} twice")));
        }
    }
    match schema {
        Schema::Record(record) => record.fields.iter().try_for_each(|field| define(&field.schema, found)),
        Schema::Union(union) => union.variants().iter().try_for_each(|branch| define(branch, found)),
        Schema::Array(array) => define(&array.items, found),
        Schema::Map(map) => define(&map.types, found),
        _ => Ok(()),
    }
}

/// A reason that may quote the schema, cut to a bearable length.
pub(super) fn unusable(reason: String) -> UnusableSchema {
    match reason.char_indices().nth(MAX_REASON_CHARS) {
        None => UnusableSchema(reason),
        Some((end, _)) => UnusableSchema(format!("{}…", &reason[..end])),
    }
}
