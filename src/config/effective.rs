//! The settings as they take effect, each with where it came from: for those who wonder why.

use serde::Serialize;

use super::check::Form;
use super::error::nearest;
use super::layers::{Layer, setting_of, variable_of};
use super::secret::without_credentials;
use super::settings::{PROPERTIES, Preset, SETTINGS, Setting, find, is_secret};

/// One setting as it takes effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// Its name, as in TOML.
    pub name: String,
    /// Its value as it was written; `None` when it has none, or mustn't be shown.
    pub value: Option<Shown>,
    /// Where that came from; `None` for one that isn't set.
    pub origin: Option<String>,
    /// Whether its value must not be shown.
    pub secret: bool,
    /// What it overrides: what other sources say, the next in precedence first.
    pub overrides: Vec<Overridden>,
}

/// What a source says of a setting that a stronger one gives, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overridden {
    /// Its value; `None` when it mustn't be shown.
    pub value: Option<Shown>,
    /// Which source.
    pub origin: String,
}

/// A value that may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Shown {
    /// Text, a number or a boolean.
    Text(String),
    /// A list.
    List(Vec<String>),
}

/// All settings, in the order of the table, then librdkafka's properties and unknown names. `layers` begin with the strongest.
pub(super) fn effective(layers: &[Layer]) -> Vec<Effective> {
    let known = SETTINGS.iter().map(|setting| setting.name.to_owned());
    let mut others: Vec<_> =
        layers.iter().flat_map(Layer::names).filter(|name| find(name).is_none()).collect();
    others.sort_unstable();
    others.dedup();
    known.chain(others.into_iter().map(str::to_owned)).map(|name| one(layers, name)).collect()
}

fn one(layers: &[Layer], name: String) -> Effective {
    let secret = is_secret(&name);
    let mut said = layers.iter().filter_map(|layer| {
        let (value, origin) = layer.get(&name)?;
        let value = if secret { None } else { shown(&name, Form::of(value.clone())) };
        Some(Overridden { value, origin })
    });
    let (value, origin) = said.next().map_or((None, None), |first| (first.value, Some(first.origin)));
    let overrides = said.collect();
    // An empty text takes back what weaker sources say.
    let value = value.filter(|value| *value != Shown::Text(String::new()));
    Effective { name, value, origin, secret, overrides }
}

fn shown(name: &str, form: Form) -> Option<Shown> {
    let plain = |text: &String| without_credentials(name, text);
    match &form {
        Form::Text(text) => Some(Shown::Text(plain(text))),
        Form::List(items) => Some(Shown::List(items.iter().map(plain).collect())),
        Form::Neither(_) => None,
    }
}

/// As lines of TOML, with each one's origin behind it. Read again it says the same, but for what is hidden.
#[must_use]
pub fn as_toml(settings: &[Effective]) -> String {
    let line = |setting: &Effective| {
        let name = quoted_name(&setting.name);
        match (&setting.value, &setting.origin) {
            (Some(value), Some(origin)) => format!("{name} = {}  # {origin}\n", toml(value)),
            (None, Some(origin)) if setting.secret => {
                format!("# {name} is given, and not shown  # {origin}\n")
            }
            (None, Some(origin)) => format!("# {name} is set to nothing  # {origin}\n"),
            (_, None) if is_required(&setting.name) => format!("# {name} is required, and isn't set\n"),
            (_, None) => format!("# {name} isn't set\n"),
        }
    };
    settings.iter().map(line).collect()
}

fn is_required(name: &str) -> bool {
    find(name).is_some_and(|setting| matches!(setting.preset, Preset::Required))
}

/// librdkafka's names have dots of their own.
fn quoted_name(name: &str) -> String {
    match name.strip_prefix(PROPERTIES) {
        Some(property) => format!("{PROPERTIES}\"{property}\""),
        None => name.to_owned(),
    }
}

fn toml(value: &Shown) -> String {
    // Strings of JSON are strings of TOML.
    let text = |text: &String| serde_json::Value::from(text.as_str()).to_string();
    match value {
        Shown::Text(one) => text(one),
        Shown::List(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", ")),
    }
}

/// All that is to be said of the setting `name`, which may be spelt as in the environment.
///
/// # Errors
/// A sentence, when there is no such setting.
pub fn explain(name: &str, settings: &[Effective]) -> Result<String, String> {
    let in_environment = setting_of(name);
    let name = in_environment.as_deref().unwrap_or(name);
    let setting = find(name);
    if setting.is_none() && !name.starts_with(PROPERTIES) {
        let meant = nearest(name, SETTINGS.iter().map(|setting| setting.name));
        let hint = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
        return Err(format!("there is no setting `{name}`{hint}"));
    }
    let mut lines = vec![("setting", name.to_owned()), ("environment", variable_of(name))];
    match setting {
        Some(Setting { preset, allowed, meaning, .. }) => {
            let default = match preset {
                Preset::Is(default) => (*default).to_owned(),
                Preset::Off => "none".to_owned(),
                Preset::Required => "none, and required".to_owned(),
            };
            let rest = [("meaning", *meaning), ("allowed", *allowed), ("default", default.as_str())];
            lines.extend(rest.map(|(label, text)| (label, text.to_owned())));
        }
        None => lines.push(("meaning", "a property of librdkafka: see its CONFIGURATION.md".to_owned())),
    }
    let said = |value: &Option<Shown>, secret: bool| match value {
        Some(value) => toml(value),
        None if secret => "(not shown)".to_owned(),
        None => "nothing".to_owned(),
    };
    if let Some(Effective { value, origin: Some(origin), secret, overrides, .. }) =
        settings.iter().find(|setting| setting.name == name)
    {
        lines.push(("now", format!("{}, from {origin}", said(value, *secret))));
        let over = |other: &Overridden| {
            ("overrides", format!("{}, from {}", said(&other.value, *secret), other.origin))
        };
        lines.extend(overrides.iter().map(over));
    } else {
        lines.push(("now", "not given".to_owned()));
    }
    Ok(lines.into_iter().map(|(label, text)| format!("{label:<12} {text}\n")).collect())
}

/// The README's table of settings, in Markdown.
#[must_use]
pub fn documentation() -> String {
    super::settings::table()
}
