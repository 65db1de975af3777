//! A writer's schema.

use std::sync::Arc;

use crate::types::SchemaId;

/// A schema that valve can never store records of, and why: not Avro, or neither a record nor a union of records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnusableSchema(pub String);

/// The schema that records were written with, as it goes into their files' headers.
#[derive(Debug)]
pub struct WriterSchema {
    id: SchemaId,
    text: Arc<str>,
}

impl WriterSchema {
    /// Parses `text`: exactly as registered, or, if it refers to others, with those inlined.
    ///
    /// # Errors
    /// When it is not a valid schema, or no record and no union of records.
    pub fn new(_id: SchemaId, _text: &str) -> Result<Self, UnusableSchema> {
        todo!()
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
        todo!()
    }
}
