//! A lane's (or a takeover's) own view of the schemas: compiled for its timestamps, found without locks or hashing most of the time.

use std::collections::HashMap;
use std::sync::Arc;

use crate::avro::program::Program;
use crate::avro::schema::WriterSchema;
use crate::avro::timestamp::TimestampRules;
use crate::registry::cache::Lookup;
use crate::types::SchemaId;

/// What a lane knows of a schema id.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Its records can be stored.
    Usable(Usable),
    /// They can't, for this reason.
    Unusable(Arc<str>),
}

/// A schema whose records can be stored.
#[derive(Debug)]
pub(crate) struct Usable {
    pub(crate) schema: Arc<WriterSchema>,
    pub(crate) program: Program,
}

/// The schemas that a lane has met. They are never forgotten: a registry's ids are few, and never change.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    verdicts: HashMap<SchemaId, Arc<Verdict>>,
    last: Option<(SchemaId, Arc<Verdict>)>,
}

impl Schemas {
    /// What is known of `id`; `None` when the registry is still to be asked.
    pub(crate) fn get(&mut self, id: SchemaId) -> Option<&Arc<Verdict>> {
        if self.last.as_ref().is_none_or(|(last, _)| *last != id) {
            let verdict = self.verdicts.get(&id)?;
            self.last = Some((id, Arc::clone(verdict)));
        }
        self.last.as_ref().map(|(_, verdict)| verdict)
    }

    /// Keeps the registry's answer; `false` if it is that it doesn't know the id, which isn't kept.
    pub(crate) fn learn(&mut self, id: SchemaId, lookup: Lookup, timestamps: &TimestampRules) -> bool {
        let verdict = match lookup {
            Lookup::Unknown => return false,
            Lookup::Unusable(reason) => Verdict::Unusable(reason),
            Lookup::Known(schema) => match Program::compile(&schema, timestamps) {
                Ok(program) => {
                    for field in program.without(timestamps) {
                        tracing::warn!(
                            schema = %id, timestamp = %field,
                            "the schema has no such field: its records take the next of the setting's list, or are dead letters"
                        );
                    }
                    Verdict::Usable(Usable { schema, program })
                }
                Err(unusable) => Verdict::Unusable(unusable.to_string().into()),
            },
        };
        self.verdicts.insert(id, Arc::new(verdict));
        true
    }
}
