//! Schemas made of several: what is referred to is put, as JSON, where it is first used.
//!
//! A container file's header must hold one self-contained schema. So every type that a reference brings is written
//! out at its first use in document order, the order in which an Avro parser meets names, and is only named from
//! then on. Working on the JSON keeps what a parser would drop: docs, logical types, aliases, defaults, properties
//! of one's own, the order of keys. Nothing here may change what a name means: each definition keeps the namespace
//! it was written under (`"namespace":""` is written out where it had none), and at the end an independent parser
//! must find exactly the names that were put in.
//!
//! Settled here:
//! - A reference that isn't used is ignored, as the registry does; a type nested in a reference may be used before
//!   the reference's own, or instead of it.
//! - A simple name is looked up in the enclosing namespace, then, as Avro's Java library does, without a namespace.
//!   From inside a namespace such a type can be written out but never named again: the specification has no way to.
//! - The same definition twice counts once; two different ones under one name are unusable.
//! - Whitespace is lost, numbers keep their value as 64-bit integers or doubles (`1.0` stays `1.0`; an integer
//!   beyond 64 bits becomes a double, which matters to properties of one's own only).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::schema::{self, UnusableSchema};
use crate::registry::{RawSchema, Reference};

/// The bytes of text that a schema and its references may have together; `schema::parse` limits their result.
const MAX_TEXT_BYTES: usize = schema::MAX_SCHEMA_BYTES;
/// Levels of JSON in the result; `serde_json`, and so the parser behind it, reads 127.
const MAX_DEPTH: usize = 127;

/// The self-contained text of `schema`; exactly its own text when it refers to nothing.
///
/// # Errors
/// When a reference isn't what its name says, a name is defined in several ways or not at all or can't be written,
/// or the result is too large or too deep.
pub fn inline(schema: &RawSchema) -> Result<String, UnusableSchema> {
    if schema.references.is_empty() {
        return Ok(schema.text.clone());
    }
    let (mut parts, mut bytes) = (Vec::new(), schema.text.len());
    parse_parts(&schema.references, &mut bytes, &mut parts)?;
    let mut types = Types::default();
    for (name, part) in &parts {
        check_part(name, part)?;
        types.collect(part, "", true)?;
    }
    let main = parse("the schema", &schema.text)?;
    let mut writer = Writer { types, placed: BTreeMap::new(), depth: 0 };
    let text = writer.schema(&main, "")?.to_string();
    check(&text, &writer.placed.keys().map(String::as_str).collect())?;
    Ok(text)
}

fn unusable<T>(reason: impl Into<String>) -> Result<T, UnusableSchema> {
    Err(schema::unusable(reason.into()))
}

fn parse(what: &str, text: &str) -> Result<Value, UnusableSchema> {
    serde_json::from_str(text).map_err(|error| schema::unusable(format!("{what} is not valid JSON: {error}")))
}

/// Each reference's name and schema, those of references too; `bytes` counts their text.
fn parse_parts<'a>(
    references: &'a [Reference],
    bytes: &mut usize,
    parts: &mut Vec<(&'a str, Value)>,
) -> Result<(), UnusableSchema> {
    for Reference { name, schema } in references {
        *bytes = bytes.saturating_add(schema.text.len());
        if *bytes > MAX_TEXT_BYTES {
            return unusable(format!("with its references it has more than {MAX_TEXT_BYTES} bytes"));
        }
        parts.push((name, parse(&format!("the reference `{name}`"), &schema.text)?));
        parse_parts(&schema.references, bytes, parts)?;
    }
    Ok(())
}

/// A reference must define the type that it is named for.
fn check_part(name: &str, part: &Value) -> Result<(), UnusableSchema> {
    match part.as_object().filter(|object| is_definition(object)) {
        None => unusable(format!("the reference `{name}` is not a record, enum or fixed")),
        Some(object) => match full_name(object, "") {
            Some(found) if found.full == name => Ok(()),
            Some(found) => unusable(format!("the reference `{name}` defines `{}`", found.full)),
            None => unusable(format!("the reference `{name}` defines a type without a name")),
        },
    }
}

fn is_definition(object: &Map<String, Value>) -> bool {
    matches!(object.get("type").and_then(Value::as_str), Some("record" | "error" | "enum" | "fixed"))
}

fn is_primitive(name: &str) -> bool {
    matches!(name, "null" | "boolean" | "int" | "long" | "float" | "double" | "bytes" | "string")
}

/// A full name, and the namespace in it (empty: none).
#[derive(Clone, Debug, PartialEq, Eq)]
struct FullName {
    full: String,
    namespace: String,
}

impl FullName {
    /// `name` as written inside `namespace`. A name with a dot is a full name.
    fn of(name: &str, namespace: &str) -> Self {
        match name.rsplit_once('.') {
            Some(("", simple)) => Self { full: simple.to_owned(), namespace: String::new() },
            Some((own, _)) => Self { full: name.to_owned(), namespace: own.to_owned() },
            None if namespace.is_empty() => Self { full: name.to_owned(), namespace: String::new() },
            None => Self { full: format!("{namespace}.{name}"), namespace: namespace.to_owned() },
        }
    }
}

/// The name that a definition inside `enclosing` defines; `None` when it has none.
fn full_name(object: &Map<String, Value>, enclosing: &str) -> Option<FullName> {
    let name = object.get("name")?.as_str()?;
    let namespace = object.get("namespace").and_then(Value::as_str).unwrap_or(enclosing);
    Some(FullName::of(name, namespace))
}

/// A named type as it was written, and the namespace it was written under.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Definition<'a> {
    object: &'a Map<String, Value>,
    enclosing: &'a str,
    /// Whether it is what a reference is named for, rather than nested in that.
    is_part: bool,
}

impl Definition<'_> {
    fn is_same(&self, other: &Self) -> bool {
        self.object == other.object && (self.enclosing == other.enclosing || self.is_closed())
    }

    /// Whether its meaning doesn't depend on where it was written.
    fn is_closed(&self) -> bool {
        let has_dot = self.object.get("name").and_then(Value::as_str).is_some_and(|name| name.contains('.'));
        has_dot || self.object.get("namespace").is_some_and(Value::is_string)
    }
}

/// The types that the references bring, by full name.
#[derive(Debug, Default)]
struct Types<'a> {
    by_name: BTreeMap<String, Definition<'a>>,
}

impl<'a> Types<'a> {
    /// Adds every type defined in `value`, which was written under `enclosing`.
    fn collect(&mut self, value: &'a Value, enclosing: &'a str, is_part: bool) -> Result<(), UnusableSchema> {
        let object = match value {
            Value::Array(branches) => {
                return branches.iter().try_for_each(|branch| self.collect(branch, enclosing, false));
            }
            Value::Object(object) => object,
            _ => return Ok(()),
        };
        let mut inner = enclosing;
        if is_definition(object)
            && let Some(name) = full_name(object, enclosing)
        {
            inner = own_namespace(object, enclosing);
            let definition = Definition { object, enclosing, is_part };
            let known = self.by_name.entry(name.full.clone()).or_insert(definition);
            if !known.is_same(&definition) {
                return defined_twice(&name.full);
            }
        }
        parts_of(object).try_for_each(|part| self.collect(part, inner, false))
    }
}

/// The namespace inside a definition, borrowed from where it is written.
fn own_namespace<'a>(object: &'a Map<String, Value>, enclosing: &'a str) -> &'a str {
    let text = |key| object.get(key).and_then(Value::as_str);
    match text("name").and_then(|name| name.rsplit_once('.')) {
        Some((namespace, _)) => namespace,
        None => text("namespace").unwrap_or(enclosing),
    }
}

/// The schemas directly inside a schema written as an object, in the order in which a parser reads them.
fn parts_of(object: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let kind = object.get("type");
    let part = match kind.and_then(Value::as_str) {
        Some("array") => object.get("items"),
        Some("map") => object.get("values"),
        Some(_) => None,
        None => kind,
    };
    let is_record = matches!(kind.and_then(Value::as_str), Some("record" | "error"));
    let fields = object.get("fields").filter(|_| is_record).and_then(Value::as_array);
    let types = fields.into_iter().flatten().filter_map(|field| field.get("type"));
    part.into_iter().chain(types)
}

fn defined_twice<T>(name: &str) -> Result<T, UnusableSchema> {
    unusable(format!("`{name}` is defined twice, and differently"))
}

/// Copies a schema, putting types where they are first used.
struct Writer<'a> {
    types: Types<'a>,
    /// What has been written out, by full name.
    placed: BTreeMap<String, Definition<'a>>,
    depth: usize,
}

impl<'a> Writer<'a> {
    /// `value`, which stands inside `namespace`.
    fn schema(&mut self, value: &'a Value, namespace: &'a str) -> Result<Value, UnusableSchema> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return unusable(format!("with its references it is more than {MAX_DEPTH} levels deep"));
        }
        let written = match value {
            Value::String(name) => self.name(name, value, namespace),
            Value::Array(branches) => {
                branches.iter().map(|branch| self.schema(branch, namespace)).collect::<Result<_, _>>()
            }
            Value::Object(object) => self.object(object, value, namespace),
            other => Ok(other.clone()),
        };
        self.depth -= 1;
        written
    }

    fn object(
        &mut self,
        object: &'a Map<String, Value>,
        value: &'a Value,
        namespace: &'a str,
    ) -> Result<Value, UnusableSchema> {
        if is_definition(object) {
            return self.definition(Definition { object, enclosing: namespace, is_part: false }, namespace);
        }
        match object.get("type") {
            // A name in an object's clothes: where it is written out, it takes the object's place, for Java
            // reads no `{"type": {…}}` outside of fields.
            Some(Value::String(name)) if !matches!(name.as_str(), "array" | "map") => {
                self.name(name, value, namespace)
            }
            _ => self.copy(object, namespace).map(Value::Object),
        }
    }

    /// `written`, which is a use of `name`: stays as it is, or becomes the definition if this is the first use.
    fn name(&mut self, name: &str, written: &Value, namespace: &'a str) -> Result<Value, UnusableSchema> {
        if is_primitive(name) {
            return Ok(written.clone());
        }
        let full = FullName::of(name, namespace).full;
        if self.placed.contains_key(&full) {
            return Ok(written.clone());
        }
        if let Some(definition) = self.types.by_name.get(&full).copied() {
            return self.definition(definition, namespace);
        }
        if self.placed.contains_key(name) {
            return unnameable(name, namespace);
        }
        match self.types.by_name.get(name).copied() {
            Some(definition) => self.definition(definition, namespace),
            None => unusable(format!("`{full}` is used, but neither the schema nor a reference defines it")),
        }
    }

    /// Writes `definition` out inside `namespace`, or names it if that has been done.
    fn definition(&mut self, definition: Definition<'a>, namespace: &str) -> Result<Value, UnusableSchema> {
        let Some(name) = full_name(definition.object, definition.enclosing) else {
            return unusable("a record, enum or fixed has no name");
        };
        let is_other = |known: &Definition<'a>| !known.is_same(&definition);
        if self.placed.get(&name.full).is_some_and(is_other)
            || self.types.by_name.get(&name.full).is_some_and(is_other)
        {
            return defined_twice(&name.full);
        }
        if self.placed.contains_key(&name.full) {
            let is_nameable = !name.namespace.is_empty() || namespace.is_empty();
            return if is_nameable {
                Ok(Value::String(name.full))
            } else {
                unnameable(&name.full, namespace)
            };
        }
        self.placed.insert(name.full.clone(), definition);
        let mut copy =
            self.copy(definition.object, own_namespace(definition.object, definition.enclosing))?;
        let is_moved = definition.is_part || definition.enclosing != namespace;
        if is_moved && !definition.is_closed() {
            copy = with_namespace(copy, definition.enclosing);
        }
        Ok(Value::Object(copy))
    }

    /// `object` with the schemas inside it, which stand inside `namespace`, written anew.
    fn copy(
        &mut self,
        object: &'a Map<String, Value>,
        namespace: &'a str,
    ) -> Result<Map<String, Value>, UnusableSchema> {
        let kind = object.get("type").and_then(Value::as_str);
        let mut copy = Map::new();
        for (key, value) in object {
            let value = match (key.as_str(), kind) {
                ("fields", Some("record" | "error")) => self.fields(value, namespace)?,
                ("items", Some("array")) | ("values", Some("map")) | ("type", None) => {
                    self.schema(value, namespace)?
                }
                _ => value.clone(),
            };
            copy.insert(key.clone(), value);
        }
        Ok(copy)
    }

    fn fields(&mut self, fields: &'a Value, namespace: &'a str) -> Result<Value, UnusableSchema> {
        let Value::Array(fields) = fields else { return Ok(fields.clone()) };
        self.depth += 2;
        let mut copies = Vec::with_capacity(fields.len());
        for field in fields {
            let mut copy = field.clone();
            if let (Some(kind), Some(slot)) = (field.get("type"), copy.get_mut("type")) {
                *slot = self.schema(kind, namespace)?;
            }
            copies.push(copy);
        }
        self.depth -= 2;
        Ok(Value::Array(copies))
    }
}

fn unnameable<T>(name: &str, namespace: &str) -> Result<T, UnusableSchema> {
    unusable(format!(
        "`{name}`, which has no namespace, is used again inside `{namespace}`, where Avro has no way to name it"
    ))
}

/// `object` with `"namespace"` behind its name.
fn with_namespace(object: Map<String, Value>, namespace: &str) -> Map<String, Value> {
    let mut written = Map::new();
    for (key, value) in object {
        let is_name = key == "name";
        // One that is there is no text, so it says nothing.
        if key != "namespace" {
            written.insert(key, value);
        }
        if is_name {
            written.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
        }
    }
    written
}

/// Parses `text` and compares the names it finds with those that were put in.
fn check(text: &str, placed: &BTreeSet<&str>) -> Result<(), UnusableSchema> {
    let invalid = |UnusableSchema(reason)| schema::unusable(format!("with its references inlined, {reason}"));
    let schema = schema::parse(text).map_err(invalid)?;
    let definitions = schema::definitions(&schema).map_err(invalid)?;
    let found: BTreeSet<&str> = definitions.keys().map(AsRef::as_ref).collect();
    match found.symmetric_difference(placed).next() {
        Some(name) => unusable(format!("`{name}` would mean something else with the references inlined")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
