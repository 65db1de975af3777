//! A new client in the place of one that has fetched from a topic which was deleted and created again since.
//!
//! librdkafka tells leaders of a partition apart by their epochs alone, also across topics of one name. A new topic's epochs begin at 0,
//! so what the client hears of its leaders seems older to it than what it knows, and it fetches nothing more, without a word
//! (librdkafka 2.12, `rd_kafka_toppar_leader_update`). Only another client reads such a topic.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Lane;

/// What the client knows of topics, as far as it matters here.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    /// The id of each topic when a partition of it was to be fetched for the first time.
    met: BTreeMap<Arc<str>, u128>,
    /// Another client is needed.
    due: bool,
}

impl Renewal {
    /// Whether the topic isn't the one of this name that was met first.
    fn is_another(&mut self, topic: &Arc<str>, id: u128) -> bool {
        *self.met.entry(Arc::clone(topic)).or_insert(id) != id
    }
}

impl Lane<'_> {
    /// Leaves the group if the client knows another topic of this name.
    pub(super) fn meet(&mut self, topic: &Arc<str>, id: Option<u128>) {
        let another = id.is_some_and(|id| self.renewal.is_another(topic, id));
        if another && !self.renewal.due {
            self.renewal.due = true;
            self.rejoin(&format!("{topic} was deleted and created again, which takes a new client"));
        }
    }

    /// Whether nothing is left to do for the client that is to be replaced.
    pub(super) fn is_to_be_renewed(&self) -> bool {
        self.renewal.due && self.core.partitions().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_topic_of_another_id_than_was_met_then_it_is_another_and_each_topic_counts_on_its_own() {
        let (orders, clicks) = (Arc::from("orders"), Arc::from("clicks"));
        let mut renewal = Renewal::default();
        assert!(!renewal.is_another(&orders, 1));
        assert!(!renewal.is_another(&clicks, 2));
        assert!(!renewal.is_another(&orders, 1));
        assert!(renewal.is_another(&orders, 2));
    }
}
