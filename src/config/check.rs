//! Takes settings out of the merged sources one by one, and remembers what is wrong with them.
//!
//! A setting that is wrong yields `None` and an error; validation goes on, so that all errors are told at a time.

use std::collections::BTreeMap;

use figment::value::{Num, Value};
use figment::{Figment, Profile, Provider as _};

use super::error::{ConfigError, Problem, nearest};
use super::layers::{DEFAULTS, variable_of};
use super::references::References;
use super::secret::without_credentials;
use super::settings::{PROPERTIES, SETTINGS, find, is_secret};
use super::value;

/// How much of a value an error shows, in characters.
const SHOWN: usize = 120;

/// The merged settings, and the errors found so far. It holds secrets, and so has no `Debug`.
pub(super) struct Checker {
    settings: BTreeMap<String, Given>,
    errors: Vec<ConfigError>,
}

/// A setting as some source gave it.
struct Given {
    /// With what its references stand for; nothing where that can't be had, which is an error already.
    form: Form,
    /// As it stands in the source, for errors.
    written: Form,
    /// Where it came from; `None` for a default.
    origin: Option<String>,
}

/// The forms that a value can be written in.
pub(super) enum Form {
    /// Text, or a number or boolean as text.
    Text(String),
    /// A list written as such.
    List(Vec<String>),
    /// What no setting takes, and why.
    Neither(&'static str),
}

impl Checker {
    /// The settings that `figment` has merged, their references looked up in `references`; `errors` are those that its sources
    /// had already.
    pub(super) fn new(figment: &Figment, references: &References, errors: Vec<ConfigError>) -> Self {
        // A provider that fails reports to `errors`; valve's own never fail here.
        let merged = figment.data().ok().and_then(|mut profiles| profiles.remove(&Profile::Default));
        let mut this = Self { settings: BTreeMap::new(), errors };
        for (name, value) in merged.unwrap_or_default() {
            let metadata = figment.get_metadata(value.tag()).filter(|metadata| metadata.name != DEFAULTS);
            let origin = metadata.map(|metadata| metadata.interpolate(&Profile::Default, &[&name]));
            let written = Form::of(value);
            let resolved = references.resolve(&written);
            let (form, problem) = match resolved {
                // Off is what is written empty, not what turns out to be: a file not yet filled, a variable not yet set.
                Ok(form) if form.is_empty() && !written.is_empty() => {
                    (form, Some("what it refers to is empty".into()))
                }
                Ok(form) => (form, None),
                Err(problem) => (Form::Text(String::new()), Some(problem)),
            };
            this.settings.insert(name.clone(), Given { form, written, origin });
            if let Some(problem) = problem {
                this.refuse(&name, problem);
            }
        }
        this
    }

    /// The errors, once everything has been taken.
    pub(super) fn into_errors(self) -> Vec<ConfigError> {
        self.errors
    }

    /// Refuses every name that isn't in the table.
    pub(super) fn refuse_unknown(&mut self) {
        let is_unknown = |name: &&String| find(name).is_none() && !name.starts_with(PROPERTIES);
        let unknown: Vec<String> = self.settings.keys().filter(is_unknown).cloned().collect();
        for name in unknown {
            let inside = format!("{name}.");
            let group: Vec<_> =
                SETTINGS.iter().map(|s| s.name).filter(|known| known.starts_with(&inside)).collect();
            if group.is_empty() && inside != PROPERTIES {
                let meant = nearest(&name, SETTINGS.iter().map(|setting| setting.name));
                let hint = meant
                    .map(|known| format!("did you mean `{known}` (environment: {})?", variable_of(known)));
                self.refuse(&name, Problem { sentence: "there is no such setting".to_owned(), hint });
            } else {
                let hint = format!(
                    "its settings: {}",
                    if group.is_empty() { "librdkafka's".to_owned() } else { group.join(", ") }
                );
                self.refuse(
                    &name,
                    Problem::with_hint("it is a group of settings and has no value itself", hint),
                );
            }
        }
    }

    /// Whether some source, not the defaults, gave `name` a value.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.settings.get(name).is_some_and(|given| given.origin.is_some() && !given.form.is_empty())
    }

    /// The names of librdkafka's properties that are given, without what precedes them.
    pub(super) fn properties(&self) -> Vec<String> {
        self.settings.keys().filter_map(|name| name.strip_prefix(PROPERTIES)).map(str::to_owned).collect()
    }

    /// The value of `name`, which must have one.
    pub(super) fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        self.require(name)?;
        self.optional(name, read)
    }

    /// The value of `name`, if it has one. An empty text is none.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        self.form(name, |form| match form {
            Form::Text(text) => read(text),
            Form::List(_) => Err("it takes one value, not a list".into()),
            Form::Neither(why) => Err((*why).into()),
        })
    }

    /// The items of `name`, which must have at least one; text is split at its commas.
    pub(super) fn required_list<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&[String]) -> Result<T, Problem>,
    ) -> Option<T> {
        self.require(name)?;
        self.form(name, |form| match form {
            Form::Text(text) => read(&value::bracketed(text).unwrap_or_else(|| value::separated(text))),
            Form::List(items) => read(items),
            Form::Neither(why) => Err((*why).into()),
        })
    }

    /// The value of `name` in whatever form it is written.
    pub(super) fn required_form<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Form) -> Result<T, Problem>,
    ) -> Option<T> {
        self.require(name)?;
        self.form(name, |form| match form {
            Form::Neither(why) => Err((*why).into()),
            form => read(form),
        })
    }

    fn require(&mut self, name: &str) -> Option<()> {
        let given = self.settings.get(name).filter(|given| !given.written.is_empty());
        // What can't be looked up is an error already.
        if given.is_some_and(|given| !given.form.is_empty())
            || self.errors.iter().any(|error| error.setting == name)
        {
            return Some(());
        }
        let meaning = find(name).map_or("", |setting| setting.meaning);
        let sentence = format!("it is required: {meaning}");
        self.refuse(
            name,
            Problem::with_hint(sentence, format!("in the environment, set {}", variable_of(name))),
        );
        None
    }

    fn form<T>(&mut self, name: &str, read: impl FnOnce(&Form) -> Result<T, Problem>) -> Option<T> {
        let given = self.settings.get(name).filter(|given| !given.form.is_empty())?;
        match read(&given.form) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.refuse(name, problem);
                None
            }
        }
    }

    /// Notes that `name` is wrong.
    pub(super) fn refuse(&mut self, name: &str, problem: Problem) {
        let given = self.settings.get(name);
        let value = given.map(|given| match is_secret(name) {
            true => "(hidden)".to_owned(),
            false => given.written.shown(name),
        });
        self.errors.push(ConfigError {
            setting: name.to_owned(),
            value,
            origin: given.map(|given| given.origin.clone().unwrap_or_else(|| DEFAULTS.to_owned())),
            problem: problem.sentence,
            allowed: find(name).map(|setting| setting.allowed.to_owned()),
            hint: problem.hint,
        });
    }
}

impl Form {
    pub(super) fn of(value: Value) -> Self {
        match value {
            // The mark that a value of the environment had other bytes than UTF-8.
            Value::String(_, text) if text.contains('\u{fffd}') => Self::Neither("it is not UTF-8"),
            Value::String(_, text) => Self::Text(text),
            Value::Char(_, c) => Self::Text(c.to_string()),
            Value::Bool(_, truth) => Self::Text(truth.to_string()),
            Value::Num(_, number) => Self::of_number(number),
            Value::Array(_, items) => items
                .into_iter()
                .map(|item| match Self::of(item) {
                    Self::Text(text) => Ok(text),
                    Self::List(_) => Err("it is a list with a list in it"),
                    Self::Neither(why) => Err(why),
                })
                .collect::<Result<_, _>>()
                .map_or_else(Self::Neither, Self::List),
            Value::Dict(..) => Self::Neither("it is a table, not a value"),
            Value::Empty(..) => Self::Neither("it is nothing"),
        }
    }

    fn of_number(number: Num) -> Self {
        let whole =
            number.to_i128().map(|n| n.to_string()).or_else(|| number.to_u128().map(|n| n.to_string()));
        // `1.10` would come out as `1.1`, and no setting takes a fraction.
        whole.map_or(Self::Neither("a number with a fraction must be written in quotes"), Self::Text)
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }

    /// What an error shows of it as the value of `name`: quoted, bounded, and without the credentials that a URL may hold.
    fn shown(&self, name: &str) -> String {
        let shown = |text: &str| without_credentials(name, text);
        let quoted = match self {
            Self::Text(text) => format!("{:?}", shown(text)),
            Self::List(items) => format!("{:?}", items.iter().map(|item| shown(item)).collect::<Vec<_>>()),
            Self::Neither(_) => return "(neither text nor list)".to_owned(),
        };
        match quoted.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", &quoted[..end]),
            None => quoted,
        }
    }
}
