//! A schema registry in the process: a real HTTP server with the part of Confluent's API that valve, producers
//! and serializers use, so that the demo and the tests go the whole way through the network.
//!
//! It keeps everything in memory, listens on the loopback interface only, and checks no compatibility. On
//! request it fails as registries do: see [`Fault`] and [`RegistryServer::hide`].

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::types::SchemaId;

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// A reference of one schema to another, as the API spells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectReference {
    /// The full name by which the schema is referred to.
    pub name: String,
    /// The subject it is registered under.
    pub subject: String,
    /// Its version there, from 1.
    pub version: i32,
}

/// A way in which the whole server fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every request is answered with this HTTP status and this body.
    Answer(u16, String),
    /// No request is answered.
    Hang,
}

/// A running registry; it ends when this is dropped.
#[derive(Debug)]
pub struct RegistryServer {
    url: String,
    registry: Arc<Mutex<Registry>>,
    stop: CancellationToken,
}

impl RegistryServer {
    /// Starts an empty registry on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let registry = Arc::new(Mutex::new(Registry::default()));
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let server = axum::serve(listener, routes(registry.clone())).with_graceful_shutdown(stopped);
        tokio::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the embedded registry has ended");
            }
        });
        Ok(Self { url, registry, stop })
    }

    /// The base URL, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Registers an Avro schema as a new version of `subject`. The same text with the same references has the
    /// same id everywhere, and one version per subject.
    pub fn register(&self, subject: &str, text: &str, references: &[SubjectReference]) -> SchemaId {
        let content = Content { text: text.to_owned(), schema_type: None, references: references.to_vec() };
        SchemaId(lock(&self.registry).register(subject, content))
    }

    /// Registers a schema of another type (`PROTOBUF`, `JSON`).
    pub fn register_typed(&self, subject: &str, schema_type: &str, text: &str) -> SchemaId {
        let schema_type = Some(schema_type.to_owned());
        let content = Content { text: text.to_owned(), schema_type, references: Vec::new() };
        SchemaId(lock(&self.registry).register(subject, content))
    }

    /// Makes every request fail in this way, or none any more.
    pub fn set_fault(&self, fault: Option<Fault>) {
        lock(&self.registry).fault = fault;
    }

    /// Answers 404 with 40403 for `id`, as a lagging replica does, until [`Self::reveal`].
    pub fn hide(&self, id: SchemaId) {
        lock(&self.registry).hidden.push(id.0);
    }

    /// Undoes [`Self::hide`].
    pub fn reveal(&self, id: SchemaId) {
        lock(&self.registry).hidden.retain(|hidden| *hidden != id.0);
    }

    /// Answers 401 to requests whose `Authorization` header is not exactly this.
    pub fn require_authorization(&self, header: &str) {
        lock(&self.registry).authorization = Some(header.to_owned());
    }
}

impl Drop for RegistryServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What makes two registrations the same schema.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    text: String,
    schema_type: Option<String>,
    references: Vec<SubjectReference>,
}

#[derive(Debug, Default)]
struct Registry {
    /// The schema with id `n` is at `n - 1`.
    schemas: Vec<Content>,
    /// The ids of each subject's versions; version `n` is at `n - 1`.
    subjects: BTreeMap<String, Vec<u32>>,
    hidden: Vec<u32>,
    fault: Option<Fault>,
    authorization: Option<String>,
}

impl Registry {
    fn register(&mut self, subject: &str, content: Content) -> u32 {
        let index = self.schemas.iter().position(|known| *known == content).unwrap_or_else(|| {
            self.schemas.push(content);
            self.schemas.len() - 1
        });
        let id = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let versions = self.subjects.entry(subject.to_owned()).or_default();
        if !versions.contains(&id) {
            versions.push(id);
        }
        id
    }

    fn schema(&self, id: u32) -> Option<&Content> {
        let index = usize::try_from(id).ok()?.checked_sub(1)?;
        self.schemas.get(index).filter(|_| !self.hidden.contains(&id))
    }

    fn versions(&self, subject: &str) -> Result<&[u32], ApiError> {
        let unknown = || ApiError::not_found(40401, format!("Subject '{subject}' not found."));
        self.subjects.get(subject).map(Vec::as_slice).ok_or_else(unknown)
    }

    /// The version `version` (`latest` or a number from 1) of `subject` as the API shows it.
    fn version(&self, subject: &str, version: &str) -> Result<Value, ApiError> {
        let versions = self.versions(subject)?;
        let number = match version {
            "latest" | "-1" => versions.len(),
            number => number.parse().map_err(|_| ApiError::invalid_version(number))?,
        };
        let id = number.checked_sub(1).and_then(|index| versions.get(index));
        let not_found = || ApiError::not_found(40402, format!("Version {version} not found."));
        let content = id.and_then(|id| self.schema(*id)).ok_or_else(not_found)?;
        let mut shown = content.shown();
        shown["subject"] = json!(subject);
        shown["version"] = json!(number);
        shown["id"] = json!(id);
        Ok(shown)
    }
}

impl Content {
    /// As the API shows it: the type only when it isn't Avro, references only when there are some.
    fn shown(&self) -> Value {
        let mut shown = json!({ "schema": self.text });
        if let Some(schema_type) = &self.schema_type {
            shown["schemaType"] = json!(schema_type);
        }
        if !self.references.is_empty() {
            shown["references"] = json!(self.references);
        }
        shown
    }
}

/// An error as the API reports it.
#[derive(Debug)]
struct ApiError {
    status: StatusCode,
    code: u32,
    message: String,
}

impl ApiError {
    fn not_found(code: u32, message: String) -> Self {
        Self { status: StatusCode::NOT_FOUND, code, message }
    }

    fn unprocessable(code: u32, message: String) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, code, message }
    }

    fn invalid_version(version: &str) -> Self {
        Self::unprocessable(42202, format!("The specified version '{version}' is not a valid version id."))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error_code": self.code, "message": self.message }))).into_response()
    }
}

type Shared = State<Arc<Mutex<Registry>>>;
type Answer = Result<Json<Value>, ApiError>;

fn routes(registry: Arc<Mutex<Registry>>) -> Router {
    Router::new()
        .route("/schemas/ids/{id}", get(by_id))
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", post(find))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version))
        .layer(middleware::from_fn_with_state(registry.clone(), gate))
        .with_state(registry)
}

/// Stands before every route: faults, authorization, and the API's content type on the way out.
async fn gate(State(registry): Shared, request: Request, next: Next) -> Response {
    let fault = lock(&registry).fault.clone();
    match fault {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Answer(status, body)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return (status, body).into_response();
        }
        None => {}
    }
    if !is_authorized(&lock(&registry), request.headers()) {
        let (status, message) = (StatusCode::UNAUTHORIZED, "Unauthorized".to_owned());
        return ApiError { status, code: 401, message }.into_response();
    }
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}

fn is_authorized(registry: &Registry, headers: &HeaderMap) -> bool {
    registry.authorization.as_ref().is_none_or(|required| {
        headers.get(header::AUTHORIZATION).is_some_and(|given| given.as_bytes() == required.as_bytes())
    })
}

async fn by_id(State(registry): Shared, Path(id): Path<String>) -> Answer {
    // A Java int, as in Confluent's: what isn't one gets a 404 without a code of the registry's own.
    let number: i32 = id.parse().map_err(|_| ApiError::not_found(404, "HTTP 404 Not Found".to_owned()))?;
    let registry = lock(&registry);
    let content = u32::try_from(number).ok().and_then(|id| registry.schema(id));
    content
        .map(|content| Json(content.shown()))
        .ok_or_else(|| ApiError::not_found(40403, format!("Schema {id} not found")))
}

async fn subjects(State(registry): Shared) -> Json<Value> {
    Json(json!(lock(&registry).subjects.keys().collect::<Vec<_>>()))
}

async fn versions(State(registry): Shared, Path(subject): Path<String>) -> Answer {
    let count = lock(&registry).versions(&subject)?.len();
    Ok(Json(json!((1..=count).collect::<Vec<_>>())))
}

async fn version(State(registry): Shared, Path((subject, version)): Path<(String, String)>) -> Answer {
    lock(&registry).version(&subject, &version).map(Json)
}

/// The body of a registration or a look-up. Serializers send further fields, and other content types than
/// JSON's, so it is read by hand.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Submitted {
    schema: String,
    schema_type: Option<String>,
    references: Option<Vec<SubjectReference>>,
}

fn submitted(body: &[u8]) -> Result<Content, ApiError> {
    let invalid =
        |error: serde_json::Error| ApiError::unprocessable(42201, format!("Invalid schema: {error}"));
    let submitted: Submitted = serde_json::from_slice(body).map_err(invalid)?;
    let schema_type = submitted.schema_type.filter(|schema_type| schema_type != "AVRO");
    if schema_type.is_none() {
        serde_json::from_str::<Value>(&submitted.schema).map_err(invalid)?;
    }
    let references = submitted.references.unwrap_or_default();
    Ok(Content { text: submitted.schema, schema_type, references })
}

async fn register(State(registry): Shared, Path(subject): Path<String>, body: bytes::Bytes) -> Answer {
    let content = submitted(&body)?;
    let mut registry = lock(&registry);
    for reference in &content.references {
        let found = registry.version(&reference.subject, &reference.version.to_string());
        found.map_err(|error| ApiError::unprocessable(42201, error.message))?;
    }
    Ok(Json(json!({ "id": registry.register(&subject, content) })))
}

/// Looks a schema up among the versions of a subject.
async fn find(State(registry): Shared, Path(subject): Path<String>, body: bytes::Bytes) -> Answer {
    let content = submitted(&body)?;
    let registry = lock(&registry);
    let mut versions = registry.versions(&subject)?.iter().enumerate();
    let found = versions.find(|(_, id)| registry.schema(**id) == Some(&content));
    let not_found = || ApiError::not_found(40403, "Schema not found".to_owned());
    let (index, _) = found.ok_or_else(not_found)?;
    registry.version(&subject, &(index + 1).to_string()).map(Json)
}

fn lock(registry: &Mutex<Registry>) -> MutexGuard<'_, Registry> {
    registry.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
