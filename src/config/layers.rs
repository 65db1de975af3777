//! The sources of settings, each a figment provider: defaults, a file, the environment; and Consul (`consul`).
//!
//! All of them give the same flat shape, `sink.bucket` -> value, so that merging is by setting and every value
//! carries the source it came from.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Map, Tag, Value};
use figment::{Metadata, Profile, Provider};

use super::error::ConfigError;
use super::settings::{PROPERTIES, Preset, SETTINGS};

/// What the names of valve's environment variables begin with.
pub(super) const ENV_PREFIX: &str = "VALVE_";
/// What tests are told by; never a setting.
const ENV_TEST_PREFIX: &str = "VALVE_TEST_";
/// Names the configuration file when `--config` doesn't.
pub(super) const ENV_FILE: &str = "VALVE_CONFIG";
/// The name of the layer that no one has written.
pub(super) const DEFAULTS: &str = "default";
/// How the TOML parser hands over a date, which no setting takes as such.
const TOML_DATE: &str = "$__toml_private_datetime";

/// One source's settings. It holds secrets, and so has no `Debug`.
#[derive(Default)]
pub(super) struct Layer {
    metadata: Metadata,
    settings: Dict,
}

impl Layer {
    pub(super) fn new(metadata: Metadata, settings: Dict) -> Self {
        Self { metadata, settings }
    }

    /// What a text says, with those that it gives twice added to `errors`.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn of_text((settings, twice): Flat, errors: &mut Vec<ConfigError>) -> Self {
        errors.extend(twice.iter().map(|name| ConfigError::about(name, "text", TWICE)));
        Self { metadata: Metadata::named("text").interpolater(|_, _| "text".to_owned()), settings }
    }

    /// The settings that it gives.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.settings.keys().map(String::as_str)
    }

    /// What it says of a setting, and where that stands.
    pub(super) fn get(&self, name: &str) -> Option<(&Value, String)> {
        let value = self.settings.get(name)?;
        Some((value, self.metadata.interpolate(&Profile::Default, &[name])))
    }
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.settings.clone()))
    }
}

/// The settings' defaults.
pub(super) fn defaults() -> Layer {
    let preset = SETTINGS.iter().filter_map(|setting| match setting.preset {
        Preset::Is(value) => Some((setting.name.to_owned(), Value::from(value))),
        Preset::Off | Preset::Required => None,
    });
    let settings = preset.collect();
    Layer { metadata: Metadata::named(DEFAULTS).interpolater(|_, _| DEFAULTS.to_owned()), settings }
}

/// The settings of a TOML file. `named_by` says who named the file. A setting that it gives twice is added to
/// `errors`.
///
/// # Errors
/// The file cannot be read, or isn't TOML; then nothing can be said of the settings.
pub(super) fn file(
    path: &Path,
    named_by: &str,
    errors: &mut Vec<ConfigError>,
) -> Result<Layer, Box<ConfigError>> {
    let shown = path.display().to_string();
    let unreadable = |problem: String| Box::new(ConfigError::about(&shown, named_by, problem));
    let text =
        fs::read_to_string(path).map_err(|error| unreadable(format!("the file cannot be read: {error}")))?;
    let (settings, twice) = toml(&text).map_err(unreadable)?;
    let origin = format!("file {shown}");
    errors.extend(twice.iter().map(|name| ConfigError::about(name, &origin, TWICE)));
    Ok(Layer { metadata: Metadata::from("file", path).interpolater(move |_, _| origin.clone()), settings })
}

/// What is wrong with a setting that a document gives twice.
pub(super) const TWICE: &str = "it is given there twice; keep one";

/// A document's settings, and those that it gives twice.
pub(super) type Flat = (Dict, Vec<String>);

/// The settings of a document in TOML, or, where it begins with a brace, in JSON.
///
/// # Errors
/// It is neither; without its text, which may hold secrets.
pub(super) fn document(text: &str) -> Result<Flat, String> {
    if !text.trim_start().starts_with('{') {
        return toml(text);
    }
    let nested: Dict = serde_json::from_str(text)
        .map_err(|error| format!("line {} is not JSON, as it begins with a brace", error.line()))?;
    Ok(flat(nested))
}

pub(super) fn toml(text: &str) -> Result<Flat, String> {
    let nested = Toml::from_str::<Dict>(text).map_err(|error| {
        // The error's own text quotes the line, which may hold a password.
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        let message = error.message().lines().collect::<Vec<_>>().join("; ");
        format!("line {line} is not TOML: {message}")
    })?;
    Ok(flat(nested))
}

fn flat(nested: Dict) -> Flat {
    let mut settings = Dict::new();
    let mut twice = Vec::new();
    flatten("", nested, &mut settings, &mut twice);
    (settings, twice)
}

/// The line (from 1) in which byte `at` of `text` is.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// Puts the leaves of `nested` into `settings`, under their names joined by dots.
fn flatten(above: &str, nested: Dict, settings: &mut Dict, twice: &mut Vec<String>) {
    for (key, value) in nested {
        let name = if above.is_empty() { key } else { format!("{above}.{key}") };
        let value = match value {
            Value::Dict(tag, mut inner) => match inner.remove(TOML_DATE) {
                Some(Value::String(_, date)) if inner.is_empty() => Value::String(tag, date),
                _ => {
                    flatten(&name, inner, settings, twice);
                    continue;
                }
            },
            leaf => leaf,
        };
        if settings.insert(name.clone(), value).is_some() {
            twice.push(name);
        }
    }
}

/// The settings of the environment: `VALVE_` variables, `__` for each dot. Their values stay text, so that a name
/// may be `123` and a password `true`.
pub(super) fn environment(
    variables: impl Iterator<Item = (String, String)>,
    errors: &mut Vec<ConfigError>,
) -> Layer {
    let mut settings = Dict::new();
    let mut spellings = BTreeMap::new();
    // Sorted, so that the outcome doesn't depend on the order in which the system lists them.
    for (variable, value) in variables.collect::<BTreeMap<_, _>>() {
        let Some(name) = setting_of(&variable) else { continue };
        settings.insert(name.clone(), Value::String(Tag::Default, value));
        if let Some(other) = spellings.insert(name.clone(), variable.clone()) {
            let origin = format!("environment variables {other} and {variable}");
            errors.push(ConfigError::about(&name, &origin, "both stand for the same setting; remove one"));
        }
    }
    let origin = move |_: &Profile, path: &[&str]| {
        let spelling = spellings.get(&path.join(".")).map_or("", String::as_str);
        format!("environment variable {spelling}")
    };
    Layer { metadata: Metadata::named("environment").interpolater(origin), settings }
}

/// The setting that an environment variable stands for; `None` when it isn't for valve's configuration.
pub(super) fn setting_of(variable: &str) -> Option<String> {
    if variable == ENV_FILE || variable.starts_with(ENV_TEST_PREFIX) {
        return None;
    }
    let name = variable.strip_prefix(ENV_PREFIX)?.to_lowercase().replace("__", ".");
    Some(match name.strip_prefix(PROPERTIES) {
        // librdkafka's names have dots where the environment can have none.
        Some(property) => format!("{PROPERTIES}{}", property.replace('_', ".")),
        None => name,
    })
}

/// How a setting is spelt in the environment.
pub(super) fn variable_of(setting: &str) -> String {
    let name = match setting.strip_prefix(PROPERTIES) {
        Some(property) => format!("KAFKA__PROPERTIES__{}", property.replace('.', "_")),
        None => setting.replace('.', "__"),
    };
    format!("{ENV_PREFIX}{}", name.to_uppercase())
}
