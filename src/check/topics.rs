//! Which topics the setting means, and whether they may be read.

use std::collections::BTreeMap;

use super::kafka::{ANSWER, allows, some};
use super::{Checks, Clients, Finding, Outcome, advice};
use crate::config::Topics;
use crate::source::offsets::describing::is_missing;
use crate::source::{DescribedTopic, Operation};
use crate::telemetry::troubles::Troubles;
use crate::topics::Discovery;

const AREA: &str = "kafka";

/// So many names are said.
const SHOWN: usize = 5;

/// What is found of the topics, and the names of those that may be read, if that is known.
pub(super) async fn check(checks: &Checks, clients: &Clients) -> (Vec<Finding>, Option<Vec<String>>) {
    let Clients { config, offsets, registry } = clients;
    let meant = meaning(&config.topics);
    let look = Discovery::new(config.topics.clone(), offsets.clone(), registry.clone(), Troubles::default());
    let asked = async {
        let topics = look.look().await?;
        offsets.describe_topics(topics).await
    };
    let (described, took) = checks.within(ANSWER, asked).await;
    let finding = |outcome| Finding::new(AREA, format!("find topics ({meant})"), outcome).took(took);
    match described {
        Err(why) => {
            let (why, to_do) = match config.topics {
                Topics::Registry if why.contains("GET ") => advice::registry(&why),
                _ => (why.clone(), advice::kafka(&why)),
            };
            (vec![finding(Outcome::Failed).saying(why).advising(to_do)], None)
        }
        Ok(described) if described.is_empty() => {
            let to_do = "correct `topics`, or grant Describe on the topics: Kafka hides those that one may not describe";
            (vec![finding(Outcome::Failed).saying("there is none").advising(to_do)], Some(Vec::new()))
        }
        Ok(described) => judge(&described, finding),
    }
}

/// The setting, in words.
fn meaning(topics: &Topics) -> String {
    match topics {
        Topics::List(topics) => format!("a list of {}", topics.len()),
        Topics::Pattern(pattern) => format!("like {pattern}"),
        Topics::Registry => "those in the registry".to_owned(),
    }
}

/// Findings about topics as the brokers describe them, and the names of those that may be read.
fn judge(
    described: &[DescribedTopic],
    finding: impl Fn(Outcome) -> Finding,
) -> (Vec<Finding>, Option<Vec<String>>) {
    let mut readable = Vec::new();
    let mut troubles: BTreeMap<Trouble, Vec<&str>> = BTreeMap::new();
    for topic in described {
        match trouble(topic) {
            None => readable.push(topic.name.clone()),
            Some(trouble) => troubles.entry(trouble).or_default().push(&topic.name),
        }
    }
    let untold = described.iter().any(|topic| topic.error.is_none() && topic.rights.is_none());
    let mut findings = Vec::new();
    if !readable.is_empty() {
        let may = if untold { "whether they may be read isn't told" } else { "they may be read" };
        let names = names(&readable.iter().map(String::as_str).collect::<Vec<_>>());
        let outcome = if untold { Outcome::Noted } else { Outcome::Well };
        findings.push(finding(outcome).saying(format!("{}: {names}; {may}", some(readable.len(), "topic"))));
    }
    for (trouble, topics) in troubles {
        let (said, to_do) = trouble.told(&topics);
        findings.push(finding(Outcome::Failed).saying(said).advising(to_do));
    }
    (findings, Some(readable))
}

/// What can be in the way of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    Missing,
    NotGranted,
    Other(String),
}

fn trouble(topic: &DescribedTopic) -> Option<Trouble> {
    match topic.error {
        Some(_) if is_missing(topic) => Some(Trouble::Missing),
        Some(_) if topic.is_denied() => Some(Trouble::NotGranted),
        Some(code) => Some(Trouble::Other(code.to_string())),
        None if allows(&topic.rights, Operation::Read) == Some(false) => Some(Trouble::NotGranted),
        None => None,
    }
}

impl Trouble {
    fn told(&self, topics: &[&str]) -> (String, String) {
        let names = names(topics);
        match self {
            Self::Missing => (
                format!("there is no topic {names}"),
                "create it, or correct `topics`: valve would wait for it".to_owned(),
            ),
            Self::NotGranted => {
                let first = topics.first().copied().unwrap_or_default();
                let to_do = advice::grant(&["Read", "Describe"], "topic", first);
                (format!("Read and Describe aren't both granted on {names}"), to_do)
            }
            Self::Other(why) => (format!("{names}: {why}"), advice::kafka(why)),
        }
    }
}

/// Some names, and how many more there are.
fn names(names: &[&str]) -> String {
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_topics_of_all_kinds_then_each_trouble_has_its_advice_and_the_rest_may_be_read() {
        let all = Some(vec![Operation::Read, Operation::Describe]);
        let topics = [
            DescribedTopic::known("orders", all.clone()),
            DescribedTopic::known("secret", Some(vec![Operation::Describe])),
            DescribedTopic::missing("ordres"),
            DescribedTopic::denied("payments"),
        ];
        let (findings, readable) = judge(&topics, |outcome| Finding::new(AREA, "find topics", outcome));
        assert_eq!(readable.unwrap(), ["orders"]);
        let said: Vec<_> = findings.iter().map(|finding| (finding.outcome, finding.said.as_str())).collect();
        let expected = [
            (Outcome::Well, "1 topic: orders; they may be read"),
            (Outcome::Failed, "there is no topic ordres"),
            (Outcome::Failed, "Read and Describe aren't both granted on secret, payments"),
        ];
        assert_eq!(said, expected);
        assert!(
            findings[2]
                .to_do
                .as_ref()
                .unwrap()
                .contains("--operation Read --operation Describe --topic secret")
        );
    }

    #[test]
    fn given_brokers_that_tell_no_rights_then_that_is_said() {
        let topics = [DescribedTopic::known("orders", None)];
        let (findings, readable) = judge(&topics, |outcome| Finding::new(AREA, "find topics", outcome));
        assert_eq!((findings[0].outcome, readable.unwrap().len()), (Outcome::Noted, 1));
    }

    #[test]
    fn given_many_names_then_some_are_said_and_the_others_counted() {
        assert_eq!(names(&["a", "b"]), "a, b");
        assert_eq!(names(&["a"; 5]), "a, a, a, a, a");
        assert_eq!(names(&["a"; 7]), "a, a, a, a, a and 2 more");
    }
}
