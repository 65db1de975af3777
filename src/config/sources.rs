//! All that the sources say, together, and in which order they are asked: Consul last, since where its settings for this
//! valve are depends on what this machine says.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;

use super::Config;
use super::check::Checker;
use super::consul::{self, Agent};
use super::effective::{self, Effective};
use super::error::{ConfigError, ConfigErrors};
use super::layers::{self, Layer};
use super::references::{Looked, References};
use super::validate::{self, Machine};
use crate::retry::until_done;
use crate::telemetry::troubles::{Dependency, Troubles};

/// How long all of Consul's answers together may take at one attempt.
const ONE_ATTEMPT: Duration = Duration::from_secs(10);
/// How long Consul is waited for by who can do without an answer.
const WITHOUT_NEED: Duration = Duration::from_secs(10);

/// How long Consul is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until it answers, unless `consul.required` is off.
    Endless,
    /// So long.
    Limited(Duration),
}

impl Patience {
    fn at_most(self, most: Duration) -> Self {
        Self::Limited(match self {
            Self::Endless => most,
            Self::Limited(limit) => limit.min(most),
        })
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// They are wrong.
    #[error(transparent)]
    Wrong(#[from] ConfigErrors),
    /// Consul, which has some of them, doesn't answer, or doesn't let valve read.
    #[error("Consul ({address}), which has some of the settings, can't be read: {reason}")]
    Consul {
        /// Where it was asked.
        address: String,
        /// Why there is no answer.
        reason: String,
    },
}

/// What all sources say. It holds secrets, and so its `Debug` shows nothing.
pub struct Sources {
    /// The strongest first.
    layers: Vec<Layer>,
    references: References,
    /// What is wrong with the sources themselves.
    errors: Vec<ConfigError>,
    /// Still to be asked.
    consul: Option<Agent>,
    /// Why Consul, which isn't required, gave no answer.
    unanswered: Option<String>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

impl Sources {
    /// What is said on this machine: defaults, then `file` (TOML; otherwise the file that `VALVE_CONFIG` names, if any), then
    /// the `VALVE_` variables of `env`.
    ///
    /// # Errors
    /// When the file can't be read, or the variables that say where Consul is are wrong: without these sources, most settings
    /// would only seem to be missing.
    pub fn local(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let mut errors = Vec::new();
        let env: BTreeMap<String, String> = env.collect();
        let from_env = env.get(layers::ENV_FILE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let file = match (file, from_env) {
            (Some(path), _) => layers::file(path, "--config", &mut errors),
            (None, Some(path)) => layers::file(&path, "environment variable VALVE_CONFIG", &mut errors),
            (None, None) => Ok(Layer::default()),
        };
        let file = file.map_err(|error| ConfigErrors::new(vec![*error]))?;
        let variables = layers::environment(env.clone().into_iter(), &mut errors);
        let consul = Agent::from_env(&env)?;
        let layers = vec![variables, file, layers::defaults()];
        Ok(Self { layers, references: References::new(env), errors, consul, unanswered: None })
    }

    /// Whether Consul is still to be asked.
    #[must_use]
    pub fn asks_consul(&self) -> bool {
        self.consul.is_some()
    }

    /// Where Consul is still to be asked.
    #[must_use]
    pub fn consul_address(&self) -> Option<&str> {
        self.consul.as_ref().map(Agent::address)
    }

    /// Whether whoever is there is taken for Consul: its certificate isn't to be looked at.
    #[must_use]
    pub fn trusts_any_consul(&self) -> bool {
        self.consul.as_ref().is_some_and(Agent::trusts_anyone)
    }

    /// Why Consul, which isn't required, gave no answer when it was asked; its settings aren't among these.
    #[must_use]
    pub fn unanswered(&self) -> Option<&str> {
        self.unanswered.as_deref()
    }

    /// `http.listen`, which never comes from Consul.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn http_listen(&self) -> Result<SocketAddr, ConfigErrors> {
        validate::http_listen(self.checker(Vec::new()))
    }

    /// The same with what Consul says, between the file and the environment, if the environment says where it is. Its trouble
    /// stands in `troubles` meanwhile.
    ///
    /// # Errors
    /// When Consul doesn't answer for longer than `patience` has it, or it can't be said where in it the settings are.
    pub async fn with_consul(mut self, troubles: &Troubles, patience: Patience) -> Result<Self, LoadError> {
        let Some(agent) = self.consul.take() else { return Ok(self) };
        let place = validate::place(self.checker(Vec::new()))?;
        // It can't come from Consul by a reference, either.
        self.http_listen()?;
        let patience = if place.required { patience } else { patience.at_most(WITHOUT_NEED) };
        match ask(&agent, troubles, patience, async || consul::read(&agent, &place).await).await {
            Ok(found) => {
                self.layers.splice(1..1, found.layers);
                self.errors.extend(found.errors);
            }
            Err(reason) if place.required => return Err(unanswered(&agent, reason)),
            Err(reason) => {
                tracing::warn!(
                    reason,
                    "Consul doesn't answer, and isn't required: going on without its settings"
                );
                self.unanswered = Some(reason);
                return Ok(self);
            }
        }
        let keys = self.references.consul_keys(&self.merged());
        let values = ask(&agent, troubles, patience, async || values(&agent, &keys).await).await;
        self.references.looked(values.map_err(|reason| unanswered(&agent, reason))?);
        Ok(self)
    }

    /// Each setting with where it comes from, whether it is right or not.
    #[must_use]
    pub fn effective(&self) -> Vec<Effective> {
        effective::effective(&self.layers)
    }

    /// Validates what they say on this machine.
    ///
    /// # Errors
    /// Everything that is wrong, at a time.
    pub fn validate(self) -> Result<Config, ConfigErrors> {
        self.check(Machine::this())
    }

    pub(super) fn check(mut self, machine: Machine) -> Result<Config, ConfigErrors> {
        let errors = std::mem::take(&mut self.errors);
        validate::config(self.checker(errors), machine)
    }

    /// Defaults, and over them what a file or a document in Consul with this `text` says.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn of_text(text: &str, in_consul: bool) -> Result<Self, ConfigErrors> {
        let mut errors = Vec::new();
        let layer = if in_consul { layers::document(text) } else { layers::toml(text) };
        let said =
            layer.map_err(|problem| ConfigErrors::new(vec![ConfigError::about("text", "text", problem)]))?;
        let layers = vec![Layer::of_text(said, &mut errors), layers::defaults()];
        Ok(Self {
            layers,
            references: References::new(BTreeMap::new()),
            errors,
            consul: None,
            unanswered: None,
        })
    }

    /// The same as if Consul had `keys` in `folder`.
    #[cfg(test)]
    pub(super) fn with_folder(mut self, folder: &str, keys: &[(&str, &str)]) -> Self {
        let layer = consul::folder(folder, keys, &mut self.errors);
        self.layers.insert(1, layer);
        self
    }

    fn merged(&self) -> Figment {
        self.layers.iter().rev().fold(Figment::new(), Figment::merge)
    }

    fn checker(&self, errors: Vec<ConfigError>) -> Checker {
        Checker::new(&self.merged(), &self.references, errors)
    }
}

fn unanswered(agent: &Agent, reason: String) -> LoadError {
    LoadError::Consul { address: agent.address().to_owned(), reason }
}

/// Asks again and again, for as long as `patience` has it.
async fn ask<T>(
    agent: &Agent,
    troubles: &Troubles,
    patience: Patience,
    attempt: impl AsyncFn() -> Result<T, String>,
) -> Result<T, String> {
    let what = format!("settings from {}", agent.address());
    let latest = std::sync::Mutex::new(format!("no answer within {ONE_ATTEMPT:?}"));
    let answered = until_done(troubles, Dependency::Consul, &what, ONE_ATTEMPT, || async {
        attempt().await.inspect_err(|reason| {
            latest.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone_from(reason);
        })
    });
    match patience {
        Patience::Endless => Ok(answered.await),
        Patience::Limited(limit) => match tokio::time::timeout(limit, answered).await {
            Ok(found) => Ok(found),
            Err(_) => Err(latest.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)),
        },
    }
}

/// What the keys hold that values refer to.
async fn values(agent: &Agent, keys: &[String]) -> Result<Looked, String> {
    let values = keys.iter().map(async |key| Ok::<_, String>((key.clone(), agent.value(key).await?)));
    Ok(futures_util::future::try_join_all(values).await?.into_iter().collect())
}
