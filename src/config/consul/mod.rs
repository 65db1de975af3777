//! Consul as a source of settings: what all valves of an environment share, and what one valve has for itself.
//!
//! A setting is the key `<path>/<environment>/<name>/sink/bucket`, or stands in the one document (TOML or JSON) that is the
//! value of the key `<path>/<environment>/<name>`. What is shared is the same without the name, and weaker.
//!
//! A valve's folder belongs to it: an unknown name there is an error. The environment's folder belongs to many, so only
//! what can be a setting is asked for there. What is denied must not seem to be absent, and Consul leaves it out of a list: it
//! says so to those who have a token (since 1.11); without one, each key that a setting can have is asked for by itself. Only of
//! librdkafka's properties, whose names are too many, it is their folder.

use std::collections::{BTreeMap, BTreeSet};

use figment::Metadata;
use figment::value::{Dict, Tag, Value};
use futures_util::future::try_join_all;

use super::error::ConfigError;
use super::layers::{self, Layer};
use super::settings::{FROM_CONSUL_NEVER, PROPERTIES, SETTINGS};

mod agent;
#[cfg(test)]
pub(super) mod tests;

pub(super) use agent::Agent;
use agent::Pair;
#[cfg(test)]
pub(super) use tests::folder;

/// Where a valve's settings are in Consul.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// `consul.path`
    pub(super) path: String,
    /// `environment`
    pub(super) environment: String,
    /// `name`
    pub(super) name: String,
    /// `consul.required`
    pub(super) required: bool,
}

impl Place {
    fn shared(&self) -> String {
        format!("{}/{}", self.path, self.environment)
    }

    fn own(&self) -> String {
        format!("{}/{}/{}", self.path, self.environment, self.name)
    }
}

/// What Consul says of a valve's settings.
#[derive(Default)]
pub(super) struct Found {
    /// The valve's own settings, then the shared ones.
    pub(super) layers: Vec<Layer>,
    /// What is wrong with how they are written.
    pub(super) errors: Vec<ConfigError>,
}

/// Asks for all settings at `place`.
///
/// # Errors
/// Says which question has no answer and why; the world's fault, which may pass.
pub(super) async fn read(agent: &Agent, place: &Place) -> Result<Found, String> {
    let (own, shared) = (place.own(), place.shared());
    let own_folder = format!("{own}/");
    let own_keys = keys_in(&own);
    let own_pairs = async { agent.below(&own_folder, &own_keys).await };
    let shared_pairs = async { shared_pairs(agent, &shared).await };
    let documents = try_join_all([agent.value(&own), agent.value(&shared)]);
    let (own_pairs, shared_pairs, mut documents) =
        futures_util::try_join!(own_pairs, shared_pairs, documents)?;
    let mut found = Found::default();
    let shared_document = documents.pop().flatten();
    let own_document = documents.pop().flatten();
    for (folder, document, pairs) in [(own, own_document, own_pairs), (shared, shared_document, shared_pairs)]
    {
        let layer = layer(&folder, document.as_deref(), pairs, &mut found.errors);
        found.layers.push(layer);
    }
    Ok(found)
}

/// The keys in the folder of the environment that can be settings.
async fn shared_pairs(agent: &Agent, folder: &str) -> Result<Vec<Pair>, String> {
    let (groups, single) = shared_names();
    let keys = keys_in(folder);
    let groups = groups.iter().map(async |group| agent.below(&format!("{folder}/{group}/"), &keys).await);
    let groups = try_join_all(groups);
    let single = try_join_all(single.iter().map(async |name| {
        let key = format!("{folder}/{name}");
        let value = agent.value(&key).await?;
        Ok(value.map(|value| Pair { key, value }))
    }));
    let (groups, single): (Vec<Vec<Pair>>, Vec<Option<Pair>>) = futures_util::try_join!(groups, single)?;
    Ok(groups.into_iter().flatten().chain(single.into_iter().flatten()).collect())
}

/// What Consul may say, by name. librdkafka's properties have names of its own: of them, it is what all begin with.
fn names() -> impl Iterator<Item = &'static str> {
    let names = SETTINGS.iter().map(|setting| setting.name).chain([PROPERTIES]);
    names.filter(|name| !FROM_CONSUL_NEVER.contains(name))
}

/// The keys that settings have in `folder`, and the folder of librdkafka's properties.
fn keys_in(folder: &str) -> Vec<String> {
    names().map(|name| format!("{folder}/{}", name.replace('.', "/"))).collect()
}

/// The groups of settings, and the settings outside of groups, that can be shared.
fn shared_names() -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    let (mut groups, mut single) = (BTreeSet::new(), BTreeSet::new());
    for name in names() {
        match name.split_once('.') {
            Some((group, _)) => groups.insert(group),
            None => single.insert(name),
        };
    }
    (groups, single)
}

/// Whether a valve of this name would have its folder where a setting is that all share.
pub(super) fn is_taken(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.name.split('.').next() == Some(name))
}

/// What the folder says, by its document and its keys.
fn layer(folder: &str, document: Option<&str>, pairs: Vec<Pair>, errors: &mut Vec<ConfigError>) -> Layer {
    let mut settings = Dict::new();
    let mut keys = BTreeMap::new();
    let mut take = |name: String, value: Value, key: String, errors: &mut Vec<ConfigError>| {
        let origin = format!("Consul key {key}");
        if FROM_CONSUL_NEVER.contains(&&*name) {
            errors.push(ConfigError::about(
                &name,
                &origin,
                "it must be known without Consul; set it in the environment or the file",
            ));
        } else if let Some(other) = keys.insert(name.clone(), key) {
            errors.push(ConfigError::about(&name, &origin, format!("key {other} gives it, too; keep one")));
        } else {
            settings.insert(name, value);
        }
    };
    let said = document.filter(|text| !text.is_empty()).map(layers::document);
    match said {
        Some(Ok((settings, twice))) => {
            let origin = format!("Consul key {folder}");
            errors.extend(twice.iter().map(|name| ConfigError::about(name, &origin, layers::TWICE)));
            for (name, value) in settings {
                take(name, value, folder.to_owned(), errors);
            }
        }
        Some(Err(problem)) => errors.push(ConfigError::about(folder, "Consul", problem)),
        None => {}
    }
    for Pair { key, value } in pairs {
        // A key that ends so is how Consul's page makes a folder.
        if let Some(name) = key.strip_prefix(folder).map(|name| name.trim_start_matches('/'))
            && !name.is_empty()
            && !name.ends_with('/')
        {
            take(name.replace('/', "."), Value::String(Tag::Default, value), key.clone(), errors);
        }
    }
    let origin = move |_: &figment::Profile, path: &[&str]| {
        let key = keys.get(&path.join(".")).map_or("", String::as_str);
        format!("Consul key {key}")
    };
    Layer::new(Metadata::named("Consul").interpolater(origin), settings)
}
