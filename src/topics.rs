//! Which topics are consumed: found again and again while running, so that new ones need no restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::Topics;
use crate::dead_letter;
use crate::registry::SchemaSource;
use crate::retry::until_done;
use crate::source::offsets::Offsets;
use crate::telemetry::troubles::{Dependency, Troubles};

/// How long one look may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The longest name that Kafka gives a topic, in bytes.
const LONGEST_NAME: usize = 249;

/// The brokers' ids of topics. One that is deleted and created again has another id.
pub(crate) type TopicIds = Arc<BTreeMap<Arc<str>, u128>>;

/// Finds the topics that the setting `topics` means.
#[derive(Clone, Debug)]
pub(crate) struct Discovery {
    topics: Topics,
    offsets: Offsets,
    registry: Arc<dyn SchemaSource>,
    troubles: Troubles,
}

impl Discovery {
    pub(crate) fn new(
        topics: Topics,
        offsets: Offsets,
        registry: Arc<dyn SchemaSource>,
        troubles: Troubles,
    ) -> Self {
        Self { topics, offsets, registry, troubles }
    }

    /// Looks until there is an answer; sorted.
    pub(crate) async fn find(&self) -> Arc<[String]> {
        let dependency =
            if matches!(self.topics, Topics::Registry) { Dependency::Registry } else { Dependency::Kafka };
        let topics = until_done(&self.troubles, dependency, "find topics", TIMEOUT, || self.look()).await;
        topics.into()
    }

    /// Looks every `interval`, tells `found` of changes, and `ids` of the topics' ids. Runs until it is dropped.
    pub(crate) async fn keep_looking(
        self,
        interval: Duration,
        found: watch::Sender<Arc<[String]>>,
        ids: watch::Sender<TopicIds>,
    ) {
        loop {
            tokio::time::sleep(interval).await;
            let topics = self.find().await;
            match self.offsets.topic_ids(topics.to_vec()).await {
                Ok(known) => drop(ids.send(Arc::new(known))),
                // The next look will do.
                Err(reason) => tracing::debug!(reason, "the topics' ids can't be had"),
            }
            found.send_if_modified(|known| {
                let changed = **known != *topics;
                if changed {
                    tracing::info!(topics = topics.join(" "), "the topics changed");
                    known.clone_from(&topics);
                }
                changed
            });
        }
    }

    /// Looks once; sorted.
    ///
    /// # Errors
    /// A sentence, when Kafka or the registry can't be asked.
    pub(crate) async fn look(&self) -> Result<Vec<String>, String> {
        let mut topics = match &self.topics {
            Topics::List(topics) => topics.clone(),
            Topics::Pattern(pattern) => {
                let all = self.offsets.topics().await?;
                all.into_iter().filter(|topic| pattern.is_match(topic)).collect()
            }
            Topics::Registry => {
                let with_schema = self.registry.topics().await.map_err(|error| error.to_string())?;
                let all = self.offsets.topics().await?;
                with_schema.into_iter().filter(|topic| all.contains(topic)).collect()
            }
        };
        topics.retain(|topic| may_be_input(topic));
        topics.sort_unstable();
        topics.dedup();
        Ok(topics)
    }
}

/// Whether a valve with this setting reads `topic`, as far as that can be told without asking anybody: the registry may know no
/// subject of it.
pub(crate) fn reads(topics: &Topics, topic: &str) -> bool {
    let is_meant = match topics {
        Topics::List(names) => names.iter().any(|name| name == topic),
        Topics::Pattern(pattern) => pattern.is_match(topic),
        Topics::Registry => true,
    };
    is_meant && is_name(topic) && may_be_input(topic)
}

/// Whether Kafka lets a topic be called so. The client must not be asked about another: what a dead letter says of its topic may come
/// from anyone.
pub(crate) fn is_name(topic: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=LONGEST_NAME).contains(&topic.len()) && topic.bytes().all(is_plain) && !matches!(topic, "." | "..")
}

/// Kafka's internal topics and anybody's dead letters never are.
fn may_be_input(topic: &str) -> bool {
    !topic.starts_with("__") && !topic.starts_with(dead_letter::TOPIC_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_each_way_to_say_topics_then_only_what_is_meant_and_may_be_is_read() {
        let list = Topics::List(vec!["orders".to_owned(), "__consumer_offsets".to_owned()]);
        let pattern = Topics::Pattern(regex::Regex::new("^or").unwrap());
        for topics in [list, pattern, Topics::Registry] {
            assert!(reads(&topics, "orders") && !reads(&topics, "__consumer_offsets"), "{topics:?}");
            assert_eq!(reads(&topics, "payments"), matches!(topics, Topics::Registry));
        }
    }

    #[test]
    fn given_what_no_topic_can_be_called_then_it_isnt_read() {
        for name in ["", ".", "..", "a\0b", "a/b", "a b", "\u{1b}[2J", &"x".repeat(250)] {
            assert!(!reads(&Topics::Registry, name), "{name:?}");
        }
        assert!(reads(&Topics::Registry, &"x".repeat(249)));
    }

    #[test]
    fn given_internal_and_dead_letter_topics_then_they_are_never_input() {
        assert!(may_be_input("orders"));
        assert!(may_be_input("_schemas"));
        assert!(!may_be_input("__consumer_offsets"));
        assert!(!may_be_input("_dead_letter_queue_archive"));
    }
}
