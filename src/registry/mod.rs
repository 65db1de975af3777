//! Where schemas come from: a Confluent-compatible registry behind a trait, and the process's cache of it.

use std::fmt;

use async_trait::async_trait;

use crate::types::SchemaId;

pub mod cache;
pub mod confluent;
mod endpoint;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzed;
mod gather;
mod tls;

/// The longest reason that is kept, in bytes.
const MAX_REASON: usize = 1_000;

/// What a registry says of an id when it answers at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The schema's text as registered, with those it refers to, in document order of the references.
    Found(RawSchema),
    /// HTTP 404 with error code 40403: it doesn't know the id *now*. A lagging replica says so too.
    Unknown,
    /// It knows the id, and what it has can never be used: not Avro, or references in a circle, too deep or too
    /// many. For ever: what an id stands for never changes.
    Unusable(String),
}

/// A schema as the registry has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawSchema {
    /// The text exactly as registered.
    pub text: String,
    /// The schemas it refers to, themselves with theirs. One that is referred to again, in whatever place, may be
    /// left out there.
    pub references: Vec<Reference>,
}

/// A schema that another one refers to by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The full name by which it is referred to.
    pub name: String,
    /// The schema behind it.
    pub schema: RawSchema,
}

/// `reason`, cut to a bearable length: what it quotes may come from anyone who registers schemas, or from no registry at all.
fn bounded(mut reason: String) -> String {
    if reason.len() > MAX_REASON {
        reason.truncate(reason.floor_char_boundary(MAX_REASON));
        reason.push('…');
    }
    reason
}

/// No answer: unreachable, overloaded, denied, or an answer that makes no sense. Wait and try again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RegistryUnavailable(pub String);

/// A schema registry. Each call is one try with its own timeout; repeating is the cache's business.
#[async_trait]
pub trait SchemaSource: fmt::Debug + Send + Sync {
    /// Asks for the schema with this id.
    async fn schema(&self, id: SchemaId) -> Result<Answer, RegistryUnavailable>;

    /// The topics for which there is a `<topic>-value` subject.
    async fn topics(&self) -> Result<Vec<String>, RegistryUnavailable>;
}
