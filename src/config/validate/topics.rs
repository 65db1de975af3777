//! `topics`: a list, a pattern, or what the registry knows.

use std::collections::BTreeSet;

use super::syntax::{MAX_TOPIC_NAME, plain_name};
use crate::config::Topics;
use crate::config::check::{Checker, Form};
use crate::config::error::Problem;
use crate::config::value::{bracketed, separated};

/// The setting `topics`.
pub(super) fn topics(settings: &mut Checker) -> Option<Topics> {
    settings.required_form("topics", |form| match form {
        Form::List(names) => list(names),
        Form::Text(text) => match text.trim() {
            "registry" => Ok(Topics::Registry),
            pattern if pattern.starts_with('^') => matching(pattern),
            text => list(&bracketed(text).unwrap_or_else(|| separated(text))),
        },
        Form::Neither(why) => Err((*why).into()),
    })
}

fn matching(pattern: &str) -> Result<Topics, Problem> {
    let regex = regex::Regex::new(pattern).map_err(|error| {
        // The last line is the reason; those before it draw the pattern once more.
        let error = error.to_string();
        let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Problem::from(format!("the pattern is no regular expression: {reason}"))
    })?;
    Ok(Topics::Pattern(regex))
}

fn list(names: &[String]) -> Result<Topics, Problem> {
    if names.is_empty() {
        return Err("the list is empty".into());
    }
    let mut seen = BTreeSet::new();
    for name in names {
        if name.starts_with('^') {
            return Err("a pattern cannot be one of a list; join patterns with `|`".into());
        }
        let name = plain_name(name, MAX_TOPIC_NAME)
            .map_err(|problem| Problem::from(format!("a topic's name is wrong: {}", problem.sentence)))?;
        if name.starts_with("__") || name.starts_with(crate::dead_letter::TOPIC_PREFIX) {
            return Err("internal topics and dead-letter topics are never consumed".into());
        }
        if !seen.insert(name) {
            return Err("a topic is named twice".into());
        }
    }
    Ok(Topics::List(names.iter().map(|name| name.trim().to_owned()).collect()))
}
