//! What is stored of a topic in which the group has no offset: whether this valve was here before, and where its files
//! end (docs/protocol.md, "Where to start").

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _};

use super::store::AT_ONCE;
use super::{FileHeader, Part, Recognised, Store, StoredFile};
use crate::batch::terms::Terms;
use crate::config::Start;
use crate::core::start::{Facts, Stored};
use crate::sink::{Digest, SinkError};
use crate::source::offsets::{Offsets, PartitionFacts};
use crate::types::{Offset, UnixMillis};

/// Looks for what is stored, where the brokers know nothing.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    pub(crate) store: Store,
    pub(crate) terms: Arc<Terms>,
    pub(crate) offsets: Offsets,
    pub(crate) start: Start,
}

type Files<'s> = BoxStream<'s, Result<(String, Result<FileHeader, String>), SinkError>>;

/// The last batch of a partition, as far as its files were found.
#[derive(Debug)]
struct Last {
    origin: Offset,
    end: Offset,
    instant: Option<UnixMillis>,
    metadata: String,
    /// The files that its first file lists, once that is found.
    listed: Option<Vec<(String, Digest)>>,
    dead_letters: bool,
    there: BTreeMap<String, Digest>,
}

impl Last {
    /// Whether the batch of `file`, which was opened at `instant`, comes after this one: by its offsets, unless the log became shorter
    /// between both. A new record began then, perhaps at lower offsets.
    fn is_before(&self, file: &StoredFile, instant: Option<UnixMillis>) -> bool {
        if file.origin == self.origin { file.end > self.end } else { instant > self.instant }
    }

    fn is_complete(&self) -> bool {
        let is_there = |(key, digest): &(String, Digest)| self.there.get(key) == Some(digest);
        self.listed.as_ref().is_some_and(|listed| listed.iter().all(is_there))
    }
}

/// The facts of a partition without an offset.
type Unrecorded<'f> = (i32, &'f mut Facts);

impl Survey {
    /// Says in the facts of partitions without an offset what is stored of them; in the place of the facts a sentence, where the
    /// store can't be asked, or a file can't be understood on which it depends.
    ///
    /// # Errors
    /// A sentence, when the brokers can't be asked.
    pub(crate) async fn complete(&self, known: &mut [PartitionFacts]) -> Result<(), String> {
        let mut topics: BTreeMap<Arc<str>, Vec<Unrecorded<'_>>> = BTreeMap::new();
        for (partition, facts) in known.iter_mut() {
            let Ok(facts) = facts else { continue };
            // Whether one that was added later has files isn't asked: an archive is long, and the answer known.
            let added = facts.partitions_at_start.is_some() && facts.was_added(partition.partition);
            if !added || self.start == Start::Stored {
                topics.entry(Arc::clone(&partition.topic)).or_default().push((partition.partition, facts));
            }
        }
        if topics.is_empty() {
            return Ok(());
        }
        // A group that has no offset at all is new or was forgotten; its files may lie by an earlier layout then, anywhere.
        let everywhere = self.offsets.group(BTreeSet::new()).await?.committed.is_empty();
        let mut unknown = BTreeMap::new();
        for (topic, partitions) in topics {
            let prefix = self.prefix(&topic, everywhere);
            let done = if self.start == Start::Stored {
                self.find_ends(&topic, prefix, partitions).await
            } else {
                self.find_any(&topic, prefix, partitions).await
            };
            if let Err(reason) = done {
                unknown.insert(topic, format!("what is stored of it isn't known: {reason}"));
            }
        }
        // One topic's files don't hold up the others.
        for (partition, facts) in known {
            if let Some(reason) = unknown.get(&partition.topic) {
                *facts = Err(format!("{partition}: {reason}"));
            }
        }
        Ok(())
    }

    /// Where files of the topic are looked for.
    fn prefix(&self, topic: &str, everywhere: bool) -> String {
        let prefix = &self.terms.layout.prefix;
        let below = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        // Also by most other layouts a topic's files lie in its folder.
        let narrow = self.terms.key.topic_folder(prefix, topic).filter(|_| !everywhere);
        narrow.unwrap_or(below)
    }

    /// Looks until there is a file of each partition, or no file is left. One of this valve that can't be understood may be
    /// of any partition.
    async fn find_any(
        &self,
        topic: &str,
        prefix: String,
        mut left: Vec<Unrecorded<'_>>,
    ) -> Result<(), String> {
        left.iter_mut().for_each(|(_, facts)| facts.stored = Stored::Nothing);
        let topic_id = left.first().and_then(|(_, facts)| facts.topic_id);
        let mut files = self.files(prefix);
        while !left.is_empty()
            && let Some((_, file)) = files.try_next().await.map_err(|error| error.to_string())?
        {
            left.retain_mut(|(partition, facts)| {
                let found = match &file {
                    Ok(header) => {
                        is_of(header, topic, topic_id) && header.file.partition.partition == *partition
                    }
                    Err(_) => true,
                };
                if found {
                    facts.stored = Stored::Files;
                }
                !found
            });
        }
        Ok(())
    }

    async fn find_ends(
        &self,
        topic: &str,
        prefix: String,
        partitions: Vec<Unrecorded<'_>>,
    ) -> Result<(), String> {
        tracing::info!(topic, "looking for where its stored files end");
        let topic_id = partitions.first().and_then(|(_, facts)| facts.topic_id);
        let lasts = self.lasts(topic, prefix, topic_id).await?;
        for (partition, facts) in partitions {
            facts.stored = lasts.get(&partition).map_or(Stored::Nothing, |last| Stored::Last {
                metadata: last.metadata.clone(),
                complete: last.is_complete(),
                dead_letters: last.dead_letters,
            });
        }
        Ok(())
    }

    /// This valve's files: key and header, or why that can't be understood.
    fn files(&self, prefix: String) -> Files<'_> {
        let keys = self.store.list(prefix);
        let headers = keys.map_ok(move |listed| async move {
            let recognised = self.store.recognise(&listed.key).await?;
            Ok(recognised.map(|recognised| (listed.key, recognised)))
        });
        let own = headers.try_buffer_unordered(AT_ONCE).try_filter_map(|recognised| {
            std::future::ready(Ok(match recognised {
                Some((key, Recognised::Own(header))) => Some((key, Ok(*header))),
                Some((key, Recognised::Broken(reason))) => Some((key, Err(reason))),
                Some((_, Recognised::Foreign)) | None => None,
            }))
        });
        own.boxed()
    }

    async fn lasts(
        &self,
        topic: &str,
        prefix: String,
        topic_id: Option<u128>,
    ) -> Result<BTreeMap<i32, Last>, String> {
        let mut lasts: BTreeMap<i32, Last> = BTreeMap::new();
        let mut files = self.files(prefix);
        while let Some((key, header)) = files.try_next().await.map_err(|error| error.to_string())? {
            let header = header.map_err(|reason| format!("{key}: {reason}"))?;
            if !is_of(&header, topic, topic_id) {
                continue;
            }
            let FileHeader { file, metadata, promise, .. } = header;
            let instant = promise.intent.map(|intent| intent.instant);
            let fresh = || Last {
                origin: file.origin,
                end: file.end,
                instant,
                metadata: metadata.clone(),
                listed: None,
                dead_letters: true,
                there: BTreeMap::new(),
            };
            let last = lasts.entry(file.partition.partition).or_insert_with(fresh);
            if last.is_before(&file, instant) {
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

fn is_of(header: &FileHeader, topic: &str, topic_id: Option<u128>) -> bool {
    let other_id = matches!((header.file.topic_id, topic_id), (Some(then), Some(now)) if then != now);
    *header.file.partition.topic == *topic && !other_id
}
