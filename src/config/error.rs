//! What is wrong with a configuration: all of it at a time, each with what one needs to put it right.

use std::fmt;

use crate::columns::plain;

/// Everything that is wrong with a configuration; at least one thing.
#[derive(Debug)]
pub struct ConfigErrors {
    errors: Vec<ConfigError>,
}

impl ConfigErrors {
    pub(super) fn new(errors: Vec<ConfigError>) -> Self {
        Self { errors }
    }

    /// The errors one by one, in the order of the settings' table.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.errors.iter()
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errors.len() {
            1 => write!(f, "the configuration has an error")?,
            count => write!(f, "the configuration has {count} errors")?,
        }
        for error in &self.errors {
            write!(f, "\n\n{error}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong. No part of it shows a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The setting's name, or the file that cannot be read.
    pub setting: String,
    /// Its value as it may be shown; `None` when it has none.
    pub value: Option<String>,
    /// Where the value came from.
    pub origin: Option<String>,
    /// What is wrong with it.
    pub problem: String,
    /// What would be right.
    pub allowed: Option<String>,
    /// What was probably meant, or what to do.
    pub hint: Option<String>,
}

impl ConfigError {
    /// An error of a source rather than of a value.
    pub(super) fn about(setting: &str, origin: &str, problem: impl Into<String>) -> Self {
        Self {
            setting: setting.to_owned(),
            value: None,
            origin: Some(origin.to_owned()),
            problem: problem.into(),
            allowed: None,
            hint: None,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names of settings may come from anyone who may write to Consul.
        write!(f, "  {}", plain(&self.setting))?;
        if let Some(value) = &self.value {
            write!(f, " = {}", plain(value))?;
        }
        let lines = [
            ("from", self.origin.as_deref()),
            ("problem", Some(self.problem.as_str())),
            ("allowed", self.allowed.as_deref()),
            ("hint", self.hint.as_deref()),
        ];
        for (label, line) in lines {
            if let Some(line) = line {
                write!(f, "\n    {:<8} {}", format!("{label}:"), plain(line))?;
            }
        }
        Ok(())
    }
}

/// Why a value is refused: a sentence that doesn't repeat the value, and perhaps what was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) sentence: String,
    pub(super) hint: Option<String>,
}

impl Problem {
    /// A problem with a hint at what to write instead.
    pub(super) fn with_hint(sentence: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), hint: Some(hint.into()) }
    }
}

impl<T: Into<String>> From<T> for Problem {
    fn from(sentence: T) -> Self {
        Self { sentence: sentence.into(), hint: None }
    }
}

/// The one of `known` that `written` is most probably a misspelling of.
pub(super) fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let bare = |text: &str| text.to_lowercase().replace(['_', '-', '.', ' ', ':'], "");
    let wanted = bare(written);
    let distances = known.map(|name| (strsim::damerau_levenshtein(&wanted, &bare(name)), name));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= name.len() / 3).then_some(name)
}
