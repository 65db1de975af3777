//! Consul, where the environment says that it has settings. It is asked first: what all else is checked by may come from there.

use std::time::Duration;

use super::{Checks, Finding, Outcome, advice};
use crate::config::{ConfigErrors, LoadError, Patience, Sources};
use crate::telemetry::troubles::Troubles;

const AREA: &str = "consul";

/// How long it may take.
const ANSWER: Duration = Duration::from_secs(10);

/// What Consul says beside what is said on this machine, and a finding, if it is asked at all; no sources where it is needed
/// and doesn't answer.
///
/// # Errors
/// When it can't be said where in Consul the settings are.
pub(crate) async fn ask(
    checks: &Checks,
    local: Sources,
) -> Result<(Option<Finding>, Option<Sources>), ConfigErrors> {
    ask_for(checks, local, ANSWER).await
}

async fn ask_for(
    checks: &Checks,
    local: Sources,
    limit: Duration,
) -> Result<(Option<Finding>, Option<Sources>), ConfigErrors> {
    let Some(address) = local.consul_address().map(str::to_owned) else { return Ok((None, Some(local))) };
    let troubles = Troubles::default();
    let trusts_anyone = local.trusts_any_consul();
    let (answer, took) = checks.timed(local.with_consul(&troubles, Patience::Limited(limit))).await;
    let finding = |outcome| Finding::new(AREA, format!("read settings at {address}"), outcome).took(took);
    match answer {
        Ok(sources) => {
            let finding = match sources.unanswered() {
                None if trusts_anyone => finding(Outcome::Warned)
                    .saying("it answers, but whoever did so in its place would get the token and say the settings")
                    .advising("name Consul's authority by CONSUL_CACERT instead of CONSUL_HTTP_SSL_VERIFY=false"),
                None => finding(Outcome::Well).saying("it answers; valve config says what it has"),
                Some(why) => finding(Outcome::Warned)
                    .saying(format!(
                        "{why}; it isn't required (consul.required), so its settings are left out"
                    ))
                    .advising(to_do(why)),
            };
            Ok((Some(finding), Some(sources)))
        }
        Err(LoadError::Wrong(errors)) => Err(errors),
        Err(LoadError::Consul { reason, .. }) => {
            let to_do = to_do(&reason);
            Ok((Some(finding(Outcome::Failed).saying(reason).advising(to_do)), None))
        }
    }
}

/// That Consul isn't asked, where it would be.
pub(crate) fn offline(local: &Sources) -> Vec<Finding> {
    let said =
        |address: &str| format!("Consul at {address}, which may have settings, wasn't asked (--offline)");
    let finding = |address: &str| {
        let tried = format!("read settings at {address}");
        Finding::new(AREA, tried, Outcome::NotTried).saying(said(address))
    };
    local.consul_address().map(finding).into_iter().collect()
}

fn to_do(why: &str) -> String {
    let is_denied = why.contains("403") || why.contains("token") || why.contains("ACL");
    if is_denied {
        "give CONSUL_HTTP_TOKEN a policy that reads what README names, below consul.path".to_owned()
    } else {
        advice::network(why, "CONSUL_HTTP_ADDR")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_why_consul_gives_no_answer_then_the_variable_to_look_at_is_named() {
        assert!(to_do("the token may not read a/b (403 Permission denied)").contains("CONSUL_HTTP_TOKEN"));
        assert!(to_do("tcp connect error: Connection refused").contains("CONSUL_HTTP_ADDR"));
    }

    #[tokio::test]
    async fn given_a_consul_that_isnt_there_then_nothing_else_is_known_and_offline_it_isnt_asked() {
        let local = || {
            let env = [
                ("CONSUL_HTTP_ADDR", "127.0.0.1:1"),
                ("VALVE_NAME", "archive"),
                ("VALVE_CONSUL__REQUIRED", "true"),
            ];
            let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
            Sources::local(None, env.into_iter()).expect("sources")
        };
        let offline = offline(&local()).remove(0);
        assert!(offline.outcome == Outcome::NotTried && offline.said.contains("127.0.0.1:1"), "{offline:?}");
        let (finding, sources) = ask_for(&Checks::default(), local(), Duration::from_millis(300))
            .await
            .expect("a place in Consul");
        let finding = finding.expect("it is asked");
        assert!(finding.outcome == Outcome::Failed && sources.is_none(), "{finding:?}");
        assert!(finding.advice().contains("CONSUL_HTTP_ADDR"), "{finding:?}");
    }
}
