//! What a configuration does, from its sources to the `Config` or the errors.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::layers::variable_of;
use super::validate::Machine;
use super::*;

mod arrival;
mod effective;
mod hostile;
mod refusal;
mod secrets;
mod shipped;
mod sources;

pub(super) const MACHINE: Machine = Machine { memory: 4 << 30, cores: 3 };

/// A complete configuration, as lines of TOML by setting.
pub(super) const BASE: &[(&str, &str)] = &[
    ("name", "'archive'"),
    ("topics", "'orders'"),
    ("kafka.bootstrap_servers", "'kafka:9092'"),
    ("registry.url", "'http://registry:8081'"),
    ("timestamp", "'kafka'"),
    ("sink.bucket", "'events'"),
];

/// Loads `toml` as the file and `env` as the environment.
fn load_text(toml: &str, env: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("valve.toml");
    fs::write(&path, toml).unwrap();
    load_on(MACHINE, Some(&path), pairs(env))
}

fn load_on(
    machine: Machine,
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Config, ConfigErrors> {
    Sources::local(file, env)?.check(machine)
}

/// Loads `toml` as the file, with `keys` as what Consul has in the valve's folder.
fn consul_says(keys: &[(&str, &str)], toml: &str) -> Result<Config, ConfigErrors> {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("valve.toml");
    fs::write(&path, toml).unwrap();
    Sources::local(Some(&path), pairs(&[]))?.with_folder("a/b/c", keys).check(MACHINE)
}

pub(super) fn pairs(env: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>().into_iter()
}

/// The lines of `BASE`, with `lines` in the place of those of the same settings. A line without a value removes
/// its setting.
fn over_base(lines: &[(&str, &str)]) -> String {
    let of_base = BASE.iter().filter(|(name, _)| lines.iter().all(|(other, _)| other != name));
    let given = lines.iter().filter(|(_, value)| !value.is_empty());
    of_base.chain(given).map(|(name, value)| format!("{name} = {value}\n")).collect()
}

/// Loads the base with the lines of TOML that `lines` gives for settings.
fn load_lines(lines: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    load_text(&over_base(lines), &[])
}

/// The errors of the base with `lines`.
fn errors(lines: &[(&str, &str)]) -> Vec<ConfigError> {
    errors_of(load_lines(lines))
}

fn errors_of(loaded: Result<Config, ConfigErrors>) -> Vec<ConfigError> {
    loaded.map_or_else(|errors| errors.iter().cloned().collect(), |_| Vec::new())
}

/// The only error of the base with `lines`.
fn error(lines: &[(&str, &str)]) -> ConfigError {
    let mut errors = errors(lines);
    assert_eq!(errors.len(), 1, "{lines:?}: {errors:#?}");
    errors.remove(0)
}
