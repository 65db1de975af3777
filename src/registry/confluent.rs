//! The registry behind Confluent's HTTP API (Confluent itself, Apicurio's `ccompat`, Karapace, Redpanda).
//!
//! Everything that is not a clear answer is an outage: only HTTP 404 with error code 40403 means that an id is
//! unknown. That is why this speaks HTTP by `reqwest` instead of going through `schema_registry_converter`, which
//! keeps the status inside an error's text, calls 500, 429 and 504 final, puts no bound on a response's size, and
//! escapes nothing but slashes in a subject's name.
//!
//! Choices that are valve's own:
//! - *Several URLs* are replicas of one registry. The first that has the schema wins. An id is unknown only when
//!   **every** URL says so: one that can't be asked might have it, and an unknown id dead-letters records.
//! - *A reference that is missing* is an outage: the registry has the schema that needs it, so a lagging replica
//!   has answered, or somebody has deleted what is still in use, and can restore it.
//! - *Soft-deleted* versions are asked for too: records written with them are still in the log.

use std::time::Duration;

use async_trait::async_trait;

use super::endpoint::{Endpoint, Reply};
use super::gather::{self, Gathered};
use super::tls::Tls;
use super::{Answer, RegistryUnavailable, SchemaSource};
use crate::config::RegistryConfig;
use crate::types::SchemaId;

pub use super::endpoint::InvalidRegistry;

pub(crate) mod probe;

/// For one request, from connecting to the last byte.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of a Confluent-compatible registry.
#[derive(Debug)]
pub struct Confluent {
    endpoints: Vec<Endpoint>,
}

impl Confluent {
    /// A client of the registry behind all of `config.urls`. Nothing is sent yet.
    ///
    /// # Errors
    /// When there is no URL, one isn't a base URL of `http` or `https`, or a certificate or key can't be used.
    pub fn new(config: &RegistryConfig) -> Result<Self, InvalidRegistry> {
        Self::with_timeout(config, REQUEST_TIMEOUT)
    }

    fn with_timeout(config: &RegistryConfig, timeout: Duration) -> Result<Self, InvalidRegistry> {
        if config.urls.is_empty() {
            return Err(InvalidRegistry("registry.url: there must be at least one URL".to_owned()));
        }
        let tls = Tls::read(&config.tls)?;
        let endpoints = config.urls.iter().map(|url| Endpoint::new(url, config.auth.as_ref(), &tls, timeout));
        Ok(Self { endpoints: endpoints.collect::<Result<_, _>>()? })
    }
}

#[async_trait]
impl SchemaSource for Confluent {
    async fn schema(&self, id: SchemaId) -> Result<Answer, RegistryUnavailable> {
        let mut reasons = Vec::new();
        for endpoint in &self.endpoints {
            match gather::schema(endpoint, id).await {
                Ok(Gathered::Found(schema)) => return Ok(Answer::Found(schema)),
                Ok(Gathered::Unusable(reason)) => return Ok(Answer::Unusable(reason)),
                Ok(Gathered::Unknown) => {}
                Err(RegistryUnavailable(reason)) => reasons.push(reason),
            }
        }
        if reasons.is_empty() { Ok(Answer::Unknown) } else { Err(RegistryUnavailable(reasons.join("; "))) }
    }

    async fn topics(&self) -> Result<Vec<String>, RegistryUnavailable> {
        let mut reasons = Vec::new();
        for endpoint in &self.endpoints {
            match endpoint.get::<Vec<String>>(&["subjects"]).await {
                Ok(Reply::Found(subjects)) => return Ok(topics_of(&subjects)),
                Ok(Reply::Missing(missing)) => reasons.push(missing.to_string()),
                Err(RegistryUnavailable(reason)) => reasons.push(reason),
            }
        }
        Err(RegistryUnavailable(reasons.join("; ")))
    }
}

/// The topics that have a value subject by the default naming strategy. Subjects of other contexts
/// (`:.context:…`) name no topic.
pub(super) fn topics_of(subjects: &[String]) -> Vec<String> {
    let topics = subjects.iter().filter_map(|subject| subject.strip_suffix("-value"));
    let mut topics: Vec<String> =
        topics.filter(|topic| !topic.is_empty() && !topic.starts_with(':')).map(str::to_owned).collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}

#[cfg(test)]
mod tests;
