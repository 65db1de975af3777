//! What is stored of a topic in which the group has no offset: whether this valve was here before, and where its files
//! end (PROTOCOL.md, "Where to start").

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{StreamExt as _, TryStreamExt as _};

use super::store::AT_ONCE;
use super::{FileHeader, Part, Recognised, Store};
use crate::batch::terms::Terms;
use crate::config::Start;
use crate::core::start::{Facts, Stored};
use crate::sink::{Digest, SinkError};
use crate::types::{Offset, TopicPartition};

/// Looks for what is stored, where the brokers know nothing.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    pub(crate) store: Store,
    pub(crate) terms: Arc<Terms>,
    pub(crate) start: Start,
}

/// The batch of a partition that ends last, as far as its files were found.
#[derive(Debug)]
struct Last {
    end: Offset,
    metadata: String,
    /// The files that its first file lists, once that is found.
    listed: Option<Vec<(String, Digest)>>,
    dead_letters: bool,
    there: BTreeMap<String, Digest>,
}

impl Last {
    fn is_complete(&self) -> bool {
        let is_there = |(key, digest): &(String, Digest)| self.there.get(key) == Some(digest);
        self.listed.as_ref().is_some_and(|listed| listed.iter().all(is_there))
    }
}

impl Survey {
    /// Says in the facts of partitions without an offset what is stored of them.
    ///
    /// # Errors
    /// A sentence, when the store can't be asked.
    pub(crate) async fn complete(&self, facts: &mut [(&TopicPartition, &mut Facts)]) -> Result<(), String> {
        let mut topics: BTreeMap<Arc<str>, Vec<_>> = BTreeMap::new();
        for (partition, facts) in facts {
            // Whether one that was added later has files isn't asked: an archive is long, and the answer known.
            let added = facts.partitions_at_start.is_some() && facts.was_added(partition.partition);
            if facts.committed.is_none() && (!added || self.start == Start::Stored) {
                topics.entry(Arc::clone(&partition.topic)).or_default().push((partition.partition, facts));
            }
        }
        for (topic, partitions) in topics {
            let done = if self.start == Start::Stored {
                self.find_ends(&topic, partitions).await
            } else {
                self.find_any(&topic, partitions).await
            };
            done.map_err(|error| format!("what is stored of {topic}: {error}"))?;
        }
        Ok(())
    }

    /// Looks until there is a file of each partition, or no file is left.
    async fn find_any(&self, topic: &str, mut left: Vec<(i32, &mut &mut Facts)>) -> Result<(), SinkError> {
        left.iter_mut().for_each(|(_, facts)| facts.stored = Stored::Nothing);
        let topic_id = left.first().and_then(|(_, facts)| facts.topic_id);
        let mut files = self.own_files(topic, topic_id);
        while !left.is_empty()
            && let Some(header) = files.try_next().await?
        {
            left.retain_mut(|(partition, facts)| {
                let found = header.file.partition.partition == *partition;
                if found {
                    facts.stored = Stored::Files;
                }
                !found
            });
        }
        Ok(())
    }

    async fn find_ends(&self, topic: &str, partitions: Vec<(i32, &mut &mut Facts)>) -> Result<(), SinkError> {
        tracing::info!(topic, "looking for where its stored files end");
        let topic_id = partitions.first().and_then(|(_, facts)| facts.topic_id);
        let lasts = self.lasts(topic, topic_id).await?;
        for (partition, facts) in partitions {
            facts.stored = lasts.get(&partition).map_or(Stored::Nothing, |last| Stored::Last {
                metadata: last.metadata.clone(),
                complete: last.is_complete(),
                dead_letters: last.dead_letters,
            });
        }
        Ok(())
    }

    /// This valve's files of the topic with this id.
    fn own_files(
        &self,
        topic: &str,
        topic_id: Option<u128>,
    ) -> std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<FileHeader, SinkError>> + Send + '_>> {
        let (prefix, name) = (&self.terms.layout.prefix, topic.to_owned());
        let below = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let keys = self.store.list(self.terms.key.topic_prefix(prefix, topic).unwrap_or(below));
        let headers = keys.map_ok(move |listed| async move { self.store.recognise(&listed.key).await });
        let own = headers.try_buffer_unordered(AT_ONCE).try_filter_map(move |recognised| {
            let own = match recognised {
                Some(Recognised::Own(header)) => Some(*header),
                _ => None,
            };
            let own = own.filter(|header| *header.file.partition.topic == *name);
            let same_id = |header: &FileHeader| match (header.file.topic_id, topic_id) {
                (Some(then), Some(now)) => then == now,
                _ => true,
            };
            std::future::ready(Ok(own.filter(same_id)))
        });
        own.boxed()
    }

    async fn lasts(&self, topic: &str, topic_id: Option<u128>) -> Result<BTreeMap<i32, Last>, SinkError> {
        let mut lasts: BTreeMap<i32, Last> = BTreeMap::new();
        let mut files = self.own_files(topic, topic_id);
        while let Some(header) = files.try_next().await? {
            let FileHeader { file, metadata, .. } = header;
            let fresh = || Last {
                end: file.end,
                metadata: metadata.clone(),
                listed: None,
                dead_letters: true,
                there: BTreeMap::new(),
            };
            let last = lasts.entry(file.partition.partition).or_insert_with(fresh);
            if file.end > last.end {
                *last = fresh();
            }
            if last.metadata != metadata {
                continue;
            }
            last.there.insert(file.key, file.digest);
            if let Part::First(totals) = file.part {
                last.dead_letters = totals.dead_letters > 0;
                let listed = totals.files.into_iter().map(|listed| (listed.key, listed.digest));
                last.listed = Some(listed.collect());
            }
        }
        Ok(lasts)
    }
}
