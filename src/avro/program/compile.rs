//! From a parsed schema to a program.
//!
//! A record is compiled where it is defined, in place, and once more for the references to it, if there are any: per
//! step of the candidates' paths on which it is met, so that marks are only where a path leads. That bounds the
//! program by the schema's size times the paths' lengths, and recursion ends in calls.

use std::collections::{HashMap, HashSet};

use apache_avro::Schema;
use apache_avro::schema::{Name, RecordSchema, UnionSchema};

use super::paths::{Node, PathTree, Target};
use super::{MAX_LEVELS, Op, Program, Reading};
use crate::avro::schema::{Definitions, UnusableSchema, definitions};
use crate::avro::timestamp::Unit;

/// The most operations of a program; 12 MB. Within the limits on schemas only hostile ones come near it.
const MAX_OPS: usize = 1_000_000;

pub(super) struct Compiler<'s> {
    definitions: Definitions<'s>,
    paths: PathTree,
    /// The named types that take no byte.
    weightless: HashSet<&'s Name>,
    ops: Vec<Op>,
    branches: Vec<u32>,
    /// Whether these are the datum's own operations, not those of a record that is called.
    at_top: bool,
    /// Operations from here on may be joined with the next; something jumps here.
    landing: usize,
    /// Records that are called, in the order in which they are compiled. A call's target is an index of these until
    /// all their positions are known.
    callees: Vec<(&'s RecordSchema, Node)>,
    callee_index: HashMap<(&'s Name, Node), u32>,
}

impl<'s> Compiler<'s> {
    pub(super) fn new(schema: &'s Schema, paths: PathTree) -> Result<Self, UnusableSchema> {
        let mut compiler = Self {
            definitions: definitions(schema)?,
            paths,
            weightless: HashSet::new(),
            ops: Vec::new(),
            branches: Vec::new(),
            at_top: true,
            landing: 0,
            callees: Vec::new(),
            callee_index: HashMap::new(),
        };
        compiler.find_weightless(schema);
        Ok(compiler)
    }

    pub(super) fn program(mut self, schema: &'s Schema) -> Result<Program, UnusableSchema> {
        self.value(schema, Node::START, 0)?;
        self.emit(Op::End)?;
        self.at_top = false;
        let mut positions = Vec::new();
        while let Some(&(record, node)) = self.callees.get(positions.len()) {
            positions.push(self.land());
            self.record(record, node, 0)?;
            self.emit(Op::End)?;
        }
        for op in &mut self.ops {
            if let Op::Call { target, .. } = op {
                *target = positions[*target as usize];
            }
        }
        Ok(Program { ops: self.ops.into(), branches: self.branches.into() })
    }

    /// Notes which of the types that `schema` defines take no byte. A type is defined before it is referred to,
    /// except inside itself, and what contains itself directly is endless.
    fn find_weightless(&mut self, schema: &'s Schema) {
        match schema {
            Schema::Record(record) => {
                record.fields.iter().for_each(|field| self.find_weightless(&field.schema));
                if record.fields.iter().all(|field| self.is_weightless(&field.schema)) {
                    self.weightless.insert(&record.name);
                }
            }
            Schema::Fixed(fixed) if fixed.size == 0 => {
                self.weightless.insert(&fixed.name);
            }
            Schema::Union(union) => union.variants().iter().for_each(|branch| self.find_weightless(branch)),
            Schema::Array(array) => self.find_weightless(&array.items),
            Schema::Map(map) => self.find_weightless(&map.types),
            _ => {}
        }
    }

    fn is_weightless(&self, schema: &Schema) -> bool {
        matches!(schema, Schema::Null) || schema.name().is_some_and(|name| self.weightless.contains(name))
    }

    /// One value with `levels` levels around it.
    fn value(&mut self, schema: &'s Schema, node: Node, levels: u32) -> Result<(), UnusableSchema> {
        if let Some(target) = self.paths.target(node) {
            self.mark(schema, target)?;
        }
        match schema {
            Schema::Null => Ok(()),
            Schema::Boolean => self.emit(Op::Boolean),
            Schema::Int | Schema::Date | Schema::TimeMillis => self.emit(Op::Int),
            Schema::Long
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => self.emit(Op::Long),
            Schema::Float => self.skip(4),
            Schema::Double => self.skip(8),
            Schema::Bytes => self.emit(Op::Bytes),
            Schema::String => self.emit(Op::String),
            Schema::Fixed(fixed) => self.skip(fixed.size),
            Schema::Enum(symbols) => self.emit(Op::Enum(number(symbols.symbols.len())?)),
            Schema::Array(array) => self.items(&array.items, false, levels + 1),
            Schema::Map(map) => self.items(&map.types, true, levels + 1),
            Schema::Union(union) => self.union(union, node, levels),
            Schema::Record(record) => self.record(record, node, levels),
            Schema::Ref { name } => self.reference(name, node, levels),
            // The reduced form has left these as their base types.
            Schema::Decimal(_) | Schema::BigDecimal | Schema::Uuid(_) | Schema::Duration(_) => Err(
                UnusableSchema("the schema has a logical type that wasn't reduced to its base".to_owned()),
            ),
        }
    }

    fn record(&mut self, record: &'s RecordSchema, node: Node, levels: u32) -> Result<(), UnusableSchema> {
        // On which level the datum's own operations run is known here; nobody calls them.
        let fits = self.at_top && levels < MAX_LEVELS;
        if !fits && !self.weightless.contains(&record.name) {
            self.emit(Op::Level(levels + 1))?;
        }
        for field in &record.fields {
            let next = self.paths.step(node, &field.name);
            self.value(&field.schema, next, levels + 1)?;
        }
        Ok(())
    }

    fn reference(&mut self, name: &'s Name, node: Node, levels: u32) -> Result<(), UnusableSchema> {
        match self.definitions.get(name).copied() {
            // Nothing to check, nothing to find. (Calls that consume nothing could be exponentially many.)
            Some(_) if self.weightless.contains(name) && node == Node::ASTRAY => Ok(()),
            Some(Schema::Record(record)) => {
                let next = number(self.callees.len())?;
                let target = *self.callee_index.entry((&record.name, node)).or_insert(next);
                if target == next {
                    self.callees.push((record, node));
                }
                self.emit(Op::Call { level: levels, target })
            }
            // An enum or a fixed; whoever looked for it has been told so already.
            Some(leaf) => self.value(leaf, Node::ASTRAY, levels),
            None => Err(UnusableSchema(format!("the schema refers to {name}, which it doesn't define"))),
        }
    }

    fn items(&mut self, item: &'s Schema, keyed: bool, level: u32) -> Result<(), UnusableSchema> {
        let start = self.ops.len();
        self.emit(Op::Items { level, end: 0 })?;
        if keyed {
            self.emit(Op::String)?;
        }
        self.value(item, Node::ASTRAY, level)?;
        let size = match &self.ops[start + 1..] {
            [] => Some(0),
            [Op::Skip(size)] => Some(*size),
            _ => None,
        };
        if let Some(size) = size {
            self.ops.truncate(start);
            return self.emit(Op::FixedItems { level, size });
        }
        self.emit(Op::End)?;
        self.ops[start] = Op::Items { level, end: self.land() };
        Ok(())
    }

    fn union(&mut self, union: &'s UnionSchema, node: Node, levels: u32) -> Result<(), UnusableSchema> {
        match union.variants() {
            [Schema::Null, other] => self.nullable(0, other, node, levels),
            [other, Schema::Null] => self.nullable(1, other, node, levels),
            branches => self.branches(branches, node, levels),
        }
    }

    fn nullable(
        &mut self,
        null: u8,
        other: &'s Schema,
        node: Node,
        levels: u32,
    ) -> Result<(), UnusableSchema> {
        // The other branch, if it is taken, marks its value anew.
        if let Some(target) = self.paths.target(node) {
            self.mark(&Schema::Null, target)?;
        }
        let start = self.ops.len();
        self.emit(Op::Nullable { null, end: 0 })?;
        self.value(other, node, levels)?;
        self.ops[start] = Op::Nullable { null, end: self.land() };
        Ok(())
    }

    fn branches(&mut self, branches: &'s [Schema], node: Node, levels: u32) -> Result<(), UnusableSchema> {
        let first = self.branches.len();
        self.branches.resize(first + branches.len(), 0);
        self.emit(Op::Union { count: number(branches.len())?, first: number(first)? })?;
        let mut jumps = Vec::with_capacity(branches.len());
        for (index, branch) in branches.iter().enumerate() {
            self.branches[first + index] = self.land();
            self.value(branch, node, levels)?;
            jumps.push(self.ops.len());
            self.emit(Op::Jump(0))?;
        }
        let end = self.land();
        for jump in jumps {
            self.ops[jump] = Op::Jump(end);
        }
        Ok(())
    }

    fn mark(&mut self, schema: &Schema, target: Target) -> Result<(), UnusableSchema> {
        match schema {
            // Its branches mark themselves.
            Schema::Union(_) => Ok(()),
            _ => self.emit(Op::Mark { candidate: target.candidate, reading: reading(schema, target.unit) }),
        }
    }

    fn skip(&mut self, bytes: usize) -> Result<(), UnusableSchema> {
        if bytes == 0 {
            return Ok(());
        }
        let bytes = number(bytes)?;
        if self.ops.len() > self.landing
            && let Some(Op::Skip(before)) = self.ops.last_mut()
            && let Some(sum) = before.checked_add(bytes)
        {
            *before = sum;
            return Ok(());
        }
        self.emit(Op::Skip(bytes))
    }

    fn emit(&mut self, op: Op) -> Result<(), UnusableSchema> {
        if self.ops.len() >= MAX_OPS {
            return Err(UnusableSchema(format!("the schema compiles to more than {MAX_OPS} operations")));
        }
        self.ops.push(op);
        Ok(())
    }

    /// The next operation's position, to which something will jump.
    fn land(&mut self) -> u32 {
        self.landing = self.ops.len();
        // There are at most MAX_OPS.
        self.landing as u32
    }
}

fn number(count: usize) -> Result<u32, UnusableSchema> {
    u32::try_from(count).map_err(|_| UnusableSchema(format!("the schema has a count or size of {count}")))
}

/// How a value of type `schema` says when, for a candidate that states `unit`.
fn reading(schema: &Schema, unit: Option<Unit>) -> Reading {
    let of_its_own = |own| match unit {
        Some(stated) if stated != own => Reading::WrongType,
        _ => Reading::Count(own),
    };
    match schema {
        Schema::Null => Reading::Null,
        Schema::String => Reading::Text,
        Schema::Int | Schema::Long => unit.map_or(Reading::WrongType, Reading::Count),
        Schema::TimestampMillis | Schema::LocalTimestampMillis => of_its_own(Unit::Millis),
        Schema::TimestampMicros | Schema::LocalTimestampMicros => of_its_own(Unit::Micros),
        Schema::TimestampNanos | Schema::LocalTimestampNanos => of_its_own(Unit::Nanos),
        Schema::Date if unit.is_none() => Reading::Days,
        _ => Reading::WrongType,
    }
}
