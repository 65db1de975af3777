//! The schema registry, under each of its URLs.

use std::time::Duration;

use futures_util::future::join_all;

use super::{Checks, Clients, Finding, Outcome, advice};
use crate::config::{RegistryAuth, RegistryConfig, Topics};
use crate::registry::confluent::Confluent;
use crate::registry::confluent::probe::Reached;

const AREA: &str = "registry";

/// How long one URL may take, with all that is asked of it.
const ANSWER: Duration = Duration::from_secs(12);

/// What is found of the registry.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) findings: Vec<Finding>,
    /// Whether schemas can be had from one of its URLs.
    pub(super) is_well: bool,
}

pub(super) async fn check(checks: &Checks, clients: &Clients) -> Registry {
    let RegistryConfig { urls, auth, .. } = &clients.config.registry;
    let lists_topics = matches!(clients.config.topics, Topics::Registry);
    let each = urls.iter().map(async |url| {
        let one = RegistryConfig { urls: vec![url.clone()], ..clients.config.registry.clone() };
        let asked = async {
            let registry = Confluent::new(&one).map_err(|error| error.to_string())?;
            registry.reach().await.map_err(|error| error.to_string())
        };
        let (reached, took) = checks.within(ANSWER, asked).await;
        let tried = format!("ask {url}, {}", identity(auth.as_ref()));
        judge(reached, lists_topics, |outcome| Finding::new(AREA, tried, outcome).took(took))
    });
    let findings = join_all(each).await;
    let is_well = findings.iter().any(|finding| finding.outcome != Outcome::Failed);
    Registry { findings, is_well }
}

fn identity(auth: Option<&RegistryAuth>) -> String {
    match auth {
        None => "without credentials".to_owned(),
        Some(RegistryAuth::Basic { username, .. }) => format!("as {username}"),
        Some(RegistryAuth::Bearer(_)) => "with a token".to_owned(),
    }
}

fn judge(
    reached: Result<Reached, String>,
    lists_topics: bool,
    finding: impl FnOnce(Outcome) -> Finding,
) -> Finding {
    let (why, to_do) = match reached {
        Ok(Reached { subjects: Ok(subjects), mode }) => {
            let mode = mode.map(|mode| format!(", mode {mode}")).unwrap_or_default();
            return finding(Outcome::Well).saying(format!("answers; {subjects} subjects{mode}"));
        }
        Ok(Reached { subjects: Err(why), .. }) if !lists_topics => {
            let said =
                format!("answers; it lists no subjects ({why}), which only topics = \"registry\" needs");
            return finding(Outcome::Noted).saying(said);
        }
        Ok(Reached { subjects: Err(why), .. }) | Err(why) => advice::registry(&why),
    };
    finding(Outcome::Failed).saying(why).advising(to_do)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn said(reached: Result<Reached, String>, lists_topics: bool) -> Finding {
        judge(reached, lists_topics, |outcome| Finding::new(AREA, "ask", outcome))
    }

    #[test]
    fn given_a_registry_that_answers_then_it_is_well_unless_subjects_are_needed_and_denied() {
        let well = Reached { subjects: Ok(12), mode: Some("READWRITE".to_owned()) };
        let finding = said(Ok(well), true);
        assert_eq!(
            (finding.outcome, &*finding.said),
            (Outcome::Well, "answers; 12 subjects, mode READWRITE")
        );
        let denied = || Reached { subjects: Err("GET u: HTTP 403: denied; grant it".to_owned()), mode: None };
        assert_eq!(said(Ok(denied()), false).outcome, Outcome::Noted);
        let finding = said(Ok(denied()), true);
        assert_eq!((finding.outcome, finding.to_do.as_deref()), (Outcome::Failed, Some("grant it")));
    }

    #[test]
    fn given_credentials_then_it_is_said_whose_and_not_which() {
        let password = Secret::new("hunter2");
        let basic = RegistryAuth::Basic { username: "valve".to_owned(), password: password.clone() };
        assert_eq!(identity(Some(&basic)), "as valve");
        assert_eq!(identity(Some(&RegistryAuth::Bearer(password))), "with a token");
    }
}
