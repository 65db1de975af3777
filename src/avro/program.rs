//! A schema compiled once into what [`super::walk`] runs for every datum.

use super::schema::{UnusableSchema, WriterSchema};
use super::timestamp::TimestampRules;

/// A compiled schema.
#[derive(Debug)]
pub struct Program {}

impl Program {
    /// Compiles `schema`, with marks where the fields of `timestamps` are.
    ///
    /// # Errors
    /// When the schema cannot be compiled within the limits (see DESIGN.md, idea 11).
    pub fn compile(_schema: &WriterSchema, _timestamps: &TimestampRules) -> Result<Self, UnusableSchema> {
        todo!()
    }
}
