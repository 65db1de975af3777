//! Schemas made of several: what is referred to is put, as JSON, where it is first used.

use super::schema::UnusableSchema;
use crate::registry::RawSchema;

/// The self-contained text of `schema`; exactly its own text when it refers to nothing.
///
/// # Errors
/// When a reference is unused, missing or changes the meaning of a name.
pub fn inline(_schema: &RawSchema) -> Result<String, UnusableSchema> {
    todo!()
}
