//! What `valve check` asks a registry.

use serde::Deserialize;

use super::super::RegistryUnavailable;
use super::super::endpoint::Reply;
use super::Confluent;

/// A registry that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    /// How many subjects it lists, or why it doesn't: only `topics = "registry"` needs that.
    pub(crate) subjects: Result<usize, String>,
    /// Its mode, such as `READWRITE`, where it tells that.
    pub(crate) mode: Option<String>,
}

#[derive(Deserialize)]
struct Mode {
    mode: String,
}

impl Confluent {
    /// Asks the first URL what it is, without a schema's id.
    ///
    /// # Errors
    /// When it doesn't answer, or not as a registry does; the reason names the URL.
    pub(crate) async fn reach(&self) -> Result<Reached, RegistryUnavailable> {
        let Some(endpoint) = self.endpoints.first() else {
            return Err(RegistryUnavailable("registry.url is empty".to_owned()));
        };
        // Whoever answers this as a registry does reads schemas by id, too. No registry gives out the id 0.
        let known = endpoint.get::<serde_json::Value>(&["schemas", "ids", "0"]).await?;
        drop(known);
        let subjects = match endpoint.get::<Vec<String>>(&["subjects"]).await {
            Ok(Reply::Found(subjects)) => Ok(subjects.len()),
            Ok(Reply::Missing(missing)) => Err(missing.to_string()),
            Err(RegistryUnavailable(reason)) => Err(reason),
        };
        let mode = match endpoint.get::<Mode>(&["mode"]).await {
            Ok(Reply::Found(Mode { mode })) => Some(mode),
            Ok(Reply::Missing(_)) | Err(_) => None,
        };
        Ok(Reached { subjects, mode })
    }
}
