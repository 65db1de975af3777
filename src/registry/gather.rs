//! One schema together with all that it refers to, from one endpoint.
//!
//! A registry's answer about a schema names its references by subject and version; each is another request. What
//! comes out is a tree in which every schema has its text once, where it is first referred to, so that a registry
//! full of shared types can't make it explode.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;

use serde::Deserialize;

use super::endpoint::{Endpoint, Reply};
use super::{RawSchema, Reference, RegistryUnavailable, bounded};
use crate::types::SchemaId;

const MAX_DEPTH: usize = 32;
const MAX_REFERENCES: usize = 500;
const MAX_TEXT_BYTES: usize = 16 << 20;

/// What one endpoint has under an id.
#[derive(Debug)]
pub(super) enum Gathered {
    Found(RawSchema),
    Unknown,
    Unusable(String),
}

/// A schema as the API shows it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    schema: String,
    schema_type: Option<String>,
    references: Option<Vec<ShownReference>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
struct ShownReference {
    name: String,
    subject: String,
    version: i64,
}

/// Why there is no tree.
enum Obstacle {
    Unavailable(RegistryUnavailable),
    Unusable(String),
}

impl From<RegistryUnavailable> for Obstacle {
    fn from(unavailable: RegistryUnavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}

/// Something that answers like a registry.
pub(super) trait Shows: Sync {
    /// What is at `path`.
    fn shown(&self, path: &[&str]) -> impl Future<Output = Result<Reply<Shown>, RegistryUnavailable>> + Send;
}

impl Shows for Endpoint {
    async fn shown(&self, path: &[&str]) -> Result<Reply<Shown>, RegistryUnavailable> {
        self.get(path).await
    }
}

/// Asks `endpoint` for the schema `id` and, one after the other, for those it refers to.
pub(super) async fn schema(endpoint: &impl Shows, id: SchemaId) -> Result<Gathered, RegistryUnavailable> {
    // Registries take a signed number, and answer one beyond 2^31 as they do a wrong path (seen with Apicurio 2.6); a
    // garbled wire header would look like an outage for ever. As a signed number it gets a clear 40403.
    let number = id.0.cast_signed().to_string();
    let shown = match endpoint.shown(&["schemas", "ids", &number]).await? {
        Reply::Found(shown) => shown,
        Reply::Missing(missing) if missing.code == 40403 => return Ok(Gathered::Unknown),
        Reply::Missing(missing) => return Err(RegistryUnavailable(bounded(missing.to_string()))),
    };
    let mut gathering = Gathering { endpoint, path: Vec::new(), seen: HashSet::new(), bytes: 0 };
    match gathering.complete(shown).await {
        Ok(schema) => Ok(Gathered::Found(schema)),
        Err(Obstacle::Unusable(reason)) => Ok(Gathered::Unusable(bounded(reason))),
        Err(Obstacle::Unavailable(reason)) => Err(reason),
    }
}

struct Gathering<'a, E> {
    endpoint: &'a E,
    /// The subjects and versions from the schema down to the one at hand.
    path: Vec<(String, i64)>,
    seen: HashSet<ShownReference>,
    bytes: usize,
}

impl<E: Shows> Gathering<'_, E> {
    /// `shown` with what it refers to. (Boxed, because it calls itself.)
    fn complete(
        &mut self,
        shown: Shown,
    ) -> Pin<Box<dyn Future<Output = Result<RawSchema, Obstacle>> + Send + '_>> {
        Box::pin(async move {
            if let Some(other) = shown.schema_type.filter(|name| !name.eq_ignore_ascii_case("AVRO")) {
                return Err(Obstacle::Unusable(format!("it is {other}, not Avro{}", self.whereabouts())));
            }
            self.bytes = self.bytes.saturating_add(shown.schema.len());
            if self.bytes > MAX_TEXT_BYTES {
                return Err(self.too_much(&format!("more than {MAX_TEXT_BYTES} bytes of schemas")));
            }
            let mut references = Vec::new();
            for reference in shown.references.unwrap_or_default() {
                references.extend(self.follow(reference).await?);
            }
            Ok(RawSchema { text: shown.schema, references })
        })
    }

    /// The schema behind `reference`; nothing when it is in the tree already.
    async fn follow(&mut self, reference: ShownReference) -> Result<Option<Reference>, Obstacle> {
        let place = (reference.subject.clone(), reference.version);
        if self.path.contains(&place) {
            let reason = format!("its references run in a circle through {} version {}", place.0, place.1);
            return Err(Obstacle::Unusable(reason));
        }
        if !self.seen.insert(reference.clone()) {
            return Ok(None);
        }
        if self.seen.len() > MAX_REFERENCES {
            return Err(self.too_much(&format!("more than {MAX_REFERENCES} references")));
        }
        if self.path.len() >= MAX_DEPTH {
            return Err(self.too_much(&format!("references more than {MAX_DEPTH} deep")));
        }
        let version = reference.version.to_string();
        let path = ["subjects", reference.subject.as_str(), "versions", version.as_str()];
        let shown = match self.endpoint.shown(&path).await? {
            Reply::Found(shown) => shown,
            Reply::Missing(missing) => {
                let reason = format!("`{}` is referred to, but {missing}; register it again", reference.name);
                return Err(RegistryUnavailable(bounded(reason)).into());
            }
        };
        self.path.push(place);
        let schema = self.complete(shown).await?;
        self.path.pop();
        Ok(Some(Reference { name: reference.name, schema }))
    }

    fn too_much(&self, what: &str) -> Obstacle {
        Obstacle::Unusable(format!("it is made of {what}"))
    }

    fn whereabouts(&self) -> String {
        self.path
            .last()
            .map(|(subject, version)| format!(" ({subject} version {version})"))
            .unwrap_or_default()
    }
}
