//! The object store: conditional puts that may fail, land late, or both.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::publishing::digest_of;
use super::world::World;
use crate::core::batch::BatchId;
use crate::core::intent::Coverage;
use crate::core::layout::Hour;
use crate::core::start::Stored as StoredBefore;
use crate::sink::Digest;
use crate::types::SchemaId;

/// What the default template's key tells apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) partition: usize,
    pub(super) prefix: String,
    pub(super) hour: Hour,
    pub(super) count: usize,
    pub(super) uuid: u128,
}

/// A file, with what its header says.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) key: Key,
    pub(super) schema: SchemaId,
    pub(super) rows: Vec<u32>,
    pub(super) digest: Digest,
    pub(super) topic_id: u128,
    pub(super) covered_from: i64,
    pub(super) range: (i64, i64),
    pub(super) metadata: Rc<str>,
    pub(super) part: Part,
}

#[derive(Debug)]
pub(super) enum Part {
    First { cover: Coverage, files: Vec<(Key, Digest)> },
    Further { first: Key },
}

/// A put on its way, and who waits for its answer: process, batch, and the file's place in it.
#[derive(Debug)]
pub(super) struct Flying {
    pub(super) object: Rc<Object>,
    pub(super) reply: Option<(u64, BatchId, usize)>,
}

/// How a put ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Created,
    Equal,
    Conflict,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) objects: BTreeMap<Key, Rc<Object>>,
    pub(super) flying: Vec<Flying>,
}

impl World {
    /// One put arrives at the store.
    pub(super) fn land(&mut self, index: usize) {
        let Flying { object, reply } = self.store.flying.swap_remove(index);
        let stored = match self.store.objects.get(&object.key) {
            None => Stored::Created,
            Some(there) if there.digest == object.digest => Stored::Equal,
            Some(_) => Stored::Conflict,
        };
        if !self.is_awaited(reply) {
            self.seen.late_puts += 1;
        }
        if self.trace.is_some() {
            self.note(format!("{stored:?} {:?} of {:?}", object.key, object.range));
        }
        match stored {
            Stored::Created => self.created(&object),
            Stored::Equal => self.seen.equal_puts += 1,
            Stored::Conflict => self.seen.conflicts += 1,
        }
        self.put_answered(reply, Some(stored));
    }

    /// A put fails, as far as its process can tell; it may still land.
    pub(super) fn fail_put(&mut self, index: usize) {
        self.seen.failed_puts += 1;
        let lands = self.draw.one_in(2);
        let reply = if lands {
            self.store.flying[index].reply.take()
        } else {
            self.store.flying.swap_remove(index).reply
        };
        self.put_answered(reply, None);
    }

    /// Something else is stored where a file on its way is to be: a cluster that was migrated under the same name, a
    /// hand that slipped.
    pub(super) fn spoil(&mut self, index: usize) {
        let object = &self.store.flying[index].object;
        let key = object.key.clone();
        if !self.store.objects.contains_key(&key) {
            let other = Object {
                key: key.clone(),
                schema: object.schema,
                rows: Vec::new(),
                digest: Digest(!object.digest.0),
                topic_id: object.topic_id,
                covered_from: object.covered_from,
                range: object.range,
                metadata: Rc::clone(&object.metadata),
                part: Part::Further { first: key.clone() },
            };
            self.disturbed[key.partition] = true;
            self.spoiled[key.partition] = true;
            self.store.objects.insert(key, Rc::new(other));
        }
    }

    /// An object becomes visible.
    fn created(&mut self, object: &Rc<Object>) {
        // Invariant 2: its batch's intent was committed before, by a generation that was current.
        if !self.promised[object.key.partition].contains_key(&*object.metadata) {
            self.blame(format!("{:?} became visible before its promise (invariant 2)", object.key));
        }
        for uid in &object.rows {
            let record = &mut self.records[*uid as usize];
            record.stored += 1;
            if record.stored > 1 {
                let what = format!("record {uid} is stored twice: {record:?}, now in {:?}", object.key);
                self.blame(what);
            }
        }
        self.check_rows(object);
        self.store.objects.insert(object.key.clone(), Rc::clone(object));
    }

    /// Invariant 3: the rows follow from the records and the intent.
    fn check_rows(&mut self, object: &Object) {
        let sorted = object
            .rows
            .windows(2)
            .all(|pair| self.records[pair[0] as usize].offset < self.records[pair[1] as usize].offset);
        let (first, end) = object.range;
        let inside = object.rows.iter().all(|uid| {
            let record = &self.records[*uid as usize];
            (first..end).contains(&record.offset) && record.topic_id == object.topic_id
        });
        if !sorted || !inside || object.digest != digest_of(&object.rows) {
            self.blame(format!("{:?} holds other rows than its header says (invariant 3)", object.key));
        }
    }

    /// What the sink says of `partition` to a group without offsets.
    pub(super) fn stored_before(&self, partition: usize, last: bool) -> StoredBefore {
        let topic_id = self.log(partition).topic_id;
        let objects = self.store.objects.values();
        let mine = objects.filter(|object| object.key.partition == partition && object.topic_id == topic_id);
        let Some(object) = mine.max_by_key(|object| object.range.1) else { return StoredBefore::Nothing };
        if !last {
            return StoredBefore::Files;
        }
        let first = self.first_of(object);
        let totals = first.and_then(|first| match &first.part {
            Part::First { cover, files } => Some((cover, files)),
            Part::Further { .. } => None,
        });
        StoredBefore::Last {
            metadata: object.metadata.to_string(),
            complete: totals
                .is_some_and(|(_, files)| files.iter().all(|(key, _)| self.store.objects.contains_key(key))),
            dead_letters: totals.is_none_or(|(cover, _)| cover.dead_letters > 0),
        }
    }

    /// The first file of the object's batch, if it is there.
    fn first_of<'a>(&'a self, object: &'a Object) -> Option<&'a Object> {
        match &object.part {
            Part::First { .. } => Some(object),
            Part::Further { first } => self.store.objects.get(first).map(|first| &**first),
        }
    }
}
