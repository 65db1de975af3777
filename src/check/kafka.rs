//! The brokers, the group and the dead-letter topic.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;

use super::{Checks, Clients, Finding, Outcome, advice, reach, topics};
use crate::config::{Config, KafkaAuth, KafkaConfig};
use crate::core::intent::Layout;
use crate::dead_letter::producer::may_create_topic;
use crate::source::offsets::describing::{Cluster, is_missing, is_new};
use crate::source::{DescribedTopic, Operation, Rights, configs};

const AREA: &str = "kafka";

/// How long the brokers may take to answer one question, connections and sign-in included.
pub(super) const ANSWER: Duration = Duration::from_secs(12);

/// So many brokers are connected to.
const MOST_BROKERS: usize = 20;

/// Of so many topics the committed offsets are read.
const MOST_TOPICS: usize = 100;

/// What is found of Kafka, and the topics that may be read, if that is known.
pub(super) async fn check(checks: &Checks, clients: &Clients) -> (Vec<Finding>, Option<Vec<String>>) {
    let bootstrap = clients.config.kafka.bootstrap_servers.split(',').map(address);
    let mut findings = join_all(bootstrap.take(MOST_BROKERS).map(|address| connect(checks, address))).await;
    if findings.iter().all(|finding| finding.outcome == Outcome::Failed) {
        findings.extend(not_tried(&clients.config, "no broker's address is reached"));
        return (findings, None);
    }
    let cluster = match cluster(checks, clients).await {
        (finding, Some(cluster)) => {
            findings.push(finding);
            cluster
        }
        (finding, None) => {
            findings.push(finding);
            findings.extend(not_tried(&clients.config, "the brokers don't answer"));
            return (findings, None);
        }
    };
    let (advertised, metadata, (topic_findings, topics), letters) = tokio::join!(
        advertised(checks, clients, &cluster),
        metadata_limit(checks, clients, &cluster),
        topics::check(checks, clients),
        letters(checks, &clients.config, clients),
    );
    findings.extend(advertised);
    findings.extend(metadata);
    findings.extend(topic_findings);
    findings.extend(group(checks, clients, topics.as_deref()).await);
    findings.extend(letters);
    (findings, topics)
}

fn not_tried(config: &Config, since: &str) -> Vec<Finding> {
    let (name, letters) = (&config.name, config.dead_letter_topic());
    let rest = [
        "ask for the cluster",
        "find topics",
        &format!("group {name}"),
        &format!("dead-letter topic {letters}"),
    ]
    .map(|tried| Finding::not_tried(AREA, tried, since));
    // The cluster itself was tried, when that is why.
    rest.into_iter().skip(usize::from(since.contains("answer"))).collect()
}

/// `host:port` of a bootstrap server, which may have a protocol and needs no port.
fn address(server: &str) -> String {
    let address = server.split_once("://").map_or(server, |(_, address)| address);
    let has_port =
        address.rsplit_once(':').is_some_and(|(host, port)| !port.ends_with(']') && !host.is_empty());
    if has_port { address.to_owned() } else { format!("{address}:9092") }
}

async fn connect(checks: &Checks, address: String) -> Finding {
    let (connected, took) = reach::connect(checks, &address).await;
    let finding = |outcome| Finding::new(AREA, format!("connect to {address}"), outcome).took(took);
    match connected {
        Ok(at) if at.to_string() == address => finding(Outcome::Well),
        Ok(at) => finding(Outcome::Well).saying(at),
        Err(why) => {
            let to_do = advice::network(&why, "kafka.bootstrap_servers");
            finding(Outcome::Failed).saying(why).advising(to_do)
        }
    }
}

async fn cluster(checks: &Checks, clients: &Clients) -> (Finding, Option<Cluster>) {
    let (answer, took) = checks.within(ANSWER, clients.offsets.cluster()).await;
    let tried = format!("ask for the cluster ({})", security(&clients.config.kafka));
    let finding = |outcome| Finding::new(AREA, tried, outcome).took(took);
    match answer {
        Ok(cluster) => {
            let id = cluster.id.as_deref().unwrap_or("of an id that isn't told");
            let count = cluster.brokers.len();
            let said = format!("{id}, {}, {} visible", some(count, "broker"), some(cluster.topics, "topic"));
            (finding(Outcome::Well).saying(said), Some(cluster))
        }
        Err(why) => {
            let to_do = advice::kafka(&why);
            (finding(Outcome::Failed).saying(why).advising(to_do), None)
        }
    }
}

/// How the connections are secured.
fn security(kafka: &KafkaConfig) -> String {
    let protocol = kafka.properties.get("security.protocol");
    match (&kafka.auth, protocol) {
        (Some(KafkaAuth::MskIam { .. }), _) => "TLS, MSK IAM".to_owned(),
        (Some(_), _) => "TLS, OpenID".to_owned(),
        (None, Some(protocol)) => protocol.reveal().to_lowercase(),
        (None, None) => "plaintext".to_owned(),
    }
}

/// So many of something.
pub(super) fn some(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The brokers under the addresses that they give out themselves: clients go there, wherever they began.
async fn advertised(checks: &Checks, clients: &Clients, cluster: &Cluster) -> Vec<Finding> {
    let bootstrap: BTreeSet<String> =
        clients.config.kafka.bootstrap_servers.split(',').map(address).collect();
    let others = cluster.brokers.iter().filter(|(_, address)| !bootstrap.contains(address));
    let connected = others.take(MOST_BROKERS).map(async |(id, address)| {
        let (connected, took) = reach::connect(checks, address).await;
        let finding =
            |outcome| Finding::new(AREA, format!("connect to broker {id} at {address}"), outcome).took(took);
        match connected {
            Ok(_) => finding(Outcome::Well),
            Err(why) => {
                let to_do = advice::network(&why, "the broker's advertised.listeners");
                finding(Outcome::Failed).saying(why).advising(to_do)
            }
        }
    });
    join_all(connected).await
}

/// Whether an offset commit may carry an intent. Brokers have room for 4,096 bytes unless told otherwise.
async fn metadata_limit(checks: &Checks, clients: &Clients, cluster: &Cluster) -> Vec<Finding> {
    const NAME: &str = "offset.metadata.max.bytes";
    let Some((broker, _)) = cluster.brokers.first() else { return Vec::new() };
    let (known, took) = checks.within(ANSWER, configs::of_broker(&clients.config.kafka, *broker)).await;
    let finding = |outcome| Finding::new(AREA, format!("look up {NAME}"), outcome).took(took);
    let needed = Layout::of(&clients.config).longest_metadata();
    let limit = known.map(|known| known.get(NAME).and_then(|limit| limit.parse::<usize>().ok()));
    vec![match limit {
        Ok(Some(limit)) if limit >= needed => {
            finding(Outcome::Well).saying(format!("{limit} at broker {broker}; valve needs {needed} at most"))
        }
        Ok(Some(limit)) => finding(Outcome::Failed)
            .saying(format!(
                "{limit} at broker {broker}, while valve needs up to {needed}: it couldn't commit"
            ))
            .advising(format!("raise {NAME} on the brokers to {needed} or more; 4096 is the default")),
        Ok(None) => finding(Outcome::Noted).saying("it isn't told; the default, 4096, is enough"),
        Err(why) => finding(Outcome::Noted).saying(format!("{why}; the default, 4096, is enough")),
    }]
}

async fn group(checks: &Checks, clients: &Clients, topics: Option<&[String]>) -> Vec<Finding> {
    let name = &clients.config.name;
    let (described, took) = checks.within(ANSWER, clients.offsets.describe_group(name.clone())).await;
    let finding = |outcome| Finding::new(AREA, format!("find group {name}"), outcome).took(took);
    let to_grant = || advice::grant(&["Read", "Describe"], "group", name);
    let found = match described {
        Err(why) => finding(Outcome::Failed).saying(&why).advising(advice::kafka(&why)),
        Ok(group) if group.error.is_some() && !is_new(&group) => {
            let why = group.error.map(|code| code.to_string()).unwrap_or_default();
            finding(Outcome::Failed).saying(why).advising(to_grant())
        }
        Ok(group) => match (allows(&group.rights, Operation::Read), group.members) {
            (Some(false), _) => {
                finding(Outcome::Failed).saying("Read isn't granted on it").advising(to_grant())
            }
            (None, _) => finding(Outcome::Noted)
                .saying("there is none yet; whether it may be joined (Read) isn't told, and wasn't tried"),
            (Some(true), 0) => finding(Outcome::Well).saying("may be joined; nobody belongs to it now"),
            (Some(true), members) => finding(Outcome::Well).saying(format!(
                "may be joined; {} belong to it: valves are at work",
                some(members, "consumer")
            )),
        },
    };
    let failed = found.outcome == Outcome::Failed;
    let mut findings = vec![found];
    match topics {
        Some(topics) if !failed && !topics.is_empty() => {
            findings.push(committed(checks, clients, topics).await);
        }
        _ => {}
    }
    findings
}

/// Reads the group's offsets, as every owner of a partition does first.
async fn committed(checks: &Checks, clients: &Clients, topics: &[String]) -> Finding {
    let some_topics: BTreeSet<String> = topics.iter().take(MOST_TOPICS).cloned().collect();
    let tried = "read the group's offsets";
    let (group, took) = checks.within(ANSWER, clients.offsets.group(some_topics)).await;
    let finding = |outcome| Finding::new(AREA, tried, outcome).took(took);
    match group {
        Ok(group) if group.committed.is_empty() => finding(Outcome::Well)
            .saying(format!("none yet; it begins by start = {:?}", clients.config.start).to_lowercase()),
        Ok(group) => {
            finding(Outcome::Well).saying(format!("in {}", some(group.committed.len(), "partition")))
        }
        Err(why) => finding(Outcome::Failed).saying(why).advising(advice::grant(
            &["Describe"],
            "group",
            &clients.config.name,
        )),
    }
}

/// Whether an operation is granted; `None` where that isn't told.
pub(super) fn allows(rights: &Rights, operation: Operation) -> Option<bool> {
    rights.as_ref().map(|granted| granted.contains(&operation))
}

/// The dead-letter topic. Nothing is written to it and none is made.
async fn letters(checks: &Checks, config: &Config, clients: &Clients) -> Vec<Finding> {
    let topic = config.dead_letter_topic();
    let (described, took) = checks.within(ANSWER, clients.offsets.describe_topics(vec![topic.clone()])).await;
    let finding = |outcome| Finding::new(AREA, format!("find {topic}"), outcome).took(took);
    let described = described.map(|topics| topics.into_iter().next());
    match described {
        Err(why) => vec![finding(Outcome::Failed).saying(&why).advising(advice::kafka(&why))],
        Ok(Some(found)) if found.error.is_none() => {
            let mut findings = vec![may_write(&found, finding)];
            findings.extend(kept(checks, config, &topic).await);
            findings
        }
        Ok(found) => {
            let missing = found.as_ref().is_none_or(is_missing);
            let why = found.and_then(|found| found.error).map(|code| code.to_string()).unwrap_or_default();
            vec![may_create(checks, config, &topic, missing, &why).await]
        }
    }
}

fn may_write(found: &DescribedTopic, finding: impl FnOnce(Outcome) -> Finding) -> Finding {
    match allows(&found.rights, Operation::Write) {
        Some(true) => finding(Outcome::Well).saying("the dead-letter topic may be written"),
        Some(false) => finding(Outcome::Failed)
            .saying("Write isn't granted on it: the first bad record would hold its partition")
            .advising(advice::grant(&["Write", "Describe"], "topic", &found.name)),
        None => finding(Outcome::Noted)
            .saying("it is there; whether it may be written isn't told, and wasn't tried"),
    }
}

async fn may_create(checks: &Checks, config: &Config, topic: &str, missing: bool, why: &str) -> Finding {
    let (tried, took) = checks.within(ANSWER, may_create_topic(config)).await;
    let finding =
        |outcome| Finding::new(AREA, format!("try whether {topic} could be made"), outcome).took(took);
    match tried {
        Ok(()) if missing => {
            finding(Outcome::Well).saying("yes; it is missing, and made with the first dead letter")
        }
        Ok(()) => finding(Outcome::Failed)
            .saying(format!("yes, but it can't be looked up: {}", advice::unwrapped(why)))
            .advising(advice::grant(&["Write", "Describe", "Create"], "topic", topic)),
        Err(denied) => {
            let found = if missing {
                "it is missing".to_owned()
            } else {
                format!("it can't be looked up: {}", advice::unwrapped(why))
            };
            finding(Outcome::Failed)
                .saying(format!("{found}; valve may not make it: {}", advice::unwrapped(&denied)))
                .advising(format!("create it, and {}", advice::grant(&["Write", "Describe"], "topic", topic)))
        }
    }
}

/// How long letters are kept, where that is told.
async fn kept(checks: &Checks, config: &Config, topic: &str) -> Option<Finding> {
    let (known, took) = checks.within(ANSWER, configs::of_topic(&config.kafka, topic)).await;
    let known = known.ok()?;
    let value = |name: &str| known.get(name).map(String::as_str);
    let finding = |outcome| Finding::new(AREA, "look up how long dead letters are kept", outcome).took(took);
    let advice = "set retention.ms and retention.bytes of the topic to -1 and its cleanup.policy to delete";
    let lost = |said: String| Some(finding(Outcome::Warned).saying(said).advising(advice));
    if value("cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
        return lost("it is compacted: of letters with equal keys, only the last is kept".to_owned());
    }
    match (value("retention.ms"), value("retention.bytes")) {
        (Some("-1"), Some("-1")) => Some(finding(Outcome::Well).saying("for ever")),
        (Some("-1"), Some(bytes)) => lost(format!("no more than {bytes} bytes of a partition are kept")),
        (Some(millis), _) => {
            let days = millis.parse::<u64>().unwrap_or_default() / 86_400_000;
            lost(format!(
                "a letter is gone after {}",
                some(usize::try_from(days).unwrap_or(usize::MAX), "day")
            ))
        }
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_bootstrap_servers_then_each_has_an_address_to_connect_to() {
        for (server, expected) in [
            ("kafka-1", "kafka-1:9092"),
            ("kafka-1:9094", "kafka-1:9094"),
            ("SASL_SSL://kafka-1:9096", "kafka-1:9096"),
            ("[::1]:9092", "[::1]:9092"),
            ("[::1]", "[::1]:9092"),
        ] {
            assert_eq!(address(server), expected);
        }
    }

    #[test]
    fn given_what_the_brokers_grant_then_a_dead_letter_topic_may_be_written_or_not_or_that_is_open() {
        let topic = |rights| DescribedTopic::known("letters", rights);
        let said = |rights| may_write(&topic(rights), |outcome| Finding::new(AREA, "", outcome));
        assert_eq!(said(Some(vec![Operation::Write, Operation::Describe])).outcome, Outcome::Well);
        assert_eq!(said(None).outcome, Outcome::Noted);
        let denied = said(Some(vec![Operation::Describe]));
        assert_eq!(denied.outcome, Outcome::Failed);
        assert!(denied.advice().contains("--operation Write --operation Describe --topic letters"));
    }
}
